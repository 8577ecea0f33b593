#pragma once
/// ZB-H1: 1F1B whose backward is split, so that the gradient of the input goes on at once and the gradient of the parameters fills the
/// bubbles (Qi et al., Zero Bubble Pipeline Parallelism, arXiv 2401.10241, section 2).
///
/// Stage s starts backward_weight s micro-batches late, so that every stage stashes S, the peak of 1F1B on its first; under a tighter cap
/// it delays less. Bubble (S - 1)(F + I - W) with equal stages. Linear in the number of operations. No search and no re-routing: on a
/// job with dead workers the answer is infeasible and the plan only a start for transforms. Throws invalid_problem where the job is broken.
#include <algorithm>
#include <string_view>

#include "shunt/solve/pipeline/restate.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

struct zb_h1 {
  static constexpr std::string_view name = "zb_h1";

  [[nodiscard]] constexpr solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    auto schedule = empty_schedule(job);
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      for (stage_id s : ids<stage_id>(job.stages)) {
        auto& list = schedule.order[job.rank_of({p, s})];
        std::int32_t const cap = job.stash_limit(s).value_or(job.stages);
        std::int32_t const in_flight = std::min({job.stages - s.value(), job.microbatches, cap});
        std::int32_t const late = std::min(s.value(), cap - in_flight);
        std::int32_t forward = 0, weight = 0;
        while (forward < in_flight - 1) list.push_back({op_kind::forward, p, s, forward++});
        for (microbatch_id m : ids<microbatch_id>(job.microbatches)) {
          if (forward < job.microbatches) list.push_back({op_kind::forward, p, s, forward++});
          list.push_back({op_kind::backward_input, p, s, m});
          if (m.value() - late >= weight) list.push_back({op_kind::backward_weight, p, s, weight++});
        }
        while (weight < job.microbatches) list.push_back({op_kind::backward_weight, p, s, weight++});
        list.push_back({.kind = op_kind::step, .stage = s});
      }
    return restate(job, std::move(schedule));
  }
};
static_assert(solver_for<zb_h1, pipeline_job>);

}  // namespace shunt
