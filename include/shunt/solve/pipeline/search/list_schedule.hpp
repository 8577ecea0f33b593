#pragma once
/// List scheduler for a pipeline job: no rank idles while its policy allows an operation.
///
/// Micro-batches have fixed ranks (routes.hpp); their order is free. An idle rank considers input
/// gradients, forwards (as far as the cap and the policy's limit allow) and backward_weights. The
/// stage's policy says which kind goes first. Within a kind the lowest micro-batch goes first, of
/// several stages of a rank the deeper one. A forward leaves room under the cap for the deeper
/// stages of its rank: the last stage always drains, and by induction so does every stage. A run is
/// incomplete only where the stages of a rank do not fit under its cap together (`complete()`).
/// Complexity: O(n (log R + n / (64 R) + operations on the way to a rank)) for n operations on R
/// ranks. Memory is kept from run to run.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/search/routes.hpp"
#include "shunt/solve/pipeline/search/side_by_side.hpp"
#include "shunt/solve/pipeline/search/winner_tree.hpp"

namespace shunt::detail {

/// The preferences of the ranks of a stage.
struct stage_policy {
  /// The kind that goes first where both are available.
  enum class first : std::uint8_t { input, forward };
  /// Idle instead of starting a forward (`weight`: or a backward_weight) when an input gradient
  /// arrives before that operation would end.
  enum class wait : std::uint8_t { never, forward, weight };
  static constexpr std::int32_t unlimited = std::numeric_limits<std::int32_t>::max();

  first prefer = first::input;
  wait patience = wait::never;
  bool rerouted_first = false;  ///< re-routed micro-batches before own ones of the same number
  std::int32_t in_flight = unlimited;  ///< limit on the forwards without a computed input gradient
  /// from so many stashed micro-batches on, backward_weight before forward
  std::int32_t weight_before = unlimited;
  std::int32_t lag = 0;  ///< among the stages of a rank: added to the number of a micro-batch
  ticks start = 0;       ///< no operation on its ranks starts before

  bool operator==(stage_policy const&) const = default;
};
using stage_policies = indexed<stage_id, stage_policy>;

/// The scheduler. Keeps a reference to the job.
class list_scheduler {
 public:
  /// `split`: backward_input and backward_weight instead of fused backwards.
  /// Requires a live rank at every stage.
  list_scheduler(pipeline_job const& job, bool split, routing rule = routing::by_load,
                 std::int32_t turn = 0);

  /// Schedules all micro-batches under these policies. The accessors below describe the latest run.
  void run(stage_policies const& policies);

  /// Returns false where the caps were too small for these policies.
  [[nodiscard]] bool complete() const { return left_ == 0; }
  [[nodiscard]] std::int64_t operations() const { return operations_; }
  [[nodiscard]] shunt::stage_groups const& stage_groups() const { return stage_groups_; }
  /// Returns the earliest start and latest end of each stage group over its live ranks; [0, 0) for
  /// a group without operations.
  [[nodiscard]] std::vector<interval> const& spans() const { return spans_; }
  [[nodiscard]] ticks makespan() const;
  /// Returns the latest run as a schedule, with the steps.
  [[nodiscard]] pipeline_schedule schedule(bool staggered_step) const;

 private:
  static constexpr std::int32_t nowhere = -1;

  /// A micro-batch at a stage: a desk, and its place there. The cells of a desk are sorted by the
  /// order in which they go first.
  struct cell {
    std::int32_t rank_stage = nowhere, place = 0;
  };
  struct owner {
    pipeline_id pipeline{};
    microbatch_id microbatch{};
    std::int32_t rerouted_first = 0;     // its place when re-routed micro-batches go first
    std::int32_t at_rerouted_first = 0;  // the cell that then has the place of this one
  };
  struct arrival {
    ticks when;
    std::int32_t place;
  };
  /// A stage on a rank.
  struct rank_stage {
    rank_id rank{};
    std::int32_t state = 0;  // the rank's place in ranks_
    stage_id stage{};
    std::int32_t cells = 0, first_word = 0, words = 0;
    column at{};                        // its cells
    std::int64_t stash = 0, early = 0;  // added by a forward, given back by a backward_input
    std::int64_t room = 0;              // needed by a forward, with the deeper stages of its rank
    ticks forward = 0, input = 0, weight = 0;
    // of this run
    stage_policy policy{};
    std::int32_t in_flight = 0, stashed = 0, forwards = 0, inputs = 0, forwards_coming = 0,
                 gradients_coming = 0, weights = 0, weighed = 0;
  };
  struct rank_state {
    rank_id rank{};
    std::int32_t first_rank_stage = 0, rank_stages = 0, stage_group = 0, all = 0;
    column at{};  // its operations
    std::int64_t cap = std::numeric_limits<std::int64_t>::max();
    // of this run
    std::int64_t held = 0;
    std::int32_t done = 0, player = 0;
    ticks idle_from = 0, began = 0;
  };
  struct choice {
    rank_stage* of = nullptr;
    std::int32_t bit = 0;
    std::int64_t turn = 0;
  };

