#pragma once
/// Rates of a job of D x S one-worker stages with n workers dead, in closed form. A forward takes 1
/// tick, a backward 2; steps and transfers take none. Rate 1 is 1F1B without failures,
/// 3 (M + S - 1) ticks.
/// Oobleck's templates by formula: the live nodes are cut into pipelines of unequal lengths, and
/// the micro-batches dealt over them so that the slowest pipeline ends first. All nodes are used.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <vector>

#include "shunt/core/units.hpp"

namespace reproduce_papers {

/// A job, and what a pipeline of other than S nodes looks like: `layers` equal layers (L) are dealt
/// over its nodes, of which it needs `least`, for memory.
struct testbed {
  std::int32_t pipelines = 6;
  std::int32_t stages = 4;
  std::int32_t microbatches = 12;
  std::int32_t layers = 32;
  std::int32_t least = 4;

  constexpr std::int32_t nodes() const { return pipelines * stages; }
  constexpr std::int32_t batch() const { return pipelines * microbatches; }
  constexpr std::int32_t fault_free() const { return 3 * (microbatches + stages - 1); }
};

/// W: micro-batches of the busiest worker where n failures are spread evenly over the stages;
/// nothing where a stage is lost.
inline std::optional<std::int32_t> busiest(testbed const& t, std::int32_t dead) {
  auto const of_stage = shunt::ceil_divide(dead, t.stages);
  if (of_stage >= t.pipelines) return std::nullopt;
  return shunt::ceil_divide(t.batch(), t.pipelines - of_stage);
}

/// Throughput in proportion to the live workers.
inline double fault_scaled(testbed const& t, std::int32_t dead) {
  return static_cast<double>(t.nodes() - dead) / t.nodes();
}
/// The work over the live workers, no bubble and no rounding: the most that any plan reaches.
inline double ideal_sharing(testbed const& t, std::int32_t dead) {
  return t.fault_free() * static_cast<double>(t.nodes() - dead) / (3.0 * t.batch() * t.stages);
}
/// SlipStream as its papers have it: healthy pipelines keep their order, and what fits into their
/// bubbles is free: a period of 3 max(M + S - 1, W).
inline double published_slipstream(testbed const& t, std::int32_t dead) {
  auto const w = busiest(t, dead);
  return w ? t.fault_free() / (3.0 * std::max(t.microbatches + t.stages - 1, *w)) : 0;
}
/// Re-routing under 1F1B: a period of 3 (W + S - 1).
inline double rerouting_alone(testbed const& t, std::int32_t dead) {
  auto const w = busiest(t, dead);
  return w ? t.fault_free() / (3.0 * (*w + t.stages - 1)) : 0;
}
/// The bound of split backwards and staggered steps: the work of a stage, or the way of the first
/// micro-batch there and back and all gradients after it.
inline double zero_bubble_bound(testbed const& t, std::int32_t dead) {
  auto const w = busiest(t, dead);
  return w ? t.fault_free() / static_cast<double>(std::max(3 * *w, 2 * t.stages - 1 + 2 * *w)) : 0;
}
/// Pipelines that are hit idle whole; failures hit any worker alike: the expected share of those
/// that none hit, C(N - S, n) / C(N, n).
inline double dropping(testbed const& t, std::int32_t dead) {
  double share = 1;
  for (std::int32_t i = 0; i < dead; ++i)
    share *= std::max(0.0, static_cast<double>(t.nodes() - t.stages - i) / (t.nodes() - i));
  return share;
}

/// The order in which a pipeline computes.
enum class pipeline_order : std::uint8_t { one_f_one_b, zero_bubble };

/// A multiset of pipelines: how many there are of each length, in nodes.
using pipeline_counts = std::map<std::int32_t, std::int32_t>;

/// The most micro-batches that a pipeline of `nodes` nodes takes within `limit`. Times are in ticks
/// over L: a layer of each micro-batch takes 3 S of them, so that a stage of L / S layers takes 3
/// ticks.
inline std::int64_t most_microbatches(testbed const& t, pipeline_order order, std::int32_t nodes,
                                      std::int64_t limit) {
  std::int64_t const slowest = std::int64_t{3} * t.stages * shunt::ceil_divide(t.layers, nodes);
  if (order == pipeline_order::one_f_one_b) {
    std::int64_t const way = std::int64_t{3} * t.stages * t.layers;  // sum of all stages
    return limit < way ? 0 : (limit - way) / slowest + 1;
  }
  std::int64_t const part = slowest / 3;
  if (limit < (2 * nodes - 1) * part) return 0;
  return std::min(limit / slowest, (limit / part - (2 * nodes - 1)) / 2);
}

/// The least time of the slowest pipeline, in ticks over L; nothing where there are more pipelines
/// than micro-batches.
inline std::optional<std::int64_t> slowest_pipeline(testbed const& t, pipeline_order order,
                                                    pipeline_counts const& counts) {
  std::int64_t pipelines = 0;
  for (auto const& [nodes, count] : counts) pipelines += count;
  if (pipelines == 0 || pipelines > t.batch()) return std::nullopt;
  auto const suffices = [&](std::int64_t limit) {
    std::int64_t sum = 0;
    for (auto const& [nodes, count] : counts) {
      auto const most = most_microbatches(t, order, nodes, limit);
      if (most < 1) return false;
      sum += count * most;
    }
    return sum >= t.batch();
  };
  std::int64_t low = 0, high = std::int64_t{3} * t.stages * t.layers * (t.batch() + t.nodes());
  while (high - low > 1) {
    auto const middle = low + (high - low) / 2;
    (suffices(middle) ? high : low) = middle;
  }
  return high;
}

/// The best multiset of pipelines of n_min .. 3 n_min nodes, at most L, whose nodes are all live
/// ones.
struct template_choice {
  double rate = 0;  ///< 0: no multiset
  pipeline_counts counts{};
};
inline template_choice best_templates(testbed const& t, pipeline_order order, std::int32_t live) {
  template_choice best;
  pipeline_counts counts;
  std::function<void(std::int32_t, std::int32_t)> const cut = [&](std::int32_t left,
                                                                  std::int32_t longest) {
    if (left == 0) {
      auto const time = slowest_pipeline(t, order, counts);
      double const rate =
          time ? static_cast<double>(t.fault_free()) * t.layers / static_cast<double>(*time) : 0;
      if (rate > best.rate) best = {rate, counts};
      return;
    }
    for (auto nodes = std::min(longest, left); nodes >= t.least; --nodes) {
      if (left != nodes && left - nodes < t.least) continue;
      ++counts[nodes];
      cut(left - nodes, nodes);
      if (--counts[nodes] == 0) counts.erase(nodes);
    }
  };
  cut(live, std::min(t.layers, 3 * t.least));
  return best;
}

}  // namespace reproduce_papers
