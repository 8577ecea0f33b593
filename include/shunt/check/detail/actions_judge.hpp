#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/check/detail/event_graph.hpp"
#include "shunt/check/detail/schedule_judge.hpp"
#include "shunt/check/pipeline_violation.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/plan/pipeline_actions.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt::detail {

/// The rules on a schedule and its messages.
class actions_checker {
 public:
  constexpr actions_checker(pipeline_job const& job, pipeline_schedule const& schedule,
                            pipeline_actions const& actions)
      : job_(job),
        schedule_(schedule),
        actions_(actions),
        places_(job, schedule),
        stages_(static_cast<std::size_t>(job.stages)),
        microbatches_(static_cast<std::size_t>(job.microbatches)) {}

  [[nodiscard]] constexpr std::vector<pipeline_violation> find_violations() {
    auto found = places_.violations_before_execution();
    bool const lists = schedule_.order.size() == static_cast<std::size_t>(job_.ranks());
    if (lists && actions_.lists.size() != schedule_.order.size())
      found_.push_back({.rule = pipeline_rule::lists,
                        .count = static_cast<std::int64_t>(actions_.lists.size()),
                        .limit = job_.ranks()});
    bool done = false;
    if (lists && found_.empty()) {
      auto const outputs = 2 * static_cast<std::size_t>(job_.workers()) * microbatches_;
      some_unknown_ = !found.empty();
      here_.assign(outputs, -1);
      send_.assign(outputs, {});
      receive_.assign(outputs, {});
      partner_.assign(actions_.lists.size(), {});
      for (rank_id r : ids<rank_id>(actions_.lists.size())) read_list(r);
      if (some_bad_ || send_ != receive_) match();
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

 private:
  static constexpr std::size_t nothing = static_cast<std::size_t>(-1);

  /// One end of a message: its position among all messages from one rank to the other.
  struct message {
    rank_id from = -1, to = -1;
    std::int32_t turn = -1;
    constexpr bool operator==(message const&) const = default;
  };
  /// State of another rank while a rank's list is read.
  struct partner {
    rank_id known_to = -1;
    std::int32_t sent = 0, received = 0;
    std::uint8_t send_lane = 0, receive_lane = 0;
  };

  constexpr void report(pipeline_rule rule, rank_id r, std::size_t i, operation const& related = {},
                        std::int64_t count = 0, std::int64_t limit = 0) {
    found_.push_back({rule, job_.worker_of(r), r, static_cast<std::int32_t>(i),
                      actions_.lists[r][i].op, related, count, limit});
  }

  /// Number of an output: forward and gradient of each cell.
  [[nodiscard]] constexpr std::size_t output(operation const& o) const {
    std::size_t const c =
        (o.pipeline.index() * stages_ + o.stage.index()) * microbatches_ + o.microbatch.index();
    return 2 * c + (o.kind != op_kind::forward);
  }
  /// The output that an operation needs beside its own stage's stash. `own`: its own output.
  [[nodiscard]] constexpr std::size_t input(operation const& o, std::size_t own) const {
    if (o.kind == op_kind::forward) return o.stage > 0 ? own - 2 * microbatches_ : nothing;
    bool const gradient = o.kind == op_kind::backward || o.kind == op_kind::backward_input;
    return gradient && o.stage.index() + 1 < stages_ ? own + 2 * microbatches_ : nothing;
  }

  /// Whether a message is between ranks that exist, of an output that another rank may need.
  [[nodiscard]] constexpr bool sound(rank_id r, pipeline_action const& a) const {
    operation const& o = a.op;
    bool const forward = o.kind == op_kind::forward && o.stage.index() + 1 < stages_;
    bool const gradient = o.kind == op_kind::backward_input && o.stage > 0;
    return (forward || gradient) && places_.known(o) && a.peer != r &&
           actions_.lists.contains(a.peer) && a.lane >= pipeline_lanes::first_of_messages;
  }

  /// Compares computes with the schedule, inputs and outputs with earlier actions, and numbers
  /// messages.
  constexpr void read_list(rank_id r) {
    auto const& list = actions_.lists[r];
    auto const& order = schedule_.order[r];
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
        std::size_t const own = output(a.op);
        if (auto const need = input(a.op, own); need != nothing && here_[need] != r.value())
          report(pipeline_rule::not_received, r, i);
        here_[own] = r.value();
        continue;
      }
      if (!sound(r, a)) {
        report(pipeline_rule::bad_message, r, i);
        some_bad_ = true;
        continue;
      }
      std::size_t const number = output(a.op);
      bool const receives = a.kind == action_kind::receive;
      auto& with = partner_[a.peer.index()];
      if (with.known_to != r) with = {.known_to = r};
      own_lane(a, receives ? with.receive_lane : with.send_lane);
      if (!receives && here_[number] != r.value()) report(pipeline_rule::sent_early, r, i);
      if (receives) here_[number] = r.value();
      message& end = (receives ? receive_ : send_)[number];
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

  /// Records whether every edge has one lane and every lane one edge. `lane`: the lane of the edge
  /// so far, or 0.
  constexpr void own_lane(pipeline_action const& a, std::uint8_t& lane) {
    if (lane == a.lane) return;
    edges_alone_ = edges_alone_ && lane == 0 && !lane_used_[a.lane];
    lane = a.lane;
    lane_used_[a.lane] = true;
  }

  /// Reports ends of messages without a counterpart or out of order.
  constexpr void match() {
    for (rank_id r : ids<rank_id>(actions_.lists.size()))
      for (std::size_t i = 0; i < actions_.lists[r].size(); ++i) {
        auto const& a = actions_.lists[r][i];
        if (a.kind == action_kind::compute || !sound(r, a)) continue;
        message const &sent = send_[output(a.op)], &received = receive_[output(a.op)];
        if (sent.from != received.from || sent.to != received.to)
          report(pipeline_rule::unmatched, r, i);
        else if (a.kind == action_kind::send && sent.turn != received.turn)
          report(pipeline_rule::overtaken, r, i, {}, sent.turn, received.turn);
      }
  }

  /// The group of operations that a step waits for, and the sizes of all groups.
  [[nodiscard]] constexpr std::size_t group(operation const& o) const {
    return schedule_.staggered_step ? o.stage.index() : 0;
  }
  [[nodiscard]] constexpr std::vector<std::int64_t> before_steps() const {
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

  constexpr void stop_at(rank_id r, std::size_t i, std::int64_t stuck) {
    auto const& list = actions_.lists[r];
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

  /// Runs the lists with buffered sends. That decides where every edge has its own lane and one
  /// order: a send may then end with its receive, because all earlier messages of its lane were
  /// received before.
  /// Returns whether all lists end.
  [[nodiscard]] constexpr bool run_lists() {
    constexpr std::int32_t none_waiting = -1;
    auto const ranks = actions_.lists.size();
    auto left = before_steps();
    constexpr std::int32_t was_sent = -2;
    std::vector<std::int32_t> messages(here_.size(), none_waiting);  // or the rank that waits
    std::vector<std::int32_t> before_step(left.size(), none_waiting),
        next_waiter(ranks, none_waiting);
    std::vector<std::size_t> next(ranks, 0);
    std::vector<rank_id> runnable;
    runnable.reserve(ranks);
    for (auto r = static_cast<std::int32_t>(ranks); r-- > 0;) runnable.push_back(r);
    while (!runnable.empty()) {
      rank_id const r = runnable.back();
      runnable.pop_back();
      auto const& list = actions_.lists[r];
      std::size_t i = next[r.index()];
      for (; i < list.size(); ++i) {
        auto const& a = list[i];
        if (a.kind == action_kind::receive) {
          auto& m = messages[output(a.op)];
          if (m == was_sent) continue;
          m = r.value();
          break;
        }
        if (a.kind == action_kind::send) {
          auto& m = messages[output(a.op)];
          if (m != none_waiting) runnable.push_back(m);
          m = was_sent;
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

  /// Runs lanes that edges share: every lane in order, both ends of a message together. Returns
  /// whether all lists end.
  [[nodiscard]] constexpr bool run_lanes() {
    std::vector<std::size_t> first(actions_.lists.size() + 1, 0);
    for (std::size_t r = 0; r < actions_.lists.size(); ++r)
      first[r + 1] = first[r] + actions_.lists.items()[r].size();
    std::size_t const groups = schedule_.staggered_step ? stages_ : 1;
    event_graph events(first.back() + groups);  // actions, then the moments that allow steps
    each_wait(first, [&](std::size_t earlier, std::size_t) { events.count(earlier); });
    events.counted();
    each_wait(first, [&](std::size_t earlier, std::size_t later) { events.wait(earlier, later); });
    std::vector<std::size_t> other_end(here_.size(), nothing);
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

  template <class Visit>
  constexpr void each_wait(std::vector<std::size_t> const& first, Visit&& visit) const {
    // On the rank being read: the action that makes or receives an output.
    std::vector<std::size_t> made(here_.size(), nothing);
    for (rank_id r : ids<rank_id>(actions_.lists.size())) {
      auto const& list = actions_.lists[r];
      std::array<std::size_t, 256> last{};
      last.fill(nothing);
      std::size_t earlier_computing = nothing;
      for (std::size_t i = 0; i < list.size(); ++i) {
        auto const& a = list[i];
        std::size_t const self = first[r.index()] + i;
        bool const computes = a.kind == action_kind::compute;
        std::size_t& before =
            computes ? earlier_computing
                     : last[a.lane];  // the operations of a rank go one after another, or in pairs
        if (before != nothing) visit(before, self);
        before = self;
        if (a.kind == action_kind::receive) {
          made[output(a.op)] = self;
        } else if (a.kind == action_kind::send) {
          visit(made[output(a.op)], self);
        } else if (a.op.kind == op_kind::step) {
          visit(first.back() + group(a.op), self);
        } else {
          if (auto const need = input(a.op, output(a.op)); need != nothing) {
            visit(made[need], self);
            bool const second = a.lane == pipeline_lanes::second_of_pair && i > 0 &&
                                list[i - 1].kind == action_kind::compute;
            if (second) visit(made[need], self - 1);  // both wait for the inputs of both
          }
          if (a.op.kind != op_kind::backward_weight) made[output(a.op)] = self;
          visit(self, first.back() + group(a.op));
        }
      }
    }
  }

  pipeline_job const& job_;
  pipeline_schedule const& schedule_;
  pipeline_actions const& actions_;
  schedule_checker places_;
  std::size_t stages_, microbatches_;
  std::vector<std::int32_t> here_{};  // by output: the last rank that made or received it
  std::vector<message> send_{}, receive_{};
  std::vector<partner> partner_{};
  std::array<bool, 256> lane_used_{};  // of the rank being read
  bool edges_alone_ = true, some_bad_ = false, some_unknown_ = false;
  std::int64_t steps_ = 0;
  std::vector<pipeline_violation> found_{};
  pipeline_violation stopped_{};
};

}  // namespace shunt::detail
