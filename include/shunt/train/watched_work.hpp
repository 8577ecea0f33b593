#pragma once
#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/host/stopwatch.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/program.hpp"
#include "shunt/train/slow_watch.hpp"

namespace shunt {

/// Any work, which measures its operations and takes part in finding slow ranks once `watch` was
/// called. Until then it is the work itself.
template <work Work>
class watched_work : public Work {
 public:
  using Work::Work;
  explicit watched_work(Work plain) : Work(std::move(plain)) {}

  /// Measures from now on. No session may be running.
  /// Throws as slow_watch does.
  void watch(pipeline_job const& job, slow_watch_config const& config = {}) {
    watch_.emplace(job, config);
  }
  /// Returns what watches, or null.
  [[nodiscard]] slow_watch* watching() { return watch_ ? &*watch_ : nullptr; }

  void operator()(rank_id r, task const& t) {
    if (!watch_ || !(shows_pace(t.op.kind) || t.op.kind == op_kind::pace))
      return Work::operator()(r, t);
    if (t.op.kind == op_kind::pace) return share(r, t);
    // An operation begins where the instruction before it ended: one reading of the clock will do.
    ticks const start = t.started > 0 ? t.started : steady_now();
    Work::operator()(r, t);
    watch_->measured(r, t.op, steady_now() - start);
  }

 private:
  [[nodiscard]] static ticks steady_now() { return stopwatch().on_steady_clock(0); }
  [[nodiscard]] std::span<std::byte> bytes(rank_id r, region const& at) {
    std::span<std::byte> const whole = Work::buffer(r, at.buffer);
    return whole.subspan(static_cast<std::size_t>(at.offset), static_cast<std::size_t>(at.size));
  }
  void share(rank_id r, task const& t) {
    if (!t.writes.empty()) watch_->report(r, bytes(r, t.writes[0]));
    if (t.writes.size() > 1) watch_->tell(bytes(r, t.writes[1]));
    if (t.reads.empty()) return;
    watch_->hear(t.iteration, bytes(r, t.reads[0]));
    if (t.reads.size() == 1) return;
    std::vector<std::span<std::byte const>> reports;
    reports.reserve(t.reads.size() - 1);
    for (region const& from : t.reads.subspan(1)) reports.push_back(bytes(r, from));
    watch_->judge(t.iteration, reports);
  }

  std::optional<slow_watch> watch_{};
};

/// A work that can find slow ranks. watched_work is one.
template <class W>
concept watchable = requires(W& w, pipeline_job const& job, slow_watch_config const& config) {
  w.watch(job, config);
  { w.watching() } -> std::same_as<slow_watch*>;
};

}  // namespace shunt
