#pragma once
/// Is a pipeline schedule a plan of the job?
///
/// Every (pipeline, micro-batch, stage) has exactly one forward and either one fused backward, or one backward_input and one
/// backward_weight. All of them stand on one live worker that holds the stage, in this order, for that worker holds the stash.
/// Every live worker steps once, at the end of its list; the list of a dead worker is empty. No worker stashes more than the cap
/// (from a forward to its backward or backward_weight). The orders of all workers together can be executed.
/// All broken rules are reported, in a fixed order; a rule that builds on broken ones speaks only of what it can judge.
/// Linear in the number of operations. Shares no code with solvers or measures.
/// Throws invalid_problem where the job itself is broken.
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/check/pipeline_violation.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {
namespace detail {

/// Where the operations of a schedule stand, and what each needs. Operations that the job doesn't know are left out.
class schedule_judge {
 public:
  using violations = std::vector<pipeline_violation>;

  struct place {
    rank_id rank = -1;
    std::int32_t index = -1;
    constexpr bool operator==(place const&) const = default;
    [[nodiscard]] constexpr bool found() const { return index >= 0; }
  };

  constexpr schedule_judge(pipeline_job const& job, pipeline_schedule const& schedule) : job_(job), schedule_(schedule) {
    cells_.resize(static_cast<std::size_t>(job.seats()) * static_cast<std::size_t>(job.microbatches));
  }

  [[nodiscard]] constexpr violations verdict() {
    auto const workers = static_cast<std::size_t>(job_.ranks());
    if (schedule_.order.size() != workers) {
      auto const count = static_cast<std::int64_t>(schedule_.order.size());
      return {{.rule = pipeline_rule::lists, .count = count, .limit = job_.ranks()}};
    }
    for (rank_id r : ids<rank_id>(job_.ranks())) read_list(r, job_.worker_of(r));
    compare_places();
    count_stashes();
    execute();
    return std::move(found_);
  }

  [[nodiscard]] constexpr operation const& at(place w) const { return schedule_.order[w.rank][static_cast<std::size_t>(w.index)]; }
  /// The operation on another worker or earlier in the list whose output the one at `w` computes from; not found: it needs none, or
  /// the one it needs is missing.
  [[nodiscard]] constexpr place input_of(operation const& o) const {
    switch (o.kind) {
      case op_kind::forward: return o.stage > 0 ? of(o, o.stage.value() - 1).forward : place{};
      case op_kind::backward:
      case op_kind::backward_input:
        return o.stage.value() + 1 < job_.stages ? gradient(of(o, o.stage.value() + 1)) : of(o, o.stage).forward;
      case op_kind::backward_weight: return gradient(of(o, o.stage));
      default: return {};
    }
  }
  [[nodiscard]] constexpr bool known(operation const& o) const {
    if (o.kind > op_kind::step || o.pipeline < 0 || o.stage < 0 || o.stage >= job_.stages || o.microbatch < 0) return false;
    if (o.kind == op_kind::step) return o.pipeline == 0 && o.microbatch == 0;
    return o.pipeline < job_.pipelines && o.microbatch < job_.microbatches;
  }

 private:
  struct cell {
    place forward{}, backward{}, input{}, weight{};
  };

  [[nodiscard]] constexpr std::size_t index(operation const& o, stage_id s) const {
    auto const stages = static_cast<std::size_t>(job_.stages), microbatches = static_cast<std::size_t>(job_.microbatches);
    return (o.pipeline.index() * stages + s.index()) * microbatches + o.microbatch.index();
  }
  [[nodiscard]] constexpr cell const& of(operation const& o, stage_id s) const { return cells_[index(o, s)]; }
  [[nodiscard]] static constexpr place gradient(cell const& c) { return c.backward.found() ? c.backward : c.input; }

  constexpr void report(pipeline_rule rule, place w, operation const& o, operation const& related = {}, std::int64_t count = 0,
                        std::int64_t limit = 0) {
    found_.push_back({rule, job_.worker_of(w.rank), w.rank, w.index, o, related, count, limit});
  }

  constexpr void read_list(rank_id r, worker w) {
    auto const& list = schedule_.order[r];
    bool const alive = job_.alive(w);
    bool stepped = false;
    operation step;
    for (std::int32_t i = 0; i < static_cast<std::int32_t>(list.size()); ++i) {
      operation const& o = list[static_cast<std::size_t>(i)];
      place const here{r, i};
      if (!known(o)) {
        report(pipeline_rule::unknown, here, o);
        continue;
      }
      if (!alive) report(pipeline_rule::dead_worker, here, o);
      if (o.stage != w.stage) report(pipeline_rule::wrong_stage, here, o);
      if (stepped) report(o.kind == op_kind::step ? pipeline_rule::repeated : pipeline_rule::step_not_last, here, o, step);
      if (o.kind == op_kind::step) {
        stepped = true;
        step = o;
      } else {
        enter(o, here);
      }
    }
    if (alive && !stepped) report(pipeline_rule::step_missing, {r, -1}, {.kind = op_kind::step, .stage = w.stage});
  }

  constexpr void enter(operation const& o, place here) {
    cell& c = cells_[index(o, o.stage)];
    auto const take = [&](place& own, place const& rival, place const& other_rival) {
      for (place const& before : {own, rival, other_rival})
        if (before.found()) return report(pipeline_rule::repeated, here, o, at(before));
      own = here;
    };
    switch (o.kind) {
      case op_kind::forward: return take(c.forward, {}, {});
      case op_kind::backward: return take(c.backward, c.input, c.weight);
      case op_kind::backward_input: return take(c.input, c.backward, {});
      case op_kind::backward_weight: return take(c.weight, c.backward, {});
      default: return;
    }
  }

  constexpr void compare_places() {
    for (pipeline_id p : ids<pipeline_id>(job_.pipelines))
      for (stage_id s : ids<stage_id>(job_.stages))
        for (microbatch_id m : ids<microbatch_id>(job_.microbatches)) compare(of({.pipeline = p, .microbatch = m}, s), p, s, m);
  }

  constexpr void compare(cell const& c, pipeline_id p, stage_id s, microbatch_id m) {
    auto const missing = [&](op_kind kind) { found_.push_back({.rule = pipeline_rule::missing, .operation = {kind, p, s, m}}); };
    auto const behind = [&](place later, place earlier) {
      if (!later.found() || !earlier.found()) return;
      if (later.rank != earlier.rank)
        report(pipeline_rule::stash_elsewhere, later, at(later), at(earlier));
      else if (later.index < earlier.index)
        report(pipeline_rule::before_its_input, later, at(later), at(earlier));
    };
    if (!c.forward.found()) missing(op_kind::forward);
    if (!c.backward.found()) {
      if (!c.input.found() && !c.weight.found()) {
        missing(op_kind::backward);
      } else {
        if (!c.input.found()) missing(op_kind::backward_input);
        if (!c.weight.found()) missing(op_kind::backward_weight);
      }
    }
    behind(gradient(c), c.forward);
    behind(c.weight, c.input.found() ? c.input : c.forward);
  }

  constexpr void count_stashes() {
    for (rank_id r : ids<rank_id>(job_.ranks())) {
      auto const limit = job_.stash_limit(r);
      if (!limit) continue;
      std::int64_t held = 0;
      auto const& list = schedule_.order[r];
      for (std::size_t i = 0; i < list.size(); ++i) {
        if (list[i].kind == op_kind::forward && ++held > *limit)
          report(pipeline_rule::memory, {r, static_cast<std::int32_t>(i)}, list[i], {}, held, *limit);
        if (list[i].kind == op_kind::backward || list[i].kind == op_kind::backward_weight) --held;
      }
    }
  }

  /// Lets every worker run as far as it gets; one that must wait goes on when the operation it waits for is done.
  constexpr void execute() {
    auto const ranks = static_cast<std::size_t>(job_.ranks());
    constexpr std::int32_t nobody = -1;
    std::vector<std::size_t> first(ranks, 0);  // where a worker's operations begin when all are counted through
    std::size_t operations = 0;
    for (std::size_t r = 0; r < ranks; ++r) {
      first[r] = operations;
      operations += schedule_.order.items()[r].size();
    }
    std::vector<std::int32_t> waiter(operations, nobody), next_waiter(ranks, nobody), next(ranks, 0);
    std::vector<rank_id> runnable;
    for (std::int32_t r = job_.ranks(); r-- > 0;) runnable.push_back(r);
    while (!runnable.empty()) {
      rank_id const r = runnable.back();
      runnable.pop_back();
      auto const& list = schedule_.order[r];
      for (std::int32_t& i = next[r.index()]; i < static_cast<std::int32_t>(list.size()); ++i) {
        operation const& o = list[static_cast<std::size_t>(i)];
        place const need = known(o) ? input_of(o) : place{};
        if (need.found() && next[need.rank.index()] <= need.index) {
          std::int32_t& queue = waiter[first[need.rank.index()] + static_cast<std::size_t>(need.index)];
          next_waiter[r.index()] = queue;
          queue = r.value();
          break;
        }
        std::int32_t woken = waiter[first[r.index()] + static_cast<std::size_t>(i)];
        for (; woken != nobody; woken = next_waiter[static_cast<std::size_t>(woken)]) runnable.push_back(woken);
      }
    }
    place stopped;
    std::int64_t stuck = 0;
    for (rank_id r : ids<rank_id>(job_.ranks())) {
      auto const left = static_cast<std::int64_t>(schedule_.order[r].size()) - next[r.index()];
      if (left > 0 && !stopped.found()) stopped = {r, next[r.index()]};
      stuck += left;
    }
    if (stuck > 0) report(pipeline_rule::cycle, stopped, at(stopped), at(input_of(at(stopped))), stuck);
  }

  pipeline_job const& job_;
  pipeline_schedule const& schedule_;
  std::vector<cell> cells_;
  violations found_;
};

}  // namespace detail

/// Every rule that the schedule breaks; empty: it is a plan of the job.
[[nodiscard]] constexpr std::vector<pipeline_violation> check(pipeline_job const& job, pipeline_schedule const& schedule) {
  validate(job);
  return detail::schedule_judge(job, schedule).verdict();
}

}  // namespace shunt
