#pragma once
#include "shunt/measure/pipeline_bounds.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt {

SHUNT_CONSTEXPR ticks least_transfer(pipeline_job const& job, stage_id s) {
  ticks const within = job.transfer.within_node, between = job.transfer.between_nodes;
  if (within == 0 && between == 0) return 0;
  bool const together =
      job.layout.form() != stage_layout::shape::linear;  // two stages may share a rank
  if (!together && (within == between || job.transfer.ranks_per_node == 0)) return within;
  ticks least = std::max(within, between);
  auto const here = job.live_holders(s), there = job.live_holders(s.value() + 1);
  if (here.empty() || there.empty()) return 0;
  auto const node = [&](rank_id r) { return r.value() / std::max(1, job.transfer.ranks_per_node); };
  if (node(here.front()) != node(there.back()) || node(here.back()) != node(there.front()))
    least = std::min(least, between);
  std::size_t next = 0;  // both lists ascend, and so do their nodes
  for (rank_id const a : here) {
    while (next < there.size() && node(there[next]) < node(a)) ++next;
    for (std::size_t i = next; i < there.size() && node(there[i]) == node(a); ++i)
      least = std::min(least, job.transfer(a, there[i]));
  }
  return least;
}

}  // namespace shunt

namespace shunt::detail {

SHUNT_CONSTEXPR stage_paths::stage_paths(pipeline_job const& job)
    : way(static_cast<std::size_t>(job.stages), 0), tail(way) {
  for (std::size_t s = way.size(); s-- > 1;) {
    auto const at = static_cast<std::int32_t>(s);
    ticks const c = least_transfer(job, at - 1);
    tail[s - 1] = tail[s] + job.costs.forward[at] + job.costs.backward_input[at] + 2 * c;
    way[s] = c;
  }
  for (std::size_t s = 1; s < way.size(); ++s)
    way[s] += way[s - 1] + job.costs.forward[static_cast<std::int32_t>(s) - 1];
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR indexed<stage_id, ticks> span_bounds(pipeline_job const& job) {
  auto const& cost = job.costs;
  indexed<stage_id, ticks> bounds, load;
  std::vector<std::int64_t> live(static_cast<std::size_t>(job.stages), 0);
  stage_groups const in(job);
  for (stage_group const& c : in.all)
    for (stage_id s : c.stages) live[s.index()] += static_cast<std::int64_t>(c.live.size());
  for (stage_id s : ids<stage_id>(job.stages))
    load.push_back(ceil_divide<std::int64_t>(job.total_microbatches(),
                                             std::max<std::int64_t>(1, live[s.index()])));
  detail::stage_paths const paths(job);
  auto const all = static_cast<std::size_t>(job.total_microbatches());
  std::vector<ticks> comes(all, 0),
      finished(all, 0);  // G and B; B of the next stage until it is overwritten
  bounds.resize(load.size());
  for (stage_id i = job.stages - 1; i >= 0; --i) {
    ticks const forward = cost.forward[i], input = cost.backward_input[i],
                weight = cost.backward_weight[i], tail = paths.tail[i.index()];
    ticks const gain = std::min({cost.overlap_gain, forward, input + weight});
    auto const ranks = static_cast<std::size_t>(std::max<std::int64_t>(1, live[i.index()]));
    ticks const there_and_back = i.value() + 1 < job.stages ? tail - paths.tail[i.index() + 1] -
                                                                  cost.forward[i.value() + 1] -
                                                                  cost.backward_input[i.value() + 1]
                                                            : 0;
    // that a rank of this stage can hold at once
    std::int64_t stashes = std::numeric_limits<std::int64_t>::max();
    if (job.memory.rule != stash_cap::kind::none) {
      stashes = 1;
      for (rank_id r : job.live_holders(i))
        stashes = std::max(stashes, *job.stash_limit(r) / job.stash.forward[i]);
    }
    ticks const stashed_for =
        forward + tail + input + (job.stash.backward_input[i] == 0 ? weight : 0);
    ticks bound = std::max(load[i] * (forward + input + weight - gain),
                           (load[i] - 1) / stashes * stashed_for + forward + tail + input + weight);
    for (std::size_t m = 0; m < all; ++m) {
      auto const before = static_cast<std::int64_t>(m / ranks);  // on some rank
      comes[m] = std::max((before + 1) * forward + tail,
                          i.value() + 1 < job.stages ? forward + there_and_back + finished[m] : 0);
      finished[m] = std::max({comes[m] + input, (before + 1) * (forward + input - gain),
                              before / stashes * stashed_for + forward + tail + input});
      if (m >= ranks) finished[m] = std::max(finished[m], finished[m - ranks] + input);
      bound = std::max(bound, comes[m] + static_cast<ticks>((all - m + ranks - 1) / ranks) *
                                             (input + weight));
    }
    bound = std::max(bound, finished.back() + weight);
    auto const fits = [&](ticks length) {
      std::int64_t most = 0;
      for (std::size_t k = 0; k < std::min(ranks, all); ++k)
        most += std::max<ticks>(0, length - comes[k]) / (input + weight);
      return most >= job.total_microbatches();
    };
    ticks most = bound;  // the least length that fits, by bisection
    for (ticks step = 1; !fits(most); step *= 2) most += step;
    while (bound < most) {
      ticks const middle = bound + (most - bound) / 2;
      if (fits(middle))
        most = middle;
      else
        bound = middle + 1;
    }
    bounds[i] = bound;
  }
  return bounds;
}

SHUNT_CONSTEXPR std::vector<ticks> stage_group_bounds(pipeline_job const& job,
                                                      stage_groups const& in, bool with_steps) {
  auto const spans = span_bounds(job);
  detail::stage_paths const paths(job);
  std::vector<ticks> bounds;
  // stage groups that hold each stage
  std::vector<std::int32_t> holding(static_cast<std::size_t>(job.stages), 0);
  for (stage_group const& c : in.all)
    if (!c.live.empty())
      for (stage_id s : c.stages) ++holding[s.index()];
  for (stage_group const& c : in.all) {
    ticks bound = 0, gradients = 0, work = 0, steps = 0;
    bool whole = true;  // no other group can take work of these stages
    for (stage_id s : c.stages) {
      ticks const step = with_steps ? job.costs.step[s] : 0;
      steps += step;
      if (holding[s.index()] <= 1) bound = std::max(bound, spans[s] + step);
      whole = whole && holding[s.index()] <= 1;
      ticks const backward = job.costs.backward_input[s] + job.costs.backward_weight[s];
      gradients += job.total_microbatches() * backward;
      work += job.total_microbatches() * (job.costs.forward[s] + backward -
                                          std::min(job.costs.overlap_gain, job.costs.forward[s]));
    }
    if (whole && c.stages.size() > 1 && !c.live.empty()) {
      auto const ranks = static_cast<std::int64_t>(c.live.size());
      stage_id const first = c.stages.front(), last = c.stages.back();
      ticks const turn = paths.way.back() + job.costs.forward[job.stages - 1] -
                         paths.way[first.index()] +  // F of first .. S-1
                         paths.tail[last.index()] -
                         (paths.way.back() + job.costs.forward[job.stages - 1] -
                          paths.way[last.index()] - job.costs.forward[last]);
      bound = std::max({bound, ceil_divide<ticks>(work, ranks) + steps,
                        turn + ceil_divide<ticks>(gradients, ranks) + steps});
    }
    bounds.push_back(bound);
  }
  return bounds;
}

}  // namespace shunt

namespace shunt::detail {

// The ranks R that may compute a set of stages T share its work, and may have other work besides:
//     period   >= (work of T + steps of all ranks in R) / |R|
//     makespan >= (work of T + way to the first stage of each rank in R) / |R|
// Bounds jobs in which ranks hold different stages besides a common one. T is each stage, the
// stages of each group, and those of all groups that share stages with each other.
class shared_work {
 public:
  SHUNT_CONSTEXPR shared_work(pipeline_job const& job, stage_groups const& in)
      : job_(job), in_(in), of_stage_(static_cast<std::size_t>(job.stages)) {
    for (std::size_t c = 0; c < in.all.size(); ++c)
      if (!in.all[c].live.empty())
        for (stage_id s : in.all[c].stages) of_stage_[s.index()].push_back(c);
  }

