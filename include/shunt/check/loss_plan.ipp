#pragma once
#include "shunt/check/loss_plan.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "shunt/check/pipeline.hpp"
#include "shunt/core/config.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/problem/stage_costs.hpp"

namespace shunt::detail {

using stages_by_rank = std::map<rank_id, std::set<stage_id>>;

/// Returns what the live ranks of a job hold.
SHUNT_INLINE stages_by_rank held_in(pipeline_job const& job) {
  stages_by_rank held;
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (stage_id s : ids<stage_id>(job.stages)) held[job.rank_of({p, s})].insert(s);
  for (worker const& w : job.dead) held.erase(job.rank_of(w));
  return held;
}

/// One list of costs before the loss: normal ticks by stage, and a rank's pace as a fraction.
struct list_before {
  per_stage const& list;
  pipeline_job const& job;
  std::vector<ticks> normal{};
  std::map<rank_id, std::pair<ticks, ticks>> pace{};

  list_before(worker_losses const& losses, per_stage stage_costs::* which)
      : list(losses.job.costs.*which), job(losses.job) {
    for (stage_id s : ids<stage_id>(job.stages)) {
      normal.push_back(job.cost_on(list, job.rank_of({0, s}), s));
      for (pipeline_id p : ids<pipeline_id>(job.pipelines))
        normal.back() = std::min(normal.back(), list.of(p, s, job.stages));
      if (losses.normal) normal.back() = (*losses.normal.*which)[s];
    }
    for (auto const& [r, stages] : held_in(job))
      for (stage_id const s : stages) {
        pace[r].first += job.cost_on(list, r, s);
        pace[r].second += normal[s.index()];
      }
  }

