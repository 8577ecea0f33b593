#pragma once
/// Programs on streams, or captured as graphs: all ranks of a program on one device, for testing and emulation, from one thread of the host.
///
/// `submit` enqueues and returns; what a program came to is looked at when the device is done with it. Results are the same bits as the inline
/// executor's: the same order of all that depends on each other, collectives folded in the group's order. A condition is a word on the
/// device, which the host doesn't read before it enqueues; so conditions that disagree, and counts beyond their part, are found when the program
/// has run: `wait` throws. Ranks that fall silent are emulated: nothing of them is enqueued beyond their fault, and others go on as far as
/// their dependencies let them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shunt/execute/bound_streams.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/faults.hpp"
#include "shunt/execute/run_log.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/execute/stream_work.hpp"
#include "shunt/execute/work.hpp"

namespace shunt {

/// What can be run on a system's streams: a work that enqueues itself or, where the system can call back, a work of the host, whose buffers
/// the system's streams must be able to reach.
template <class W, class System>
concept work_on_streams =
    stream_system<System> && (stream_work<W, typename System::stream_ref> || (work<W> && calling_stream_system<System>));

template <stream_system System, class Work, bool Graphs>
  requires work_on_streams<Work, System>
class stream_session;

/// Instructions are enqueued one by one, on one stream a lane of a rank. Times are those of events on the device, in nanoseconds since
/// the session's first program was submitted.
template <stream_system System>
struct stream_executor {
  System* system = nullptr;
  std::vector<fault> faults{};
  bool timed = true;  ///< without, a timeline has no events and instructions cost half as much

  template <work_on_streams<System> Work>
  [[nodiscard]] stream_session<System, Work, false> open(Work& w, std::int64_t first_iteration = 0) const {
    return {*system, {faults, timed, 0}, w, first_iteration};
  }
  template <work_on_streams<System> Work>
  outcome run(program const& p, Work& w) const {
    auto session = open(w);
    session.submit(borrowed(p));
    return session.wait();
  }
};

/// A whole program is one graph, launched with one call. Another program takes the place of the one with the same commands, else of the one
/// not launched for longest: a graph of the same shape is updated, any other instantiated anew. Launches follow each other. Events in a graph hold
/// the times of its last launch, so with `timed` a launch waits until the same graph's launch before has been read.
template <graph_system System>
struct graph_executor {
  System* system = nullptr;
  std::vector<fault> faults{};
  bool timed = false;
  std::int32_t graphs = 2;  ///< kept at once: a step, and the scatter to a new placement

  template <work_on_streams<System> Work>
  [[nodiscard]] stream_session<System, Work, true> open(Work& w, std::int64_t first_iteration = 0) const {
    return {*system, {faults, timed, graphs}, w, first_iteration};
  }
  template <work_on_streams<System> Work>
  outcome run(program const& p, Work& w) const {
    auto session = open(w);
    session.submit(borrowed(p));
    return session.wait();
  }
};

/// How often a session's graphs came to be in which way.
struct graph_counts {
  std::int32_t made = 0, updated = 0, remade = 0, launched = 0;
  constexpr bool operator==(graph_counts const&) const = default;
};

/// Iterations on streams or as graphs. All calls must come from one thread, and nothing else may use the system's streams meanwhile.
template <stream_system System, class Work, bool Graphs>
  requires work_on_streams<Work, System>
class stream_session {
 public:
  struct settings {
    std::vector<fault> faults{};
    bool timed = true;
    std::int32_t graphs = 0;
  };

  stream_session(System& system, settings s, Work& w, std::int64_t first_iteration)
      : system_(system), settings_(std::move(s)), work_(w), first_iteration_(first_iteration) {}
  stream_session(stream_session const&) = delete;
  stream_session& operator=(stream_session const&) = delete;
  ~stream_session() {
    try {
      if (!instances_.empty()) system_.synchronize();
    } catch (...) {  // whoever cared has called wait
    }
  }

  /// Enqueues a program. Throws invalid_program where it has another number of ranks than the first, logic_error after `wait`. What else goes
  /// wrong is kept for `wait`.
  void submit(std::shared_ptr<program const> p) {
    if (closed_) throw std::logic_error("submit: the session was waited for and is over");
    same_ranks(programs_.empty() ? *p : *programs_.front(), *p);
    programs_.push_back(std::move(p));
    guarded([&] {
      while (!instances_.empty() && over(instances_.front())) harvest();
      start();
    });
  }
  void submit(program p) { submit(std::make_shared<program const>(std::move(p))); }

  /// Waits for the first `programs` programs; false where a rank was lost or failed before all ranks had completed them. Throws logic_error
  /// where fewer were submitted.
  [[nodiscard]] bool wait_until(std::int32_t programs) {
    if (programs > static_cast<std::int32_t>(programs_.size())) throw std::logic_error("wait_until: that many were not submitted");
    guarded([&] {
      while (harvested_ < programs && !instances_.empty()) harvest();
    });
    return static_cast<std::int32_t>(completions_.size()) >= programs;
  }

  /// When all ranks had completed the n-th program (from 1), on the timeline's clock. For n up to what wait_until has seen.
  [[nodiscard]] ticks completed_at(std::int32_t n) const { return completions_.at(static_cast<std::size_t>(n - 1)); }

