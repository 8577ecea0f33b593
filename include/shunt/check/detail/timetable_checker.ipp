#pragma once
#include "shunt/check/detail/timetable_checker.hpp"

#include <algorithm>
#include <cstddef>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR std::vector<pipeline_violation> timetable_checker::find_violations() {
  found_ = places_.find_violations();
  if (schedule_.order.size() != static_cast<std::size_t>(job_.ranks())) return found_;
  for (rank_id r : ids<rank_id>(job_.ranks())) {
    auto const operations = schedule_.order[r].size();
    auto const times = r.index() < table_.times.size() ? table_.times[r].size() : 0;
    if (times != operations)
      report(pipeline_rule::untimed, {r, -1}, {}, static_cast<std::int64_t>(times),
             static_cast<std::int64_t>(operations));
  }
  if (!found_.empty()) return found_;  // times of a broken schedule mean nothing
  for (rank_id r : ids<rank_id>(job_.ranks())) {
    std::size_t next = 0;
    bool second = false;  // of a pair
    for (std::int32_t i = 0; i < static_cast<std::int32_t>(schedule_.order[r].size()); ++i) {
      bool const first = places_.pair_at(r, i, next);
      check_operation({r, i}, first, second);
      second = first;
    }
  }
  check_steps();
  return found_;
}

SHUNT_CONSTEXPR interval const& timetable_checker::when(place w) const {
  return table_.times[w.rank][static_cast<std::size_t>(w.index)];
}

SHUNT_CONSTEXPR void timetable_checker::report(pipeline_rule rule, place w,
                                               operation const& related, std::int64_t count,
                                               std::int64_t limit) {
  operation const o = w.index >= 0 ? places_.at(w) : operation{};
  found_.push_back({rule, job_.worker_of(w.rank), w.rank, w.index, o, related, count, limit});
}

SHUNT_CONSTEXPR ticks timetable_checker::cost(place w) const {
  operation const& o = places_.at(w);
  auto const& c = job_.costs;
  auto const each = [&](per_stage const& list) { return job_.cost_on(list, w.rank, o.stage); };
  if (o.kind == op_kind::step) return each(c.step);
  ticks unit = 0;
  if (o.kind == op_kind::forward) unit = each(c.forward);
  if (o.kind != op_kind::forward && o.kind != op_kind::backward_weight)
    unit += each(c.backward_input);
  if (o.kind == op_kind::backward || o.kind == op_kind::backward_weight)
    unit += each(c.backward_weight);
  return unit * job_.length_of(o.pipeline, o.microbatch);
}

SHUNT_CONSTEXPR void timetable_checker::check_operation(place w, bool first_of_pair,
                                                        bool second_of_pair) {
  auto const [start, end] = when(w);
  place const before{w.rank, w.index - 1}, after{w.rank, w.index + 1};
  if (second_of_pair) {
    auto const other = when(before);
    if (start != other.start)
      report(pipeline_rule::apart, w, places_.at(before), start, other.start);
    if (end != other.end) report(pipeline_rule::apart, w, places_.at(before), end, other.end);
  } else {
    ticks due = cost(w);
    if (first_of_pair) {
      ticks const other = cost(after);
      due += other - std::min({job_.costs.overlap_gain, due, other});
    }
    if (end - start != due) report(pipeline_rule::duration, w, {}, end - start, due);
    if (start < 0) report(pipeline_rule::early, w, {}, start, 0);
    if (w.index > 0 && start < when(before).end)
      report(pipeline_rule::overlap, w, places_.at(before), start, when(before).end);
  }
  place const need = places_.input_of(places_.at(w));
  if (!need.found()) return;
  ticks const there = when(need).end + job_.transfer(need.rank, w.rank);
  if (start < there) report(pipeline_rule::dependency, w, places_.at(need), start, there);
}

SHUNT_CONSTEXPR void timetable_checker::check_steps() {
  std::vector<place> latest(schedule_.staggered_step ? static_cast<std::size_t>(job_.stages) : 1);
  auto const each = [&](bool steps, auto&& visit) {
    for (rank_id r : ids<rank_id>(job_.ranks()))
      for (std::int32_t i = 0; i < static_cast<std::int32_t>(schedule_.order[r].size()); ++i) {
        operation const& o = places_.at({r, i});
        if ((o.kind == op_kind::step) == steps)
          visit(place{r, i}, latest[schedule_.staggered_step ? o.stage.index() : 0]);
      }
  };
  each(false, [&](place w, place& last) {
    if (!last.found() || when(w).end > when(last).end) last = w;
  });
  each(true, [&](place w, place const& last) {
    if (last.found() && when(w).start < when(last).end)
      report(pipeline_rule::early_step, w, places_.at(last), when(w).start, when(last).end);
  });
}

}  // namespace shunt::detail