  /// Returns whether these are the ticks of a stage on a rank, to within a half where the rank did
  /// not have it. No number below `least` is due.
  [[nodiscard]] bool allows(rank_id r, bool had, stage_id s, ticks found, ticks least) const {
    auto const usual = normal[s.index()];
    if (r.value() >= job.ranks()) return found == usual;
    if (had) return found == job.cost_on(list, r, s);
    auto const [own, base] = pace.at(r);
    if (base == 0) return found == usual;
    auto const due = static_cast<double>(usual) * static_cast<double>(own),
               half = static_cast<double>(base) / 2,
               off = static_cast<double>(found) * static_cast<double>(base) - due;
    if (found == least && off >= 0 && due <= static_cast<double>(least) * half * 2) return true;
    return -half < off + due * 0x1p-50 && off - due * 0x1p-50 <= half;
  }
};

SHUNT_INLINE void check_copies(stages_by_rank const& before, stages_by_rank const& after,
                               loss_plan const& plan, std::vector<loss_violation>& found) {
  using kind = loss_violation::kind;
  auto const has = [](stages_by_rank const& held, rank_id r, stage_id s) {
    auto const at = held.find(r);
    return at != held.end() && at->second.contains(s);
  };
  std::map<std::pair<rank_id, stage_id>, std::int64_t> received;
  for (auto const& c : plan.copies) {
    stage_id const s = c.layer.value();
    if (!has(before, c.from, s))
      found.push_back({.what = kind::source, .rank = c.from, .stage = s});
    for (rank_id const r : c.to) {
      ++received[{r, s}];
      if (has(before, r, s) || !has(after, r, s))
        found.push_back({.what = kind::receiver, .rank = r, .stage = s});
    }
  }
  for (auto const& [r, stages] : after)
    for (stage_id const s : stages) {
      if (has(before, r, s)) continue;
      auto const at = received.find({r, s});
      std::int64_t const times = at == received.end() ? 0 : at->second;
      if (times != 1)
        found.push_back(
            {.what = kind::missing, .rank = r, .stage = s, .found = times, .wanted = 1});
    }
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE std::string to_string(loss_violation const& v) {
  using kind = loss_violation::kind;
  auto const rank = "rank " + to_string(v.rank), stage = "stage " + to_string(v.stage);
  auto const numbers = " is " + std::to_string(v.found) + ", should be " + std::to_string(v.wanted);
  switch (v.what) {
    case kind::job: return rank + ", " + stage + ": not the job before the loss";
    case kind::microbatches: return "the number of micro-batches" + numbers;
    case kind::members: return "the number of members" + numbers;
    case kind::not_live: return rank + " is not a live one";
    case kind::twice: return rank + " is a member twice";
    case kind::link: return rank + ": a transfer time" + numbers;
    case kind::state: return rank + ": the bytes of its states" + numbers + " at most";
    case kind::stash: return rank + ": its cap" + numbers + " at most";
    case kind::source: return stage + ": the source, " + rank + ", has no live copy";
    case kind::receiver: return stage + ": " + rank + " receives it without need";
    case kind::missing: return stage + ": " + rank + " does not receive it once";
    case kind::schedule: return "schedule: " + to_string(v.in_schedule);
  }
  return "unknown violation";
}

SHUNT_INLINE std::vector<loss_violation> check(worker_losses const& losses, loss_plan const& plan) {
  using kind = loss_violation::kind;
  validate(losses);
  validate(plan.job);
  auto const &before = losses.job, &after = plan.job;
  std::vector<loss_violation> found;
  if (before.stages != after.stages || !after.dead.empty()) {
    found.push_back({.what = kind::job});
    return found;
  }
  if (plan.members.size() != static_cast<std::size_t>(after.ranks())) {
    found.push_back(
        {.what = kind::members, .found = std::ssize(plan.members), .wanted = after.ranks()});
    return found;
  }
  auto const old = detail::held_in(before);
  std::array const lists{std::tuple(&stage_costs::forward, ticks{1}),
                         std::tuple(&stage_costs::backward_input, ticks{1}),
                         std::tuple(&stage_costs::backward_weight, ticks{0}),
                         std::tuple(&stage_costs::step, ticks{0})};
  std::vector<detail::list_before> costs;
  for (auto const& [which, least] : lists) costs.emplace_back(losses, which);
  std::set<rank_id> seen;
  bool known = true;
  for (rank_id const r : plan.members) {
    bool const spare = r.value() >= before.ranks() && r.value() < before.ranks() + losses.spares;
    if (!spare && !old.contains(r)) found.push_back({.what = kind::not_live, .rank = r});
    known = known && (spare || old.contains(r));
    if (!seen.insert(r).second) found.push_back({.what = kind::twice, .rank = r});
  }
  if (!known) return found;
  if (before.total_microbatches() != after.total_microbatches() || before.lengths != after.lengths)
    found.push_back({.what = kind::microbatches,
                     .found = after.total_microbatches(),
                     .wanted = before.total_microbatches()});
  detail::stages_by_rank now;
  for (auto const& [r, stages] : detail::held_in(after)) {
    rank_id const member = plan.members[r.index()];
    now[member] = stages;
    byte_count bytes = 0;
    auto const own = old.find(member);
    for (stage_id const s : stages) {
      bytes += losses.state[s];
      bool same = before.stash.forward[s] == after.stash.forward[s] &&
                  before.stash.backward_input[s] == after.stash.backward_input[s];
      for (std::size_t k = 0; k < lists.size(); ++k)
        same = same && costs[k].allows(member, own != old.end() && own->second.contains(s), s,
                                       after.cost_on(after.costs.*std::get<0>(lists[k]), r, s),
                                       std::get<1>(lists[k]));
      if (!same) found.push_back({.what = kind::job, .rank = member, .stage = s});
    }
    if (losses.state_limit > 0 && bytes > losses.state_limit)
      found.push_back(
          {.what = kind::state, .rank = member, .found = bytes, .wanted = losses.state_limit});
    if (before.memory.rule == stash_cap::kind::none ||
        before.memory.rule == stash_cap::kind::one_f_one_b || member.value() >= before.ranks())
      continue;
    auto const allowed = *before.stash_limit(member), cap = after.stash_limit(r).value_or(-1);
    if (cap < 0 || cap > allowed)
      found.push_back({.what = kind::stash, .rank = member, .found = cap, .wanted = allowed});
  }
  if (!before.transfer.alike() || !after.transfer.alike() ||
      before.transfer(0, 1) != after.transfer(0, 1))
    for (rank_id const a : ids<rank_id>(after.ranks()))
      for (rank_id const b : ids<rank_id>(after.ranks())) {
        if (a == b) continue;
        auto const is = after.transfer(a, b),
                   was = before.transfer(plan.members[a.index()], plan.members[b.index()]);
        if (is != was)
          found.push_back(
              {.what = kind::link, .rank = plan.members[a.index()], .found = is, .wanted = was});
      }
  detail::check_copies(old, now, plan, found);
  for (auto const& v : check(after, plan.schedule))
    found.push_back({.what = kind::schedule, .in_schedule = v});
  return found;
}

}  // namespace shunt
