#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/check/detail/schedule_checker.hpp"
#include "shunt/check/pipeline_violation.hpp"
#include "shunt/core/config.hpp"
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
  SHUNT_CONSTEXPR actions_checker(pipeline_job const& job, pipeline_schedule const& schedule,
                                  pipeline_actions const& actions);

  [[nodiscard]] SHUNT_CONSTEXPR std::vector<pipeline_violation> find_violations();

 private:
  static constexpr std::size_t nothing = static_cast<std::size_t>(-1);

  /// One end of a message: its position among all messages from one rank to the other.
  struct message {
    rank_id from = -1, to = -1;
    std::int32_t turn = -1;
    bool operator==(message const&) const = default;
  };
  /// What the lists read so far say of an output: its message, and the last rank that made or
  /// received it.
  struct output_state {
    message sent{}, received{};
    rank_id here = -1;
  };
  /// State of another rank while a rank's list is read.
  struct partner {
    rank_id known_to = -1;
    std::int32_t sent = 0, received = 0;
    std::uint8_t send_lane = 0, receive_lane = 0;
  };

  SHUNT_CONSTEXPR void report(pipeline_rule rule, rank_id r, std::size_t i,
                              operation const& related = {}, std::int64_t count = 0,
                              std::int64_t limit = 0);

  /// Number of an output: forward and gradient of each cell.
  [[nodiscard]] constexpr std::size_t output(operation const& o) const;
  /// The output that an operation needs beside its own stage's stash. `own`: its own output.
  [[nodiscard]] constexpr std::size_t input(operation const& o, std::size_t own) const;

  /// Whether a message is between ranks that exist, of an output that another rank may need.
  [[nodiscard]] constexpr bool sound(rank_id r, pipeline_action const& a) const;

  /// Compares computes with the schedule, inputs and outputs with earlier actions, and numbers
  /// messages.
  SHUNT_CONSTEXPR void read_list(rank_id r);

  /// Records whether every edge has one lane and every lane one edge. `lane`: the lane of the edge
  /// so far, or 0.
  constexpr void own_lane(pipeline_action const& a, std::uint8_t& lane);

  /// Reports ends of messages without a counterpart or out of order.
  SHUNT_CONSTEXPR void match();

  /// The group of operations that a step waits for, and the sizes of all groups.
  [[nodiscard]] constexpr std::size_t group(operation const& o) const;
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<std::int64_t> before_steps() const;

  SHUNT_CONSTEXPR void stop_at(rank_id r, std::size_t i, std::int64_t stuck);

  /// Runs the lists with buffered sends. That decides where every edge has its own lane and one
  /// order: a send may then end with its receive, because all earlier messages of its lane were
  /// received before.
  /// Returns whether all lists end.
  [[nodiscard]] SHUNT_CONSTEXPR bool run_lists();

  /// Runs lanes that edges share: every lane in order, both ends of a message together. Returns
  /// whether all lists end.
  [[nodiscard]] SHUNT_CONSTEXPR bool run_lanes();

  template <class Visit>
  SHUNT_CONSTEXPR void each_wait(std::vector<std::size_t> const& first, Visit&& visit) const {
    // On the rank being read: the action that makes or receives an output.
    std::vector<std::size_t> made(outputs_.size(), nothing);
    for (rank_id r : ids<rank_id>(actions_.lists.size())) {
      auto const list = actions_.lists[r];
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
  std::size_t pipelines_, stages_;
  std::vector<output_state> outputs_{};
  std::vector<partner> partner_{};
  std::array<bool, 256> lane_used_{};  // of the rank being read
  bool edges_alone_ = true, some_bad_ = false, some_unknown_ = false;
  std::int64_t steps_ = 0;
  std::vector<pipeline_violation> found_{};
  pipeline_violation stopped_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/check/detail/actions_checker.ipp"
#endif
