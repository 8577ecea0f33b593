#pragma once
/// Rates of a job of D x S one-worker stages with n workers dead, in closed form. A forward takes 1
/// tick, a backward 2; steps and transfers take none. Rate 1 is 1F1B without failures,
/// 3 (M + S - 1) ticks.
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>

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

  [[nodiscard]] constexpr std::int32_t nodes() const { return pipelines * stages; }
  [[nodiscard]] constexpr std::int32_t batch() const { return pipelines * microbatches; }
  [[nodiscard]] constexpr std::int32_t fault_free() const {
    return 3 * (microbatches + stages - 1);
  }
};

/// W: micro-batches of the busiest worker where n failures are spread evenly over the stages;
/// nothing where a stage is lost.
[[nodiscard]] inline std::optional<std::int32_t> busiest(testbed const& t, std::int32_t dead) {
  auto const of_stage = shunt::ceil_divide(dead, t.stages);
  if (of_stage >= t.pipelines) return std::nullopt;
  return shunt::ceil_divide(t.batch(), t.pipelines - of_stage);
}

/// Throughput in proportion to the live workers.
[[nodiscard]] inline double fault_scaled(testbed const& t, std::int32_t dead) {
  return static_cast<double>(t.nodes() - dead) / t.nodes();
}
/// The work over the live workers, no bubble and no rounding: the most that any plan reaches.
[[nodiscard]] inline double ideal_sharing(testbed const& t, std::int32_t dead) {
  return t.fault_free() * static_cast<double>(t.nodes() - dead) / (3.0 * t.batch() * t.stages);
}
/// SlipStream as its papers have it: healthy pipelines keep their order, and what fits into their
/// bubbles is free: a period of 3 max(M + S - 1, W).
[[nodiscard]] inline double published_slipstream(testbed const& t, std::int32_t dead) {
  auto const w = busiest(t, dead);
  return w ? t.fault_free() / (3.0 * std::max(t.microbatches + t.stages - 1, *w)) : 0;
}
/// Re-routing under 1F1B: a period of 3 (W + S - 1).
[[nodiscard]] inline double rerouting_alone(testbed const& t, std::int32_t dead) {
  auto const w = busiest(t, dead);
  return w ? t.fault_free() / (3.0 * (*w + t.stages - 1)) : 0;
}
/// The bound of split backwards and staggered steps: the work of a stage, or the way of the first
/// micro-batch there and back and all gradients after it.
[[nodiscard]] inline double zero_bubble_bound(testbed const& t, std::int32_t dead) {
  auto const w = busiest(t, dead);
  return w ? t.fault_free() / static_cast<double>(std::max(3 * *w, 2 * t.stages - 1 + 2 * *w)) : 0;
}
/// Pipelines that are hit idle whole; failures hit any worker alike: the expected share of those
/// that none hit, C(N - S, n) / C(N, n).
[[nodiscard]] inline double dropping(testbed const& t, std::int32_t dead) {
  double share = 1;
  for (std::int32_t i = 0; i < dead; ++i)
    share *= std::max(0.0, static_cast<double>(t.nodes() - t.stages - i) / (t.nodes() - i));
  return share;
}

}  // namespace reproduce_papers
