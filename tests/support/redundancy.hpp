#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/plan/redundancy.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "support/pipeline_lists.hpp"

namespace shunt::tests {

/// A forward of 1 tick and a backward of 2.
inline pipeline_job bamboo_job(std::int32_t stages, std::int32_t microbatches) {
  return {.stages = stages, .microbatches = microbatches};
}

/// "F0@1 B0@1 S@1": operations with their stages.
inline std::string shown(std::vector<operation> const& list) {
  std::string all;
  for (operation const& o : list) {
    all += all.empty() ? "" : " ";
    all += letter_of(o.kind);
    if (o.kind != op_kind::step) all += to_string(o.microbatch);
    all += "@" + to_string(o.stage);
  }
  return all;
}

/// "F0 R0 B0 S": a rank's list, with redundant forwards as R.
inline std::string shown(redundant_schedule const& schedule, rank_id r) {
  std::string all;
  std::size_t next = 0;
  auto const& list = schedule.plain.order[r];
  auto const& redundant = schedule.redundant[r];
  for (std::size_t i = 0; i < list.size(); ++i) {
    while (next < redundant.size() && redundant[next].before == static_cast<std::int32_t>(i))
      all += "R" + to_string(redundant[next++].forward.microbatch) + " ";
    all += letter_of(list[i].kind);
    all += list[i].kind == op_kind::step ? "" : to_string(list[i].microbatch) + " ";
  }
  return all;
}

}  // namespace shunt::tests
