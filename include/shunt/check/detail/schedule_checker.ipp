#pragma once
#include "shunt/check/detail/schedule_checker.hpp"

#include <algorithm>
#include <utility>

#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR schedule_checker::schedule_checker(pipeline_job const& job,
                                                   pipeline_schedule const& schedule)
    : job_(job), schedule_(schedule), stages_(static_cast<std::size_t>(job.stages)) {}

SHUNT_CONSTEXPR schedule_checker::violations schedule_checker::find_violations() {
  auto found = violations_before_execution();
  if (found.empty() || found.front().rule != pipeline_rule::lists)
    if (auto const waits = execution(); waits.rule == pipeline_rule::cycle) found.push_back(waits);
  return found;
}

SHUNT_CONSTEXPR schedule_checker::violations schedule_checker::violations_before_execution() {
  for (auto const lists :
       {schedule_.order.size(),
        schedule_.overlapped.empty() ? schedule_.order.size() : schedule_.overlapped.size()})
    if (lists != static_cast<std::size_t>(job_.ranks()))
      return {{.rule = pipeline_rule::lists,
               .count = static_cast<std::int64_t>(lists),
               .limit = job_.ranks()}};
  cells_.resize(job_.cells());
  read_lists();
  compare_places();
  for (rank_id r : ids<rank_id>(schedule_.overlapped.size())) check_pairs(r);
  if (job_.memory.rule != stash_cap::kind::none)
    for (rank_id r : ids<rank_id>(job_.ranks())) count_stashes(r, *job_.stash_limit(r));
  return std::move(found_);
}

SHUNT_CONSTEXPR pipeline_violation schedule_checker::execution() const {
  auto const ranks = static_cast<std::size_t>(job_.ranks());
  constexpr std::int32_t nothing = -1;
  std::vector<std::size_t> first(ranks, 0);  // number of a rank's first operation
  std::vector<std::size_t> left(schedule_.staggered_step ? stages_ : 1, 0);
  auto const group = [&](operation const& o) {
    return schedule_.staggered_step ? o.stage.index() : std::size_t{0};
  };
  std::size_t operations = 0;
  for (std::size_t r = 0; r < ranks; ++r) {
    auto const& list = schedule_.order.items()[r];
    first[r] = operations;
    operations += list.size();
    for (operation const& o : list)
      if (o.kind != op_kind::step && known(o)) ++left[group(o)];
  }
  std::vector<std::int32_t> waiter(operations, nothing), next_waiter(ranks, nothing),
      before_step(left.size(), nothing), next(ranks, 0);
  std::vector<std::size_t> next_pair(ranks, 0);
  std::vector<rank_id> runnable;
  runnable.reserve(ranks);
  for (std::int32_t r = job_.ranks(); r-- > 0;) runnable.push_back(r);
  auto const wait = [&](rank_id r, std::int32_t& queue) {
    next_waiter[r.index()] = queue;
    queue = r.value();
  };
  auto const wake = [&](std::int32_t& queue) {
    for (; queue != nothing; queue = next_waiter[static_cast<std::size_t>(queue)])
      runnable.push_back(queue);
  };
  auto const number = [&](place w) {
    return first[w.rank.index()] + static_cast<std::size_t>(w.index);
  };
  while (!runnable.empty()) {
    rank_id const r = runnable.back();
    runnable.pop_back();
    auto const& list = schedule_.order[r];
    auto const end = static_cast<std::int32_t>(list.size());
    std::int32_t& i = next[r.index()];
    while (i < end) {
      bool const pair = pair_at(r, i, next_pair[r.index()]);
      bool blocked = false;
      for (std::int32_t k = i; k <= i + pair && !blocked; ++k) {
        operation const& o = list[static_cast<std::size_t>(k)];
        if (!known(o)) continue;
        if (o.kind == op_kind::step) {
          blocked = left[group(o)] > 0;
          if (blocked) wait(r, before_step[group(o)]);
        } else if (place const need = input_of(o);
                   need.found() && next[need.rank.index()] <= need.index) {
          blocked = true;
          wait(r, waiter[number(need)]);
        }
      }
      if (blocked) break;
      auto const from = i;
      i += 1 + pair;
      for (std::int32_t k = from; k < i; ++k) {
        operation const& o = list[static_cast<std::size_t>(k)];
        if (o.kind != op_kind::step && known(o) && --left[group(o)] == 0)
          wake(before_step[group(o)]);
        wake(waiter[first[r.index()] + static_cast<std::size_t>(k)]);
      }
    }
  }
  return deadlock(next);
}

