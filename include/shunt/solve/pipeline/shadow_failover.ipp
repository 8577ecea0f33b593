#pragma once
#include "shunt/solve/pipeline/shadow_failover.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <tuple>
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

namespace shunt::detail {

SHUNT_INLINE void require_alike_ranks(pipeline_job const& job) {
  if (job.dead.empty()) throw invalid_problem("dead", "has no worker: none is lost");
  require_layout(job, shadow_failover::name, stage_layout::shape::linear, 1);
  if (job.memory.rule != stash_cap::kind::none)
    throw invalid_problem("memory", "must be none for shadow_failover: a shadow has two stages");
  if (job.transfer.within_node != job.transfer.between_nodes)
    throw invalid_problem("transfer",
                          "must be alike within and between nodes for shadow_failover, which "
                          "numbers the live ranks anew");
}

// The forwards and backwards of a stage.
SHUNT_INLINE std::vector<operation> stage_list(pipeline_job const& job, worker w) {
  std::vector<operation> list;
  for (microbatch_id m : ids<microbatch_id>(job.microbatches[w.pipeline]))
    for (op_kind const k : {op_kind::forward, op_kind::backward})
      list.push_back({k, w.pipeline, w.stage, m});
  return list;
}

// Orders the operations of a rank. `own`: the stage whose operations come first.
SHUNT_INLINE void order_by_lockstep(pipeline_job const& job, stage_id own,
                                    std::vector<operation>& list) {
  auto const key = [&](operation const& o) {
    return std::tuple(lockstep_of(o, job.stages), o.kind != op_kind::backward, o.stage != own);
  };
  std::sort(list.begin(), list.end(),
            [&](operation const& a, operation const& b) { return key(a) < key(b); });
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
  plan.schedule.order.resize(plan.survivors.size());
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (stage_id s : ids<stage_id>(job.stages)) {
      rank_id const r = now[job.rank_of(holders[{p, s}]).index()];
      ranks.push_back(r);
      auto const more = stage_list(job, {p, s});
      auto& list = plan.schedule.order[r];
      list.insert(list.end(), more.begin(), more.end());
    }
  plan.job.layout = stage_layout::custom(std::move(ranks));
  for (rank_id r : ids<rank_id>(plan.survivors.size())) {
    auto& list = plan.schedule.order[r];
    stage_id const own = job.worker_of(plan.survivors[r.index()]).stage;
    order_by_lockstep(job, own, list);
    list.push_back({.kind = op_kind::step, .stage = own});
    for (stage_id const s : plan.job.stages_of(r))
      if (s != own) list.push_back({.kind = op_kind::step, .stage = s});
  }
}

// Sets what the shadow computes of the interrupted iteration.
SHUNT_INLINE void plan_interrupted(pipeline_job const& job, std::int64_t lockstep,
                                   shadow_takeover& plan) {
  auto const early = [&](operation const& o) { return lockstep_of(o, job.stages) < lockstep; };
  bool const redundant = job.dead.size() == 1 && plan.lost.stage > 0;
  std::vector<operation> repeated, both;
  for (operation const& o : stage_list(job, plan.lost)) {
    // A redundant forward ends before the shadow's backward of the same micro-batch.
    operation const next{op_kind::backward, o.pipeline, plan.shadow.stage, o.microbatch};
    if (redundant && o.kind == op_kind::forward && early(next))
      plan.reused.push_back(o);
    else
      (early(o) ? repeated : both).push_back(o);
  }
  for (operation const& o : stage_list(job, plan.shadow))
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
