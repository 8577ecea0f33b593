#pragma once
#include "shunt/execute/host/submissions.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/execute/host/failures.hpp"
#include "shunt/execute/host/run_log.hpp"
#include "shunt/execute/host/stopwatch.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt::detail {

SHUNT_INLINE void submissions::append(handle p) {
  append(std::move(p), [this](program const& q) { require_same_ranks(q); });
}

SHUNT_INLINE void submissions::require_same_ranks(program const& p) const {
  detail::require_equal_ranks(programs_.empty() ? p : *programs_.front(), p);
}

SHUNT_INLINE bool submissions::repeats(program const& p) const {
  return !programs_.empty() && programs_.back().get() == &p;
}

SHUNT_INLINE void submissions::require_submitted(std::int32_t n) const {
  if (n > size()) throw std::logic_error("wait_until: that many were not submitted");
}

SHUNT_INLINE std::int32_t submissions::complete() const {
  return static_cast<std::int32_t>(completions_.size());
}

SHUNT_INLINE ticks submissions::completed_at(std::int32_t n) const {
  return completions_.at(static_cast<std::size_t>(n - 1));
}

SHUNT_INLINE std::span<submissions::handle const> submissions::programs() const {
  return programs_;
}

SHUNT_INLINE void submissions::completed(ticks at) { completions_.push_back(at); }

SHUNT_INLINE void submissions::rethrow_failure() const {
  if (failure_) std::rethrow_exception(failure_);
}

SHUNT_INLINE outcome collect(std::vector<rank_result> const& ranks,
                             std::span<submissions::handle const> programs, event_order order) {
  outcome all;
  all.timeline.seconds_per_tick = stopwatch::seconds_per_tick;
  std::size_t events = 0;
  for (auto const& r : ranks) events += r.log.size();
  if (order != event_order::none) all.timeline.events.reserve(events);
  for (rank_id const r : ids<rank_id>(ranks.size())) {
    auto const& own = ranks[r.index()];
    if (order == event_order::list) own.log.append_to(all.timeline.events, r, programs);
    if (order == event_order::start) own.log.append_by_start(all.timeline.events, r, programs);
    all.done.push_back(own.log.done());
    if (own.silent) all.lost.push_back(r);
  }
  return all;
}

}  // namespace shunt::detail
