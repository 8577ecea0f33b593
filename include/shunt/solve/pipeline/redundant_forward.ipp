#pragma once
#include "shunt/solve/pipeline/redundant_forward.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/redundant_times.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"

namespace shunt {

SHUNT_CONSTEXPR redundant_schedule redundant_forward::insert(pipeline_job const& job,
                                                             pipeline_schedule plain) {
  redundant_schedule all{.plain = std::move(plain)};
  all.redundant.resize(all.plain.order.size());
  for (rank_id r : ids<rank_id>(all.plain.order.size())) {
    auto const& list = all.plain.order[r];
    std::vector<operation> made;  // forwards of the next stage whose inputs were made, in order
    std::size_t next = 0;
    for (std::size_t i = 0; i < list.size(); ++i) {
      operation const& o = list[i];
      if (o.stage.value() + 1 >= job.stages) continue;
      if (o.kind == op_kind::forward)
        made.push_back({op_kind::forward, o.pipeline, o.stage.value() + 1, o.microbatch});
      bool const gradient = o.kind == op_kind::backward || o.kind == op_kind::backward_input;
      if (gradient && next < made.size())
        all.redundant[r].push_back({made[next++], static_cast<std::int32_t>(i)});
    }
  }
  return all;
}

SHUNT_CONSTEXPR solution<redundant_schedule> redundant_forward::operator()(
    pipeline_job const& job) const {
  validate(job);
  require_layout(job, name, stage_layout::shape::linear, 1);
  auto plain = evaluated(job, one_f_one_b{}.order(job));
  solution<redundant_schedule> answer{.plan = {},
                                      .status = plain.status,
                                      .objective = plain.objective,
                                      .lower_bound = plain.lower_bound,
                                      .reason = std::move(plain.reason)};
  if (!answer.has_plan()) {
    answer.plan.plain = std::move(plain.plan);
    answer.plan.redundant.resize(answer.plan.plain.order.size());
    return answer;
  }
  answer.plan = insert(job, std::move(plain.plan));
  auto const table = times(job, answer.plan);
  answer.objective = static_cast<double>(period(job, answer.plan.plain, table.plain));
  answer.status = answer.objective == answer.lower_bound ? status::optimal : status::feasible;
  return answer;
}

}  // namespace shunt
