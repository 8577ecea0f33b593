#pragma once
/// Building blocks: the operations of one micro-batch, laid out once and repeated every T ticks for
/// the next (Qi et al., Pipeline Parallelism with Controllable Memory, arXiv 2405.15362, section
/// 3).
///
/// A block says when stage s starts F_s, I_s (backward_input) and W_s (backward_weight) of
/// micro-batch 0; micro-batch m starts m T later. T is possible where no two operations of a rank
/// overlap modulo T; the least one is found from the work of the busiest rank on, by going from
/// each T that is not to the next one at which the two operations in its way part. A stash lives
/// from F_s to W_s, so that in the steady state a rank holds at most the largest, over its forwards
/// at t, of
///
///     sum over its stages s of   #{m : F_s + m T <= t} - #{m : W_s + m T < t}        (weighted by
///     the job's stash weights)
///
/// and no number of micro-batches makes that more. `packed_block` lays a block out itself: every
/// operation as early as it finds its place modulo T, the rule of modulo scheduling (Rau, MICRO
/// 1994), which keeps lifespans and so memory short. Checking one T costs O(n log n) for the n
/// operations of a micro-batch; unrolled for M micro-batches, n M log(n M).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/search/merge_streams.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// When a stage starts its three operations of micro-batch 0, in ticks.
struct block_offsets {
  ticks forward = 0;
  ticks backward_input = 0;
  ticks backward_weight = 0;
  constexpr bool operator==(block_offsets const&) const = default;
};

struct building_block {
  /// One entry a stage, the same for all pipelines; or one a seat, pipeline by pipeline, where
  /// pipelines share ranks.
  std::vector<block_offsets> stages{};

  [[nodiscard]] block_offsets const& of(worker seat, std::int32_t stages_of_job) const {
    bool const alike = stages.size() == static_cast<std::size_t>(stages_of_job);
    return stages[seat.stage.index() +
                  (alike ? 0 : seat.pipeline.index() * static_cast<std::size_t>(stages_of_job))];
  }
  bool operator==(building_block const&) const = default;
};

