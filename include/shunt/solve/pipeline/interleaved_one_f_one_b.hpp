#pragma once
/// Interleaved 1F1B: every rank holds v chunks of the model. The v times finer stages go round the
/// ranks, so that warm-up and cool-down take 1/v of the time.
///
/// Micro-batches go in groups of G, chunk by chunk. With equal stages the bubble is (P - 1)(F + B),
/// F and B of a chunk: 1/v of 1F1B's. The first rank stashes 2 (P - 1) + (v - 1) G + 1 chunks.
/// Takes looped layouts, and linear ones (v = 1). Does not search or re-route: on a job with dead
/// workers or a tighter cap the answer is infeasible. See docs/pipeline-solvers.md.
/// Throws invalid_problem where the job is broken, has another layout or `group` is below P.
/// Complexity: linear in the number of operations.
/// Reference: Narayanan et al., Efficient Large-Scale Language Model Training, arXiv 2104.04473,
/// section 2.2.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {
namespace detail {

/// How a looped layout goes round: chunk c of the rank at place i of its pipeline is stage c P + i.
struct loops {
  std::int32_t places, chunks, microbatches, groups = 1, group_size = 1;
  bool even = true;

  constexpr explicit loops(pipeline_job const& job, std::int32_t group = 0)
      : places(job.stages / job.layout.chunks()),
        chunks(job.layout.chunks()),
        microbatches(job.microbatches) {
    even = group == 0 || chunks == 1;
    group_size = std::min(group, std::max(microbatches, places));  // a larger group changes nothing
    groups = chunks == 1 ? 1
             : even      ? std::max(1, microbatches / places)
                         : ceil_divide(microbatches, group_size);
    if (even) group_size = ceil_divide(microbatches, groups);
  }

  struct item {
    std::int32_t chunk, microbatch;
  };
  /// Returns the chunks of all micro-batches in the order of their forwards; backwards mirror the
  /// chunks. A missing micro-batch has the number `microbatches`.
  [[nodiscard]] constexpr std::vector<item> sequence() const {
    std::vector<item> items;
    items.reserve(static_cast<std::size_t>(chunks) * static_cast<std::size_t>(groups) *
                  static_cast<std::size_t>(group_size));
    std::int32_t first = 0;
    for (std::int32_t left = groups; left > 0; --left) {
      std::int32_t const there = even ? ceil_divide(microbatches - first, left)
                                      : std::min(group_size, microbatches - first);
      for (std::int32_t c = 0; c < chunks; ++c)
        for (std::int32_t m = 0; m < group_size; ++m)
          items.push_back({c, m < there ? first + m : microbatches});
      first += there;
    }
    return items;
  }
};

/// Builds the order of every rank: the warm-up's forwards, then one forward and one backward in
/// turn, then the remaining backwards. The warm-up of place i has `per_hop` (P - 1 - i) + (v - 1) G
/// forwards. With `split` backwards are split, and the rank at place i starts backward_weight i
/// chunks late.
/// Throws invalid_problem, naming `group`, where it is neither 0 nor at least P.
constexpr pipeline_schedule interleave(pipeline_job const& job, std::int32_t group,
                                       std::int32_t per_hop, bool split) {
  loops const in(job, group);
  if (group != 0 && group < in.places)
    throw invalid_problem("group", "must be 0 or at least " + std::to_string(in.places) + ", is " +
                                       std::to_string(group));
  std::size_t const a_chunk = static_cast<std::size_t>(in.microbatches) * (split ? 3 : 2) + 1;
  auto schedule = empty_schedule(job, static_cast<std::size_t>(in.chunks) * a_chunk);
  auto const items = in.sequence();
  auto const length = static_cast<std::int32_t>(items.size());
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (std::int32_t place = 0; place < in.places; ++place) {
      auto& list = schedule.order[job.rank_of({p, place})];
      auto const add = [&](op_kind kind, std::int32_t at) {
        auto const [chunk, m] = items[static_cast<std::size_t>(at)];
        if (m < in.microbatches)
          list.push_back(
              {kind, p,
               (kind == op_kind::forward ? chunk : in.chunks - 1 - chunk) * in.places + place, m});
      };
      std::int32_t const warm_up =
          std::min(per_hop * (in.places - 1 - place) + (in.chunks - 1) * in.group_size, length);
      for (std::int32_t k = 0; k < warm_up; ++k) add(op_kind::forward, k);
      for (std::int32_t k = 0; k < length; ++k) {
        if (k + warm_up < length) add(op_kind::forward, k + warm_up);
        add(split ? op_kind::backward_input : op_kind::backward, k);
        if (split && k >= place) add(op_kind::backward_weight, k - place);
      }
      for (std::int32_t k = std::max(0, length - place); split && k < length; ++k)
        add(op_kind::backward_weight, k);
      for (std::int32_t c = 0; c < in.chunks; ++c)
        list.push_back({.kind = op_kind::step, .stage = c * in.places + place});
    }
  return schedule;
}

}  // namespace detail

/// Solver for looped layouts: 1F1B on v chunks a rank.
struct interleaved_one_f_one_b {
  static constexpr std::string_view name = "interleaved_one_f_one_b";

  /// G, micro-batches that go round together, at least P; 0: chosen for the shortest makespan
  std::int32_t group = 0;

  /// Returns the plan of `order` with its period and lower bound.
  /// Throws invalid_problem where the job is broken or its layout is not looped (or linear), or
  /// where `group` is neither 0 nor at least P.
  [[nodiscard]] constexpr solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    return evaluated(job, order(job));
  }

  /// Returns the plan alone.
  /// Throws invalid_problem where the layout is not looped (or linear), or where `group` is neither
  /// 0 nor at least P.
  /// Requires a valid job.
  [[nodiscard]] constexpr pipeline_schedule order(pipeline_job const& job) const {
    require_layout(job, name, stage_layout::shape::looped);
    return detail::interleave(job, group, job.layout.chunks() == 1 ? 1 : 2, false);
  }

  /// Returns how long every rank idles within the makespan: (P - 1 + (v - 1) max(0,
  /// P - M)) (F + B), with F and B = I + W of a chunk.
  /// Requires equal stages, no transfer times and `group` 0; any M.
  /// Reference: for M >= P the paper's section 2.2.
  [[nodiscard]] static constexpr ticks bubble(pipeline_job const& job) {
    detail::loops const in(job);
    return (in.places - 1 + (in.chunks - 1) * std::max(0, in.places - in.microbatches)) *
           job.costs.microbatch(0);
  }
  /// Returns the stash peak, reached on the first rank: min(2 (P - 1) + (v - 1) G + 1, v M) chunks;
  /// min(P, M) for v = 1.
  /// Requires `group` 0.
  [[nodiscard]] static constexpr std::int64_t stash_peak(pipeline_job const& job) {
    detail::loops const in(job);
    std::int32_t const hops = (in.chunks == 1 ? 1 : 2) * (in.places - 1);
    return std::min(hops + (in.chunks - 1) * in.group_size + 1, in.chunks * in.microbatches) *
           job.stash.forward[0];
  }
};
static_assert(solver_for<interleaved_one_f_one_b, pipeline_job>);

}  // namespace shunt
