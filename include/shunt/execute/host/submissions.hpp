#pragma once
/// The protocol that all sessions share: programs are submitted until the session is closed, and
/// are completed in order.
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

#include "shunt/execute/host/failures.hpp"
#include "shunt/execute/host/run_log.hpp"
#include "shunt/execute/host/stopwatch.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt::detail {

/// The programs of a session whose calls all come from one thread.
class submissions {
 public:
  using handle = std::shared_ptr<program const>;

  /// Appends a program.
  /// Throws logic_error after `close`; invalid_program unless it has as many ranks as the first.
  void append(handle p);
  /// Appends a program after `check(*p)`.
  /// Throws logic_error after `close`, and what `check` throws.
  template <class Check>
  void append(handle p, Check const& check) {
    if (closed_) throw std::logic_error("submit: the session was waited for and is over");
    check(*p);
    programs_.push_back(std::move(p));
  }

  /// Throws invalid_program unless the program has as many ranks as the first one.
  void require_same_ranks(program const& p) const;
  /// Returns whether the program is the one submitted last, which was checked then.
  [[nodiscard]] bool repeats(program const& p) const;
  /// Throws logic_error where fewer than n programs were submitted.
  void require_submitted(std::int32_t n) const;

  [[nodiscard]] bool empty() const { return programs_.empty(); }
  [[nodiscard]] std::int32_t size() const { return static_cast<std::int32_t>(programs_.size()); }
  [[nodiscard]] std::span<handle const> programs() const;
  [[nodiscard]] handle const& operator[](std::size_t n) const { return programs_[n]; }

  /// Notes that all ranks have completed one more program.
  void completed(ticks at);
  [[nodiscard]] std::int32_t complete() const;
  /// Returns when the n-th program (from 1) was completed.
  /// Throws out_of_range where it was not.
  [[nodiscard]] ticks completed_at(std::int32_t n) const;

  void close() { closed_ = true; }
  [[nodiscard]] bool closed() const { return closed_; }

  /// Does a step, unless an earlier one has failed. What the step throws is kept and closes the
  /// session.
  template <class Step>
  void guarded(Step const& step) {
    if (failure_) return;
    try {
      step();
    } catch (...) {
      failure_ = std::current_exception();
      closed_ = true;
    }
  }
  /// Throws what a guarded step has thrown.
  void rethrow_failure() const;

 private:
  std::vector<handle> programs_{};
  std::vector<ticks> completions_{};
  bool closed_ = false;
  std::exception_ptr failure_{};
};

/// The programs of a session whose ranks run on threads of their own. Every member may be called
/// from any thread, unless it says otherwise. The mutex and the condition are used as those of the
/// standard library are.
template <class Mutex, class Condition>
class basic_shared_submissions {
 public:
  using handle = submissions::handle;
  using clock = std::chrono::steady_clock;

  /// Appends a program after `check(*p)`, then calls `started()`, both with the lock held.
  /// Throws logic_error after `close`, and what `check` and `started` throw.
  template <class Check, class Started>
  void append(handle p, Check const& check, Started const& started) {
    std::lock_guard const lock(mutex_);
    list_.append(std::move(p), check);
    completers_.push_back(0);
    started();
    submitted_.notify_all();
  }

  /// Waits for the n-th program (from 0).
  /// Returns null where the session is closed before it comes, or is cancelled.
  [[nodiscard]] handle next(std::size_t n);
  /// Returns the n-th program (from 0), or null where it was not submitted yet.
  [[nodiscard]] handle at(std::size_t n) const;

  /// Notes that one of `ranks` ranks has completed the n-th program (from 0).
  void list_completed(std::int32_t n, std::size_t ranks, stopwatch const& now);
  /// Notes that all ranks have completed the first n programs.
  void all_completed(std::int32_t n, ticks at);
  /// Throws logic_error where fewer than n programs were submitted.
  void require_submitted(std::int32_t n) const;
  /// Waits until all ranks have completed the first n programs or the session is cancelled. After
  /// `give_up_at` the wait ends at that time and cancels the session.
  /// Returns whether the n programs are completed.
  /// Throws logic_error where fewer were submitted.
  [[nodiscard]] bool wait_until(std::int32_t n);
  /// Returns when the n-th program (from 1) was completed.
  /// Throws out_of_range where it was not.
  [[nodiscard]] ticks completed_at(std::int32_t n) const;

