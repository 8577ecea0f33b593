#pragma once
#include "shunt/problem/load_series.hpp"

#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::size_t load_series::cells() const {
  return static_cast<std::size_t>(layers) * static_cast<std::size_t>(experts);
}

SHUNT_CONSTEXPR std::int32_t load_series::windows() const {
  return static_cast<std::int32_t>(loads.size() / cells());
}

SHUNT_CONSTEXPR std::span<std::int64_t const> load_series::window(std::int32_t w) const {
  return std::span(loads).subspan(static_cast<std::size_t>(w) * cells(), cells());
}

SHUNT_CONSTEXPR std::span<std::int64_t const> load_series::loads_of(std::int32_t w,
                                                                    layer_id l) const {
  auto const width = static_cast<std::size_t>(experts);
  return window(w).subspan(l.index() * width, width);
}

SHUNT_CONSTEXPR std::int64_t load_series::iteration(std::int32_t w) const {
  return iterations.empty() ? w : iterations[static_cast<std::size_t>(w)];
}

SHUNT_CONSTEXPR load_series load_series::between(std::int64_t first, std::int64_t last) const {
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

SHUNT_CONSTEXPR void validate(load_series const& s) {
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