  // Returns the largest bound, or 0 where every stage is held by one group: there the spans bound
  // as much. `besides[c]`: what every rank of group c spends besides its work.
  [[nodiscard]] SHUNT_CONSTEXPR ticks bound(std::vector<ticks> const& besides) const {
    ticks most = 0;
    if (std::all_of(of_stage_.begin(), of_stage_.end(),
                    [](auto const& groups) { return groups.size() <= 1; }))
      return most;
    std::vector<char> met(in_.all.size(), 0);
    for (stage_id s : ids<stage_id>(job_.stages)) most = std::max(most, of({s}, besides));
    for (std::size_t c = 0; c < in_.all.size(); ++c) {
      if (in_.all[c].live.empty()) continue;
      most = std::max(most, of(in_.all[c].stages, besides));
      if (!met[c]) most = std::max(most, of(connected(c, met), besides));
    }
    return most;
  }

 private:
  // Returns the stages of all groups that a chain of common stages joins with group c.
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<stage_id> connected(std::size_t c,
                                                                std::vector<char>& met) const {
    std::vector<std::size_t> open{c};
    std::vector<char> taken(of_stage_.size(), 0);
    std::vector<stage_id> stages;
    met[c] = 1;
    while (!open.empty()) {
      auto const& own = in_.all[open.back()].stages;
      open.pop_back();
      for (stage_id s : own) {
        if (taken[s.index()]) continue;
        taken[s.index()] = 1;
        stages.push_back(s);
        for (std::size_t const other : of_stage_[s.index()])
          if (!met[other]) {
            met[other] = 1;
            open.push_back(other);
          }
      }
    }
    return stages;
  }

