#pragma once
#include "shunt/solve/pipeline/search/exact_period.hpp"

#include <algorithm>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/solve/author/pipeline.hpp"

namespace shunt::detail {

SHUNT_INLINE exact_period::exact_period(pipeline_job const& job, bool split, bool stagger,
                                        routing rule, std::int64_t nodes, std::stop_token stop)
    : job_(job),
      stagger_(stagger),
      in_(job),
      shop_(job, split, rule),
      nodes_left_(nodes),
      stop_(std::move(stop)),
      search_(shop_, nodes_left_, stop_),
      steps_(longest_steps(job, in_)) {
  find_first_groups();
}

SHUNT_INLINE void exact_period::find_first_groups() {
  std::vector<std::size_t> joined(in_.all.size());  // by group: one that is joined to it, or itself
  for (std::size_t c = 0; c < joined.size(); ++c) joined[c] = c;
  auto const first = [&](std::size_t c) {
    while (joined[c] != c) c = joined[c];
    return c;
  };
  for (auto const& t : shop_.types) {
    if (t.before < 0) continue;
    auto const a = first(stage_group_of(t)),
               b = first(stage_group_of(shop_.types[static_cast<std::size_t>(t.before)]));
    joined[std::max(a, b)] = std::min(a, b);
  }
  for (std::size_t c = 0; c < joined.size(); ++c)
    if (joined[c] == c) first_groups_.push_back(c);
}

SHUNT_INLINE exact_period::search_result exact_period::possible(ticks theta) {
  std::vector<ticks> length;
  ticks const longest = *std::max_element(steps_.begin(), steps_.end());
  for (ticks const steps : steps_) length.push_back(theta - (stagger_ ? steps : longest));
  std::vector<box> open{{stage_group_starts(length.size(), stagger_ ? exact_search::never : 0),
                         stage_group_starts(length.size(), stagger_ ? exact_search::whenever : 0)}};
  for (std::size_t const c : first_groups_) open.front().low[c] = open.front().high[c] = 0;
  while (!open.empty()) {
    box b = std::move(open.back());
    open.pop_back();
    if (!tighten(b, length)) continue;
    for (std::size_t c = 0; c < length.size(); ++c)
      if (b.low[c] < exact_search::never / 2 || b.high[c] > exact_search::whenever / 2)
        return search_result::limit;  // no path to the first stage group and back
    auto const answer = search_.search();
    if (answer == search_result::limit) return answer;
    if (answer == search_result::impossible) continue;
    read_plan();
    if (period(job_, plan_) <= theta) return answer;
    cut(b, length, open);
  }
  return search_result::impossible;
}

SHUNT_INLINE ticks exact_period::whole() const {
  ticks sum = 0;
  for (auto const& t : shop_.types) sum += (t.duration + t.delay) * shop_.count(t);
  for (ticks const steps : steps_) sum += steps;
  return sum;
}

SHUNT_INLINE std::size_t exact_period::stage_group_of(exact_shop::type const& t) const {
  return static_cast<std::size_t>(shop_.stage_group_of[static_cast<std::size_t>(t.rank)]);
}

SHUNT_INLINE bool exact_period::tighten(box& b, std::vector<ticks> const& length) {
  for (int round = 0; round < 8; ++round) {
    std::vector<ticks> release, deadline;
    for (std::int32_t const c : shop_.stage_group_of) {
      auto const i = static_cast<std::size_t>(c);
      release.push_back(b.low[i]);
      deadline.push_back(std::min(exact_search::whenever, b.high[i] + length[i]));
    }
    search_.set_windows(release, deadline);
    if (!stagger_) return true;
    auto const before = b;
    stage_group_starts earliest(length.size(), exact_search::whenever);
    for (auto const& t : shop_.types)
      for (std::int32_t k = 0; k < shop_.count(t); ++k) {
        auto const o = static_cast<std::size_t>(t.first + k), c = stage_group_of(t);
        earliest[c] = std::min(earliest[c], search_.head(o));
        b.low[c] = std::max(b.low[c], search_.head(o) + t.duration - length[c]);
        b.high[c] = std::min(b.high[c], search_.latest_end(o) - t.duration);
      }
    bool same = true;
    for (std::size_t c = 0; c < length.size(); ++c) {
      if (earliest[c] < exact_search::whenever) b.low[c] = std::max(b.low[c], earliest[c]);
      if (b.low[c] > b.high[c]) return false;
      same = same && b.low[c] == before.low[c] && b.high[c] == before.high[c];
    }
    if (same) return true;
  }
  return true;
}

SHUNT_INLINE void exact_period::read_plan() {
  plan_ = empty_schedule(job_);
  plan_.staggered_step = stagger_;
  std::vector<std::int32_t> next(shop_.types.size(), 0);
  for (rank_id r : ids<rank_id>(job_.ranks())) {
    for (std::int32_t const i : search_.order()[r.index()]) {
      auto const& t = shop_.types[static_cast<std::size_t>(i)];
      plan_.order[r].push_back(shop_.operation_of(t, next[static_cast<std::size_t>(i)]++));
    }
    if (!job_.alive(r)) continue;
    for (stage_id s : job_.stages_of(r))
      plan_.order[r].push_back({.kind = op_kind::step, .stage = s});
  }
}

SHUNT_INLINE void exact_period::cut(box const& b, std::vector<ticks> const& length,
                                    std::vector<box>& open) {
  stage_group_starts start(length.size(), exact_search::whenever),
      end(length.size(), exact_search::never);
  for (auto const& t : shop_.types)
    for (std::int32_t k = 0; k < shop_.count(t); ++k) {
      ticks const e = search_.end(static_cast<std::size_t>(t.first + k));
      start[stage_group_of(t)] = std::min(start[stage_group_of(t)], e - t.duration);
      end[stage_group_of(t)] = std::max(end[stage_group_of(t)], e);
    }
  std::size_t worst = 0;
  for (std::size_t c = 1; c < length.size(); ++c)
    if (end[c] - start[c] - length[c] > end[worst] - start[worst] - length[worst]) worst = c;
  ticks const middle = start[worst] + (end[worst] - length[worst] - 1 - start[worst]) / 2;
  box early = b, late = b;
  early.high[worst] = middle;
  late.low[worst] = middle + 1;
  open.push_back(std::move(early));
  open.push_back(std::move(late));
}

}  // namespace shunt::detail
