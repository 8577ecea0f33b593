#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/lower/moe_iteration.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/microbatch_owners.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/program/program.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/train/moe_training.hpp"

namespace shunt {

/// What moe_run asks of a work, beside what its executor asks. moe_work is one. `w.values<T>(r, b)`
/// returns a range over what a buffer holds, on the host.
template <class W>
concept moe_trainee =
    restorable<W> && requires(W& w, W const& constant, program const& p, rank_id r, buffer_id b,
                              expert_placement placement, microbatch_owners owners, shard_map map) {
      { W::state_planes } -> std::convertible_to<std::int32_t>;
      { constant.training() } -> std::convertible_to<moe_training const&>;
      { constant.sizes() } -> std::convertible_to<moe_sizes>;
      { constant.shape() } -> std::convertible_to<moe_shape const&>;
      { constant.shards() } -> std::convertible_to<shard_map const&>;
      { constant.has(r) } -> std::convertible_to<bool>;
      w.fit(p);
      w.forget(r);
      w.place(std::move(placement));
      w.set_owners(std::move(owners));
      w.adopt(std::move(map));
      { w.loss(r) } -> std::convertible_to<double>;
      { w.misfits(r) } -> std::convertible_to<std::int64_t>;
      w.template values<float>(r, b);
      w.template values<std::int64_t>(r, b);
    };

/// Places the experts of all layers: `p(layers)`. Every solver of expert_layers is one. `layers`
/// has the tokens of the last iteration (at first none), the slots of the live ranks, and what they
/// hold now. Where ranks are processes, all must get the same answer.
template <class P>
concept expert_placer = requires(P& p, expert_layers const& layers) {
  { p(layers) } -> std::same_as<solution<expert_placement>>;
};

/// SwiftMoE: trains iteration by iteration. The program of an iteration runs under the placement
/// known; then a scatter brings the weights to the placement that its counts give. No token, weight
/// or gradient crosses between ranks but by these programs.
///
/// Ranks may be lost at any time. The others undo what they did of the iteration, copy the lost
/// shards from their mirrors, place the experts again among themselves, take over the lost
/// micro-batches, and do the iteration again.
///
/// Where each rank has a process of its own, each has a run of its own with the same training but
/// for `only`. They decide alike, from counts that all ranks know and from the executor's outcomes.
///
/// Throws invalid_problem where there is no placement, where ranks are lost that alone held some
/// state, or where no rank is left; and what executor, work and placer throw. After a throw the run
/// doesn't go on.
///
/// Reference: SYMI (arXiv 2504.19925).
template <moe_trainee Work, expert_placer Placer = swift_moe>
class moe_run {
 public:
  /// The work outlives the run.
  explicit moe_run(Work& work, Placer place = {});

  /// Called with ranks that are lost, and the iteration that is done without them.
  std::function<void(std::span<rank_id const>, std::int64_t)> on_loss = [](auto, std::int64_t) {};
  /// Called when an iteration is complete.
  std::function<void(std::int64_t, moe_record const&)> on_iteration = [](std::int64_t,
                                                                         moe_record const&) {};

  /// Trains the iterations that are left.
  /// Executor: any progress_executor_of the work. Its failures count iterations from 0, and the
  /// scatter before iteration t as `scatter_before(t)`.
  template <class Executor>
  void operator()(Executor const& executor) {
    while (t_ < training_.iterations) iterate(executor);
  }
  /// Trains one iteration, also beyond the last.
  template <class Executor>
  moe_record iterate(Executor const& executor);

  [[nodiscard]] static constexpr std::int64_t scatter_before(std::int64_t iteration) {
    return -2 - iteration;
  }

  [[nodiscard]] Work& work() { return work_; }
  [[nodiscard]] moe_shape const& shape() const { return work_.shape(); }
  [[nodiscard]] shard_map const& shards() const { return work_.shards(); }
  /// Returns where experts are in the next iteration, and the next programs.
  [[nodiscard]] expert_placement const& placement() const { return placement_; }
  [[nodiscard]] program const& iteration_program() const { return iteration_; }
  [[nodiscard]] program const& scatter_program() const { return scatter_; }
  /// Returns the lost ranks, ascending, and what each loss cost.
  [[nodiscard]] std::vector<rank_id> const& dead() const { return dead_; }
  [[nodiscard]] std::deque<moe_loss> const& losses() const { return losses_; }

  /// Returns the number of all parameters.
  [[nodiscard]] std::size_t parameter_count() const;
  /// Calls know(number of the first, values) with the parameters that a live rank holds: the dense
  /// ones, then masters of experts, of the rank's shards. Numbers count dense parameters, then
  /// layer by layer and expert by expert.
  template <class Know>
  void parameters_of(rank_id r, Know const& know);
  /// Returns all parameters, as the live ranks of this process hold them.
  /// Throws logic_error where they differ, runtime_error where some are held elsewhere.
  [[nodiscard]] std::vector<float> parameters();

 private:
  using ranks = std::span<rank_id const>;

  // Runs the program that `plan` makes without the dead ranks, again after every loss, until all
  // live ranks have completed it. Returns who is dead then.
  template <class Executor, class Plan>
  std::vector<rank_id> transact(Executor const& executor, std::int64_t iteration, Plan&& plan);
  // Where connections broke and no rank is lost, each time is a loss of its own.
  moe_loss& cost_of(std::vector<rank_id> const& lost);
  // Does what counts as restoring, but for the opening of sessions.
  template <class Action>
  void restore(moe_loss& cost, Action const& action);
  // Brings the weights of shards to the slots of the placement.
  template <class Executor>
  void scatter(Executor const& executor);
  // Plans without lost ranks, and moves the optimizer's state as planned. Returns what that cost;
  // nothing where all of these were lost before.
  template <class Executor>
  moe_loss* go_on_without(Executor const& executor, ranks dead);
  // From now on these have no slots, no micro-batches and no memory. Returns those that are new.
  std::vector<rank_id> mark_dead(ranks dead);
  // Gives every shard as many copies as before, as far as there are ranks. Returns who is dead
  // then.
  template <class Executor>
  std::vector<rank_id> move_shards(Executor const& executor, moe_loss& cost);

  [[nodiscard]] expert_placement placed();
  void place_anew();
  // Counts what the next placement brings to the ranks.
  void count_received(moe_record& record, expert_placement const& before) const;
  void lower_for_placement();
  void count_bytes();
  // Returns the live ranks whose memory is here.
  [[nodiscard]] std::vector<rank_id> survivors(ranks dead) const;
  // Takes counts and drops as the program left them on the ranks, which must agree.
  void count(moe_record& record, std::vector<rank_id> const& live);
  // Counts the tokens of a layer by the ranks that send and take them.
  void count_tokens(moe_record& record, layer_id l, std::span<std::int64_t const> shares) const;

  Work& work_;
  moe_training const training_;
  Placer place_;
  expert_layers loads_;
  expert_placement placement_{};
  program scatter_{}, iteration_{};
  phase_bytes gradients_{}, weights_{};
  std::vector<rank_id> dead_{};
  std::deque<moe_loss> losses_{};  // addresses are stable
  std::int64_t t_ = 0;             // the next iteration
  ticks opening_ = 0;              // of all sessions so far
  bool begun_ = false;             // the initial weights are in their slots
};

}  // namespace shunt

#include "shunt/train/moe_run.ipp"
