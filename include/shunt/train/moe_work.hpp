#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/lower/moe_iteration.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/microbatch_owners.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/program/program.hpp"
#include "shunt/solve/experts/search/claim_noise.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "shunt/train/aligned_bytes.hpp"
#include "shunt/train/detail/kept_tokens.hpp"
#include "shunt/train/detail/token_routing.hpp"
#include "shunt/train/fixed_point.hpp"
#include "shunt/train/gradient_sum.hpp"
#include "shunt/train/host_memory.hpp"
#include "shunt/train/moe_model.hpp"
#include "shunt/train/moe_training.hpp"
#include "shunt/train/optimizer.hpp"

namespace shunt {

/// Makes any moe_model a `work`: the memory of every rank and what its operations compute. Meant
/// for the programs of lower/moe_iteration.hpp with `shape()`, on any executor whose ranks compute
/// on the host. moe_run (train/moe_run.hpp) makes and runs them.
///
/// Buffers: `dense` is parameters, then the optimizer's moments; `state` masters of the rank's
/// shards, then moments; `sums` the dense gradient, the loss and the misfits, in units of 2^-40 but
/// the last.
///
/// With gradients of int64 and no capacity, losses and parameters are the same bits under every
/// placement, through any loss of ranks, for the models that moe_model describes. With other types
/// (moe_training::collection) the gradient of each slot is rounded to that type and added in it:
/// results are the same bits from run to run, and differ by rounding under other placements. Means
/// that aren't finite then count as 0.
template <moe_model Model, optimizer Optimizer = adam>
class moe_work {
 public:
  /// Arrays of float that `state` is made of.
  static constexpr std::int32_t state_planes =
      static_cast<std::int32_t>(1 + std::int64_t{Optimizer::moments});

  /// Throws invalid_problem where training or sizes are broken, there are fewer slots than experts,
  /// or fewer ranks than copies.
  moe_work(Model model, moe_training training, Optimizer optimizer = {});

  [[nodiscard]] moe_training const& training() const { return training_; }
  [[nodiscard]] Model const& model() const { return model_; }
  [[nodiscard]] moe_sizes const& sizes() const { return sizes_; }
  /// Returns the sizes to lower programs with, and the owners of micro-batches.
  [[nodiscard]] moe_shape const& shape() const { return shape_; }
  [[nodiscard]] shard_map const& shards() const { return shards_; }

  // the concept `restorable_work`

  /// Throws invalid_program for operations of other lowerings and for operands that a task doesn't
  /// name, invalid_problem where the model routes a token to no expert, and what the model throws.
  void operator()(rank_id r, task const& t);
  [[nodiscard]] std::span<std::byte> buffer(rank_id r, buffer_id b) { return memory_(r, b); }
  void restore(rank_id r, std::int64_t iteration) { memory_.restore(r, iteration); }

  // what moe_run asks for

  /// Whether a rank has memory here.
  [[nodiscard]] bool has(rank_id r) const { return memory_.has(r); }
  /// Gives the buffers of a program their sizes.
  void fit(program const& sizes) { memory_.fit(sizes); }
  /// Forgets all that a lost rank had.
  void forget(rank_id r) { memory_.forget(r); }
  /// Says where experts are from the next program on.
  void place(expert_placement placement) { routing_.place(std::move(placement), shape_); }
  /// Says whose micro-batches are whose from the next placement on.
  void set_owners(microbatch_owners owners);
  /// Takes the shards that a program of `state_recovery` has brought.
  void adopt(shard_map shards);

  template <class T>
  [[nodiscard]] std::span<T> values(rank_id r, buffer_id b) {
    return as<T>(buffer(r, b));
  }
  /// Returns the mean loss over all tokens of the last iteration, as a live rank knows it.
  [[nodiscard]] double loss(rank_id r) {
    auto const sum = values<std::int64_t>(r, buffers::sums)[dense()];
    return static_cast<double>(sum) / (fixed_point::one * static_cast<double>(microbatches()));
  }
  /// Returns how many of that iteration's values didn't fit fixed point, and sums that may not be
  /// exact.
  [[nodiscard]] std::int64_t misfits(rank_id r) {
    return values<std::int64_t>(r, buffers::sums)[dense() + 1];
  }