SHUNT_CONSTEXPR pipeline_violation
schedule_checker::deadlock(std::vector<std::int32_t> const& next) const {
  auto const open = [&](place w) { return w.found() && next[w.rank.index()] <= w.index; };
  auto const group = [&](operation const& o) {
    return schedule_.staggered_step ? o.stage.index() : std::size_t{0};
  };
  std::vector<place> before_step(schedule_.staggered_step ? stages_ : 1);  // first open operation
  rank_id first = -1;
  std::int64_t stuck = 0;
  for (rank_id r : ids<rank_id>(job_.ranks())) {
    auto const end = static_cast<std::int32_t>(schedule_.order[r].size());
    if (first < 0 && next[r.index()] < end) first = r;
    for (place w{r, next[r.index()]}; w.index < end; ++w.index, ++stuck)
      if (operation const& o = at(w); o.kind != op_kind::step && known(o))
        if (auto& known_one = before_step[group(o)]; !known_one.found()) known_one = w;
  }
  if (stuck == 0) return {};
  // The operation at which a rank stands, the second one of a pair too, and what it needs.
  auto const wait_of = [&](rank_id r) {
    place w{r, next[r.index()]};
    std::size_t pair = 0;
    for (auto const last = w.index + pair_at(r, w.index, pair);; ++w.index) {
      operation const& o = at(w);
      place const need = !known(o)                 ? place{}
                         : o.kind == op_kind::step ? before_step[group(o)]
                                                   : input_of(o);
      if (open(need) || w.index == last) return std::pair{w, need};
    }
  };
  // What a rank waits for stands on a rank that waits: after as many steps as ranks this goes
  // round.
  auto const after = [&](rank_id r) { return wait_of(r).second.rank; };
  for (std::int32_t i = 0; i < job_.ranks(); ++i) first = after(first);
  rank_id const somewhere = first;
  for (auto r = after(somewhere); r != somewhere; r = after(r)) first = std::min(first, r);
  auto const [w, need] = wait_of(first);
  pipeline_violation found{
      pipeline_rule::cycle, job_.worker_of(first), first, w.index, at(w), at(need), stuck, 0};
  auto r = first;
  do {
    auto const [here, needs] = wait_of(r);
    found.cycle.push_back({job_.worker_of(r), at(here), at(needs)});
    r = needs.rank;
  } while (r != first);
  return found;
}

constexpr operation const& schedule_checker::at(place w) const {
  return schedule_.order[w.rank][static_cast<std::size_t>(w.index)];
}

constexpr schedule_checker::place schedule_checker::input_of(operation const& o) const {
  auto const a_stage = job_.microbatches[o.pipeline];
  switch (o.kind) {
    case op_kind::forward: return o.stage > 0 ? (&of(o) - a_stage)->forward : place{};
    case op_kind::backward:
    case op_kind::backward_input:
      return o.stage.value() + 1 < job_.stages ? (&of(o) + a_stage)->gradient : of(o).forward;
    case op_kind::backward_weight: return of(o).gradient;
    default: return {};
  }
}

constexpr bool schedule_checker::known(operation const& o) const {
  if (o.kind > op_kind::step || o.stage.index() >= stages_) return false;
  if (o.kind == op_kind::step) return o.pipeline == 0 && o.microbatch == 0;
  return o.pipeline.index() < static_cast<std::size_t>(job_.pipelines) &&
         o.microbatch.index() < static_cast<std::size_t>(job_.microbatches[o.pipeline]);
}

