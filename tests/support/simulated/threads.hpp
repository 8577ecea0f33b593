#pragma once
/// Threads, mutexes and conditions of virtual processes.
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "support/simulated/world.hpp"

namespace shunt::tests::simulated {

using time_point = std::chrono::steady_clock::time_point;

[[nodiscard]] inline time_point virtual_now() {
  return time_point(std::chrono::nanoseconds(current_world()->now()));
}

/// Threads that wait for something, each with its pause.
class waiting_threads {
 public:
  void add() {
    auto& t = current_world()->thread();
    all_.emplace_back(&t, t.pause);
  }
  void wake_all() {
    for (auto const& [t, pause] : std::exchange(all_, {})) current_world()->wake(*t, pause);
  }
  void wake_one() {
    auto at = all_.begin();
    while (at != all_.end() && at->first->pause != at->second) ++at;
    if (at != all_.end()) {
      current_world()->wake(*at->first, at->second);
      ++at;
    }
    all_.erase(all_.begin(), at);
  }

 private:
  std::vector<std::pair<thread_state*, std::uint64_t>> all_{};
};

/// As std::mutex.
class virtual_mutex {
 public:
  void lock() {
    auto& w = *current_world();
    w.maybe_switch(16);
    while (held_) {
      waiting_.add();
      w.pause();
    }
    held_ = true;
  }
  void unlock() {
    held_ = false;
    waiting_.wake_one();
  }

 private:
  bool held_ = false;
  waiting_threads waiting_{};
};

/// As std::condition_variable; it also wakes without a reason.
class virtual_condition {
 public:
  void notify_one() { waiting_.wake_one(); }
  void notify_all() { waiting_.wake_all(); }

  void wait(std::unique_lock<virtual_mutex>& lock) {
    waiting_.add();
    lock.unlock();
    current_world()->pause();
    lock.lock();
  }
  template <class Condition>
  void wait(std::unique_lock<virtual_mutex>& lock, Condition const& holds) {
    while (!holds()) wait(lock);
  }
  void wait_until(std::unique_lock<virtual_mutex>& lock, time_point until) {
    auto& w = *current_world();
    auto& self = w.thread();
    auto const left = (until - virtual_now()).count();
    w.wake(self, self.pause, left > 0 ? left + w.below(w.coarseness) : 0);
    wait(lock);
  }
  template <class Condition>
  bool wait_until(std::unique_lock<virtual_mutex>& lock, time_point until, Condition const& holds) {
    while (!holds()) {
      if (virtual_now() >= until) return false;
      wait_until(lock, until);
    }
    return true;
  }
  void wait_for(std::unique_lock<virtual_mutex>& lock, std::chrono::nanoseconds time) {
    wait_until(lock, virtual_now() + time);
  }
  template <class Condition>
  bool wait_for(std::unique_lock<virtual_mutex>& lock, std::chrono::nanoseconds time,
                Condition const& holds) {
    return wait_until(lock, virtual_now() + time, holds);
  }

 private:
  waiting_threads waiting_{};
};

/// As std::thread.
class virtual_thread {
 public:
  virtual_thread() = default;
  explicit virtual_thread(std::function<void()> body) {
    auto& w = *current_world();
    thread_ = &w.start_thread(*w.running(), std::move(body));
  }
  virtual_thread(virtual_thread&& other) noexcept : thread_(std::exchange(other.thread_, {})) {}
  virtual_thread& operator=(virtual_thread&& other) noexcept {
    end_process_if_joinable();
    thread_ = std::exchange(other.thread_, {});
    return *this;
  }
  ~virtual_thread() { end_process_if_joinable(); }

  [[nodiscard]] bool joinable() const { return thread_ != nullptr; }
  void join() {
    auto& w = *current_world();
    auto& self = w.thread();
    while (!thread_->ended) {
      thread_->joining.emplace_back(&self, self.pause);
      w.pause();
    }
    thread_ = nullptr;
  }

 private:
  void end_process_if_joinable() const {
    if (thread_) current_world()->kill(thread_->owner, "terminated: a thread was not joined");
  }

  thread_state* thread_ = nullptr;
};

}  // namespace shunt::tests::simulated
