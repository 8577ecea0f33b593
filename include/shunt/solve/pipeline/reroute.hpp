#pragma once
/// Adaptive pipelining (SlipStream, arXiv 2405.14009, section on re-routing): live workers of the same stage compute what a dead one
/// would have.
///
/// The micro-batches of a stage's dead workers are dealt round-robin over its live workers, in the order of pipelines and micro-batches,
/// so that none gets more than ceil(D M / live peers) if each had M. Both gradients of a micro-batch follow its forward, for there lies the
/// stash. Every list, healthy or dead, keeps its order; where several meet, the worker runs whatever can start first and never more
/// forwards than the cap allows. O(n (log n + D)) for n operations.
/// Takes any schedule that has all operations of its micro-batches. Infeasible where a stage has no live worker, or where the order of
/// the lists doesn't fit under the cap.
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/solve/pipeline/merge_streams.hpp"
#include "shunt/solve/pipeline/restate.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// The worker that computes a micro-batch of a dead one: `host[(stage, pipeline, microbatch)]`, for live workers themselves.
class round_robin {
 public:
  /// Every stage has a live worker.
  constexpr explicit round_robin(pipeline_job const& job) : job_(job) {
    host_.resize(static_cast<std::size_t>(job.ranks()) * static_cast<std::size_t>(job.microbatches));
    for (stage_id s : ids<stage_id>(job.stages)) {
      auto const peers = job.live_peers(s);
      std::size_t turn = 0;
      for (pipeline_id p : ids<pipeline_id>(job.pipelines)) {
        bool const alive = job.alive({p, s});
        for (microbatch_id m : ids<microbatch_id>(job.microbatches)) host_[at(p, s, m)] = alive ? p : peers[turn++ % peers.size()];
      }
    }
  }
  [[nodiscard]] constexpr pipeline_id host(pipeline_id p, stage_id s, microbatch_id m) const { return host_[at(p, s, m)]; }

 private:
  [[nodiscard]] constexpr std::size_t at(pipeline_id p, stage_id s, microbatch_id m) const {
    auto const stages = static_cast<std::size_t>(job_.stages), microbatches = static_cast<std::size_t>(job_.microbatches);
    return (p.index() * stages + s.index()) * microbatches + m.index();
  }
  pipeline_job const& job_;
  std::vector<pipeline_id> host_{};
};

struct reroute {
  static constexpr std::string_view name = "reroute";

  [[nodiscard]] constexpr solution<pipeline_schedule> operator()(pipeline_job const& job, pipeline_schedule schedule) const {
    validate(job);
    if (job.dead.empty() || stage_without_worker(job)) return restate(job, std::move(schedule));
    round_robin const routes(job);
    indexed<rank_id, operation_streams> streams(static_cast<std::size_t>(job.ranks()));
    for (rank_id r : ids<rank_id>(job.ranks())) {
      worker const w = job.worker_of(r);
      std::vector<std::vector<operation>> parts(static_cast<std::size_t>(job.pipelines));
      for (operation const& o : schedule.order[r]) {
        if (o.kind == op_kind::step) continue;
        pipeline_id const to = job.alive(w) ? w.pipeline : routes.host(o.pipeline, o.stage, o.microbatch);
        parts[to.index()].push_back(o);
      }
      for (pipeline_id p : ids<pipeline_id>(job.pipelines))
        if (!parts[p.index()].empty()) streams[job.rank_of({p, w.stage})].push_back(std::move(parts[p.index()]));
    }
    if (auto merged = merge_streams(job, streams); merged.complete) {
      merged.schedule.staggered_step = schedule.staggered_step;
      return restate(job, std::move(merged.schedule));
    }
    auto answer = restate(job, std::move(schedule));
    answer.reason = "the orders of re-routed and own micro-batches don't fit under the stash cap";
    return answer;
  }
};
static_assert(transform_for<reroute, pipeline_job, pipeline_schedule>);

}  // namespace shunt
