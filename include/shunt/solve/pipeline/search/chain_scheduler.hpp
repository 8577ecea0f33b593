#pragma once
/// List scheduler for pipelines in which micro-batches stay on their own workers: any layout, costs
/// and caps; the fast engine of `zero_bubble`.
///
/// A micro-batch runs forward through its workers and back, with a backward_weight on each. Every
/// worker keeps the order of its micro-batches, so its state is the number of forwards,
/// backward_inputs and backward_weights that it has started. `run_listed` starts the available
/// operation with the smallest key of `chain_rules`; `run_ordered` follows a given order. Never
/// exceeds a cap and never deadlocks: it plans every job with caps that hold one micro-batch alone.
/// See docs/pipeline-solvers.md.
/// Complexity: O(n (log P + workers of a rank)) for n operations on P ranks, which wait in a winner
/// tree. Memory is kept from run to run.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt::detail {

/// The durations of the operations of a worker for a micro-batch of length 1, and the transfer
/// times to the next and the previous worker.
struct position_costs {
  ticks forward = 1, input = 1, weight = 1, onward = 0, back = 0;
};

/// The keys of a worker: micro-batch m has the key `forward + m * slope`, and so on; smaller keys
/// first.
struct position_rule {
  ticks forward = 0, input = 0, weight = 0;
  /// limit on the forwards without a started backward_input
  std::int32_t in_flight = std::numeric_limits<std::int32_t>::max();
};

/// The keys of all workers, and the distance of two micro-batches.
struct chain_rules {
  std::vector<position_rule> positions{};
  ticks slope = 1;
};

/// The operations of all ranks, rank by rank, with or without backward_weights. An entry is
/// 4 * worker + 0, 1 or 2 for a forward, backward_input or backward_weight.
struct chain_order {
  std::vector<std::int32_t> entries{};
  std::vector<std::size_t> first{};  ///< first entry of each rank; ranks + 1 values
  bool weights = false;
};

/// The scheduler. Keeps a reference to the job.
class chain_scheduler {
 public:
  static constexpr ticks never = std::numeric_limits<ticks>::max();

  /// Workers are numbered rank by rank, in the order of `workers_of`.
  /// Requires a valid job without dead ranks.
  explicit chain_scheduler(pipeline_job const& job);

  [[nodiscard]] std::size_t positions() const { return positions_.size(); }
  [[nodiscard]] std::int64_t operations() const;
  [[nodiscard]] worker const& at(std::size_t q) const { return positions_[q].at; }
  /// Returns the first rank that cannot stash a single micro-batch, or -1.
  [[nodiscard]] std::int32_t too_small() const;
  [[nodiscard]] std::int64_t room(std::size_t r) const { return ranks_[r].cap; }
  [[nodiscard]] std::int64_t weight(std::size_t q) const { return positions_[q].whole; }
  [[nodiscard]] std::size_t rank_of(std::size_t q) const;
  [[nodiscard]] std::int32_t next(std::size_t q) const { return positions_[q].next; }
  [[nodiscard]] std::int32_t previous(std::size_t q) const { return positions_[q].previous; }

  /// Sets the costs of the next runs, one per worker.
  void use(std::vector<position_costs> const& costs);

  /// With `whole` the next runs hold the whole stash until the backward_weight, as if a
  /// backward_input gave nothing back.
  void hold_whole(bool whole);

  /// An idle rank starts the available operation with the smallest key. Completes wherever
  /// `too_small()` is -1.
  void run_listed(chain_rules const& rules);

  /// Operations start in the given order. If it has no backward_weights, these fill the time in
  /// which a rank waits for its next operation, or give back the stash that it needs. A rank waits
  /// instead of starting a backward_weight where its next operation arrives within `patience` / 4
  /// of the backward_weight's duration.
  /// Returns false where the order cannot be kept under the caps.
  bool run_ordered(chain_order const& order, std::int32_t patience);

  /// Returns the last run's order, with or without its backward_weights.
  [[nodiscard]] chain_order order(bool weights = false);

  /// Returns all operations of the last run in the order of their starts, as entries of
  /// `chain_order`.
  [[nodiscard]] std::vector<std::int32_t> const& sequence() const { return sequence_; }

  /// Keeps the order of every rank in `sequence`, a run under any costs, and starts every operation
  /// as early as that allows.
  void replay(std::vector<std::int32_t> const& sequence);

