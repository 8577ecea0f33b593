#pragma once
#include "shunt/check/redundancy.hpp"

#include <algorithm>
#include <cstddef>
#include <map>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/core/config.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"

namespace shunt::detail {

using redundancy_violations = std::vector<redundancy_violation>;

SHUNT_INLINE bool is_forward_of(pipeline_job const& job, operation const& o) {
  return o.kind == op_kind::forward && o.pipeline >= 0 && o.pipeline < job.pipelines &&
         o.stage >= 0 && o.stage < job.stages && o.microbatch >= 0 &&
         o.microbatch < job.microbatches[o.pipeline];
}

// Checks one redundant forward by itself.
SHUNT_INLINE void check_redundant(pipeline_job const& job, redundant_schedule const& schedule,
                                  rank_id r, std::int32_t index, redundancy_violations& found) {
  using kind = redundancy_violation::kind;
  // clang 14 captures no structured binding.
  auto const& o = schedule.redundant[r][static_cast<std::size_t>(index)].forward;
  auto const before = schedule.redundant[r][static_cast<std::size_t>(index)].before;
  auto const report = [&](kind what) {
    found.push_back({.what = what, .rank = r, .index = index, .forward = o});
  };
  auto const& list = schedule.plain.order[r];
  auto const least =
      index > 0 ? schedule.redundant[r][static_cast<std::size_t>(index) - 1].before : 0;
  bool const placed = before >= least && before < static_cast<std::int64_t>(list.size());
  if (!placed) report(kind::place);
  if (!is_forward_of(job, o)) return report(kind::unknown);
  if (o.stage == 0) return report(kind::of_first_stage);
  worker const shadow{o.pipeline, o.stage.value() - 1};
  if (job.rank_of(shadow) != r || job.rank_of({o.pipeline, o.stage}) == r)
    return report(kind::not_shadow);
  operation const input{op_kind::forward, o.pipeline, shadow.stage, o.microbatch};
  if (placed && std::find(list.begin(), list.begin() + before, input) == list.begin() + before)
    report(kind::before_its_input);
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE std::string to_string(redundancy_violation const& v) {
  using kind = redundancy_violation::kind;
  std::string const what = "the redundant " + std::string(describe(v.forward));
  std::string const place = "rank " + to_string(v.rank) + ", redundant forward " +
                            std::to_string(v.index) + " (" + std::string(describe(v.forward)) +
                            "): ";
  switch (v.what) {
    case kind::plain: return to_string(v.of);
    case kind::lists: return "rank " + to_string(v.rank) + ": another number of lists or times";
    case kind::unknown: return place + "the job has no such forward";
    case kind::of_first_stage: return place + "the shadow of stage 0 waits for no gradient";
    case kind::not_shadow: return place + "the rank is not the worker's shadow";
    case kind::place: return place + "no place in the list";
    case kind::before_its_input: return place + "stands before its input is made";
    case kind::repeated: return place + "computed before";
    case kind::missing: return what + " is missing";
    case kind::duration: return place + "takes another time than a forward of its stage";
    case kind::overlap: return place + "starts before the operation before it ends";
    case kind::late: return place + "ends after the operation behind it starts";
  }
  return "unknown violation";
}

SHUNT_INLINE std::vector<redundancy_violation> check(pipeline_job const& job,
                                                     redundant_schedule const& schedule) {
  using kind = redundancy_violation::kind;
  std::vector<redundancy_violation> found;
  for (auto const& broken : check(job, schedule.plain))
    found.push_back({.what = kind::plain, .of = broken});
  auto const ranks = static_cast<std::size_t>(job.ranks());
  if (schedule.redundant.size() != ranks) found.push_back({.what = kind::lists});
  if (schedule.redundant.size() != ranks || schedule.plain.order.size() != ranks) return found;
  std::map<operation, std::int32_t> times;
  for (rank_id r : ids<rank_id>(ranks))
    for (std::int32_t i = 0; i < std::ssize(schedule.redundant[r]); ++i) {
      detail::check_redundant(job, schedule, r, i, found);
      auto const& o = schedule.redundant[r][static_cast<std::size_t>(i)].forward;
      if (++times[o] == 2)
        found.push_back({.what = kind::repeated, .rank = r, .index = i, .forward = o});
    }
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (std::int32_t s = 1; s < job.stages; ++s)
      for (microbatch_id m : ids<microbatch_id>(job.microbatches[p]))
        if (operation const o{op_kind::forward, p, s, m}; !times.contains(o))
          found.push_back({.what = kind::missing, .forward = o});
  return found;
}

SHUNT_INLINE std::vector<redundancy_violation> check(pipeline_job const& job,
                                                     redundant_schedule const& schedule,
                                                     redundant_timetable const& table) {
  using kind = redundancy_violation::kind;
  auto found = check(job, schedule);
  if (!found.empty()) return found;
  for (auto const& broken : check(job, schedule.plain, table.plain))
    found.push_back({.what = kind::plain, .of = broken});
  for (rank_id r : ids<rank_id>(job.ranks()))
    if (r.index() >= table.redundant.size() ||
        table.redundant[r].size() != schedule.redundant[r].size())
      found.push_back({.what = kind::lists, .rank = r});
  if (!found.empty()) return found;
  for (rank_id r : ids<rank_id>(job.ranks())) {
    auto const& plain = table.plain.times[r];
    for (std::size_t i = 0; i < table.redundant[r].size(); ++i) {
      auto const& [o, before] = schedule.redundant[r][i];
      auto const [start, end] = table.redundant[r][i];
      auto const report = [&](kind what) {
        found.push_back({.what = what,
                         .rank = r,
                         .index = static_cast<std::int32_t>(i),
                         .forward = schedule.redundant[r][i].forward});
      };
      auto const next = static_cast<std::size_t>(before);
      ticks free = next > 0 ? plain[next - 1].end : 0;
      if (i > 0 && schedule.redundant[r][i - 1].before == before)
        free = std::max(free, table.redundant[r][i - 1].end);
      // No difference of times, which may be any numbers.
      if (start < free)
        report(kind::overlap);
      else if (end < start || end - start != job.cost_on(job.costs.forward, r, o.stage) *
                                                 job.length_of(o.pipeline, o.microbatch))
        report(kind::duration);
      if (end > plain[next].start) report(kind::late);
    }
  }
  return found;
}

}  // namespace shunt
