#pragma once
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
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/execute/executor.hpp"
#include "shunt/execute/host/failures.hpp"
#include "shunt/execute/host/run_log.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/execute/stream_work.hpp"
#include "shunt/execute/streams/stream_program.hpp"
#include "shunt/execute/work.hpp"

namespace shunt {

/// What can be run on a system's streams: a work that enqueues itself or, where the system can call
/// back, a work of the host, whose buffers the system's streams must be able to reach.
template <class W, class System>
concept work_on_streams = stream_system<System> && (stream_work<W, typename System::stream_ref> ||
                                                    (work<W> && calling_stream_system<System>));

/// How often a session's graphs came to be in which way.
struct graph_counts {
  std::int32_t made = 0, updated = 0, remade = 0, launched = 0;
  constexpr bool operator==(graph_counts const&) const = default;
};

/// Iterations on streams or as graphs. All calls must come from one thread, and nothing else may
/// use the system's streams meanwhile.
template <stream_system System, class Work, bool Graphs>
  requires work_on_streams<Work, System>
class stream_session {
 public:
  struct settings {
    std::vector<failure_point> failures{};
    bool timed = true;
    std::int32_t graphs = 0;
  };

  stream_session(System& system, settings s, Work& w, std::int64_t first_iteration)
      : system_(system), settings_(std::move(s)), work_(w), first_iteration_(first_iteration) {}
  stream_session(stream_session const&) = delete;
  stream_session& operator=(stream_session const&) = delete;
  ~stream_session() {
    try {
      if (!programs_.empty()) system_.synchronize();
    } catch (...) {  // whoever cared has called wait
    }
  }

  /// Enqueues a program. Throws invalid_program where it has another number of ranks than the
  /// first, logic_error after `wait`. What else goes wrong is kept for `wait`.
  void submit(std::shared_ptr<program const> p) {
    if (closed_) throw std::logic_error("submit: the session was waited for and is over");
    require_equal_ranks(programs_.empty() ? *p : *programs_.front(), *p);
    programs_.push_back(std::move(p));
    guarded([&] {
      while (!instances_.empty() && over(instances_.front())) collect_results();
      start();
    });
  }
  void submit(program p) { submit(std::make_shared<program const>(std::move(p))); }

  /// Waits for the first `programs` programs; false where a rank was lost or failed before all
  /// ranks had completed them. Throws logic_error where fewer were submitted.
  [[nodiscard]] bool wait_until(std::int32_t programs) {
    if (programs > static_cast<std::int32_t>(programs_.size()))
      throw std::logic_error("wait_until: that many were not submitted");
    guarded([&] {
      while (collected_ < programs && !instances_.empty()) collect_results();
    });
    return static_cast<std::int32_t>(completions_.size()) >= programs;
  }

  /// When all ranks had completed the n-th program (from 1), on the timeline's clock. For n up to
  /// what wait_until has seen.
  [[nodiscard]] ticks completed_at(std::int32_t n) const {
    return completions_.at(static_cast<std::size_t>(n - 1));
  }