  // results

  /// Returns the row of every token of a rank's `nth` micro-batch in the last iteration; -1 where
  /// it was dropped.
  [[nodiscard]] std::span<std::int64_t const> rows_of(rank_id r, layer_id l, std::size_t nth = 0) {
    return kept_of(buffer(r, buffers::kept(l)), nth).row;
  }

 private:
  using buffers = moe_buffers;
  using owned = detail::token_routing::owned;
  using run = detail::token_routing::run;
  using kept_tokens = detail::kept_tokens;
  using floats = std::vector<float, aligned_allocator<float>>;

  // What a rank computes with, within an operation.
  struct scratch {
    floats input{}, output{}, gradient{}, dense{}, mean{};
    std::vector<std::int64_t> sums{};
  };

  // The memory of one task: what it names alone.
  struct access {
    moe_work& work;
    rank_id rank;
    task const& of;

    template <class T>
    [[nodiscard]] std::span<T const> read(buffer_id b) const {
      return as<T>(named(of.reads, b));
    }
    template <class T>
    [[nodiscard]] std::span<T> write(buffer_id b) const {
      return as<T>(named(of.writes, b));
    }
    [[nodiscard]] std::span<std::byte> named(std::span<region const> regions, buffer_id b) const;
  };

  [[nodiscard]] std::size_t dense() const { return static_cast<std::size_t>(sizes_.dense); }
  [[nodiscard]] std::size_t elements() const { return static_cast<std::size_t>(sizes_.expert); }
  [[nodiscard]] std::size_t width() const { return static_cast<std::size_t>(sizes_.width); }
  [[nodiscard]] std::size_t tokens() const { return static_cast<std::size_t>(shape_.tokens); }
  [[nodiscard]] std::int32_t microbatches() const { return training_.ranks; }
  [[nodiscard]] kept_tokens kept_of(std::span<std::byte> all, std::size_t nth) const {
    auto const size = static_cast<std::size_t>(shape_.kept_bytes);
    return kept_tokens::in(all.subspan(nth * size, size), sizes_, shape_.tokens);
  }
  [[nodiscard]] std::span<float> hidden_of(std::span<float> all, std::size_t nth) const;
  [[nodiscard]] std::span<float const> parameters(access const& on) const {
    return on.template read<float>(buffers::dense).first(dense());
  }

  // Adds a dense gradient, of the sum over a micro-batch's tokens, to the sums, and zeroes it.
  void add_dense(access const& on);
  void count_bytes(access const& on, layer_id l, bool to_slots) const;
  // Copies the rows of a slot one after another.
  std::span<float> gather(std::vector<run> const& runs, std::span<float const> from,
                          floats& rows) const;
  void scatter(std::vector<run> const& runs, std::span<float const> rows,
               std::span<float> to) const;

  void route(access const& on, layer_id l);
  void dispatch(access const& on, layer_id l);
  void expert_forward(access const& on, layer_id l);
  void combine(access const& on, layer_id l);
  void combine_backward(access const& on, layer_id l);
  void expert_backward(access const& on, layer_id l);
  void dispatch_backward(access const& on, layer_id l);
  void step(access const& on, layer_id l);
  void step_dense(access const& on);
  // Steps on `count` parameters and the moments behind them.
  void step_on(access const& on, buffer_id b, element type, std::span<std::byte const> gradient,
               std::size_t count, std::int64_t terms);

  Model const model_;
  moe_training const training_;
  Optimizer const optimizer_;
  moe_sizes sizes_;
  moe_shape shape_;
  shard_map shards_;
  detail::token_routing routing_{};
  host_memory memory_;
  std::vector<scratch> scratch_;  // by rank
};

}  // namespace shunt

#include "shunt/train/moe_work.ipp"