  /// Ends the waits for completion at this time. Only the first call counts.
  void give_up_at(clock::time_point when);
  /// No rank starts another program.
  void cancel();
  /// Waits until another thread has cancelled, at most `pause`.
  void wait_for_cancel(std::chrono::milliseconds pause);
  [[nodiscard]] bool cancelled() const;
  /// No more programs come.
  void close();

  /// The programs and their completions.
  /// Requires that no other thread uses this object, except from within `append`.
  [[nodiscard]] submissions const& list() const { return list_; }

 private:
  Mutex mutable mutex_{};  // guards all below
  Condition submitted_{}, progressed_{};
  submissions list_{};
  std::vector<std::int32_t> completers_{};  // ranks that have completed each program
  std::optional<clock::time_point> give_up_at_{};
  bool cancelled_ = false;
};

using shared_submissions = basic_shared_submissions<std::mutex, std::condition_variable>;

template <class Mutex, class Condition>
submissions::handle basic_shared_submissions<Mutex, Condition>::next(std::size_t n) {
  std::unique_lock lock(mutex_);
  auto const there = [&] { return n < static_cast<std::size_t>(list_.size()); };
  submitted_.wait(lock, [&] { return there() || list_.closed() || cancelled_; });
  return there() && !cancelled_ ? list_[n] : nullptr;
}

template <class Mutex, class Condition>
submissions::handle basic_shared_submissions<Mutex, Condition>::at(std::size_t n) const {
  std::lock_guard const lock(mutex_);
  return n < static_cast<std::size_t>(list_.size()) ? list_[n] : nullptr;
}

template <class Mutex, class Condition>
void basic_shared_submissions<Mutex, Condition>::list_completed(std::int32_t n, std::size_t ranks,
                                                                stopwatch const& now) {
  std::lock_guard const lock(mutex_);
  if (++completers_[static_cast<std::size_t>(n)] < static_cast<std::int32_t>(ranks)) return;
  list_.completed(now.now());
  progressed_.notify_all();
}

template <class Mutex, class Condition>
void basic_shared_submissions<Mutex, Condition>::all_completed(std::int32_t n, ticks at) {
  std::lock_guard const lock(mutex_);
  while (list_.complete() < n) list_.completed(at);
  progressed_.notify_all();
}

template <class Mutex, class Condition>
void basic_shared_submissions<Mutex, Condition>::require_submitted(std::int32_t n) const {
  std::lock_guard const lock(mutex_);
  list_.require_submitted(n);
}

template <class Mutex, class Condition>
bool basic_shared_submissions<Mutex, Condition>::wait_until(std::int32_t n) {
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

template <class Mutex, class Condition>
ticks basic_shared_submissions<Mutex, Condition>::completed_at(std::int32_t n) const {
  std::lock_guard const lock(mutex_);
  return list_.completed_at(n);
}

template <class Mutex, class Condition>
void basic_shared_submissions<Mutex, Condition>::give_up_at(clock::time_point when) {
  std::lock_guard const lock(mutex_);
  if (!give_up_at_) give_up_at_ = when;
  progressed_.notify_all();
}

template <class Mutex, class Condition>
void basic_shared_submissions<Mutex, Condition>::cancel() {
  std::lock_guard const lock(mutex_);
  cancelled_ = true;
  submitted_.notify_all();
  progressed_.notify_all();
}

template <class Mutex, class Condition>
void basic_shared_submissions<Mutex, Condition>::wait_for_cancel(std::chrono::milliseconds pause) {
  std::unique_lock lock(mutex_);
  progressed_.wait_for(lock, pause, [&] { return cancelled_; });
}

template <class Mutex, class Condition>
bool basic_shared_submissions<Mutex, Condition>::cancelled() const {
  std::lock_guard const lock(mutex_);
  return cancelled_;
}

template <class Mutex, class Condition>
void basic_shared_submissions<Mutex, Condition>::close() {
  std::lock_guard const lock(mutex_);
  list_.close();
  submitted_.notify_all();
}

/// What one rank has come to in a session.
struct rank_result {
  run_log const& log;
  bool silent = false;
};

/// Which events of a rank `collect` writes, and in which order.
enum class event_order : std::uint8_t { none, list, start };

/// Returns the outcome of a session, whose clock is the steady one. `ranks` stand in rank order.
[[nodiscard]] outcome collect(std::vector<rank_result> const& ranks,
                              std::span<submissions::handle const> programs, event_order order);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/execute/host/submissions.ipp"
#endif
