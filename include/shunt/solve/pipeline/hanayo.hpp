#pragma once
/// Hanayo: waves. Every rank holds v chunks, the stages run over the ranks there and back again (v
/// = 2 W for W waves), so that a micro-batch turns round without a transfer and the forward of one
/// fills the gap before the backward of another (Liu et al., Hanayo: Harnessing Wave-like Pipeline
/// Parallelism, arXiv 2308.15762). No replica of the model, unlike Chimera, whose order it unrolls.
///
/// A micro-batch and its gradient visit each of the P ranks 2 v times. In time slots of one
/// operation it goes from rank to rank without waiting, the next micro-batch follows two slots
/// behind, and groups of P follow each other every 2 v P slots: no two operations meet on a rank,
/// for visits in one direction and visits in the other fall on even and on odd slots. So the list
/// of rank i is the visits going down and those going up, in turn, after the P - i that come before
/// the first one going up; of the last group the micro-batches that aren't there are left out.
/// Slots are one length here; times are what the costs make of the order.
///
/// Bubble 2 (P - 1) max(F, B) with equal stages, v > 1 and M = P; F and B = I + W are those of a
/// chunk, so it falls as 1/v. Where F and B differ, every further group of P adds 2 (P - 1) |F -
/// B|: many micro-batches are better off with interleaved_one_f_one_b. With one chunk it is 1F1B.
/// Any M; linear in the number of operations. For wave layouts (and linear ones, v = 1), also of
/// odd v. No search and no re-routing: on a job with dead workers or a tighter cap the answer is
/// infeasible. Throws invalid_problem where the job is broken or has another layout.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {
namespace detail {

/// Calls `visit(k, m)` for the k-th visit (0 .. 2 v - 1) of micro-batch m to place i of P, in the
/// order of their slots.
template <class Visit>
constexpr void ride_waves(std::int32_t place, std::int32_t places, std::int32_t chunks,
                          std::int32_t microbatches, Visit visit) {
  struct stream {
    std::int32_t direction, group = 0, wave = 0, member = 0;
  };
  std::int32_t const groups = ceil_divide(microbatches, places);
  auto const advance = [&](stream& s) {
    std::int32_t const m = s.group * places + s.member;
    if (m < microbatches) visit(2 * s.wave + s.direction, m);
    if (++s.member < places) return;
    s.member = 0;
    if (++s.wave < chunks) return;
    s.wave = 0;
    ++s.group;
  };
  stream down{0}, up{1};
  for (std::int32_t n = 0; n < places - place; ++n) advance(down);
  while (up.group < groups) {
    advance(up);
    if (down.group < groups) advance(down);
  }
}

/// What the order above idles with groups of P micro-batches where forwards and backwards take F
/// and B ticks.
constexpr ticks slotted_bubble(pipeline_job const& job, std::int32_t places) {
  ticks const forward = job.costs.forward[0],
              backward = job.costs.backward_input[0] + job.costs.backward_weight[0];
  ticks const longer = std::max(forward, backward),
              difference = longer - std::min(forward, backward);
  return 2 * (places - 1) * (longer + (job.microbatches / places - 1) * difference);
}

}  // namespace detail

struct hanayo {
  static constexpr std::string_view name = "hanayo";

  [[nodiscard]] constexpr solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    return restate(job, order(job));
  }

  /// The plan alone, of a job that is not broken. Throws invalid_problem for another layout.
  [[nodiscard]] constexpr pipeline_schedule order(pipeline_job const& job) const {
    require_layout(job, name, stage_layout::shape::wave);
    std::int32_t const chunks = job.layout.chunks(), places = job.stages / chunks;
    auto schedule = empty_schedule(job, static_cast<std::size_t>(chunks) *
                                            (2 * static_cast<std::size_t>(job.microbatches) + 1));
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      for (std::int32_t place = 0; place < places; ++place) {
        auto& list = schedule.order[job.rank_of({p, place})];
        auto const stage = [&](std::int32_t chunk) {
          return chunk * places + (chunk % 2 == 0 ? place : places - 1 - place);
        };
        detail::ride_waves(place, places, chunks, job.microbatches,
                           [&](std::int32_t k, std::int32_t m) {
                             bool const forward = k < chunks;
                             list.push_back({forward ? op_kind::forward : op_kind::backward, p,
                                             stage(forward ? k : 2 * chunks - 1 - k), m});
                           });
        for (std::int32_t c = 0; c < chunks; ++c)
          list.push_back({.kind = op_kind::step, .stage = stage(c)});
      }
    return schedule;
  }

  /// 2 (P - 1) (max(F, B) + (M / P - 1) |F - B|), (P - 1)(F + B) with one chunk, with F and B = I +
  /// W of a chunk: how long every rank idles within the makespan. Equal stages, M a multiple of P,
  /// no transfer. For M = P as the paper has it, without communication.
  [[nodiscard]] static constexpr ticks bubble(pipeline_job const& job) {
    std::int32_t const places = job.stages / job.layout.chunks();
    if (job.layout.chunks() == 1) return (places - 1) * job.costs.microbatch(0);
    return detail::slotted_bubble(job, places);
  }
  /// v min(P, M) chunks: of whole ranks' stages as many as 1F1B.
  [[nodiscard]] static constexpr std::int64_t stash_peak(pipeline_job const& job) {
    return job.layout.chunks() * std::min(job.stages / job.layout.chunks(), job.microbatches) *
           job.stash.forward[0];
  }
};
static_assert(solver_for<hanayo, pipeline_job>);

}  // namespace shunt