  [[nodiscard]] ticks makespan() const;
  /// Returns the mean end of the ranks.
  [[nodiscard]] ticks mean_end() const;
  /// Returns the time that a rank idles before its last end.
  [[nodiscard]] ticks idle(std::size_t r) const;
  /// For a staggered step. `steps`: by stage, in the unit of the costs in use.
  /// Returns the largest span of a stage group plus its step, where everything before its end runs
  /// as late as possible, and the mean over the ranks. The period is not longer.
  [[nodiscard]] std::pair<ticks, ticks> spans(std::vector<ticks> const& steps);

  /// Returns a sequence as a schedule, with the steps.
  [[nodiscard]] pipeline_schedule schedule(std::vector<std::int32_t> const& sequence,
                                           bool staggered_step);

 private:
  struct position_state {
    std::int32_t forwards = 0, inputs = 0, weights = 0;  // started
    std::int32_t forwards_known = 0, inputs_known = 0;   // with a known arrival
    // last: the last worker of the same pipeline on the rank
    std::int32_t next = -1, previous = -1, rank = 0, last = 0;
    std::int32_t all = 0;  // micro-batches
    position_costs cost{};
    position_rule rule{};
    std::int64_t whole = 1, early = 0;  // stash
    worker at{};

    /// Returns whether its next forward is of an older micro-batch; pipelines count within a
    /// micro-batch.
    [[nodiscard]] bool older_than(std::int32_t m, std::int32_t p) const;
  };
  struct rank_state {
    ticks end = 0;  // of the current or last operation
    ticks start = 0;
    bool waits = true;
    std::int32_t chains = 1;  // pipelines with a worker on this rank
    std::int64_t held = 0, cap = 0, alone = 0;
  };

  [[nodiscard]] position_state& position(std::int32_t q);
  /// Returns the duration of an operation of the worker's m-th micro-batch.
  [[nodiscard]] ticks lasts(position_state const& q, ticks cost, std::int32_t m) const {
    return job_.lengths.empty() ? cost : cost * job_.length_of(q.at.pipeline, m);
  }
  [[nodiscard]] ticks& arrival(std::int32_t q, std::int32_t m, bool input);
  [[nodiscard]] std::size_t stage_group_of(std::size_t r) const;

  /// Clears the counts of the last run.
  void reset();

  /// Sets the time at which rank `r` looks for work.
  void wake(std::int32_t r, ticks when);

  /// Runs until no rank is due; `choose` picks the next operation of a rank.
  template <class Choose>
  void drive(Choose const& choose) {
    reset();
    sequence_.clear();
    tree_.assign(2 * leaves_, never);
    for (std::size_t r = 0; r < ranks_.size(); ++r) wake(static_cast<std::int32_t>(r), 0);
    while (tree_[1] != never) {
      ticks const now = tree_[1];
      std::size_t i = 1;
      while (i < leaves_) i = 2 * i + (tree_[2 * i] != now);
      auto const r = static_cast<std::int32_t>(i - leaves_);
      choice const c = choose(r, now);
      auto& own = ranks_[static_cast<std::size_t>(r)];
      own.waits = c.position < 0;
      if (own.waits)
        wake(r, c.again);
      else
        begin(c, r, now);
    }
  }

  struct choice {
    std::int32_t position = -1, kind = 0;
    ticks again = never;  // where nothing is started: when to look again
  };

  /// Starts the chosen operation.
  void begin(choice const& c, std::int32_t r, ticks now);

  /// Announces an arrival at a worker.
  void post(std::int32_t to, std::int32_t m, ticks when, bool input);

  /// The stash that a rank may still use for micro-batches younger than its oldest one with an open
  /// forward, and that oldest one.
  struct reserve {
    std::int32_t microbatch, pipeline;
    std::int64_t room;
    [[nodiscard]] bool younger(std::int32_t m, std::int32_t p) const;
  };
  /// Returns the reserve of a rank.
  [[nodiscard]] reserve reserve_of(std::int32_t r);

  /// Chooses by the smallest key.
  [[nodiscard]] choice listed(std::int32_t r, ticks now);

  /// Chooses by the given order.
  [[nodiscard]] choice ordered(chain_order const& order, std::int32_t patience, std::int32_t r,
                               ticks now);

  pipeline_job const& job_;
  stage_groups in_;
  /// By worker: micro-batches of the workers before it; of all workers at the end.
  std::vector<std::size_t> earlier_{};
  std::vector<position_state> positions_{};
  std::vector<rank_state> ranks_{};
  std::vector<std::int32_t> first_{};
  std::vector<ticks> arrival_{};
  std::vector<ticks> tree_{};
  std::size_t leaves_ = 1;
  ticks slope_ = 1;
  std::vector<std::int32_t> sequence_{};
  std::vector<std::size_t> position_{};
  std::vector<ticks> stage_group_end_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/chain_scheduler.ipp"
#endif