constexpr bool schedule_checker::pair_at(rank_id r, std::int32_t i, std::size_t& next) const {
  if (schedule_.overlapped.empty()) return false;
  auto const& pairs = schedule_.overlapped[r];
  while (next < pairs.size() && pairs[next] < i) ++next;
  return next < pairs.size() && pairs[next] == i &&
         static_cast<std::size_t>(i) + 1 < schedule_.order[r].size();
}

constexpr std::size_t schedule_checker::index(operation const& o) const {
  return job_.cell(o.pipeline, o.stage, o.microbatch);
}

SHUNT_CONSTEXPR void schedule_checker::report(pipeline_rule rule, place w, operation const& o,
                                              operation const& related, std::int64_t count,
                                              std::int64_t limit) {
  found_.push_back({rule, job_.worker_of(w.rank), w.rank, w.index, o, related, count, limit});
}

SHUNT_CONSTEXPR void schedule_checker::read_lists() {
  auto const ranks = static_cast<std::size_t>(job_.ranks());
  std::vector<std::uint8_t> dead(ranks, 0);
  for (worker const& w : job_.dead) dead[job_.rank_of(w).index()] = 1;
  // The stages of rank r are held[begin[r]] up to held[begin[r + 1]].
  std::vector<std::int32_t> begin(ranks + 1, 0);
  std::vector<stage_id> held(static_cast<std::size_t>(job_.workers()));
  each_worker([&](rank_id r, stage_id) { ++begin[r.index() + 1]; });
  for (std::size_t r = 0; r < ranks; ++r) begin[r + 1] += begin[r];
  std::vector<std::int32_t> next(begin.begin(), begin.end() - 1);
  each_worker(
      [&](rank_id r, stage_id s) { held[static_cast<std::size_t>(next[r.index()]++)] = s; });

  std::vector<stage_state> state(stages_);
  for (rank_id r : ids<rank_id>(ranks)) {
    auto const first = begin[r.index()], last = begin[r.index() + 1];
    for (auto k = first; k < last; ++k)
      state[held[static_cast<std::size_t>(k)].index()] = {.holder = r};
    read_list(r, dead[r.index()] == 0, state);
    for (auto k = first; dead[r.index()] == 0 && k < last; ++k) {
      stage_id const s = held[static_cast<std::size_t>(k)];
      if (state[s.index()].step >= 0) continue;
      state[s.index()].step = 0;  // two of its pipelines may hold the stage here
      report(pipeline_rule::step_missing, {r, -1}, {.kind = op_kind::step, .stage = s});
    }
  }
}

SHUNT_CONSTEXPR void schedule_checker::read_list(rank_id r, bool alive,
                                                 std::vector<stage_state>& state) {
  auto const& list = schedule_.order[r];
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(list.size()); ++i) {
    operation const& o = list[static_cast<std::size_t>(i)];
    place const here{r, i};
    if (!known(o)) {
      report(pipeline_rule::unknown, here, o);
      continue;
    }
    auto& own = state[o.stage.index()];
    if (!alive) report(pipeline_rule::dead_worker, here, o);
    if (own.holder != r) {
      report(pipeline_rule::wrong_stage, here, o);
    } else if (own.step >= 0) {
      report(o.kind == op_kind::step ? pipeline_rule::repeated : pipeline_rule::step_not_last, here,
             o, at({r, own.step}));
    } else if (o.kind == op_kind::step) {
      own.step = i;
    }
    if (o.kind != op_kind::step) enter(o, here);
  }
}

constexpr void schedule_checker::enter(operation const& o, place here) {
  cell& c = cells_[index(o)];
  place* const own = o.kind == op_kind::forward           ? &c.forward
                     : o.kind == op_kind::backward_weight ? &c.weight
                                                          : &c.gradient;
  place const before = o.kind == op_kind::backward && !own->found() ? c.weight : *own;
  if (before.found()) return report(pipeline_rule::repeated, here, o, at(before));
  *own = here;
  if (o.kind == op_kind::backward) c.weight = here;
}

