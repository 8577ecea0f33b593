#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt {

/// Expert loads recorded over a training run, one window after another, the oldest first. A window
/// is one snapshot, for example one iteration.
struct load_series {
  std::int32_t layers = 1;
  std::int32_t experts = 1;  ///< E, expert classes of a layer
  /// windows x layers x experts: tokens routed to each expert, before any is dropped.
  std::vector<std::int64_t> loads{};
  /// The iteration of each window, ascending. Empty: 0, 1, 2 ...
  std::vector<std::int64_t> iterations{};

  [[nodiscard]] constexpr std::size_t cells() const {
    return static_cast<std::size_t>(layers) * static_cast<std::size_t>(experts);
  }
  [[nodiscard]] constexpr std::int32_t windows() const {
    return static_cast<std::int32_t>(loads.size() / cells());
  }
  /// Returns the loads of a window, layers x experts.
  [[nodiscard]] constexpr std::span<std::int64_t const> window(std::int32_t w) const {
    return std::span(loads).subspan(static_cast<std::size_t>(w) * cells(), cells());
  }
  [[nodiscard]] constexpr std::span<std::int64_t const> loads_of(std::int32_t w, layer_id l) const {
    auto const width = static_cast<std::size_t>(experts);
    return window(w).subspan(l.index() * width, width);
  }
  [[nodiscard]] constexpr std::int64_t iteration(std::int32_t w) const {
    return iterations.empty() ? w : iterations[static_cast<std::size_t>(w)];
  }
  /// Returns the windows recorded at iterations first .. last, both included.
  [[nodiscard]] constexpr load_series between(std::int64_t first, std::int64_t last) const {
    load_series part;
    part.layers = layers;
    part.experts = experts;
    for (std::int32_t w = 0; w < windows(); ++w) {
      if (iteration(w) < first || iteration(w) > last) continue;
      part.loads.insert(part.loads.end(), window(w).begin(), window(w).end());
      part.iterations.push_back(iteration(w));
    }
    return part;
  }
  constexpr bool operator==(load_series const&) const = default;
};

/// Throws invalid_problem, which names field, window, layer and value, where a size isn't positive,
/// there is no window or an incomplete one, iterations differ in number from the windows or don't
/// ascend, a load is negative, or the sum of a layer exceeds 62 bits.
constexpr void validate(load_series const& s) {
  if (s.layers < 1)
    throw invalid_problem("layers", "must be at least 1, is " + std::to_string(s.layers));
  if (s.experts < 1)
    throw invalid_problem("experts", "must be at least 1, is " + std::to_string(s.experts));
  if (s.loads.empty() || s.loads.size() % s.cells() != 0)
    throw invalid_problem("loads", "has " + std::to_string(s.loads.size()) +
                                       " values, no whole number of windows of " +
                                       std::to_string(s.layers) + " layers x " +
                                       std::to_string(s.experts) + " experts");
  if (!s.iterations.empty() && s.iterations.size() != static_cast<std::size_t>(s.windows()))
    throw invalid_problem("iterations", "has " + std::to_string(s.iterations.size()) +
                                            " values for " + std::to_string(s.windows()) +
                                            " windows");
  for (std::size_t w = 1; w < s.iterations.size(); ++w)
    if (s.iterations[w] <= s.iterations[w - 1])
      throw invalid_problem("iterations[" + std::to_string(w) + "]",
                            "must be above " + std::to_string(s.iterations[w - 1]) + ", is " +
                                std::to_string(s.iterations[w]));
  for (std::int32_t w = 0; w < s.windows(); ++w)
    for (layer_id l : ids<layer_id>(s.layers))
      detail::validate_loads(s.loads_of(w, l), 1, [&] {
        return "loads[" + std::to_string(w) + "][" + std::to_string(l.value()) + "]";
      });
}

}  // namespace shunt
