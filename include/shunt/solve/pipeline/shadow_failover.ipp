#pragma once
#include "shunt/solve/pipeline/shadow_failover.hpp"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/text.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/ring_one_f_one_b.hpp"

namespace shunt::detail {

SHUNT_INLINE void require_alike_ranks(pipeline_job const& job) {
  if (job.dead.empty()) throw invalid_problem("dead", "has no worker: none is lost");
  require_layout(job, shadow_failover::name, stage_layout::shape::linear, 1);
  if (job.memory.rule != stash_cap::kind::none)
    throw invalid_problem("memory", "must be none for shadow_failover: a shadow has two stages");
  if (job.uneven())
    throw invalid_problem("costs", "must be alike for all workers of a stage and all micro-batches "
                                   "for shadow_failover, which numbers the live ranks anew");
  if (!job.transfer.alike())
    throw invalid_problem("transfer",
                          "must be alike within and between nodes for shadow_failover, which "
                          "numbers the live ranks anew");
}

// The worker that runs a worker's stage after the first losses, or why there is none.
class ring_holders {
 public:
  explicit ring_holders(pipeline_job const& job) : job_(job) {
    for (std::int32_t p = 0; p < job.pipelines; ++p)
      for (std::int32_t s = 0; s < job.stages; ++s) holder_.push_back({p, s});
  }

  // Gives the stage of w to its shadow. Returns why that is not possible, or nothing.
  text lose(worker w) {
    text const of = text("worker ") + describe(w);
    worker const before = shadow_of(w, job_.stages);
    if (before == w) return of + " is the only one of its pipeline";
    for (worker const other : job_.dead)
      if (other != w && (*this)[other] == w)
        return of + " is lost, which runs the stage of " + describe(other) + " too";
    if ((*this)[before] != before) return of + " is lost, and so is its shadow " + describe(before);
    (*this)[w] = before;
    return {};
  }

  [[nodiscard]] worker& operator[](worker w) {
    return holder_[w.pipeline.index() * static_cast<std::size_t>(job_.stages) + w.stage.index()];
  }

 private:
  pipeline_job const& job_;
  std::vector<worker> holder_{};
};

// Sets the job and the schedule of the following iterations.
SHUNT_INLINE void plan_following(pipeline_job const& job, ring_holders& holders,
                                 shadow_takeover& plan) {
  std::vector<rank_id> now(static_cast<std::size_t>(job.ranks()), -1);
  for (rank_id r : ids<rank_id>(job.ranks()))
    if (job.alive(r)) {
      now[r.index()] = plan.survivors.size();
      plan.survivors.push_back(r);
    }
  std::vector<rank_id> ranks;
  plan.job = job;
  plan.job.dead.clear();
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (stage_id s : ids<stage_id>(job.stages))
      ranks.push_back(now[job.rank_of(holders[{p, s}]).index()]);
  plan.job.layout = stage_layout::custom(std::move(ranks));
  plan.schedule = ring_one_f_one_b::order(plan.job);
}

// Sets what the shadow computes of the interrupted iteration.
SHUNT_INLINE void plan_interrupted(pipeline_job const& job, std::int64_t lockstep,
                                   shadow_takeover& plan) {
  auto const early = [&](operation const& o) { return lockstep_of(o, job.stages) < lockstep; };
  bool const redundant = job.dead.size() == 1 && plan.lost.stage > 0;
  std::vector<operation> repeated, both;
  for (operation const& o : ring_operations(job, plan.lost)) {
    // A redundant forward ends before the shadow's backward of the same micro-batch.
    operation const next{op_kind::backward, o.pipeline, plan.shadow.stage, o.microbatch};
    if (redundant && o.kind == op_kind::forward && early(next))
      plan.reused.push_back(o);
    else
      (early(o) ? repeated : both).push_back(o);
  }
  for (operation const& o : ring_operations(job, plan.shadow))
    if (!early(o)) both.push_back(o);
  order_by_lockstep(job, plan.shadow.stage, repeated);
  order_by_lockstep(job, plan.shadow.stage, both);
  plan.resumed = std::move(repeated);
  plan.resumed.insert(plan.resumed.end(), both.begin(), both.end());
  for (stage_id const s : {plan.shadow.stage, plan.lost.stage})
    plan.resumed.push_back({.kind = op_kind::step, .stage = s});
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE solution<shadow_takeover> shadow_failover::operator()(pipeline_job const& job) const {
  validate(job);
  detail::require_alike_ranks(job);
  auto const lost = job.dead.back();
  std::int64_t const last = 2 * (std::int64_t{job.microbatches[lost.pipeline]} + job.stages - 1);
  if (lockstep < 0 || lockstep > last)
    throw invalid_problem("lockstep", "must be from 0 to " + std::to_string(last) + ", is " +
                                          std::to_string(lockstep));
  solution<shadow_takeover> answer{.plan = {}, .status = status::infeasible};
  auto& plan = answer.plan;
  plan.lost = lost;
  plan.shadow = shadow_of(lost, job.stages);
  detail::ring_holders holders(job);
  for (worker const w : job.dead)
    if (auto const fatal = holders.lose(w); !fatal.empty()) {
      answer.reason = fatal + ": fatal, all pipelines must be formed anew";
      return answer;
    }
  detail::plan_following(job, holders, plan);
  detail::plan_interrupted(job, lockstep, plan);
  auto const following = evaluated(plan.job, plan.schedule);
  answer.status = following.status;
  answer.objective = following.objective;
  answer.lower_bound = following.lower_bound;
  answer.reason = following.reason;
  return answer;
}

}  // namespace shunt
