#pragma once
#include "shunt/execute/host/submissions.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
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

SHUNT_INLINE void submissions::rethrow_failure() const {
  if (failure_) std::rethrow_exception(failure_);
}

SHUNT_INLINE shared_submissions::handle shared_submissions::next(std::size_t n) {
  std::unique_lock lock(mutex_);
  auto const there = [&] { return n < static_cast<std::size_t>(list_.size()); };
  submitted_.wait(lock, [&] { return there() || list_.closed() || cancelled_; });
  return there() && !cancelled_ ? list_[n] : nullptr;
}

SHUNT_INLINE shared_submissions::handle shared_submissions::at(std::size_t n) const {
  std::lock_guard const lock(mutex_);
  return n < static_cast<std::size_t>(list_.size()) ? list_[n] : nullptr;
}

SHUNT_INLINE void shared_submissions::list_completed(std::int32_t n, std::size_t ranks,
                                                     stopwatch const& now) {
  std::lock_guard const lock(mutex_);
  if (++completers_[static_cast<std::size_t>(n)] < static_cast<std::int32_t>(ranks)) return;
  list_.completed(now.now());
  progressed_.notify_all();
}

SHUNT_INLINE void shared_submissions::all_completed(std::int32_t n, ticks at) {
  std::lock_guard const lock(mutex_);
  while (list_.complete() < n) list_.completed(at);
  progressed_.notify_all();
}

SHUNT_INLINE void shared_submissions::require_submitted(std::int32_t n) const {
  std::lock_guard const lock(mutex_);
  list_.require_submitted(n);
}

SHUNT_INLINE bool shared_submissions::wait_until(std::int32_t n) {
  std::unique_lock lock(mutex_);
  list_.require_submitted(n);
  auto const settled = [&] { return list_.complete() >= n || cancelled_; };
  progressed_.wait(lock, [&] { return settled() || give_up_at_; });
  if (!settled() && !progressed_.wait_until(lock, *give_up_at_, settled)) {
    cancelled_ = true;
    submitted_.notify_all();
  }
  return list_.complete() >= n;
}

SHUNT_INLINE ticks shared_submissions::completed_at(std::int32_t n) const {
  std::lock_guard const lock(mutex_);
  return list_.completed_at(n);
}

SHUNT_INLINE void shared_submissions::give_up_at(clock::time_point when) {
  std::lock_guard const lock(mutex_);
  if (!give_up_at_) give_up_at_ = when;
  progressed_.notify_all();
}

SHUNT_INLINE void shared_submissions::cancel() {
  std::lock_guard const lock(mutex_);
  cancelled_ = true;
  submitted_.notify_all();
  progressed_.notify_all();
}

SHUNT_INLINE void shared_submissions::cancel_after(std::chrono::milliseconds pause) {
  {
    std::unique_lock lock(mutex_);
    progressed_.wait_for(lock, pause, [&] { return cancelled_; });
  }
  cancel();
}

SHUNT_INLINE bool shared_submissions::cancelled() const {
  std::lock_guard const lock(mutex_);
  return cancelled_;
}

SHUNT_INLINE void shared_submissions::close() {
  std::lock_guard const lock(mutex_);
  list_.close();
  submitted_.notify_all();
}

SHUNT_INLINE outcome collect(std::span<rank_result const> ranks,
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
