#pragma once
#include "shunt/check/detail/actions_checker.hpp"

#include <algorithm>
#include <span>

#include "shunt/check/detail/event_graph.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR actions_checker::actions_checker(pipeline_job const& job,
                                                 pipeline_schedule const& schedule,
                                                 pipeline_actions const& actions)
    : job_(job),
      schedule_(schedule),
      actions_(actions),
      places_(job, schedule),
      pipelines_(static_cast<std::size_t>(job.pipelines)),
      stages_(static_cast<std::size_t>(job.stages)) {}

SHUNT_CONSTEXPR std::vector<pipeline_violation> actions_checker::find_violations() {
  auto found = places_.violations_before_execution();
  bool const lists = schedule_.order.size() == static_cast<std::size_t>(job_.ranks());
  if (lists && actions_.lists.size() != schedule_.order.size())
    found_.push_back({.rule = pipeline_rule::lists,
                      .count = static_cast<std::int64_t>(actions_.lists.size()),
                      .limit = job_.ranks()});
  bool done = false;
  if (lists && found_.empty()) {
    some_unknown_ = !found.empty();
    outputs_.resize(2 * job_.cells());
    partner_.assign(actions_.lists.size(), {});
    for (rank_id r : ids<rank_id>(actions_.lists.size())) read_list(r);
    if (some_bad_ || std::any_of(outputs_.begin(), outputs_.end(),
                                 [](auto const& o) { return o.sent != o.received; }))
      match();
    if (found.empty() && found_.empty()) done = edges_alone_ ? run_lists() : run_lanes();
  }
  if (!done && lists) {
    auto const waits = places_.execution();
    if (waits.rule == pipeline_rule::cycle)
      found.push_back(waits);
    else if (found.empty() && found_.empty())
      found_.push_back(stopped_);
  }
  found.insert(found.end(), found_.begin(), found_.end());
  return found;
}

SHUNT_CONSTEXPR void actions_checker::report(pipeline_rule rule, rank_id r, std::size_t i,
                                             operation const& related, std::int64_t count,
                                             std::int64_t limit) {
  found_.push_back({rule, job_.worker_of(r), r, static_cast<std::int32_t>(i),
                    actions_.lists[r][i].op, related, count, limit});
}

constexpr std::size_t actions_checker::output(operation const& o) const {
  return 2 * job_.cell(o.pipeline, o.stage, o.microbatch) + (o.kind != op_kind::forward);
}

constexpr std::size_t actions_checker::input(operation const& o, std::size_t own) const {
  std::size_t const a_stage = 2 * static_cast<std::size_t>(job_.microbatches[o.pipeline]);
  if (o.kind == op_kind::forward) return o.stage > 0 ? own - a_stage : nothing;
  bool const gradient = o.kind == op_kind::backward || o.kind == op_kind::backward_input;
  return gradient && o.stage.index() + 1 < stages_ ? own + a_stage : nothing;
}

constexpr bool actions_checker::sound(rank_id r, pipeline_action const& a) const {
  operation const& o = a.op;
  bool const forward = o.kind == op_kind::forward && o.stage.index() < stages_ - 1;
  bool const gradient =
      o.kind == op_kind::backward_input && o.stage > 0 && o.stage.index() < stages_;
  return (forward || gradient) && o.pipeline.index() < pipelines_ &&
         o.microbatch.index() < static_cast<std::size_t>(job_.microbatches[o.pipeline]) &&
         a.peer != r && actions_.lists.contains(a.peer) &&
         a.lane >= pipeline_lanes::first_of_messages;
}

SHUNT_CONSTEXPR void actions_checker::read_list(rank_id r) {
  auto const list = actions_.lists[r];
  std::span<operation const> const order = schedule_.order[r];
  std::size_t computed = 0;
  lane_used_.fill(false);
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto const& a = list[i];
    if (a.kind == action_kind::compute) {
      if (computed == order.size() || order[computed] != a.op)
        return report(pipeline_rule::altered, r, i,
                      computed < order.size() ? order[computed] : operation{});
      ++computed;
      steps_ += a.op.kind == op_kind::step;
      if (a.op.kind >= op_kind::backward_weight || (some_unknown_ && !places_.known(a.op)))
        continue;
      std::size_t const own = output(a.op), need = input(a.op, own);
      if (need != nothing && outputs_[need].here != r) report(pipeline_rule::not_received, r, i);
      outputs_[own].here = r;
      continue;
    }
    if (!sound(r, a)) {
      report(pipeline_rule::bad_message, r, i);
      some_bad_ = true;
      continue;
    }
    output_state& of = outputs_[output(a.op)];
    auto& with = partner_[a.peer.index()];
    if (with.known_to != r) with = {.known_to = r};
    bool const receives = a.kind == action_kind::receive;
    own_lane(a, receives ? with.receive_lane : with.send_lane);
    if (receives)
      of.here = r;
    else if (of.here != r)
      report(pipeline_rule::sent_early, r, i);
    message& end = receives ? of.received : of.sent;
    if (end.turn >= 0) {
      report(pipeline_rule::repeated, r, i, a.op);
      continue;
    }
    end.from = receives ? a.peer : r;
    end.to = receives ? r : a.peer;
    end.turn = receives ? with.received++ : with.sent++;
  }
  if (computed < order.size())
    found_.push_back({.rule = pipeline_rule::altered,
                      .worker = job_.worker_of(r),
                      .rank = r,
                      .related = order[computed]});
}

