#pragma once
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR loops::loops(pipeline_job const& job, std::int32_t group, pipeline_id p)
    : places(job.stages / job.layout.chunks()),
      chunks(job.layout.chunks()),
      microbatches(job.microbatches[p]) {
  even = group == 0 || chunks == 1;
  group_size = std::min(group, std::max(microbatches, places));  // a larger group changes nothing
  groups = chunks == 1 ? 1
           : even      ? std::max(1, microbatches / places)
                       : ceil_divide(microbatches, group_size);
  if (even) group_size = ceil_divide(microbatches, groups);
}

SHUNT_CONSTEXPR std::vector<loops::item> loops::sequence() const {
  std::vector<item> items;
  items.reserve(static_cast<std::size_t>(chunks) * static_cast<std::size_t>(groups) *
                static_cast<std::size_t>(group_size));
  std::int32_t first = 0;
  for (std::int32_t left = groups; left > 0; --left) {
    std::int32_t const there =
        even ? ceil_divide(microbatches - first, left) : std::min(group_size, microbatches - first);
    for (std::int32_t c = 0; c < chunks; ++c)
      for (std::int32_t m = 0; m < group_size; ++m)
        items.push_back({c, m < there ? first + m : microbatches});
    first += there;
  }
  return items;
}

SHUNT_CONSTEXPR pipeline_schedule interleave(pipeline_job const& job, std::int32_t group,
                                             std::int32_t per_hop, bool split) {
  std::int32_t const places = job.stages / job.layout.chunks();
  if (group != 0 && group < places)
    throw invalid_problem("group", "must be 0 or at least " + std::to_string(places) + ", is " +
                                       std::to_string(group));
  std::size_t const a_chunk =
      static_cast<std::size_t>(job.microbatches.most()) * (split ? 3 : 2) + 1;
  auto schedule = empty_schedule(job, static_cast<std::size_t>(job.layout.chunks()) * a_chunk);
  for (pipeline_id p : ids<pipeline_id>(job.pipelines)) {
    loops const in(job, group, p);
    auto const items = in.sequence();
    auto const length = static_cast<std::int32_t>(items.size());
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
  }
  return schedule;
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR solution<pipeline_schedule> interleaved_one_f_one_b::operator()(
    pipeline_job const& job) const {
  validate(job);
  return evaluated(job, order(job));
}

SHUNT_CONSTEXPR pipeline_schedule interleaved_one_f_one_b::order(pipeline_job const& job) const {
  require_layout(job, name, stage_layout::shape::looped);
  return detail::interleave(job, group, job.layout.chunks() == 1 ? 1 : 2, false);
}

SHUNT_CONSTEXPR ticks interleaved_one_f_one_b::bubble(pipeline_job const& job) {
  detail::loops const in(job);
  return (in.places - 1 + (in.chunks - 1) * std::max(0, in.places - in.microbatches)) *
         job.costs.microbatch(0);
}

SHUNT_CONSTEXPR std::int64_t interleaved_one_f_one_b::stash_peak(pipeline_job const& job) {
  detail::loops const in(job);
  std::int32_t const hops = (in.chunks == 1 ? 1 : 2) * (in.places - 1);
  return std::min(hops + (in.chunks - 1) * in.group_size + 1, in.chunks * in.microbatches) *
         job.stash.forward[0];
}

}  // namespace shunt
