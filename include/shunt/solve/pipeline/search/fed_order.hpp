#pragma once
/// List schedule of one pipeline without a limit of memory, in which a rank that is about to run
/// out of forwards is fed first.
///
/// Until the first gradients are back, ranks have nothing but forwards, and what a rank idles then
/// it never makes good: so the start decides the makespan of a balanced cut. Starts operations in
/// the order of `fed_order::run`. Never deadlocks.
/// Complexity: O(chunks of a rank + log ranks) an operation.
/// Reference: the rule of the work in the next queue of Conway, Maxwell and Miller, Theory of
/// Scheduling, 1967.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/search/winner_tree.hpp"

namespace shunt::detail {

/// One schedule. Workers are numbered rank by rank, on a rank by stage, as in `chain_scheduler`.
class fed_order {
 public:
  /// Requires a valid job of one pipeline without dead ranks or lengths of micro-batches.
  explicit fed_order(pipeline_job const& job);

  /// Starts all operations that can start before the time `until`. An idle rank starts the first of
  ///
  ///  1. a backward_input, of the oldest micro-batch: its backward_weight can fill a later gap;
  ///  2. a forward of the first two micro-batches, which bring the first gradients;
  ///  3. a forward whose next rank has less work than the forward takes: ticks of forwards that are
  ///     there or on their way, and what is left of its operation; that with the least first;
  ///  4. a forward of an old micro-batch and an early stage;
  ///  5. a backward_weight, of the oldest micro-batch.
  void run(ticks until = std::numeric_limits<ticks>::max());

  /// Returns the ticks that each rank idled between its operations, and before the first one.
  [[nodiscard]] std::vector<ticks> idle() const;
  /// Returns the operations in the order of their starts: 4 x worker + 0, 1 or 2 for a forward,
  /// backward_input or backward_weight.
  [[nodiscard]] std::vector<std::int32_t> const& sequence() const { return sequence_; }

 private:
  struct position_state {
    ticks forward = 1, input = 1, weight = 0, onward = 0, back = 0;
    ticks before = 0;  // forwards and transfers of the stages before
    std::int32_t next = -1, previous = -1, rank = 0;
    std::int32_t forwards = 0, inputs = 0, weights = 0;  // started
    std::int32_t forwards_known = 0, inputs_known = 0;   // with a known arrival
  };
  struct rank_state {
    ticks end = 0, idle = 0;
    ticks queued = 0;  // forwards that are there or on their way
    bool waits = true;
  };
  /// The place of an operation in the order above; the smallest starts.
  struct choice {
    std::int32_t position = -1, kind = 0, rule = 0;
    ticks key = 0;
  };

  [[nodiscard]] position_state& position(std::int32_t q);
  [[nodiscard]] ticks& arrival(std::int32_t q, std::int32_t m, bool input);
  /// Returns the operation that a rank starts, and sets when it looks again where there is none.
  [[nodiscard]] choice choose(std::int32_t r, ticks now, ticks& again);
  [[nodiscard]] choice forward_of(std::int32_t q, ticks now);
  void begin(choice const& c, std::int32_t r, ticks now);
  void post(std::int32_t to, std::int32_t m, ticks when, bool input);

  std::int32_t count_;
  ticks slope_ = 0;  // the most work of a rank for a micro-batch
  std::vector<std::int32_t> first_{};
  std::vector<position_state> positions_{};
  std::vector<rank_state> ranks_{};
  std::vector<ticks> arrival_{};
  std::vector<std::int32_t> sequence_{};
  winner_tree tree_;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/fed_order.ipp"
#endif