  /// A cell before it has a place.
  struct rerouted_cell {
    microbatch_id microbatch{};
    pipeline_id pipeline{};
    std::int32_t turn = 0;  // own pipelines first, then those behind it
  };

  /// Makes the desks, group by group, and returns their cells in this order.
  std::vector<rerouted_cell> make_desks(routes const& to, routing rule);
  /// Lays the entries of a group's ranks side by side, and those of its desks, and makes the
  /// tables.
  void lay_out();
  /// Sorts the cells of each desk for both orders of re-routed micro-batches, and links them.
  void place_cells(std::vector<rerouted_cell> cells);

  void prepare(rank_stage& d, stage_policy const& policy);
  void prepare(rank_state& r);

  [[nodiscard]] rank_stage* rank_stages_of(rank_state const& r);
  /// Returns the time of an operation of a cell from that of a micro-batch of length 1.
  [[nodiscard]] ticks lasting(ticks time, rank_stage const& d, std::int32_t place) const {
    return alike_ ? time : time * lengths_[d.at[place]];
  }

  /// Sets of cells are bits, the first to go lowest.
  void put(rank_stage const& d, std::int32_t word, std::int32_t place);
  [[nodiscard]] std::int32_t lowest(std::int32_t word) const;
  void drop(std::int32_t word, std::int32_t bit);
  /// Returns the place of the cell with this bit.
  [[nodiscard]] std::int32_t place_of(rank_stage const& d, std::int32_t bit) const;

  /// Makes the micro-batches available that have arrived by `now`.
  void arrive(rank_state const& r, ticks now);
  [[nodiscard]] static ticks earliest(std::vector<arrival> const& all, rank_stage const& d,
                                      std::int32_t coming);
  [[nodiscard]] ticks next_arrival(rank_state const& r);
  /// Returns whether an input gradient arrives before an operation of this length, started now,
  /// would end.
  [[nodiscard]] bool gradient_within(rank_state const& r, ticks now, ticks length);

  /// Starts the operation that the policies choose. Returns false where none is started.
  bool start_something(rank_state& r, ticks now);

  void begin(rank_state& r, op_kind kind, rank_stage const& d, std::int32_t place, ticks now,
             ticks end);

  /// Passes a result on, and wakes the receiving rank where it idles until then.
  void send(std::vector<arrival>& all, std::int32_t& coming, rank_stage const& d, arrival what);

  bool start_forward(rank_state& r, choice const& what, ticks now);

  bool start_input(rank_state& r, choice const& what, ticks now);

  struct started {
    std::int32_t place;
    std::uint32_t kind : 2, desk : 30;  // desk: of those of its rank
  };

  pipeline_job const& job_;
  bool split_, alike_;  // alike_: all micro-batches have length 1
  shunt::stage_groups stage_groups_;
  winner_tree clock_;
  std::vector<rank_state> ranks_{};     // group by group
  std::vector<std::int32_t> played_{};  // by player of the clock: its rank
  std::vector<rank_stage> rank_stages_{};
  std::vector<cell> before_{}, after_{};  // by cell: that of the neighbouring stage
  std::vector<owner> owners_{};           // by cell
  std::vector<std::int64_t> lengths_{};   // by cell, where they differ
  // by desk: the available forwards, then the available input gradients
  std::vector<std::uint64_t> bits_{};
  // by desk: the micro-batches on their way
  std::vector<arrival> forward_on_the_way_{}, gradient_on_the_way_{};
  std::vector<std::int32_t> weights_{};  // by desk: the places with a backward_weight, in order
  std::vector<started> done_{};          // by rank: its operations in order
  std::int64_t operations_ = 0;
  std::vector<interval> spans_{};  // by stage group
  std::int64_t left_ = 0;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/list_schedule.ipp"
#endif
