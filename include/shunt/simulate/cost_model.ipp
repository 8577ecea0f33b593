#pragma once
#include "shunt/simulate/cost_model.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/problem/cluster.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

SHUNT_INLINE ticks job_costs::compute(rank_id r, operation const& op) const {
  auto const& c = job_.costs;
  auto const on = [&](per_stage const& list) { return job_.cost_on(list, r, op.stage); };
  auto const length = [&] { return job_.length_of(op.pipeline, op.microbatch); };
  switch (op.kind) {
    case op_kind::forward:
    case op_kind::redundant_forward: return on(c.forward) * length();
    case op_kind::backward: return (on(c.backward_input) + on(c.backward_weight)) * length();
    case op_kind::backward_input: return on(c.backward_input) * length();
    case op_kind::backward_weight: return on(c.backward_weight) * length();
    case op_kind::step:
    case op_kind::redo_step: return on(c.step);
    default: return 0;
  }
}

SHUNT_INLINE transfer_time job_costs::transfer(rank_id from, rank_id to, byte_count) const {
  return {0, job_.transfer(from, to)};
}

SHUNT_INLINE ticks direct_collective(cluster const& net, opcode code,
                                     std::span<rank_id const> group, byte_count bytes) {
  auto const n = static_cast<std::int64_t>(group.size());
  // Except for all_gather a message is one of n parts of the bytes that a member reads.
  bool const parts = code != opcode::all_gather;
  byte_count const message = parts ? ceil_divide(bytes, n) : bytes;
  ticks round = 0;
  for (rank_id const from : group) {
    ticks busy = 0, slowest = 0;
    for (rank_id const to : group)
      if (to != from) {
        busy += net.between(from, to).occupancy(message);
        slowest = std::max(slowest, net.between(from, to).latency);
      }
    round = std::max(round, busy + slowest);
  }
  return code == opcode::all_reduce ? 2 * round : round;
}

SHUNT_INLINE measured_costs::measured_costs(timeline const& seen, link_cost const& every_link)
    : link_(every_link) {
  std::map<key, std::vector<ticks>> durations;
  for (event const& e : seen.events)
    if (e.code == opcode::compute) durations[{e.op.kind, e.op.stage}].push_back(e.end - e.start);
  for (auto& [what, d] : durations) {
    auto const middle = d.begin() + static_cast<std::ptrdiff_t>((d.size() - 1) / 2);
    std::nth_element(d.begin(), middle, d.end());
    median_[what] = *middle;
  }
}

SHUNT_INLINE ticks measured_costs::compute(rank_id, operation const& op) const {
  auto const at = median_.find({op.kind, op.stage});
  return at == median_.end() ? 0 : at->second;
}

SHUNT_INLINE transfer_time measured_costs::transfer(rank_id, rank_id, byte_count bytes) const {
  return {link_.occupancy(bytes), link_.latency};
}

}  // namespace shunt
