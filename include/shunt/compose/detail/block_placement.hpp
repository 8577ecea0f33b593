#pragma once
/// Operations placed modulo a period, and the periods at which they do not overlap.
#include <algorithm>
#include <cstddef>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt::detail {

/// An operation of micro-batch 0 with its start.
struct placed {
  ticks start = 0;
  ticks length = 0;
  operation op{};
  bool operator==(placed const&) const = default;
};

/// Searches for two operations that overlap when all are repeated every `period`.
/// Returns the least longer period at which these two do not overlap; 0 where they overlap at every
/// period; nothing where none overlap.
[[nodiscard]] inline std::optional<ticks> collision(std::vector<placed> const& own, ticks period) {
  std::vector<std::pair<ticks, std::size_t>> taken;  // start modulo the period, index
  for (std::size_t i = 0; i < own.size(); ++i)
    if (own[i].length > 0) taken.emplace_back(own[i].start % period, i);
  std::sort(taken.begin(), taken.end());
  for (std::size_t i = 0; i < taken.size(); ++i) {
    bool const last = i + 1 == taken.size();
    auto const& [start, one] = taken[i];
    auto const& [next_start, next] = taken[last ? 0 : i + 1];
    if (start + own[one].length <= next_start + (last ? period : 0)) continue;
    if (one == next) return own[one].length;  // overlaps itself
    // `later` starts about k periods after `earlier`. They do not overlap once the distance is at
    // most k periods less the length of `later`.
    auto const& earlier = own[one].start <= own[next].start ? own[one] : own[next];
    auto const& later = own[one].start <= own[next].start ? own[next] : own[one];
    ticks const distance = later.start - earlier.start, k = (distance + later.length - 1) / period;
    return k == 0 ? 0 : ceil_divide(distance + later.length, k);
  }
  return std::nullopt;
}
[[nodiscard]] inline bool fits(std::vector<placed> const& own, ticks period) {
  return !collision(own, period);
}

/// Adds an operation of `length` at its first start from `ready` on without an overlap.
/// Returns the start, or nothing where there is none.
[[nodiscard]] inline std::optional<ticks> first_place(std::vector<placed>& own, ticks ready,
                                                      ticks length, ticks period) {
  std::vector<ticks> starts{ready};  // candidates: `ready`, and ends of others
  for (auto const& o : own) {
    ticks const free = (o.start + o.length - ready) % period;
    starts.push_back(ready + (free < 0 ? free + period : free));
  }
  std::sort(starts.begin(), starts.end());
  own.push_back({ready, length, {}});
  for (ticks const start : starts) {
    own.back().start = start;
    if (fits(own, period)) return start;
  }
  return std::nullopt;
}

/// Returns the greatest common divisor of a job's times. Only periods that it divides are tried.
[[nodiscard]] inline ticks common_divisor(pipeline_job const& job) {
  ticks divisor = 0;
  for (ticks const time : job.transfer.values()) divisor = std::gcd(divisor, time);
  for (auto const* costs :
       {&job.costs.forward, &job.costs.backward_input, &job.costs.backward_weight})
    for (ticks const c : costs->values()) divisor = std::gcd(divisor, c);
  return divisor;
}

/// Returns the work of the busiest rank per micro-batch, at least 1.
[[nodiscard]] inline ticks busiest_rank(pipeline_job const& job) {
  indexed<rank_id, ticks> work(static_cast<std::size_t>(job.ranks()), 0);
  ticks most = 1;
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (stage_id s : ids<stage_id>(job.stages))
      most = std::max(most, work[job.rank_of({p, s})] += job.costs.microbatch(s));
  return most;
}

}  // namespace shunt::detail
