#pragma once
/// Oobleck's templates by formula: the live nodes are cut into pipelines of unequal lengths, and
/// the micro-batches dealt over them so that the slowest pipeline ends first. All nodes are used.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "closed_forms.hpp"

namespace reproduce_papers {

/// The order in which a pipeline computes.
enum class pipeline_order : std::uint8_t { one_f_one_b, zero_bubble };

/// A multiset of pipelines: how many there are of each length, in nodes.
using pipeline_counts = std::map<std::int32_t, std::int32_t>;

/// The most micro-batches that a pipeline of `nodes` nodes takes within `limit`. Times are in ticks
/// over L: a layer of each micro-batch takes 3 S of them, so that a stage of L / S layers takes 3
/// ticks.
[[nodiscard]] inline std::int64_t most_microbatches(testbed const& t, pipeline_order order,
                                                    std::int32_t nodes, std::int64_t limit) {
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
[[nodiscard]] inline std::optional<std::int64_t> slowest_pipeline(testbed const& t,
                                                                  pipeline_order order,
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
[[nodiscard]] inline template_choice best_templates(testbed const& t, pipeline_order order,
                                                    std::int32_t live) {
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
