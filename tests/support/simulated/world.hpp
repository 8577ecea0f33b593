#pragma once
/// A world of virtual processes: one queue of events in virtual time, which a seed orders.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "support/simulated/fiber.hpp"

namespace shunt::tests::simulated {

/// Nanoseconds of virtual time.
using nanos = std::int64_t;
inline constexpr nanos microsecond = 1'000, millisecond = 1'000'000;

class world;
struct process;

/// A thread of a virtual process.
struct thread_state {
  thread_state(process& of, std::function<void()> what);

  process& owner;
  std::function<void()> body;
  std::uint64_t pause = 0;  ///< number of its latest pause; a wake for an earlier one has no effect
  bool ended = false;
  std::vector<std::pair<thread_state*, std::uint64_t>> joining{};
  std::unique_ptr<fiber> runs;
};

/// Something that happens: a thread goes on, or an action of the world or of a process.
struct event {
  nanos at = 0;
  std::uint64_t order = 0;
  thread_state* thread = nullptr;
  std::uint64_t pause = 0;
  process* owner = nullptr;  ///< null: of the world; else it waits while the process is stopped
  std::function<void()> action{};
};

/// A virtual process.
struct process {
  std::int32_t number = 0;  ///< in order of their starts
  std::int32_t rank = 0;
  nanos started = 0;
  bool stopped = false, dead = false;
  nanos ended = -1;
  std::string end{};  ///< how it ended
  nanos stopped_at = 0, stopped_until = 0, stood_still = 0;
  nanos disk_used = 0;  ///< when it last used the disk, without the time it stood still
  std::vector<event> held{};
  std::vector<std::unique_ptr<thread_state>> threads{};
};

/// The one world that runs.
inline world*& current_world() {
  static world* one = nullptr;
  return one;
}

class world {
 public:
  explicit world(std::uint64_t seed) : random_(seed) { current_world() = this; }
  world(world const&) = delete;
  world& operator=(world const&) = delete;
  ~world() { current_world() = nullptr; }

