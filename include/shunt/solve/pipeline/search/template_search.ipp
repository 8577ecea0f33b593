#pragma once
#include "shunt/solve/pipeline/search/template_search.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <tuple>

#include "shunt/core/config.hpp"

namespace shunt::detail {

// Whole multiples of 2^-20 below 2^30: no sum of a plan is rounded.
SHUNT_INLINE bool sums_are_exact(template_problem const& problem) {
  double sum = 0;
  auto const whole = [&](double time) {
    sum += time;
    return std::floor(time * 0x1p20) == time * 0x1p20;
  };
  for (auto const& layer : problem.layers) {
    if (!whole(layer.forward / problem.gpus) || !whole(layer.backward / problem.gpus)) return false;
    for (double const time : layer.all_reduce)
      if (!whole(time)) return false;
  }
  return sum * problem.gpus * static_cast<double>(8 * problem.layers.size()) < 0x1p32;
}

/// Returns the first layer from `first` on for which `reached` holds, and for all behind it, or
/// `end`.
template <class Reached>
[[nodiscard]] std::int32_t first_layer(std::int32_t first, std::int32_t end, Reached&& reached) {
  while (first < end) {
    auto const middle = first + (end - first) / 2;
    if (reached(middle))
      end = middle;
    else
      first = middle + 1;
  }
  return first;
}

SHUNT_INLINE template_search::template_search(template_problem const& problem)
    : problem_(problem),
      layers_(static_cast<std::int32_t>(problem.layers.size())),
      exact_(sums_are_exact(problem)) {
  for (auto& b : bounds_) b.once.push_back(0), b.shared.push_back(0);
  auto const add = [](bounds& b, double once, double shared) {
    b.once.push_back(b.once.back() + once);
    b.shared.push_back(b.shared.back() + shared);
  };
  // How fast a stage of 1, 2, 4 ... GPUs is, relative to the whole node, with any layers.
  std::vector<double> speeds(
      static_cast<std::size_t>(std::bit_width(static_cast<unsigned>(problem.gpus))), 0);
  speeds.back() = 1;
  for (std::int32_t l = 0; l < layers_; ++l) {
    double const whole = time_of_stage(problem, l, l + 1, problem.gpus).latency();
    double once = whole, shared = whole;
    for (std::int32_t g = problem.gpus / 2; g >= 1; g /= 2) {
      double const time = time_of_stage(problem, l, l + 1, g).latency();
      once = std::min(once, time);
      shared = std::min(shared, time * g / problem.gpus);
      auto& speed = speeds[static_cast<std::size_t>(std::countr_zero(static_cast<unsigned>(g)))];
      speed = std::max(speed, whole / time);
    }
    add(bounds_[0], whole, whole);
    add(bounds_[1], once, shared);
  }
  for (std::size_t g = 1; g < speeds.size(); ++g)
    gain_ = std::max(gain_, 2 * speeds[g - 1] - speeds[g]);
  fuzz_ = bounds_[0].once.back() * 1e-9;
  find_equal_ranges();
}

SHUNT_INLINE void template_search::find_equal_ranges() {
  auto const n = problem_.layers.size();
  auto const equal = [&](std::size_t a, std::size_t b) {
    auto const &x = problem_.layers[a], &y = problem_.layers[b];
    return x.forward == y.forward && x.backward == y.backward && x.all_reduce == y.all_reduce;
  };
  equal_.resize(n);
  std::vector<std::size_t> common(n + 1, 0);  // equal layers from b and from a on
  for (std::size_t a = n; a-- > 0;) {
    std::size_t known = 0;
    equal_[a].resize(n - a);
    for (std::size_t b = 0; b <= a; ++b) {
      common[b] = equal(a, b) ? common[b + 1] + 1 : 0;  // [b + 1] is still that of a + 1
      while (known < common[b]) equal_[a][known++] = static_cast<std::int16_t>(b);
    }
  }
}

SHUNT_INLINE double template_search::node_time(std::int32_t extra, std::size_t first,
                                               std::size_t end) const {
  double const whole = bounds_[0].shared[end] - bounds_[0].shared[first];
  if (extra == 0) return whole;
  return std::max(bounds_[1].shared[end] - bounds_[1].shared[first],
                  whole / (1 + gain_ * std::min(extra, problem_.gpus - 1)));
}

SHUNT_INLINE double template_search::fastest(std::int32_t extra, std::int32_t nodes,
                                             std::int32_t first, std::int32_t end) {
  auto const a = static_cast<std::size_t>(first), z = static_cast<std::size_t>(end);
  if (nodes == 1) return node_time(extra, a, z);
  if (auto const& known = table(extra, nodes); !known.empty())
    return known[a * (static_cast<std::size_t>(layers_) + 1) + z];
  auto const& sums = bounds_of(extra).shared;
  return std::max((sums[z] - sums[a]) / nodes,
                  (bounds_[0].shared[z] - bounds_[0].shared[a]) / (nodes + gain_ * extra));
}

SHUNT_INLINE std::vector<double> const& template_search::table(std::int32_t extra,
                                                               std::int32_t nodes) {
  static std::vector<double> const empty;
  auto const side = static_cast<std::size_t>(layers_) + 1;
  if (extra > most_extra || side * side * (tables_made_ + 1) > most_tabled) return empty;
  auto const row = static_cast<std::size_t>(nodes), column = static_cast<std::size_t>(extra);
  if (tables_.size() <= row) tables_.resize(row + 1);
  if (tables_[row].empty()) tables_[row].resize(most_extra + 1);
  if (auto const& known = tables_[row][column]; !known.empty()) return known;
  std::vector<double> next(side * side, std::numeric_limits<double>::infinity());
  for (std::int32_t last = 0; last <= std::min(extra, problem_.gpus - 1); ++last) {
    static std::vector<double> const none_before;
    auto const& before = nodes == 2 ? none_before : table(extra - last, nodes - 1);
    if (nodes > 2 && before.empty()) return empty;
    for (std::size_t from = 0; from < side; ++from)
      for (std::size_t to = from + row, k = from + row - 1; to < side; ++to) {
        // The last node takes layers k .. to-1: fewer as long as it is the slower part.
        auto const others = [&](std::size_t at) {
          return nodes == 2 ? node_time(extra - last, from, at) : before[from * side + at];
        };
        while (k + 1 < to && others(k + 1) <= node_time(last, k + 1, to)) ++k;
        double best = std::max(others(k), node_time(last, k, to));
        if (k + 1 < to) best = std::min(best, others(k + 1));
        next[from * side + to] = std::min(next[from * side + to], best);
      }
  }
  ++tables_made_;
  return tables_[row][column] = std::move(next);
}

SHUNT_INLINE bool template_search::cut::before(cut const& other) const {
  return std::tie(layers, nodes, stages) < std::tie(other.layers, other.nodes, other.stages);
}

SHUNT_INLINE std::optional<pipeline_template> template_search::best(std::int32_t nodes) {
  if (nodes > layers_) return std::nullopt;
  std::optional<state> chosen;
  cell plan;
  double least = std::numeric_limits<double>::infinity();
  auto const most = std::min<std::int64_t>(layers_, std::int64_t{nodes} * problem_.gpus);
  for (auto stages = nodes; stages <= most; ++stages) {
    auto const& b = bounds_of(stages - nodes);
    if (stages > 1 &&
        fastest(stages - nodes, nodes, 0, layers_) > slowest_within(least, b.once.back(), stages))
      continue;
    state const whole{stages, 0, layers_, nodes, problem_.gpus};
    cell const found = solved(whole, least);
    if (found.latency == none) continue;
    double const time = time_of(whole, found);
    if (!(time < least)) continue;
    least = time, plan = found, chosen = whole;
  }
  if (!chosen) return std::nullopt;
  pipeline_template answer{.nodes = nodes, .stages = {}, .time = least, .microbatches = 0};
  stages_of(*chosen, plan, answer.stages);
  return answer;
}

SHUNT_INLINE template_search::cell& template_search::at(state const& s) {
  auto const halves =
      static_cast<std::size_t>(std::bit_width(static_cast<std::uint32_t>(s.gpus))) - 1;
  auto const all =
      static_cast<std::size_t>(std::bit_width(static_cast<std::uint32_t>(problem_.gpus)));
  auto const row = s.nodes == 1 ? halves : all + static_cast<std::size_t>(s.nodes) - 2;
  if (planes_.size() <= row) planes_.resize(row + 1);
  auto const by_stages = static_cast<std::size_t>(s.stages - s.nodes);
  if (planes_[row].size() <= by_stages) planes_[row].resize(by_stages + 1);
  auto& p = planes_[row][by_stages];
  auto const count = static_cast<std::size_t>(s.end - s.first);
  auto const first = static_cast<std::size_t>(equal_[static_cast<std::size_t>(s.first)][count - 1]);
  if (p.empty()) p.resize(equal_.size());
  if (p[first].empty()) p[first].resize(equal_.size() - first);
  return p[first][count - 1];
}

SHUNT_INLINE template_search::cell const& template_search::solve(state const& s) {
  static constexpr cell infeasible{.latency = none};
  if (s.stages < s.nodes || s.stages > s.end - s.first || s.stages > std::int64_t{s.nodes} * s.gpus)
    return infeasible;
  if (cell const& known = at(s); known.latency >= 0) return known;
  cell const found = solved(s, std::numeric_limits<double>::infinity());
  return at(s) = found;
}

SHUNT_INLINE template_search::cell template_search::solved(state const& s, double limit) {
  if (s.stages == 1) {
    double const latency = time_of_stage(problem_, s.first, s.end, s.gpus).latency();
    return {.t1 = latency, .t3 = latency, .latency = latency};
  }
  choice best{.time = limit, .plan = {.latency = none}};
  if (s.nodes == 1)
    cut_node(s, best);
  else
    cut_nodes(s, best);
  return best.plan;
}

SHUNT_INLINE void template_search::cut_node(state const& s, choice& best) {
  for (std::int32_t k = s.first + 1; k < s.end; ++k)
    for (std::int32_t left = 1; left < s.stages; ++left)
      consider(s, {static_cast<std::int16_t>(k - s.first), 1, static_cast<std::int16_t>(left)},
               best);
}

SHUNT_INLINE void template_search::cut_nodes(state const& s, choice& best) {
  auto const n = s.nodes, extra = s.stages - n;
  auto const& all = bounds_of(extra);
  auto const a = static_cast<std::size_t>(s.first), b = static_cast<std::size_t>(s.end);
  double const once = all.once[b] - all.once[a], work = all.shared[b] - all.shared[a];
  auto const extra_of = [&](std::int32_t nodes) {
    return std::min<std::int64_t>(extra, std::int64_t{nodes} * (problem_.gpus - 1));
  };
  // The first layer at which the left side has at least this much work.
  auto const layer_at = [&](double wanted) {
    return first_layer(s.first, s.end, [&](std::int32_t k) {
      return all.shared[static_cast<std::size_t>(k)] - all.shared[a] >= wanted;
    });
  };
  auto const place = [&](std::int32_t k, std::int32_t nodes, std::int32_t stages) {
    return cut{static_cast<std::int16_t>(k - s.first), static_cast<std::int16_t>(nodes),
               static_cast<std::int16_t>(stages)};
  };
  for (std::int32_t nodes : {n / 2, 1}) {  // good cuts first, so that bounds exclude others
    auto const more = static_cast<std::int32_t>(
        std::max<std::int64_t>(extra_of(nodes) * nodes / n, extra - extra_of(n - nodes)));
    auto const left = nodes + more, right = s.stages - left;
    if (s.end - s.first < s.stages) break;
    auto const k = std::clamp(layer_at(work * nodes / n), s.first + left, s.end - right);
    consider(s, place(k, nodes, left), best);
  }
  for (std::int32_t nodes = 1; nodes < n; ++nodes) {
    auto const least = static_cast<std::int32_t>(extra - extra_of(n - nodes));
    for (auto more = least; more <= extra_of(nodes); ++more) {
      auto const left = nodes + more, right = s.stages - left;
      auto first = s.first + left, last = s.end - right;
      if (best.time < std::numeric_limits<double>::infinity()) {
        double const slowest = slowest_within(best.time, once, s.stages);
        first = first_layer(first, last + 1, [&](std::int32_t k) {
          return fastest(right - n + nodes, n - nodes, k, s.end) <= slowest;
        });
        last = first_layer(
                   first, last + 1,
                   [&](std::int32_t k) { return fastest(more, nodes, s.first, k) > slowest; }) -
               1;
      }
      for (auto k = first; k <= last; ++k) consider(s, place(k, nodes, left), best);
    }
  }
}

SHUNT_INLINE template_search::state template_search::left_of(state const& s, cut const& where) {
  auto const gpus = s.nodes == 1 ? s.gpus / 2 : s.gpus;
  return {where.stages, s.first, s.first + where.layers, where.nodes, gpus};
}

SHUNT_INLINE template_search::state template_search::right_of(state const& s, cut const& where) {
  auto const gpus = s.nodes == 1 ? s.gpus / 2 : s.gpus;
  return {s.stages - where.stages, s.first + where.layers, s.end,
          s.nodes == 1 ? 1 : s.nodes - where.nodes, gpus};
}

SHUNT_INLINE void template_search::consider(state const& s, cut const& where, choice& best) {
  auto const to_left = left_of(s, where), to_right = right_of(s, where);
  cell const& first = solve(to_left);
  if (first.latency == none) return;
  if (s.nodes > 1 && excluded(s, first, to_left, to_right, best.time)) return;
  cell const left = first;  // a copy, for solving the other side may move it
  cell const right = solve(to_right);
  if (right.latency == none) return;
  bool const on_left = left.latency > right.latency;
  cell plan{.t1 = left.t1 + right.t1,
            .t3 = on_left ? left.t3 + right.t1 : right.t3,
            .latency = on_left ? left.latency : right.latency,
            .slowest =
                static_cast<std::int16_t>(on_left ? left.slowest : where.stages + right.slowest),
            .where = where};
  double time = time_of(s, plan);
  if (!exact_ && on_left && time <= best.time * slack + fuzz_) {
    plan.t3 = left.t3;
    add_latencies(to_right, right, plan.t3);  // stage by stage, as rounding has it
    time = time_of(s, plan);
  }
  if (time < best.time || (best.found && time == best.time && where.before(best.plan.where)))
    best = {time, plan, true};
}

SHUNT_INLINE bool template_search::excluded(state const& s, cell const& left, state const& to_left,
                                            state const& to_right, double time) {
  auto const extra = to_right.stages - to_right.nodes;
  auto const& sums = bounds_of(extra).once;
  double const rest =
      sums[static_cast<std::size_t>(s.end)] - sums[static_cast<std::size_t>(to_right.first)];
  double const other = fastest(extra, to_right.nodes, to_right.first, s.end);
  double const limit = time * slack + fuzz_, steady = 2.0 * s.stages + 1;
  // The slowest stage is on the left: all but the right side's t1 is known.
  if (other < left.latency * slack + fuzz_ &&
      left.t1 + left.t3 + 2 * rest + (steady + left.slowest) * left.latency <= limit)
    return false;
  // It is on the right: the stages before it and t3 take the right side's t1 at least.
  return left.t1 + 2 * rest + (steady + to_left.stages) * std::max(left.latency, other) > limit;
}

// The stages before the slowest one take at most its latency each: so k lat + t3 >= t1, and
// T >= 2 t1 + (2 S + 1) lat.
SHUNT_INLINE double template_search::slowest_within(double time, double once,
                                                    std::int32_t stages) const {
  return std::max(time * slack + fuzz_ - 2 * once, 0.0) / (2.0 * stages + 1);
}

SHUNT_INLINE double template_search::time_of(state const& s, cell const& c) const {
  auto const times = s.stages == 1 ? 2 : 2 * s.stages + c.slowest + 1;
  return c.t1 + static_cast<double>(times) * c.latency + c.t3;
}

SHUNT_INLINE void template_search::add_latencies(state const& s, cell const& c, double& sum) {
  if (s.stages == 1) {
    sum += c.latency;
    return;
  }
  for (state const& side : {left_of(s, c.where), right_of(s, c.where)})
    add_latencies(side, solve(side), sum);
}

SHUNT_INLINE void template_search::stages_of(state const& s, cell const& c,
                                             std::vector<template_stage>& out) {
  if (s.stages == 1) {
    out.push_back({s.first, s.end, s.gpus});
    return;
  }
  for (state const& side : {left_of(s, c.where), right_of(s, c.where)})
    stages_of(side, cell(solve(side)), out);
}

}  // namespace shunt::detail