SHUNT_CONSTEXPR void schedule_checker::compare_places() {
  cell const* c = cells_.data();
  for (pipeline_id p : ids<pipeline_id>(job_.pipelines))
    for (stage_id s : ids<stage_id>(job_.stages))
      for (microbatch_id m : ids<microbatch_id>(job_.microbatches[p])) compare(*c++, p, s, m);
}

constexpr void schedule_checker::compare(cell const& c, pipeline_id p, stage_id s,
                                         microbatch_id m) {
  auto const missing = [&](op_kind kind) {
    found_.push_back({.rule = pipeline_rule::missing, .operation = {kind, p, s, m}});
  };
  auto const behind = [&](place later, place earlier) {
    if (!later.found() || !earlier.found()) return;
    if (later.rank != earlier.rank)
      report(pipeline_rule::stash_elsewhere, later, at(later), at(earlier));
    else if (later.index < earlier.index)
      report(pipeline_rule::before_its_input, later, at(later), at(earlier));
  };
  bool const one_rank = c.forward.rank == c.gradient.rank && c.gradient.rank == c.weight.rank;
  if (one_rank && c.forward.found() && c.forward.index < c.gradient.index &&
      c.gradient.index <= c.weight.index)
    return;
  if (!c.forward.found()) missing(op_kind::forward);
  if (!c.gradient.found()) missing(c.weight.found() ? op_kind::backward_input : op_kind::backward);
  if (c.gradient.found() && !c.weight.found()) missing(op_kind::backward_weight);
  behind(c.gradient, c.forward);
  if (c.weight != c.gradient) behind(c.weight, c.gradient.found() ? c.gradient : c.forward);
}

SHUNT_CONSTEXPR void schedule_checker::check_pairs(rank_id r) {
  auto const& list = schedule_.order[r];
  auto const length = static_cast<std::int64_t>(list.size());
  std::int64_t free = 0;  // end of the previous pair
  for (std::int32_t const i : schedule_.overlapped[r]) {
    if (i < free || i + std::int64_t{1} >= length) {
      report(pipeline_rule::pair_place, {r, -1}, {}, {}, i, length);
      continue;
    }
    free = i + std::int64_t{2};
    operation const &a = list[static_cast<std::size_t>(i)],
                    &b = list[static_cast<std::size_t>(i) + 1];
    auto const gradient = [](operation const& o) {
      return o.kind == op_kind::backward || o.kind == op_kind::backward_input;
    };
    bool const kinds =
        (a.kind == op_kind::forward && gradient(b)) || (gradient(a) && b.kind == op_kind::forward);
    // A backward of the same micro-batch needs the forward.
    bool const apart = a.pipeline != b.pipeline || a.microbatch != b.microbatch;
    if (!kinds || !apart) report(pipeline_rule::pair_kinds, {r, i + 1}, b, a);
  }
}

SHUNT_CONSTEXPR void schedule_checker::count_stashes(rank_id r, std::int64_t limit) {
  auto const& list = schedule_.order[r];
  // A list with repeated operations may hold more than any plan.
  constexpr std::int64_t most = std::int64_t{1} << 62;
  std::int64_t held = 0;
  auto const count = [&](std::int32_t i) {
    operation const& o = list[static_cast<std::size_t>(i)];
    if (!known(o)) return;
    held = std::clamp(held, -most, most);
    auto const whole = [&] { return job_.stash.forward[o.stage]; };
    auto const early = [&] { return job_.stash.backward_input[o.stage]; };
    switch (o.kind) {
      case op_kind::forward:
        if ((held += whole()) > limit) report(pipeline_rule::memory, {r, i}, o, {}, held, limit);
        break;
      case op_kind::backward: held -= whole(); break;
      case op_kind::backward_input: held -= early(); break;
      case op_kind::backward_weight: held -= whole() - early(); break;
      default: break;
    }
  };
  std::size_t pair = 0;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(list.size()); ++i) {
    if (pair_at(r, i, pair) && list[static_cast<std::size_t>(i)].kind != op_kind::forward) {
      count(i + 1);
      count(i++);
    } else {
      count(i);
    }
  }
}

}  // namespace shunt::detail
