#pragma once
#include "shunt/problem/template_problem.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <string>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"

namespace shunt::detail {

SHUNT_INLINE void require_layer_time(std::string const& field, double time, bool positive) {
  if (std::isfinite(time) && time <= 1e100 && (positive ? time > 0 : time >= 0)) return;
  char shown[32];
  std::string const value(shown, std::to_chars(shown, shown + sizeof shown, time).ptr);
  throw invalid_problem(field, (positive ? "must be above 0 and at most 1e100, is "
                                         : "must be between 0 and 1e100, is ") +
                                   value);
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE void validate(template_problem const& problem) {
  auto const positive = [](char const* field, std::int64_t value) {
    if (value < 1) throw invalid_problem(field, "must be at least 1, is " + std::to_string(value));
  };
  if (problem.layers.empty()) throw invalid_problem("layers", "there is none");
  if (problem.layers.size() > 32'000)
    throw invalid_problem("layers", "are " + std::to_string(problem.layers.size()) +
                                        ", must be at most 32000");
  positive("nodes", problem.nodes);
  positive("gpus", problem.gpus);
  positive("minimum", problem.minimum);
  if (problem.memory < 0)
    throw invalid_problem("memory", "must be at least 0, is " + std::to_string(problem.memory));
  auto const counts =
      static_cast<std::size_t>(std::bit_width(static_cast<std::uint32_t>(problem.gpus)) - 1);
  for (std::size_t l = 0; l < problem.layers.size(); ++l) {
    auto const& layer = problem.layers[l];
    auto const name = "layers[" + std::to_string(l) + "]";
    detail::require_layer_time(name + ".forward", layer.forward, true);
    detail::require_layer_time(name + ".backward", layer.backward, true);
    for (auto const& [part, bytes] :
         {std::pair{".parameters", layer.parameters}, std::pair{".activations", layer.activations}})
      if (bytes < 0)
        throw invalid_problem(name + part, "must be at least 0, is " + std::to_string(bytes));
    for (std::size_t i = 0; i < layer.all_reduce.size(); ++i)
      detail::require_layer_time(name + ".all_reduce[" + std::to_string(i) + "]",
                                 layer.all_reduce[i], false);
    if (!layer.all_reduce.empty() && layer.all_reduce.size() < counts)
      throw invalid_problem(name + ".all_reduce",
                            "has no time for " +
                                std::to_string(std::int64_t{2} << layer.all_reduce.size()) +
                                " GPUs");
  }
}

SHUNT_INLINE std::int64_t least_nodes(template_problem const& problem) {
  if (problem.memory == 0) return problem.minimum;
  std::int64_t needed = 0, activations = 0;
  for (std::size_t l = 0; l < problem.layers.size(); ++l) {
    auto const& layer = problem.layers[l];
    auto const more = checked_multiply(layer.parameters, 6);
    auto const sum = more ? checked_add(needed, *more) : more;
    if (!sum)
      throw invalid_problem("layers[" + std::to_string(l) + "].parameters",
                            "take the bytes of training beyond 63 bits");
    needed = *sum;
    activations = std::max(activations, layer.activations);
  }
  auto const all = checked_add(needed, activations);
  if (!all) throw invalid_problem("layers", "take the bytes of training beyond 63 bits");
  auto const node = checked_multiply(problem.memory, problem.gpus);
  return std::max<std::int64_t>(problem.minimum, node ? ceil_divide(*all, *node) : 1);
}

SHUNT_INLINE stage_time time_of_stage(template_problem const& problem, std::int32_t first,
                                      std::int32_t end, std::int32_t gpus) {
  auto const count = static_cast<std::size_t>(std::bit_width(static_cast<std::uint32_t>(gpus)));
  stage_time all;
  for (auto l = static_cast<std::size_t>(first); l < static_cast<std::size_t>(end); ++l) {
    auto const& layer = problem.layers[l];
    all.forward += layer.forward / gpus;
    all.backward += layer.backward / gpus;
    if (gpus == 1 || layer.all_reduce.empty()) continue;
    all.forward += layer.all_reduce[count - 2];
    all.backward += layer.all_reduce[count - 2];
  }
  return all;
}

}  // namespace shunt
