#pragma once
#include "shunt/measure/trace_replay.hpp"

namespace shunt {

SHUNT_INLINE void validate(iteration_costs const& costs) {
  auto const check = [](char const* field, double value, bool positive) {
    bool const finite = std::isfinite(value);
    if (!finite || value < 0 || (positive && value == 0))
      throw invalid_problem(field, std::string("must be ") + (positive ? "above 0" : "at least 0") +
                                       ", is " + std::to_string(value));
  };
  check("iteration", costs.iteration, true);
  check("every", costs.every, false);
  check("checkpoint", costs.checkpoint, false);
}

}  // namespace shunt

namespace shunt::detail {

SHUNT_INLINE void validate(live_rate const& at, std::int32_t event) {
  bool const finite = std::isfinite(at.rate);
  if (!finite || at.rate < 0)
    throw invalid_problem("policy", "has the rate " + std::to_string(at.rate) + " after event " +
                                        std::to_string(event));
}

SHUNT_INLINE void validate(change_cost const& change, std::int32_t event) {
  auto const check = [&](char const* field, double value) {
    bool const finite = std::isfinite(value);
    if (!finite || value < 0)
      throw invalid_problem(field, "must be at least 0, is " + std::to_string(value) +
                                       " at event " + std::to_string(event));
  };
  check("lose", change.lose);
  check("stop", change.stop);
  check("join", change.join);
}

SHUNT_INLINE trace_account::trace_account(iteration_costs const& costs) : costs_(costs) {}

SHUNT_INLINE void trace_account::add(live_interval const& span, live_rate const& at,
                                     change_cost const& change) {
  auto& [seconds, done, lost, intervals, ended] = result;
  double const length = static_cast<double>(span.end - span.begin) / 1000;
  double const before = done;
  if (!ended && !at.no_plan.empty()) ended = lost_plan{span.event, at.no_plan};
  double const rate = ended ? 0 : at.rate;
  if (span.removed) {
    double const aborted = std::min(since_, change.lose * costs_.iteration);
    double const back = std::min(since_ - aborted, 0.5 * costs_.every * costs_.iteration);
    lost.aborted += aborted;
    lost.rolled_back += back;
    done -= aborted + back;
    since_ = 0;
    to_stop_ = change.stop;
    to_join_ = 0;
  }
  if (span.added) to_join_ = std::max(to_join_, change.join);
  // Both stops begin at once; what the longer one has beyond the other is its own.
  double const stopped = std::min(length, to_stop_);
  double const joined = std::min(length, std::max(to_stop_, to_join_)) - stopped;
  to_stop_ -= stopped;
  to_join_ = std::max(0.0, to_join_ - stopped - joined);
  double const running = length - stopped - joined;
  double const work = costs_.every * costs_.iteration;  // between two checkpoints
  double const share =                                  // of the running time that trains
      costs_.every > 0 && rate > 0 ? work / (work + costs_.checkpoint * rate) : 1;
  lost.stopped += stopped * rate;
  lost.joined += joined * rate;
  lost.checkpoints += running * (1 - share) * rate;
  (ended ? lost.without_plan : lost.degraded) += length * (1 - rate);
  double const made = running * share * rate;
  done += made;
  since_ += made;
  seconds += length;
  intervals.push_back({.begin = span.begin,
                       .end = span.end,
                       .live = static_cast<std::int32_t>(span.live.size()),
                       .rate = rate,
                       .mean = (done - before) / length});
}

}  // namespace shunt::detail
