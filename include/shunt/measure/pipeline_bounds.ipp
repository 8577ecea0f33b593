#pragma once
#include "shunt/measure/pipeline_bounds.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "shunt/measure/detail/shared_pace.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt {

SHUNT_CONSTEXPR ticks least_transfer(pipeline_job const& job, stage_id s) {
  ticks const within = job.transfer.within_node, between = job.transfer.between_nodes;
  if (!job.transfer.matrix.empty()) {
    std::optional<ticks> least;
    for (rank_id const a : job.live_holders(s))
      for (rank_id const b : job.live_holders(s.value() + 1))
        least = std::min(least.value_or(std::numeric_limits<ticks>::max()),
                         std::min(job.transfer(a, b), job.transfer(b, a)));
    return least.value_or(0);
  }
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

SHUNT_CONSTEXPR std::pair<std::int64_t, std::int64_t> lengths_of(pipeline_job const& job) {
  if (job.lengths.empty()) return {1, 1};
  auto const [least, most] = std::minmax_element(job.lengths.begin(), job.lengths.end());
  return {*least, *most};
}

SHUNT_CONSTEXPR stage_costs least_costs(pipeline_job const& job, std::int64_t length) {
  stage_costs least = job.costs;
  if (!job.uneven()) return least;
  auto const reduce = [&](per_stage& list, std::int64_t times) {
    std::vector<ticks> all;
    for (stage_id s : ids<stage_id>(job.stages)) {
      ticks each = list[s];
      if (auto const live = job.live_peers(s); !live.empty()) {
        each = list.of(live.front(), s, job.stages);
        for (pipeline_id p : live) each = std::min(each, list.of(p, s, job.stages));
      }
      all.push_back(each * times);
    }
    list = per_stage(std::move(all));
  };
  reduce(least.forward, length);
  reduce(least.backward_input, length);
  reduce(least.backward_weight, length);
  reduce(least.step, 1);
  return least;
}

// Returns the ticks of a rank's stage for a unit of length, of its backwards alone or of all.
SHUNT_CONSTEXPR ticks unit_cost(pipeline_job const& job, rank_id r, stage_id s, bool forwards) {
  auto const& c = job.costs;
  ticks const forward = job.cost_on(c.forward, r, s),
              backward = job.cost_on(c.backward_input, r, s) + job.cost_on(c.backward_weight, r, s);
  return backward + (forwards ? forward - std::min(c.overlap_gain, forward) : 0);
}

// Returns the sum of all lengths and their greatest common divisor.
SHUNT_CONSTEXPR shared_pace work_of(pipeline_job const& job) {
  shared_pace work{.units = job.lengths.empty() ? job.total_microbatches() : 0};
  if (job.lengths.empty()) return work;
  work.part = 0;
  for (std::int64_t length : job.lengths) {
    work.units += length;
    while (length != 0) length = std::exchange(work.part, length) % length;
  }
  return work;
}

// What unlike ranks and micro-batches at a stage need at least, from the earliest forward on.
// `first`: from there to the first gradient's arrival.
SHUNT_CONSTEXPR ticks uneven_span(pipeline_job const& job, stage_id s, ticks first) {
  auto work = work_of(job), gradients = work;
  for (rank_id const r : job.live_holders(s)) {
    work.pace.push_back(unit_cost(job, r, s, true));
    gradients.pace.push_back(unit_cost(job, r, s, false));
  }
  return std::max(work.least(), first + gradients.least());
}

SHUNT_CONSTEXPR stage_paths::stage_paths(pipeline_job const& job)
    : way(static_cast<std::size_t>(job.stages), 0), tail(way) {
  auto const cost = least_costs(job, lengths_of(job).first);
  for (std::size_t s = way.size(); s-- > 1;) {
    auto const at = static_cast<std::int32_t>(s);
    ticks const c = least_transfer(job, at - 1);
    tail[s - 1] = tail[s] + cost.forward[at] + cost.backward_input[at] + 2 * c;
    way[s] = c;
  }
  for (std::size_t s = 1; s < way.size(); ++s)
    way[s] += way[s - 1] + cost.forward[static_cast<std::int32_t>(s) - 1];
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR indexed<stage_id, ticks> span_bounds(pipeline_job const& job) {
  bool const uneven = job.uneven();
  auto const [shortest, longest] = detail::lengths_of(job);
  auto const cost = detail::least_costs(job, shortest);
  ticks path = 0;  // from the start of a forward to the end of its gradient, without transfers
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
    if (uneven) bound = std::max(bound, detail::uneven_span(job, i, comes.front()));
    path += forward + input;
    if (uneven)  // the longest micro-batch goes there and back
      bound = std::max(bound, tail + forward + input - path + (path + weight) / shortest * longest);
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
  auto const cost = detail::least_costs(job, detail::lengths_of(job).first),
             unit = detail::least_costs(job, 1);
  auto const last_steps = longest_steps(job, in);
  std::int64_t const units = detail::work_of(job).units;
  detail::stage_paths const paths(job);
  std::vector<ticks> bounds;
  // stage groups that hold each stage
  std::vector<std::int32_t> holding(static_cast<std::size_t>(job.stages), 0);
  for (stage_group const& c : in.all)
    if (!c.live.empty())
      for (stage_id s : c.stages) ++holding[s.index()];
  for (std::size_t at = 0; at < in.all.size(); ++at) {
    stage_group const& c = in.all[at];
    ticks bound = 0, gradients = 0, work = 0, steps = 0;
    bool whole = true;  // no other group can take work of these stages
    for (stage_id s : c.stages) {
      ticks const step = with_steps ? unit.step[s] : 0;
      steps += step;
      if (holding[s.index()] <= 1)
        bound = std::max(bound,
                         spans[s] + (with_steps && c.stages.size() == 1 ? last_steps[at] : step));
      whole = whole && holding[s.index()] <= 1;
      ticks const backward = unit.backward_input[s] + unit.backward_weight[s];
      gradients += units * backward;
      work += units * (unit.forward[s] + backward - std::min(unit.overlap_gain, unit.forward[s]));
    }
    if (whole && c.stages.size() > 1 && !c.live.empty()) {
      auto const ranks = static_cast<std::int64_t>(c.live.size());
      stage_id const first = c.stages.front(), last = c.stages.back();
      ticks const turn = paths.way.back() + cost.forward[job.stages - 1] -
                         paths.way[first.index()] +  // F of first .. S-1
                         paths.tail[last.index()] -
                         (paths.way.back() + cost.forward[job.stages - 1] -
                          paths.way[last.index()] - cost.forward[last]);
      bound = std::max({bound, ceil_divide<ticks>(work, ranks) + steps,
                        turn + ceil_divide<ticks>(gradients, ranks) + steps});
      if (job.uneven()) {
        auto const work_units = detail::work_of(job);
        detail::priced_work all(c.stages.size(), work_units.units, work_units.part),
            backwards = all;
        for (rank_id const r : c.live) {
          ticks own = 0;
          std::vector<ticks> costs, back;
          for (stage_id s : c.stages) {
            if (with_steps) own += job.cost_on(job.costs.step, r, s);
            costs.push_back(detail::unit_cost(job, r, s, true));
            back.push_back(detail::unit_cost(job, r, s, false));
          }
          all.add(own, std::move(costs));
          backwards.add(own, std::move(back));
        }
        bound = std::max({bound, all.least(), turn + backwards.least()});
      }
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
      : job_(job),
        units_(work_of(job).units),
        cost_(least_costs(job, 1)),
        in_(in),
        of_stage_(static_cast<std::size_t>(job.stages)) {
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
    for (stage_id s = 0; s.index() < of_stage_.size(); s = s.value() + 1)
      most = std::max(most, of({s}, besides));
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
      sum += units_ * (cost_.microbatch(s) - std::min(cost_.overlap_gain, cost_.forward[s]));
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
    if (ranks == 0) return 0;
    ticks const even = ceil_divide<ticks>(sum, ranks);
    return job_.uneven() ? std::max(even, at_own_pace(stages, holders, besides)) : even;
  }

  // The same where ranks are unlike.
  [[nodiscard]] SHUNT_CONSTEXPR ticks at_own_pace(std::vector<stage_id> const& stages,
                                                  std::vector<std::size_t> const& holders,
                                                  std::vector<ticks> const& besides) const {
    auto const work = work_of(job_);
    priced_work all(stages.size(), work.units, work.part);
    for (std::size_t const c : holders)
      for (rank_id const r : in_.all[c].live) {
        auto const& held = in_.all[c].stages;
        std::vector<ticks> cost;
        for (stage_id s : stages)
          cost.push_back(
              std::binary_search(held.begin(), held.end(), s) ? unit_cost(job_, r, s, true) : 0);
        all.add(besides[c], std::move(cost));
      }
    return all.least();
  }

  pipeline_job const& job_;
  std::int64_t units_;  // the lengths of all micro-batches
  stage_costs cost_;    // of a unit of length
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
  ticks bound = 0;
  if (!staggered_step) {
    auto const longest = longest_steps(job, in);
    return makespan_bound(job) + *std::max_element(longest.begin(), longest.end());
  }
  auto const whole = stage_group_bounds(job, in, true);
  auto const least = detail::least_costs(job, 1);
  std::vector<ticks> steps(in.all.size(), 0);
  for (std::size_t c = 0; c < in.all.size(); ++c) {
    for (stage_id s : in.all[c].stages) steps[c] += least.step[s];
    bound = std::max(bound, whole[c]);
  }
  return std::max(bound, detail::shared_work(job, in).bound(steps));
}

SHUNT_CONSTEXPR ticks fused_period_bound(pipeline_job const& job, bool staggered_step) {
  pipeline_job fused = job;
  auto const &input = job.costs.backward_input, &weight = job.costs.backward_weight;
  bool const by_worker =
      std::max(input.size(), weight.size()) > static_cast<std::size_t>(job.stages);
  std::vector<ticks> both;
  for (pipeline_id p : ids<pipeline_id>(by_worker ? job.pipelines : 1))
    for (stage_id s : ids<stage_id>(job.stages))
      both.push_back(input.of(p, s, job.stages) + weight.of(p, s, job.stages));
  fused.costs.backward_input = per_stage(std::move(both));
  fused.costs.backward_weight = 0;
  return period_bound(fused, staggered_step);
}

}  // namespace shunt