  [[nodiscard]] SHUNT_CONSTEXPR ticks of(std::vector<stage_id> const& stages,
                                         std::vector<ticks> const& besides) const {
    std::vector<std::size_t> holders;
    ticks sum = 0;
    std::int64_t ranks = 0;
    for (stage_id s : stages) {
      sum += job_.total_microbatches() *
             (job_.costs.microbatch(s) - std::min(job_.costs.overlap_gain, job_.costs.forward[s]));
      auto const& of = of_stage_[s.index()];
      holders.insert(holders.end(), of.begin(), of.end());
    }
    std::sort(holders.begin(), holders.end());
    holders.erase(std::unique(holders.begin(), holders.end()), holders.end());
    for (std::size_t const c : holders) {
      auto const here = static_cast<std::int64_t>(in_.all[c].live.size());
      ranks += here;
      auto const spent = checked_multiply(here, besides[c]);
      auto const more = spent ? checked_add(sum, *spent) : std::nullopt;
      if (more) sum = *more;  // beyond 63 bits: a lower bound all the same
    }
    return ranks == 0 ? 0 : ceil_divide<ticks>(sum, ranks);
  }

  pipeline_job const& job_;
  stage_groups const& in_;
  std::vector<std::vector<std::size_t>> of_stage_;  // groups with a live rank
};

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR ticks makespan_bound(pipeline_job const& job) {
  stage_groups const in(job);
  auto const spans = span_bounds(job);
  auto const whole = stage_group_bounds(job, in, false);
  detail::stage_paths const paths(job);
  ticks bound = 0;
  for (stage_id s : ids<stage_id>(job.stages))
    bound = std::max(bound, paths.way[s.index()] + spans[s]);
  for (std::size_t c = 0; c < in.all.size(); ++c)
    bound = std::max(bound, paths.way[in.all[c].stages.front().index()] + whole[c]);
  std::vector<ticks> way;
  for (stage_group const& c : in.all) way.push_back(paths.way[c.stages.front().index()]);
  return std::max(bound, detail::shared_work(job, in).bound(way));
}

SHUNT_CONSTEXPR ticks period_bound(pipeline_job const& job, bool staggered_step) {
  stage_groups const in(job);
  auto const whole = stage_group_bounds(job, in, true);
  ticks bound = 0;
  std::vector<ticks> steps(in.all.size(), 0);
  for (std::size_t c = 0; c < in.all.size(); ++c) {
    for (stage_id s : in.all[c].stages) steps[c] += job.costs.step[s];
    bound = std::max(bound, whole[c]);
  }
  if (!staggered_step) return makespan_bound(job) + *std::max_element(steps.begin(), steps.end());
  return std::max(bound, detail::shared_work(job, in).bound(steps));
}

SHUNT_CONSTEXPR ticks fused_period_bound(pipeline_job const& job, bool staggered_step) {
  pipeline_job fused = job;
  std::vector<ticks> both;
  for (stage_id s : ids<stage_id>(job.stages))
    both.push_back(job.costs.backward_input[s] + job.costs.backward_weight[s]);
  fused.costs.backward_input = per_stage(std::move(both));
  fused.costs.backward_weight = 0;
  return period_bound(fused, staggered_step);
}

}  // namespace shunt