  [[nodiscard]] nanos now() const { return now_; }
  /// Returns a number of 0 .. n-1.
  [[nodiscard]] std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(n));
  }
  [[nodiscard]] bool one_in(std::int64_t n) { return below(n) == 0; }
  /// How long threads wait for a processor, at most.
  nanos latency = 20 * microsecond;
  /// How long a pause may last beyond its end.
  nanos coarseness = 500 * microsecond;

  void at(nanos when, std::function<void()> action, process* owner = nullptr) {
    push({std::max(when, now_), random_(), nullptr, 0, owner, std::move(action)});
  }
  process& start(std::int32_t rank, std::function<void()> body) {
    auto& p = *processes_.emplace_back(std::make_unique<process>());
    p.number = static_cast<std::int32_t>(processes_.size()) - 1;
    p.rank = rank;
    p.started = now_;
    start_thread(p, std::move(body));
    return p;
  }
  thread_state& start_thread(process& p, std::function<void()> body) {
    auto& t = *p.threads.emplace_back(std::make_unique<thread_state>(p, std::move(body)));
    wake(t, t.pause);
    return t;
  }
  [[nodiscard]] std::vector<std::unique_ptr<process>> const& processes() const {
    return processes_;
  }

  /// Returns the process that runs, or null.
  [[nodiscard]] process* running() const { return thread_ ? &thread_->owner : nullptr; }
  [[nodiscard]] thread_state& thread() { return *thread_; }

  /// Pauses the running thread until a wake for this pause.
  void pause() {
    auto& self = *thread_;
    self.runs->switch_to(scheduler_);
  }
  /// A thread goes on soon, unless it has done so since that pause.
  void wake(thread_state& t, std::uint64_t pause, nanos after = 0) {
    push({now_ + after + below(latency) + 1, random_(), &t, pause, &t.owner, {}});
  }
  void sleep(nanos time) {
    auto& self = *thread_;
    wake(self, self.pause, time);
    pause();
  }
  /// Other threads may run first.
  void maybe_switch(std::int64_t once_in = 8) {
    if (thread_ && one_in(once_in)) sleep(0);
  }

  /// Told when a process ends, after its end.
  std::function<void(process&)> on_end{};
  /// Told when a process dies, before the world forgets its threads: its connections close.
  std::function<void(process&, bool crash)> on_death{};

  /// A signal that cannot be caught. Where its machine crashes, its connections stay open.
  void kill(process& p, std::string const& how, bool crash = false) {
    if (p.dead) return;
    p.dead = true;
    p.end = how;
    p.ended = now_;
    if (p.stopped) p.stood_still += now_ - p.stopped_at;
    p.held.clear();
    on_death(p, crash);
    on_end(p);
    if (running() == &p) pause();
  }
  /// Stops a process; of several stops at once the last end counts.
  void stop(process& p, nanos until) {
    if (p.dead) return;
    if (!p.stopped) p.stopped_at = now_;
    p.stopped = true;
    p.stopped_until = std::max(p.stopped_until, until);
    at(until, [this, &p] { go_on(p); });
  }
  void go_on(process& p) {
    if (p.dead || !p.stopped || now_ < p.stopped_until) return;
    p.stopped = false;
    p.stood_still += now_ - p.stopped_at;
    for (auto& e : std::exchange(p.held, {})) {
      e.at = now_ + below(latency * 20) + 1;
      e.order = random_();
      push(std::move(e));
    }
  }

  /// Runs until nothing can happen, a time has come, or `over()`.
  template <class Over>
  void run(nanos until, Over const& over) {
    while (!events_.empty() && !over()) {
      std::pop_heap(events_.begin(), events_.end(), later);
      event e = std::move(events_.back());
      events_.pop_back();
      if (e.at > until) return;
      now_ = std::max(now_, e.at);
      if (e.owner && e.owner->dead) continue;
      if (e.owner && e.owner->stopped) {
        e.owner->held.push_back(std::move(e));
        continue;
      }
      trace_ = (trace_ ^ static_cast<std::uint64_t>(now_) ^ (e.order << 1U)) * 0x100000001b3U;
      ++happened_;
      if (!e.thread) {
        e.action();
      } else if (!e.thread->ended && e.pause == e.thread->pause) {
        ++e.thread->pause;
        thread_ = e.thread;
        scheduler_.switch_to(*e.thread->runs);
        thread_ = nullptr;
        if (e.thread->ended) e.thread->runs.reset();
      }
    }
  }
  [[nodiscard]] std::uint64_t trace() const { return trace_; }
  [[nodiscard]] std::int64_t happened() const { return happened_; }

  /// The body of every thread.
  void run_thread(thread_state& self) {
    try {
      self.body();
    } catch (std::exception const& error) {
      kill(self.owner, std::string("terminated: ") + error.what());
    }
    self.ended = true;
    for (auto const& [t, pause] : self.joining) wake(*t, pause);
    bool const main = self.owner.threads.front().get() == &self;
    if (main && !self.owner.dead) {
      self.owner.dead = true;
      self.owner.ended = now_;
      on_death(self.owner, false);
      on_end(self.owner);
    }
    self.runs->switch_to(scheduler_, true);
  }
  void know_scheduler() { fiber::know_stack_of(scheduler_); }

 private:
  static bool later(event const& a, event const& b) {
    return a.at != b.at ? a.at > b.at : a.order > b.order;
  }
  void push(event e) {
    events_.push_back(std::move(e));
    std::push_heap(events_.begin(), events_.end(), later);
  }

  std::mt19937_64 random_;
  nanos now_ = 3'600'000 * millisecond;
  context scheduler_{};
  thread_state* thread_ = nullptr;
  std::vector<event> events_{};
  std::vector<std::unique_ptr<process>> processes_{};
  std::uint64_t trace_ = 0xcbf29ce484222325U;
  std::int64_t happened_ = 0;
};

inline thread_state::thread_state(process& of, std::function<void()> what)
    : owner(of), body(std::move(what)) {
  runs = std::make_unique<fiber>([this] { current_world()->run_thread(*this); });
  runs->on_entry = [](fiber&) { current_world()->know_scheduler(); };
}

}  // namespace shunt::tests::simulated
