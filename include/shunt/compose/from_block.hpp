#pragma once
/// Schedules from building blocks.
/// Complexity: n M log(n M) for M micro-batches of n operations.
/// Reference: Qi et al., arXiv 2405.15362, section 3.
#include <algorithm>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/compose/building_block.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/search/merge_streams.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// A solver from a block: repeated with its least period for the job's micro-batches, then
/// squeezed. Squeezing keeps the order of a rank's forwards and input gradients, of each chunk, and
/// starts the operation that is ready first, under the job's caps or, without caps, under the
/// block's own peak. It fills the idle times at both ends. The plan is the better of both orders:
/// never longer than the block, never above the caps. A plan that breaks a rule is infeasible, with
/// the rule as reason.
struct from_block {
  static constexpr std::string_view name = "from_block";

  building_block block{};
  bool squeeze = true;

  /// Throws invalid_problem where job or block are broken.
  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    ticks const period = least_period(job, block);
    auto const ranks = detail::placed_on_ranks(job, block);
    auto schedule = empty_schedule(job);
    pipeline_job capped = job;
    indexed<rank_id, detail::operation_streams> by_kind(ranks.size()), weights_apart(ranks.size());
    for (rank_id r : ids<rank_id>(ranks.size())) {
      // At equal starts the operation without duration comes last.
      std::vector<std::tuple<ticks, op_kind, operation>> all;
      for (auto const& o : ranks[r])
        for (microbatch_id m : ids<microbatch_id>(job.microbatches[o.op.pipeline]))
          all.emplace_back(o.start + m.value() * period, o.op.kind,
                           operation{o.op.kind, o.op.pipeline, o.op.stage, m});
      std::sort(all.begin(), all.end());
      auto& list = schedule.order[r];
      for (auto const& [start, kind, op] : all) list.push_back(op);
      weights_apart[r] = detail::operation_streams(2);
      for (operation const& o : list)
        weights_apart[r][o.kind == op_kind::backward_weight].push_back(o);
      for (worker const& w : job.workers_of(r))
        for (op_kind const kind :
             {op_kind::forward, op_kind::backward_input, op_kind::backward_weight}) {
          auto& stream = by_kind[r].emplace_back();
          for (operation const& o : list)
            if (o.kind == kind && o.stage == w.stage && o.pipeline == w.pipeline)
              stream.push_back(o);
        }
      for (stage_id s : job.stages_of(r))
        if (job.alive(r)) list.push_back({.kind = op_kind::step, .stage = s});
    }
    auto best = evaluate(job, std::move(schedule));
    if (!squeeze || !best.has_plan()) return best;
    if (job.memory.rule == stash_cap::kind::none)
      capped.memory = stash_cap::per_rank(block_peak(job, block, period).items());
    for (auto const& streams : {weights_apart, by_kind}) {
      auto merged = detail::merge_streams(capped, streams);
      if (!merged.complete) continue;
      auto squeezed = evaluate(job, std::move(merged.schedule));
      if (squeezed.has_plan() && squeezed.objective < best.objective) best = std::move(squeezed);
    }
    return best;
  }

 private:
  [[nodiscard]] static solution<pipeline_schedule> evaluate(pipeline_job const& job,
                                                            pipeline_schedule schedule) {
    if (auto const broken = check(job, schedule); !broken.empty())
      return {.plan = std::move(schedule),
              .status = status::infeasible,
              .reason = to_string(broken.front())};
    return evaluated(job, std::move(schedule));
  }
};
static_assert(solver_for<from_block, pipeline_job>);

}  // namespace shunt
