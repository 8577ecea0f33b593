#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "shunt/execute/executor.hpp"
#include "shunt/execute/host/failures.hpp"
#include "shunt/execute/host/run_log.hpp"
#include "shunt/execute/host/submissions.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/execute/stream_work.hpp"
#include "shunt/execute/streams/graph_cache.hpp"
#include "shunt/execute/streams/recent_programs.hpp"
#include "shunt/execute/streams/stream_log.hpp"
#include "shunt/execute/streams/stream_pool.hpp"
#include "shunt/execute/streams/stream_program.hpp"
#include "shunt/execute/work.hpp"

namespace shunt {

/// Iterations on streams or as graphs. All calls must come from one thread. Only this session may
/// use the system's streams while it lives.
template <stream_system System, class Work, bool Graphs>
  requires work_on_streams<Work, System>
class stream_session {
 public:
  struct settings {
    std::vector<failure_point> failures{};
    bool timed = true;
  };
  struct no_graphs {};
  using graph_keeper =
      std::conditional_t<Graphs, std::shared_ptr<detail::graph_cache<System>>, no_graphs>;

  /// `graphs` are those of earlier sessions on the system, for this one to update.
  stream_session(System& system, settings s, Work& w, std::int64_t first_iteration,
                 graph_keeper graphs = {})
      : system_(system),
        settings_(std::move(s)),
        work_(w),
        first_iteration_(first_iteration),
        graphs_(std::move(graphs)) {
    if constexpr (Graphs) before_ = graphs_->counts();
  }
  stream_session(stream_session const&) = delete;
  stream_session& operator=(stream_session const&) = delete;
  ~stream_session() {
    try {
      if (!submitted_.empty()) system_.synchronize();
    } catch (...) {  // a caller that needs the error has called `wait`
    }
  }

  /// Enqueues a program. Other errors are kept for `wait`.
  /// Throws invalid_program unless it has as many ranks as the first; logic_error after `wait`.
  void submit(std::shared_ptr<program const> p) {
    submitted_.append(std::move(p));
    submitted_.guarded([&] {
      while (!instances_.empty() && over(instances_.front())) collect_results();
      start();
    });
  }
  void submit(program p) { submit(std::make_shared<program const>(std::move(p))); }

  /// Waits for the first `programs` programs.
  /// Returns false where a rank was lost or failed before all ranks had completed them.
  /// Throws logic_error where fewer were submitted.
  [[nodiscard]] bool wait_until(std::int32_t programs) {
    submitted_.require_submitted(programs);
    submitted_.guarded([&] {
      while (collected_ < programs && !instances_.empty()) collect_results();
    });
    return submitted_.complete() >= programs;
  }

  /// Returns when all ranks had completed the n-th program (from 1), on the timeline's clock.
  /// Requires that `wait_until` has returned true for n or more.
  [[nodiscard]] ticks completed_at(std::int32_t n) const { return submitted_.completed_at(n); }

  /// Waits for the rest and ends the session.
  /// Returns the outcome of all programs.
  /// Throws what the work and the system threw; invalid_program where a program could not be run to
  /// its end.
  [[nodiscard]] outcome wait();

  /// Returns how often this session made, updated, remade and launched graphs.
  [[nodiscard]] graph_counts graphs() const
    requires Graphs
  {
    return graphs_->counts().since(before_);
  }

 private:
  using stream_ref = typename System::stream_ref;
  using event_type = typename System::event;
  using lane = stream_plan::lane;

  using cached_program = detail::cached_program<System>;

  /// One submission, until the device has finished it and its results were read.
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

  /// Receives what stream_program enqueues of an instance.
  struct target {
    stream_session& s;
    instance& run;

    stream_ref stream(lane const& l) { return s.stream_of(l); }
    std::int64_t const* iteration(rank_id r) { return s.iteration_word(r.index()); }

    void begin(rank_id r, stream_ref on) {
      s.system_.wait(on, Graphs ? *s.fork_ : *run.base);  // no time is before the base
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

  // Enqueuing.

  /// Enqueues the latest program.
  void start();

  void open_ranks(std::size_t ranks);

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

  void enqueue(instance& run) {
    if (settings_.timed)
      for (std::int32_t k = 0; k < run.of->bound.plan().stamps; ++k)
        run.stamps.push_back(pool_.take_event());
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
    run.ended.push_back(pool_.take_event());
    system_.record(run.ended.back(), on);
  }

  void launch(instance& run)
    requires Graphs;

  auto& capture(instance& run)
    requires Graphs;

  // Reading back.

  [[nodiscard]] bool over(instance& run) {
    return std::all_of(run.ended.begin(), run.ended.end(),
                       [&](event_type& e) { return system_.finished(e); });
  }

  /// Waits for the oldest instance and reads its results.
  /// Throws what the work threw, and invalid_program as `check_overflow_words`.
  void collect_results();

  System& system_;
  settings settings_;
  Work& work_;
  std::int64_t first_iteration_;
  graph_keeper graphs_;
  graph_counts before_{};  // those of earlier sessions

  detail::submissions submitted_{};
  detail::recent_programs<System> known_{};
  detail::stream_pool<System> pool_{system_};
  std::vector<detail::rank_status> statuses_{};
  std::shared_ptr<failure_sink> thrown_ = std::make_shared<failure_sink>();

  std::optional<typename System::memory> iterations_{};  // one word a rank, and a 1
  std::optional<typename System::stream> clock_{}, origin_{};
  std::optional<event_type> ready_{}, fork_{};
  std::vector<event_type> joins_{};
  std::map<lane, typename System::stream> streams_{};

  std::deque<instance> instances_{};  // submitted and not harvested
  std::optional<event_type> last_base_{};
  ticks base_at_ = 0;
  std::int32_t collected_ = 0;
  std::vector<detail::run_log> logs_{};
};

}  // namespace shunt

#include "shunt/execute/streams/stream_session.ipp"
