#pragma once
#include "shunt/measure/template_times.hpp"

#include <algorithm>
#include <cstddef>

#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE std::vector<stage_time> stage_times(template_problem const& problem,
                                                 std::span<template_stage const> stages) {
  std::vector<stage_time> times;
  times.reserve(stages.size());
  for (template_stage const& s : stages)
    times.push_back(time_of_stage(problem, s.first, s.end, s.gpus));
  return times;
}

SHUNT_INLINE double published_time(std::span<stage_time const> stages) {
  std::size_t slowest = 0;
  double once = 0, behind = 0;
  for (std::size_t s = 0; s < stages.size(); ++s) {
    once += stages[s].latency();
    if (stages[s].latency() >= stages[slowest].latency()) slowest = s;
  }
  for (std::size_t s = slowest; s < stages.size(); ++s) behind += stages[s].latency();
  auto const times = stages.size() == 1 ? 2 : 2 * stages.size() + slowest + 1;
  return once + static_cast<double>(times) * stages[slowest].latency() + behind;
}

SHUNT_INLINE double one_f_one_b_makespan(std::span<stage_time const> stages,
                                         std::int64_t microbatches) {
  // Phase p: forwards of micro-batch p, then on each stage s the backward of micro-batch
  // p - (S - 1 - s), whose gradient stage s + 1 made in the phase before.
  auto const count = static_cast<std::int64_t>(stages.size());
  std::vector<double> free(stages.size(), 0), gradient(stages.size() + 1, 0);
  for (std::int64_t phase = 0; phase < microbatches + count - 1; ++phase) {
    double input = 0;
    for (std::size_t s = 0; s < stages.size() && phase < microbatches; ++s)
      input = free[s] = std::max(free[s], input) + stages[s].forward;
    for (std::size_t s = 0; s < stages.size(); ++s) {
      auto const m = phase - (count - 1 - static_cast<std::int64_t>(s));
      if (m < 0 || m >= microbatches) continue;
      gradient[s] = free[s] = std::max(free[s], gradient[s + 1]) + stages[s].backward;
    }
  }
  return free.front();
}

}  // namespace shunt