constexpr void actions_checker::own_lane(pipeline_action const& a, std::uint8_t& lane) {
  if (lane == a.lane) return;
  edges_alone_ = edges_alone_ && lane == 0 && !lane_used_[a.lane];
  lane = a.lane;
  lane_used_[a.lane] = true;
}

SHUNT_CONSTEXPR void actions_checker::match() {
  for (rank_id r : ids<rank_id>(actions_.lists.size()))
    for (std::size_t i = 0; i < actions_.lists[r].size(); ++i) {
      auto const& a = actions_.lists[r][i];
      if (a.kind == action_kind::compute || !sound(r, a)) continue;
      auto const& [sent, received, here] = outputs_[output(a.op)];
      if (sent.from != received.from || sent.to != received.to)
        report(pipeline_rule::unmatched, r, i);
      else if (a.kind == action_kind::send && sent.turn != received.turn)
        report(pipeline_rule::overtaken, r, i, {}, sent.turn, received.turn);
    }
}

constexpr std::size_t actions_checker::group(operation const& o) const {
  return schedule_.staggered_step ? o.stage.index() : 0;
}

SHUNT_CONSTEXPR std::vector<std::int64_t> actions_checker::before_steps() const {
  std::vector<std::int64_t> left(schedule_.staggered_step ? stages_ : 1, 0);
  if (schedule_.staggered_step) {
    for (auto const& list : schedule_.order)
      for (operation const& o : list) left[o.stage.index()] += o.kind != op_kind::step;
  } else {
    for (auto const& list : schedule_.order) left[0] += static_cast<std::int64_t>(list.size());
    left[0] -= steps_;
  }
  return left;
}

SHUNT_CONSTEXPR void actions_checker::stop_at(rank_id r, std::size_t i, std::int64_t stuck) {
  auto const list = actions_.lists[r];
  if (stopped_.index < 0)
    stopped_ = {pipeline_rule::deadlock,
                job_.worker_of(r),
                r,
                static_cast<std::int32_t>(i),
                list[i].op,
                {},
                0,
                0};
  stopped_.count += stuck;
}

SHUNT_CONSTEXPR bool actions_checker::run_lists() {
  constexpr std::int32_t none_waiting = -1;
  auto const ranks = actions_.lists.size();
  auto left = before_steps();
  enum class progress : std::uint8_t { none, awaited, sent };
  std::vector<progress> messages(outputs_.size(), progress::none);
  std::vector<std::int32_t> before_step(left.size(), none_waiting),
      next_waiter(ranks, none_waiting);
  std::vector<std::size_t> next(ranks, 0);
  std::vector<rank_id> runnable;
  runnable.reserve(ranks);
  for (auto r = static_cast<std::int32_t>(ranks); r-- > 0;) runnable.push_back(r);
  while (!runnable.empty()) {
    rank_id const r = runnable.back();
    runnable.pop_back();
    auto const list = actions_.lists[r];
    std::size_t i = next[r.index()];
    for (; i < list.size(); ++i) {
      auto const& a = list[i];
      if (a.kind == action_kind::receive) {
        auto& m = messages[output(a.op)];
        if (m == progress::sent) continue;
        m = progress::awaited;
        break;
      }
      if (a.kind == action_kind::send) {
        auto& m = messages[output(a.op)];
        if (m == progress::awaited) runnable.push_back(a.peer);
        m = progress::sent;
      } else if (auto const g = group(a.op); a.op.kind != op_kind::step) {
        if (--left[g] > 0) continue;
        for (auto w = before_step[g]; w != none_waiting;
             w = next_waiter[static_cast<std::size_t>(w)])
          runnable.push_back(w);
      } else if (left[g] > 0) {
        next_waiter[r.index()] = before_step[g];
        before_step[g] = r.value();
        break;
      }
    }
    next[r.index()] = i;
  }
  for (rank_id r : ids<rank_id>(ranks))
    if (auto const at = next[r.index()]; at < actions_.lists[r].size())
      stop_at(r, at, static_cast<std::int64_t>(actions_.lists[r].size() - at));
  return stopped_.index < 0;
}

SHUNT_CONSTEXPR bool actions_checker::run_lanes() {
  std::vector<std::size_t> first(actions_.lists.size() + 1, 0);
  for (rank_id r : ids<rank_id>(actions_.lists.size()))
    first[r.index() + 1] = first[r.index()] + actions_.lists[r].size();
  std::size_t const groups = schedule_.staggered_step ? stages_ : 1;
  event_graph events(first.back() + groups);  // actions, then the moments that allow steps
  each_wait(first, [&](std::size_t earlier, std::size_t) { events.count(earlier); });
  events.counted();
  each_wait(first, [&](std::size_t earlier, std::size_t later) { events.wait(earlier, later); });
  std::vector<std::size_t> other_end(outputs_.size(), nothing);
  for (rank_id r : ids<rank_id>(actions_.lists.size()))
    for (std::size_t i = 0; i < actions_.lists[r].size(); ++i) {
      auto const& a = actions_.lists[r][i];
      if (a.kind == action_kind::compute) continue;
      auto& other = other_end[output(a.op)];
      if (other == nothing)
        other = first[r.index()] + i;
      else
        events.join(other, first[r.index()] + i);
    }
  events.run();
  for (rank_id r : ids<rank_id>(actions_.lists.size()))
    for (std::size_t i = 0; i < actions_.lists[r].size(); ++i)
      if (!events.happened(first[r.index()] + i)) stop_at(r, i, 1);
  return stopped_.index < 0;
}

}  // namespace shunt::detail