  /// Waits for the rest and ends the session. Rethrows what the work and the system threw, and
  /// throws invalid_program where a program couldn't be run to its end.
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
        return std::tie(a.start, a.iteration, a.instruction) <
               std::tie(b.start, b.iteration, b.instruction);
      });
      all.done.push_back(logs_[r.index()].done());
      if (statuses_[r.index()].silent) all.lost.push_back(r);
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
  using event_type = typename System::event;
  using lane = stream_plan::lane;

  struct no_graph {};
  template <class S, bool Use>
  struct graph_of {
    using type = no_graph;
  };
  template <class S>
  struct graph_of<S, true> {
    using type = typename S::graph;
  };

  /// A program that was bound once.
  struct cached_program {
    explicit cached_program(std::shared_ptr<program const> p) : bound(std::move(p)) {}
    stream_program<System> bound;
    std::vector<event_type> stamps{};  // of a graph, which has its own
    std::int32_t runs = 0, collected = 0;
  };

  struct kept_graph {
    typename graph_of<System, Graphs>::type graph{};
    std::shared_ptr<cached_program> holds{};
    std::int32_t last_launch = 0;
  };

  /// One submission, until the device is done with it and its results were read.
  struct instance {
    std::shared_ptr<cached_program> of{};
    std::optional<event_type> base{};                // when it was submitted
    std::vector<event_type> stamps{};                // of streams
    std::vector<event_type> ended{};                 // one a rank, or one of the graph
    std::optional<typename System::memory> words{};  // of the host
    std::vector<std::int32_t> done{};                // by rank: instructions that run
    std::vector<bool> completes{};                   // by rank: whether its list ends
  };

  struct failure_sink {
    std::mutex mutex{};
    std::exception_ptr what{};
  };

  /// Where stream_program enqueues an instance.
  struct target {
    stream_session& s;
    instance& run;

    stream_ref stream(lane const& l) { return s.stream_of(l); }
    std::int64_t const* iteration(rank_id r) { return s.iteration_word(r.index()); }

    void begin(rank_id r, stream_ref on) {
      s.system_.wait(on, Graphs ? *s.fork_ : *run.base);  // so that no time is before the base
      auto* const word = reinterpret_cast<std::byte*>(s.iteration_word(r.index()));
      std::byte const* const sources[] = {
          word, reinterpret_cast<std::byte const*>(s.iteration_word(s.logs_.size()))};
      s.system_.fold(on, element::int64, reduction::sum, sources, {&word, 1}, sizeof(std::int64_t),
                     nullptr);
    }
    void end(rank_id r, stream_ref on) {
      if constexpr (Graphs) {
        s.system_.record(s.joins_[r.index()], on);
        s.system_.wait(*s.origin_, s.joins_[r.index()]);
      } else {
        auto const& first = run.of->bound.plan().first_word;
        auto const from = static_cast<std::size_t>(first[r.index()]),
                   to = static_cast<std::size_t>(first[r.index() + 1]);
        s.read_words(run, from, to, on);
        s.end_on(run, on);
      }
    }
    void stamp(std::int32_t at, stream_ref on) {
      if (!s.settings_.timed) return;
      if constexpr (Graphs)
        s.system_.stamp(run.of->stamps[static_cast<std::size_t>(at)], on);
      else
        s.system_.record(run.stamps[static_cast<std::size_t>(at)], on);
    }
    void compute(rank_id r, stream_task const& t, stream_ref on) {
      if constexpr (stream_work<Work, stream_ref>)
        s.work_(r, t, on);
      else
        s.system_.call(on, [w = &s.work_, r, t, sink = s.thrown_] {
          std::lock_guard const one_at_a_time(sink->mutex);
          if (sink->what || (t.condition && *t.condition == 0)) return;
          try {
            (*w)(r, task{t.op, *t.iteration, t.reads, t.writes});
          } catch (...) {
            sink->what = std::current_exception();
          }
        });
    }
  };

  /// Does a step unless something has failed before, and keeps what fails.
  template <class Step>
  void guarded(Step&& step) {
    if (failure_) return;
    try {
      step();
    } catch (...) {
      failure_ = std::current_exception();
      closed_ = true;
    }
  }

  // Enqueuing.

  /// Enqueues the latest program.
  void start() {
    auto const n = static_cast<std::int32_t>(programs_.size()) - 1;
    program const& p = *programs_.back();
    if (n == 0) open_ranks(p.ranks.size());
    [[maybe_unused]] auto const range = system_.range("program " + std::to_string(n));
    instance run;
    run.of = known(programs_.back());
    for (auto const& list : p.ranks)
      run.done.push_back(static_cast<std::int32_t>(list.instructions.size()));
    bool whole = true;
    for (rank_id const r : ids<rank_id>(statuses_.size())) {
      auto& status = statuses_[r.index()];
      status.fails_before = failure_of(settings_.failures, p, r, first_iteration_ + n).value_or(-1);
      whole = whole && status.runs() && status.fails_before < 0;
    }
    if (!whole) {
      run.done = completed_instructions(p, run.of->bound.links(), run.of->bound.order(), statuses_);
      auto cut = std::make_shared<program>(p);
      for (rank_id const r : ids<rank_id>(statuses_.size()))
        cut->ranks[r].instructions.resize(static_cast<std::size_t>(run.done[r.index()]));
      run.of = std::make_shared<cached_program>(std::move(cut));
    }
    for (auto const& status : statuses_) run.completes.push_back(status.runs());
    run.of->bound.bind(system_, work_);
    for (auto const& l : run.of->bound.plan().streams) (void)stream_of(l);
    if (auto const words = run.of->bound.words(); !words.empty())
      run.words.emplace(take_words(words.size()));
    run.base.emplace(take_event());
    system_.record(*run.base, *clock_);
    instances_.push_back(std::move(run));
    if constexpr (Graphs)
      launch(instances_.back());
    else
      enqueue(instances_.back());
    ++instances_.back().of->runs;
  }

  void open_ranks(std::size_t ranks) {
    logs_.resize(ranks);
    statuses_.resize(ranks);
    clock_.emplace(system_.make_stream());
    std::vector<std::int64_t> words(ranks + 1, first_iteration_ - 1);
    words.back() = 1;
    iterations_.emplace(system_.make_memory(words.size() * sizeof(std::int64_t)));
    system_.copy_to_device(*clock_, std::as_bytes(std::span(words)), iterations_->bytes());
    ready_.emplace(system_.make_event());
    system_.record(*ready_, *clock_);
    if constexpr (Graphs) {
      origin_.emplace(system_.make_stream());
      system_.wait(*origin_, *ready_);
      fork_.emplace(system_.make_event());
      for (std::size_t r = 0; r < ranks; ++r) joins_.push_back(system_.make_event());
    }
  }

  std::int64_t* iteration_word(std::size_t at) {
    return reinterpret_cast<std::int64_t*>(iterations_->bytes().data()) + at;
  }

  stream_ref stream_of(lane const& l) {
    auto at = streams_.find(l);
    if (at == streams_.end()) {
      at = streams_.emplace(l, system_.make_stream()).first;
      system_.wait(at->second, *ready_);
    }
    return at->second;
  }

  event_type take_event() {
    if (unused_.empty()) return system_.make_timed_event();
    event_type e = std::move(unused_.back());
    unused_.pop_back();
    return e;
  }

  /// The program, planned before or now.
  std::shared_ptr<cached_program> known(std::shared_ptr<program const> const& p) {
    constexpr std::size_t most = 8;
    auto const at = std::find_if(known_.begin(), known_.end(),
                                 [&](auto const& q) { return q->bound.handle() == p; });
    if (at != known_.end()) return *at;
    if (known_.size() == most) known_.pop_front();
    known_.push_back(std::make_shared<cached_program>(p));
    return known_.back();
  }

  /// Memory of the host that a device copies to is slow to come by, so it is used again.
  typename System::memory take_words(std::size_t size) {
    auto const at = std::find_if(unused_words_.begin(), unused_words_.end(),
                                 [&](auto& m) { return m.bytes().size() == size; });
    if (at == unused_words_.end()) return system_.make_host_memory(size);
    typename System::memory taken = std::move(*at);
    unused_words_.erase(at);
    return taken;
  }

  void enqueue(instance& run) {
    if (settings_.timed)
      for (std::int32_t k = 0; k < run.of->bound.plan().stamps; ++k)
        run.stamps.push_back(take_event());
    target to{*this, run};
    run.of->bound.enqueue(system_, to, run.of->runs > 0);
  }

  /// Copies words [from, to) of the run to the host.
  void read_words(instance& run, std::size_t from, std::size_t to, stream_ref on) {
    constexpr std::size_t word = sizeof(std::int64_t);
    if (from < to)
      system_.copy_to_host(on, run.of->bound.words().subspan(from * word, (to - from) * word),
                           run.words->bytes().subspan(from * word, (to - from) * word));
  }
  void end_on(instance& run, stream_ref on) {
    run.ended.push_back(take_event());
    system_.record(run.ended.back(), on);
  }

  void launch(instance& run)
    requires Graphs
  {
    auto const of = run.of;
    while (settings_.timed && of->collected < of->runs)
      collect_results();  // its events are about to be used again
    auto at =
        std::find_if(graphs_.begin(), graphs_.end(), [&](auto const& g) { return g.holds == of; });
    if (at == graphs_.end()) at = capture(run);
    system_.wait(*origin_, *run.base);
    system_.launch(at->graph, *origin_);
    at->last_launch = ++counts_.launched;
    if (run.words) read_words(run, 0, run.words->bytes().size() / sizeof(std::int64_t), *origin_);
    end_on(run, *origin_);
  }

  auto capture(instance& run)
    requires Graphs
  {
    auto const of = run.of;
    auto const& commands = of->bound.plan().commands;
    auto at = std::find_if(graphs_.begin(), graphs_.end(), [&](auto const& g) {
      return g.holds->bound.plan().commands == commands;
    });
    if (at == graphs_.end() &&
        static_cast<std::int32_t>(graphs_.size()) < std::max(settings_.graphs, 1))
      at = graphs_.emplace(graphs_.end());
    if (at == graphs_.end())
      at = std::min_element(graphs_.begin(), graphs_.end(), [](auto const& a, auto const& b) {
        return a.last_launch < b.last_launch;
      });
    at->holds = of;
    if (settings_.timed)
      while (static_cast<std::int32_t>(of->stamps.size()) < of->bound.plan().stamps)
        of->stamps.push_back(take_event());
    system_.begin_capture(*origin_);
    try {
      system_.record(*fork_, *origin_);
      target to{*this, run};
      of->bound.enqueue(system_, to, false);  // launches follow each other
      switch (system_.end_capture(*origin_, at->graph)) {
        case graph_change::made: ++counts_.made; break;
        case graph_change::updated: ++counts_.updated; break;
        case graph_change::remade: ++counts_.remade; break;
      }
    } catch (...) {
      system_.abandon_capture(*origin_);
      throw;
    }
    return at;
  }

  // Reading back.

  [[nodiscard]] bool over(instance& run) {
    return std::all_of(run.ended.begin(), run.ended.end(),
                       [&](event_type& e) { return system_.finished(e); });
  }

  /// Waits for the oldest instance and reads what it came to.
  void collect_results() {
    instance run = std::move(instances_.front());
    instances_.pop_front();
    for (auto& e : run.ended) system_.finish(e);
    {
      std::lock_guard const lock(thrown_->mutex);
      if (thrown_->what) std::rethrow_exception(thrown_->what);
    }
    auto const& bound = run.of->bound;
    std::vector<std::int64_t> words(run.words ? run.words->bytes().size() / sizeof(std::int64_t)
                                              : 0);
    if (run.words)
      std::memcpy(words.data(), run.words->bytes().data(), words.size() * sizeof(std::int64_t));
    check_overflow_words(bound.what(), bound.links(), bound.plan(), words);

    system_.finish(*run.base);
    base_at_ += last_base_ ? system_.elapsed(*last_base_, *run.base) : 0;
    auto const time = [&](event_type& e) { return base_at_ + system_.elapsed(*run.base, e); };
    log(run, words, time);
    if (std::find(run.completes.begin(), run.completes.end(), false) == run.completes.end()) {
      ticks end = 0;
      for (auto& e : run.ended) end = std::max(end, time(e));
      completions_.push_back(end);
    }
    ++collected_;
    ++run.of->collected;
    if (last_base_) unused_.push_back(std::move(*last_base_));
    last_base_ = std::move(run.base);
    if (run.words) unused_words_.push_back(std::move(*run.words));
    for (auto* const events : {&run.stamps, &run.ended})
      for (auto& e : *events) unused_.push_back(std::move(e));
  }

  template <class Time>
  void log(instance& run, std::span<std::int64_t const> words, Time const& time) {
    auto const& plan = run.of->bound.plan();
    auto& events = Graphs ? run.of->stamps : run.stamps;
    std::vector<ticks> at;
    for (auto& e : events) at.push_back(time(e));
    std::size_t number = 0;
    for (rank_id const r : ids<rank_id>(logs_.size())) {
      auto& own = logs_[r.index()];
      own.expect(static_cast<std::size_t>(run.done[r.index()]));
      for (std::int32_t i = 0; i < run.done[r.index()]; ++i, ++number) {
        auto const word = plan.word_at[number];
        auto const& span = plan.spans[number];
        if (word != stream_plan::none && words[static_cast<std::size_t>(word)] == 0)
          own.instruction_left_out();
        else if (settings_.timed)
          own.instruction_ended(at[static_cast<std::size_t>(span.start)],
                                at[static_cast<std::size_t>(span.end)]);
        else
          own.instruction_ended(0, 0);
      }
      if (run.completes[r.index()]) own.list_ended();
    }
  }

  System& system_;
  settings settings_;
  Work& work_;
  std::int64_t first_iteration_;

  std::vector<std::shared_ptr<program const>> programs_{};
  std::deque<std::shared_ptr<cached_program>> known_{};
  std::vector<rank_status> statuses_{};
  bool closed_ = false;
  std::exception_ptr failure_{};
  std::shared_ptr<failure_sink> thrown_ = std::make_shared<failure_sink>();

  std::optional<typename System::memory> iterations_{};  // one word a rank, and a one
  std::optional<typename System::stream> clock_{}, origin_{};
  std::optional<event_type> ready_{}, fork_{};
  std::vector<event_type> joins_{};
  std::map<lane, typename System::stream> streams_{};
  std::vector<kept_graph> graphs_{};
  graph_counts counts_{};

  std::deque<instance> instances_{};  // submitted and not harvested
  std::vector<event_type> unused_{};
  std::vector<typename System::memory> unused_words_{};
  std::optional<event_type> last_base_{};
  ticks base_at_ = 0;
  std::int32_t collected_ = 0;
  std::vector<ticks> completions_{};
  std::vector<run_log> logs_{};
};

}  // namespace shunt
