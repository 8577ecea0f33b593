#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/author/pipeline.hpp"

namespace shunt::tests {

/// All plans of a tiny job whose ranks are of one pipeline: every routing, every order, fused and
/// split; the least period of each kind of step, and the least makespan.
class every_plan {
 public:
  explicit every_plan(pipeline_job const& job) : job_(job), plan_(empty_schedule(job)) { route(0); }
  ticks least[2] = {std::numeric_limits<ticks>::max(),
                    std::numeric_limits<ticks>::max()};  // not staggered, staggered
  ticks least_makespan = std::numeric_limits<ticks>::max();
  std::int64_t plans = 0;

 private:
  struct todo {
    pipeline_id pipeline;
    microbatch_id microbatch;
    stage_id stage;
    int done = 0;  // forward, then backward or backward_input, then backward_weight; 3 is all
  };

  // The micro-batches of all stages, one after another, to any live worker.
  void route(std::int32_t item) {
    std::int32_t const per_stage_items = job_.total_microbatches();
    if (item == per_stage_items * job_.stages) return order(0);
    stage_id const s = item / per_stage_items;
    std::int32_t const g = item % per_stage_items;
    if (routed_.empty()) routed_.resize(static_cast<std::size_t>(job_.ranks()));
    for (pipeline_id const p : job_.live_peers(s)) {
      auto& own = routed_[job_.rank_of({p, s}).index()];
      pipeline_id of = 0;
      while (job_.microbatches.before(of.value() + 1) <= g) ++of;
      own.push_back({of, g - job_.microbatches.before(of), s});
      route(item + 1);
      own.pop_back();
    }
  }

  void order(std::int32_t r) {
    if (r == job_.ranks()) return judge();
    auto& list = plan_.order[r];
    auto& own = routed_[static_cast<std::size_t>(r)];
    // An operation that is behind one of the same micro-batch on the same rank comes after it.
    auto const waits = [&](todo const& item, bool gradient) {
      return std::any_of(own.begin(), own.end(), [&](todo const& other) {
        return other.pipeline == item.pipeline && other.microbatch == item.microbatch &&
               (gradient ? other.stage > item.stage && other.done < 2
                         : other.stage < item.stage && other.done == 0);
      });
    };
    bool any = false;
    for (auto& item : own) {
      if (item.done == 3) continue;
      any = true;
      auto const was = item.done;
      auto const next = [&](op_kind kind, int then) {
        list.push_back({kind, item.pipeline, item.stage, item.microbatch});
        item.done = then;
        order(r);
        item.done = was;
        list.pop_back();
      };
      if (was < 2 && waits(item, was == 1)) continue;
      if (was == 0) next(op_kind::forward, 1);
      if (was == 1) next(op_kind::backward_input, 2);
      if (was == 1) next(op_kind::backward, 3);
      if (was == 2) next(op_kind::backward_weight, 3);
    }
    if (any) return;
    if (!job_.alive(job_.worker_of(r))) return order(r + 1);
    auto const stages = job_.stages_of(r);
    for (stage_id const s : stages) list.push_back({.kind = op_kind::step, .stage = s});
    order(r + 1);
    list.resize(list.size() - stages.size());
  }

  void judge() {
    if (!check(job_, plan_).empty()) return;
    ++plans;
    least_makespan = std::min(least_makespan, makespan(job_, plan_));
    for (bool const staggered : {false, true}) {
      plan_.staggered_step = staggered;
      least[staggered] = std::min(least[staggered], period(job_, plan_));
    }
    plan_.staggered_step = false;
  }

  pipeline_job const& job_;
  pipeline_schedule plan_;
  std::vector<std::vector<todo>> routed_;
};

}  // namespace shunt::tests