namespace detail {

/// An operation of micro-batch 0 and when it starts.
struct placed {
  ticks start = 0;
  ticks length = 0;
  operation op{};
  bool operator==(placed const&) const = default;
};

/// What each rank does for micro-batch 0 of its pipelines, as it starts.
[[nodiscard]] inline indexed<rank_id, std::vector<placed>> placed_on_ranks(
    pipeline_job const& job, shunt::building_block const& block) {
  indexed<rank_id, std::vector<placed>> ranks(static_cast<std::size_t>(job.ranks()));
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (stage_id s : ids<stage_id>(job.stages)) {
      auto const& at = block.of({p, s}, job.stages);
      auto& own = ranks[job.rank_of({p, s})];
      for (auto const& [kind, start] : {std::pair{op_kind::forward, at.forward},
                                        std::pair{op_kind::backward_input, at.backward_input},
                                        std::pair{op_kind::backward_weight, at.backward_weight}})
        own.push_back({start, cost_of(job, {.kind = kind, .stage = s}), {kind, p, s, 0}});
    }
  return ranks;
}

/// Where two of them overlap when they come again every `period`: the least longer period at which
/// these two don't. Nothing where none do; 0 where two overlap whatever the period.
[[nodiscard]] inline std::optional<ticks> collision(std::vector<placed> const& own, ticks period) {
  std::vector<std::pair<ticks, std::size_t>> taken;  // start modulo the period, which
  for (std::size_t i = 0; i < own.size(); ++i)
    if (own[i].length > 0) taken.emplace_back(own[i].start % period, i);
  std::sort(taken.begin(), taken.end());
  for (std::size_t i = 0; i < taken.size(); ++i) {
    bool const last = i + 1 == taken.size();
    auto const& [start, one] = taken[i];
    auto const& [next_start, next] = taken[last ? 0 : i + 1];
    if (start + own[one].length <= next_start + (last ? period : 0)) continue;
    if (one == next) return own[one].length;  // it overlaps itself
    // `later` starts k periods after `earlier`, roughly; they part when it is no more than k
    // periods less its own length.
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

/// Puts an operation of `length` to the others at the first start from `ready` on at which they
/// don't overlap, or says that there is none.
[[nodiscard]] inline std::optional<ticks> first_place(std::vector<placed>& own, ticks ready,
                                                      ticks length, ticks period) {
  std::vector<ticks> starts{ready};  // it begins at once or where another one ends
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

/// What divides all times of a job: only periods that it divides are tried.
[[nodiscard]] inline ticks common_divisor(pipeline_job const& job) {
  ticks divisor = std::gcd(job.transfer.within_node, job.transfer.between_nodes);
  for (auto const* costs :
       {&job.costs.forward, &job.costs.backward_input, &job.costs.backward_weight})
    for (ticks const c : costs->values()) divisor = std::gcd(divisor, c);
  return divisor;
}

[[nodiscard]] inline ticks busiest_rank(pipeline_job const& job) {
  indexed<rank_id, ticks> work(static_cast<std::size_t>(job.ranks()), 0);
  ticks most = 1;
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (stage_id s : ids<stage_id>(job.stages))
      most = std::max(most, work[job.rank_of({p, s})] += job.costs.microbatch(s));
  return most;
}

}  // namespace detail

/// Throws invalid_problem, naming the entry, where a block isn't one of the job: another number of
/// entries, a start before 0, or an operation that starts before its input is there.
inline void validate(pipeline_job const& job, building_block const& block) {
  validate(job);
  if (block.stages.size() != static_cast<std::size_t>(job.stages) &&
      block.stages.size() != static_cast<std::size_t>(job.seats()))
    throw invalid_problem("block", "has " + std::to_string(block.stages.size()) + " entries for " +
                                       std::to_string(job.stages) + " stages");
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (stage_id s : ids<stage_id>(job.stages)) {
      auto const& at = block.of({p, s}, job.stages);
      auto const not_before = [&](char const* what, ticks start, ticks least) {
        if (start < least)
          throw invalid_problem("block[" + std::to_string(s.value()) + "]." + what,
                                "starts at " + std::to_string(start) +
                                    ", what it needs is there at " + std::to_string(least));
      };
      auto const from = [&](std::int32_t other) {
        return job.transfer(job.rank_of({p, other}), job.rank_of({p, s}));
      };
      ticks const forward_end = at.forward + job.costs.forward[s];
      ticks input = 0, gradient = forward_end;
      if (s > 0)
        input = block.of({p, s.value() - 1}, job.stages).forward +
                job.costs.forward[s.value() - 1] + from(s.value() - 1);
      if (s.value() + 1 < job.stages) {
        auto const& next = block.of({p, s.value() + 1}, job.stages);
        gradient =
            std::max(gradient, next.backward_input + job.costs.backward_input[s.value() + 1] +
                                   from(s.value() + 1));
      }
      not_before("forward", at.forward, input);
      not_before("backward_input", at.backward_input, gradient);
      not_before("backward_weight", at.backward_weight,
                 at.backward_input + job.costs.backward_input[s]);
    }
}

/// The least T with which the block can be repeated, among those that all its times' common divisor
/// divides: so that blocks may be scaled. Throws invalid_problem for a block that isn't one of the
/// job, or two operations of which overlap on their rank, so that no T is.
[[nodiscard]] inline ticks least_period(pipeline_job const& job, building_block const& block) {
  validate(job, block);
  ticks period = detail::busiest_rank(job);
  auto const ranks = detail::placed_on_ranks(job, block);
  ticks unit = 0;
  for (auto const& own : ranks)
    for (auto const& o : own) unit = std::gcd(std::gcd(unit, o.start), o.length);
  for (bool again = true; again;) {
    again = false;
    for (auto const& own : ranks)
      while (auto const next = detail::collision(own, period)) {
        if (*next <= period)
          throw invalid_problem("block",
                                "two operations overlap on their rank, whatever the period");
        period = ceil_divide(*next, unit) * unit;
        again = true;
      }
  }
  return period;
}

/// The most that each rank holds stashed in the steady state, in the units of the job's stash
/// weights.
[[nodiscard]] inline indexed<rank_id, std::int64_t> block_peak(pipeline_job const& job,
                                                               building_block const& block,
                                                               ticks period) {
  auto const ranks = detail::placed_on_ranks(job, block);
  // Micro-batches, from minus infinity on, whose operation at `start` has started at `now`; only
  // differences mean something.
  auto const started = [&](ticks start, ticks now) {
    ticks const distance = now - start;
    return (distance >= 0 ? distance : distance - period + 1) / period;
  };
  indexed<rank_id, std::int64_t> peak(ranks.size(), 0);
  for (rank_id r : ids<rank_id>(ranks.size()))
    for (auto const& here : ranks[r]) {
      if (here.op.kind != op_kind::forward) continue;
      std::int64_t held = 0;
      for (auto const& o : ranks[r]) {
        auto const whole = job.stash.forward[o.op.stage],
                   early = job.stash.backward_input[o.op.stage];
        if (o.op.kind == op_kind::forward) held += whole * started(o.start, here.start);
        if (o.op.kind == op_kind::backward_input) held -= early * started(o.start, here.start - 1);
        if (o.op.kind == op_kind::backward_weight)
          held -= (whole - early) * started(o.start, here.start - 1);
      }
      peak[r] = std::max(peak[r], held);
    }
  return peak;
}

/// Ticks that each operation waits, at least, after its input is there: one value a chunk of the
/// layout, 0 for those beyond the end. Waiting lengthens lifespans, and so takes memory, but moves
/// work of the steady state to where warm-up and cool-down idle.
struct block_pace {
  std::vector<ticks> forward{};
  std::vector<ticks> backward_input{};
  bool operator==(block_pace const&) const = default;
};

/// The block that repeats every `period`, every operation as early as its input and the rank's
/// other operations, modulo the period, let it: the forwards of micro-batch 0 from the first stage
/// to the last, its input gradients back again, each with its backward_weight as soon as there is
/// room. Without a period: of the least one for which this finds a place for all. Throws
/// invalid_problem where `period` is too short.
[[nodiscard]] inline building_block packed_block(pipeline_job const& job,
                                                 std::optional<ticks> period = {},
                                                 block_pace const& pace = {}) {
  validate(job);
  building_block block{std::vector<block_offsets>(static_cast<std::size_t>(job.seats()))};
  ticks const step = detail::common_divisor(job);
  for (ticks t = period.value_or(detail::busiest_rank(job));; t += step) {
    indexed<rank_id, std::vector<detail::placed>> taken(static_cast<std::size_t>(job.ranks()));
    bool all = t >= 1;
    auto const place = [&](worker seat, op_kind kind, ticks ready, ticks& start) {
      auto const found =
          all ? detail::first_place(taken[job.rank_of(seat)], ready,
                                    cost_of(job, {.kind = kind, .stage = seat.stage}), t)
              : std::nullopt;
      all = found.has_value();
      start = found.value_or(ready);
    };
    for (pipeline_id p : ids<pipeline_id>(job.pipelines)) {
      auto const at = [&](std::int32_t s) -> block_offsets& {
        return block
            .stages[p.index() * static_cast<std::size_t>(job.stages) + static_cast<std::size_t>(s)];
      };
      auto const chunked = [&](std::vector<ticks> const& waits, std::int32_t s) {
        auto const chunk = static_cast<std::size_t>(s / (job.stages / job.layout.chunks()));
        return chunk < waits.size() ? waits[chunk] : 0;
      };
      auto const between = [&](std::int32_t a, std::int32_t b) {
        return job.transfer(job.rank_of({p, a}), job.rank_of({p, b}));
      };
      for (std::int32_t s = 0; s < job.stages; ++s)
        place({p, s}, op_kind::forward,
              s == 0 ? 0
                     : at(s - 1).forward + job.costs.forward[s - 1] + between(s - 1, s) +
                           chunked(pace.forward, s),
              at(s).forward);
      ticks gradient = at(job.stages - 1).forward + job.costs.forward[job.stages - 1];
      for (std::int32_t s = job.stages; s-- > 0;) {
        place({p, s}, op_kind::backward_input, gradient + chunked(pace.backward_input, s),
              at(s).backward_input);
        if (s > 0)
          gradient = at(s).backward_input + job.costs.backward_input[s] + between(s, s - 1);
      }
      for (std::int32_t s = job.stages; s-- > 0;)
        place({p, s}, op_kind::backward_weight, at(s).backward_input + job.costs.backward_input[s],
              at(s).backward_weight);
    }
    if (all) return block;
    if (period)
      throw invalid_problem("period",
                            "of " + std::to_string(t) + " is too short for what a rank does");
  }
}

/// A solver made of a block: repeated with its least period for the job's micro-batches, and
/// squeezed. Squeezing keeps the order of a rank's forwards and input gradients, of each chunk, but
/// starts whatever comes first, under the job's caps, or the block's own peak where there is none;
/// so what the block leaves idle at both ends is filled. The better of both orders is the plan:
/// never longer than the block as it stands, never more memory than allowed. What breaks a rule is
/// infeasible, with the rule as the reason.
struct from_block {
  static constexpr std::string_view name = "from_block";

  building_block block{};
  bool squeeze = true;

  /// Throws invalid_problem where job or block are broken.
  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    ticks const period = least_period(job, block);
    auto const ranks = detail::placed_on_ranks(job, block);
    auto schedule = empty_schedule(job);
    pipeline_job capped = job;
    indexed<rank_id, operation_streams> by_kind(ranks.size()), weights_apart(ranks.size());
    for (rank_id r : ids<rank_id>(ranks.size())) {
      std::vector<std::tuple<ticks, op_kind, operation>>
          all;  // of equal starts the one that takes no time goes last
      for (auto const& o : ranks[r])
        for (microbatch_id m : ids<microbatch_id>(job.microbatches))
          all.emplace_back(o.start + m.value() * period, o.op.kind,
                           operation{o.op.kind, o.op.pipeline, o.op.stage, m});
      std::sort(all.begin(), all.end());
      auto& list = schedule.order[r];
      for (auto const& [start, kind, op] : all) list.push_back(op);
      weights_apart[r] = operation_streams(2);
      for (operation const& o : list)
        weights_apart[r][o.kind == op_kind::backward_weight].push_back(o);
      for (worker const& seat : job.seats_of(r))
        for (op_kind const kind :
             {op_kind::forward, op_kind::backward_input, op_kind::backward_weight}) {
          auto& stream = by_kind[r].emplace_back();
          for (operation const& o : list)
            if (o.kind == kind && o.stage == seat.stage && o.pipeline == seat.pipeline)
              stream.push_back(o);
        }
      for (stage_id s : job.stages_of(r))
        if (job.alive(r)) list.push_back({.kind = op_kind::step, .stage = s});
    }
    auto best = judged(job, std::move(schedule));
    if (!squeeze || !best.has_plan()) return best;
    if (job.memory.rule == stash_cap::kind::none)
      capped.memory = stash_cap::per_rank(block_peak(job, block, period).items());
    for (auto const& streams : {weights_apart, by_kind}) {
      auto merged = merge_streams(capped, streams);
      if (!merged.complete) continue;
      auto squeezed = judged(job, std::move(merged.schedule));
      if (squeezed.has_plan() && squeezed.objective < best.objective) best = std::move(squeezed);
    }
    return best;
  }

 private:
  [[nodiscard]] static solution<pipeline_schedule> judged(pipeline_job const& job,
                                                          pipeline_schedule schedule) {
    if (auto const broken = check(job, schedule); !broken.empty())
      return {.plan = std::move(schedule),
              .status = status::infeasible,
              .reason = to_string(broken.front())};
    return restate(job, std::move(schedule));
  }
};
static_assert(solver_for<from_block, pipeline_job>);

}  // namespace shunt
