#pragma once
#include "shunt/solve/pipeline/search/merged_stages.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt::detail {

SHUNT_INLINE merged_borders borders_of(pipeline_job const& job) {
  merged_borders borders{0};
  for (std::int32_t s = 1; s < job.stages; ++s)
    for (pipeline_id const p : ids<pipeline_id>(job.pipelines))
      if (job.rank_of({p, s}) != job.rank_of({p, s - 1})) {
        borders.push_back(s);
        break;
      }
  borders.push_back(job.stages);
  return borders;
}

SHUNT_INLINE per_stage summed(per_stage const& list, merged_borders const& borders) {
  auto const stages = static_cast<std::size_t>(borders.back());
  std::vector<ticks> all;
  auto const rows = list.size() > stages ? list.size() / stages : 1;
  for (std::size_t p = 0; p < rows; ++p)
    for (std::size_t k = 0; k + 1 < borders.size(); ++k) {
      all.push_back(0);
      for (auto s = borders[k]; s < borders[k + 1]; ++s)
        all.back() += list.of(p, s, borders.back());
    }
  return per_stage(std::move(all));
}

SHUNT_INLINE pipeline_job merged(pipeline_job const& job, merged_borders const& borders) {
  auto made = job;
  made.stages = static_cast<std::int32_t>(borders.size()) - 1;
  if (made.stages == job.stages) return made;
  made.costs.forward = summed(job.costs.forward, borders);
  made.costs.backward_input = summed(job.costs.backward_input, borders);
  made.costs.backward_weight = summed(job.costs.backward_weight, borders);
  made.costs.step = summed(job.costs.step, borders);
  made.stash = {.forward = summed(job.stash.forward, borders),
                .backward_input = summed(job.stash.backward_input, borders)};
  std::vector<rank_id> layout;
  for (pipeline_id const p : ids<pipeline_id>(job.pipelines))
    for (std::int32_t k = 0; k < made.stages; ++k)
      layout.push_back(job.rank_of({p, borders[static_cast<std::size_t>(k)]}));
  for (worker& w : made.dead)
    w.stage =
        std::upper_bound(borders.begin(), borders.end(), w.stage.value()) - borders.begin() - 1;
  bool linear = true;
  for (std::size_t w = 0; w < layout.size(); ++w) linear = linear && layout[w] == rank_id(w);
  made.layout = linear ? stage_layout::linear() : stage_layout::custom(std::move(layout));
  return made;
}

SHUNT_INLINE void append_spread(std::vector<operation>& list, operation o, std::int32_t first,
                                std::int32_t end) {
  for (auto s = first; s < end; ++s) {
    o.stage = o.kind == op_kind::forward ? s : first + end - 1 - s;
    list.push_back(o);
  }
}

}  // namespace shunt::detail