  /// Waits for the rest and ends the session. Rethrows what the work and the system threw, and throws invalid_program where a program
  /// couldn't be run to its end.
  [[nodiscard]] outcome wait() {
    closed_ = true;
    (void)wait_until(static_cast<std::int32_t>(programs_.size()));
    if (failure_) std::rethrow_exception(failure_);
    outcome all;
    all.timeline.seconds_per_tick = 1e-9;
    for (rank_id const r : ids<rank_id>(logs_.size())) {
      auto& events = all.timeline.events;
      auto const first = static_cast<std::ptrdiff_t>(events.size());
      if (settings_.timed) logs_[r.index()].append_to(events, r, programs_);
      std::sort(events.begin() + first, events.end(), [](event const& a, event const& b) {
        return std::tie(a.start, a.iteration, a.instruction) < std::tie(b.start, b.iteration, b.instruction);
      });
      all.done.push_back(logs_[r.index()].done());
      if (fates_[r.index()].silent) all.lost.push_back(r);
    }
    return all;
  }

  [[nodiscard]] graph_counts const& graphs() const
    requires Graphs
  {
    return counts_;
  }

 private:
  using stream_ref = typename System::stream_ref;
  using owned_stream = typename System::stream;
  using event_type = typename System::event;
  using bound = bound_streams<System>;

  struct no_graph {};
  template <bool>
  struct graph_of {
    using type = no_graph;
  };
  template <bool Use>
    requires(Use && Graphs)
  struct graph_of<Use> {
    using type = typename System::graph;
  };

  struct runnable {  // a program that was bound once
    explicit runnable(std::shared_ptr<program const> p) : what(std::move(p)) {}
    bound what;
    std::vector<event_type> stamps{};  // of a graph, which has its own
    std::int32_t runs = 0;
    bool under_way = false;  // its last launch was not harvested
  };

  struct kept_graph {
    typename graph_of<true>::type graph{};
    std::shared_ptr<runnable> holds{};
    std::int32_t last_launch = 0;
  };

  /// One submission, until the device is done with it and its results were read.
  struct instance {
    std::shared_ptr<runnable> of{};
    event_type base;
    ticks base_at = 0;                // on the timeline's clock
    std::vector<event_type> stamps{};  // of streams
    std::vector<event_type> ended{};   // of each rank that runs, or one of the graph
    std::optional<typename System::memory> words{};
    std::vector<std::int32_t> done{};  // by rank: instructions that run
    std::vector<bool> completes{};     // by rank: whether its list ends
  };

  template <class Step>
  void guarded(Step&& step) {
    if (failure_) return;
    try {
      step();
    } catch (...) {
      failure_ = std::current_exception();
    }
    if (!failure_) {
      std::lock_guard const lock(thrown_->mutex);
      failure_ = thrown_->what;
    }
    if (failure_) closed_ = true;
  }

  // ---- enqueuing

  /// Enqueues the latest program.
  void start() {
    auto const n = static_cast<std::int32_t>(programs_.size()) - 1;
    auto const& p = programs_.back();
    if (n == 0) open_ranks(p->ranks.size());
    instance run{.of = known(p), .base = take_event()};
    run.done.clear();
    for (auto const& list : p->ranks) run.done.push_back(static_cast<std::int32_t>(list.instructions.size()));
    bool whole = true;
    for (rank_id const r : ids<rank_id>(fates_.size())) {
      auto& fate = fates_[r.index()];
      fate.strike = strike_of(settings_.faults, *p, r, first_iteration_ + n).value_or(-1);
      whole = whole && fate.runs() && fate.strike < 0;
    }
    if (!whole) {
      run.done = reach(*p, run.of->what.links(), run.of->what.order(), fates_);
      auto cut = std::make_shared<program>(*p);
      for (rank_id const r : ids<rank_id>(fates_.size()))
        cut->ranks[r].instructions.resize(static_cast<std::size_t>(run.done[r.index()]));
      run.of = std::make_shared<runnable>(std::move(cut));
    }
    for (auto const& fate : fates_) run.completes.push_back(fate.runs());
    run.of->what.bind(system_, work_);
    system_.record(run.base, *clock_);
    run.base_at = latest_base_ ? latest_base_at_ : 0;
    (void)latest_base_;
    if (auto const words = run.of->what.words(); !words.empty()) run.words = take_words(words.size());
    running_ = &run;
    if constexpr (Graphs)
      launch(run);
    else
      enqueue(run);
    running_ = nullptr;
    ++run.of->runs;
    instances_.push_back(std::move(run));
  }

  void open_ranks(std::size_t ranks) {
    logs_.resize(ranks);
    fates_.resize(ranks);
    clock_.emplace(system_.make_stream());
    origin_.emplace(system_.make_stream());
    std::vector<std::int64_t> words(ranks + 1, first_iteration_ - 1);
    words.back() = 1;
    iterations_ = system_.make_memory(words.size() * sizeof(std::int64_t));
    system_.copy_to_device(*clock_, std::as_bytes(std::span(words)), iterations_->bytes());
    ready_.emplace(system_.make_event());
    system_.record(*ready_, *clock_);
  }
};

}  // namespace shunt
