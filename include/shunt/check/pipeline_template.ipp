#pragma once
#include "shunt/check/pipeline_template.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <sstream>

#include "shunt/core/config.hpp"

namespace shunt::detail {

/// Each layer's latency, then the formula as the paper writes it: sums, not recursions.
SHUNT_INLINE double formula_time(std::vector<double> const& latency) {
  double once = 0, most = 0, behind = 0;
  for (double const t : latency) once += t, most = std::max(most, t);
  std::size_t slowest = latency.size() - 1;
  while (latency[slowest] != most) --slowest;
  for (auto s = slowest; s < latency.size(); ++s) behind += latency[s];
  auto const steady = latency.size() == 1 ? 2 : 2 * latency.size() + slowest + 1;
  return once + static_cast<double>(steady) * most + behind;
}

/// Runs 1F1B operation by operation: on each stage the next of its list, once its input is there.
SHUNT_INLINE double played_makespan(std::vector<stage_time> const& stages, std::int64_t count) {
  auto const last = stages.size() - 1;
  auto const all = static_cast<std::size_t>(count);
  std::vector<std::vector<double>> forward(stages.size()), backward(stages.size());
  std::vector<double> free(stages.size(), 0);
  double end = 0;
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t s = 0; s <= last; ++s) {
      auto const f = forward[s].size(), b = backward[s].size();
      bool const wants_forward = f < all && f - b < stages.size() - s;
      if (wants_forward ? s > 0 && forward[s - 1].size() <= f
                        : b >= all || f <= b || (s < last && backward[s + 1].size() <= b))
        continue;
      double const input = wants_forward ? (s > 0 ? forward[s - 1][f] : 0)
                                         : (s < last ? backward[s + 1][b] : forward[s][b]);
      free[s] = std::max(free[s], input) + (wants_forward ? stages[s].forward : stages[s].backward);
      (wants_forward ? forward : backward)[s].push_back(free[s]);
      end = std::max(end, free[s]);
      moved = true;
    }
  }
  return end;
}

SHUNT_INLINE void check_template(template_problem const& problem, pipeline_template const& plan,
                                 std::vector<template_violation>& found) {
  using kind = template_violation::kind;
  auto const before = found.size();
  auto const add = [&](kind what, std::size_t index, double is, double wanted) {
    found.push_back({what, plan.nodes, static_cast<std::int64_t>(index), is, wanted});
  };
  std::int64_t layer = 0, gpu = 0;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    auto const& s = plan.stages[i];
    if (s.first != layer) add(kind::layers, i, s.first, static_cast<double>(layer));
    if (s.end <= s.first) add(kind::layers, i, s.end, s.first + 1.0);
    layer = s.end;
    bool const power = s.gpus >= 1 && s.gpus <= problem.gpus && problem.gpus % s.gpus == 0 &&
                       (s.gpus & (s.gpus - 1)) == 0;
    if (!power || gpu % s.gpus != 0) add(kind::gpus, i, s.gpus, problem.gpus);
    gpu += s.gpus;
  }
  auto const layers = std::ssize(problem.layers);
  if (layer != layers)
    add(kind::layers, plan.stages.size(), static_cast<double>(layer), static_cast<double>(layers));
  if (auto const all = std::int64_t{plan.nodes} * problem.gpus; gpu != all)
    add(kind::count, plan.stages.size(), static_cast<double>(gpu), static_cast<double>(all));
  if (found.size() > before) return;
  std::vector<double> latency;
  std::vector<stage_time> times;
  for (auto const& s : plan.stages) {
    times.push_back(time_of_stage(problem, s.first, s.end, s.gpus));
    latency.push_back(times.back().latency());
  }
  double const time =
      plan.microbatches > 0 ? played_makespan(times, plan.microbatches) : formula_time(latency);
  if (!(std::abs(plan.time - time) <= 1e-9 * time)) add(kind::time, 0, plan.time, time);
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE std::string to_string(template_violation const& v) {
  std::ostringstream out;
  out << "template of " << v.nodes << " nodes";
  switch (v.what) {
    case template_violation::kind::nodes: out << ", nodes"; break;
    case template_violation::kind::layers: out << ", stage " << v.index << ", layers"; break;
    case template_violation::kind::gpus: out << ", stage " << v.index << ", GPUs"; break;
    case template_violation::kind::count: out << ", GPUs of all stages"; break;
    case template_violation::kind::time: out << ", time"; break;
  }
  out << ": found " << v.found << ", wanted " << v.wanted;
  return out.str();
}

SHUNT_INLINE std::vector<template_violation> check(template_problem const& problem,
                                                   template_set const& plan) {
  std::vector<template_violation> found;
  std::int32_t before = 0;
  for (auto const& t : plan.templates) {
    auto const most = t.nodes <= before ? before + 1.0 : static_cast<double>(problem.nodes);
    if (t.nodes <= before || t.nodes > problem.nodes)
      found.push_back(
          {template_violation::kind::nodes, t.nodes, 0, static_cast<double>(t.nodes), most});
    before = t.nodes;
    detail::check_template(problem, t, found);
  }
  return found;
}

}  // namespace shunt
