#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/pipeline/chimera.hpp"
#include "shunt/solve/pipeline/dual_pipe.hpp"
#include "shunt/solve/pipeline/dual_pipe_v.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/hanayo.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"
#include "shunt/solve/pipeline/interleaved_zero_bubble.hpp"
#include "shunt/solve/pipeline/looped_bfs.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"

namespace shunt::tests {

using shape = stage_layout::shape;

/// P ranks a pipeline (pair), v chunks on each.
constexpr pipeline_job generator_job(shape form, std::int32_t ranks, std::int32_t microbatches,
                                     std::int32_t chunks = 1, stage_costs const& costs = {}) {
  pipeline_job job{.stages = ranks * chunks, .microbatches = microbatches, .costs = costs};
  if (form == shape::looped) job.layout = stage_layout::looped(chunks);
  if (form == shape::wave) job.layout = stage_layout::wave(chunks);
  if (form == shape::bidirectional) {
    job.layout = stage_layout::bidirectional();
    job.pipelines = 2;
  }
  return job;
}

/// Jobs of every size that a generator takes.
struct family {
  shape form = shape::linear;
  std::vector<std::int32_t> ranks{};
  std::vector<std::int32_t> chunks{1};

  template <class Each>
  void for_each(std::vector<stage_costs> const& costs, Each each) const {
    for (std::int32_t const p : ranks)
      for (std::int32_t const v : chunks)
        for (std::int32_t m = 1; m <= 3 * p + 2; m += m < 2 * p + 2 ? 1 : p / 2 + 1)
          for (auto const& c : costs) each(generator_job(form, p, m, v, c));
  }
};

inline family linear() { return {shape::linear, {1, 2, 3, 5}}; }

inline family looped() { return {shape::looped, {1, 2, 3, 5}, {1, 2, 3}}; }

inline family waves() { return {shape::wave, {1, 2, 3, 5}, {1, 2, 3, 4}}; }

inline family bidirectional() { return {shape::bidirectional, {2, 4, 6}}; }

inline family v_shaped() { return {shape::wave, {1, 2, 3, 5}, {2}}; }

inline std::vector<stage_costs> costs_of_all_kinds() {
  std::vector<stage_costs> all;
  for (auto const& [f, i, w] : {std::array<ticks, 3>{1, 1, 1},
                                {3, 2, 1},
                                {5, 5, 3},
                                {2, 4, 1},
                                {7, 7, 7},
                                {2, 1, 0},
                                {1, 2, 4}})
    for (ticks const gain : {0, 2})
      all.push_back(
          {.forward = f, .backward_input = i, .backward_weight = w, .overlap_gain = gain});
  return all;
}

template <class Each>
void with_all_generators(Each each) {
  each(gpipe{}, linear());
  each(one_f_one_b{}, linear());
  each(zb_h1{}, linear());
  each(interleaved_one_f_one_b{}, looped());
  each(interleaved_zero_bubble{}, looped());
  each(looped_bfs{}, looped());
  each(hanayo{}, waves());
  each(chimera{}, bidirectional());
  each(dual_pipe{}, bidirectional());
  each(dual_pipe_v{}, v_shaped());
}

/// The longest that a rank is idle within the makespan.
inline ticks idle(pipeline_job const& job, pipeline_schedule const& plan) {
  ticks const end = makespan(job, plan);
  ticks most = 0;
  for (rank_id r : ids<rank_id>(job.ranks())) {
    ticks busy = 0;
    for (operation const& o : plan.order[r]) busy += o.kind == op_kind::step ? 0 : cost_of(job, o);
    if (!plan.overlapped.empty())
      for (std::int32_t const i : plan.overlapped[r]) {
        auto const &a = plan.order[r][static_cast<std::size_t>(i)],
                   &b = plan.order[r][static_cast<std::size_t>(i) + 1];
        busy -= cost_of(job, a) + cost_of(job, b) - cost_of(job, a, b);
      }
    most = std::max(most, end - busy);
  }
  return most;
}

inline std::int64_t worst_stash(pipeline_job const& job, pipeline_schedule const& plan) {
  auto const peaks = stash_peak(job, plan);
  return *std::max_element(peaks.begin(), peaks.end());
}

}  // namespace shunt::tests
