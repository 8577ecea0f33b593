#pragma once
/// Where the rows of tokens travel between micro-batches and slots. A rank's rows lie in one part
/// for each live rank; within a part micro-batch by micro-batch, and within them slot by slot.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/lower/moe_iteration.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/microbatch_owners.hpp"
#include "shunt/solve/experts/source_capacity.hpp"

namespace shunt::detail {

/// The routing of all ranks under one placement. `shares`: micro-batches x slots, the tokens of
/// each that go to each.
class token_routing {
 public:
  /// A micro-batch of a rank, its `nth`.
  struct owned {
    std::int32_t microbatch = 0;
    std::size_t nth = 0;
  };
  /// Rows of one slot that lie together.
  struct run {
    std::int64_t row = 0, count = 0;
  };

  void set_owners(microbatch_owners owners);
  /// The owners are known before.
  void place(expert_placement placement, moe_shape const& shape);

  [[nodiscard]] microbatch_owners const& owners() const { return owners_; }
  [[nodiscard]] std::vector<rank_id> const& live() const { return live_; }
  [[nodiscard]] expert_placement const& placement() const { return placement_; }
  [[nodiscard]] std::int32_t slots_of(rank_id r) const {
    return placement_.first_slot[r.index() + 1] - placement_.first_slot[r.index()];
  }
  /// Returns the expert in a rank's slot.
  [[nodiscard]] expert_id expert_of(layer_id l, rank_id r, std::size_t slot) const {
    return placement_.layer(l)[static_cast<std::size_t>(placement_.first_slot[r.index()]) + slot];
  }
  [[nodiscard]] std::vector<owned> owned_by(rank_id r) const;

  /// Splits the tokens of a layer, by the capacity of slots or by that of sources, which are
  /// micro-batches. `gathered`: counts of all live ranks, one after another.
  void split(layer_id l, std::span<std::int64_t const> gathered, std::int64_t capacity,
             std::optional<source_capacity> const& sources, std::span<std::int64_t> shares) const;

  /// Writes the bytes that go to each live rank, with tokens to slots or from slots back.
  void count_bytes(std::span<std::int64_t const> shares, rank_id self, bool to_slots,
                   byte_count token_bytes, std::span<std::int64_t> counts) const;

  /// Returns the row of the first token for each live rank.
  [[nodiscard]] std::vector<std::int64_t> first_rows() const;
  /// Writes the row of every token of a micro-batch; -1 where it is dropped. `next`: the next free
  /// row for each live rank. `order`: tokens in the order in which they claim rows; empty: by
  /// number.
  void take_rows(layer_id l, std::span<std::int64_t const> shares, std::int32_t microbatch,
                 std::span<std::int32_t const> expert, std::vector<std::int64_t>& next,
                 std::span<std::int64_t> row, std::span<std::int64_t const> order = {}) const;

  /// Returns the rows of each of this rank's slots among those that arrived.
  [[nodiscard]] std::vector<std::vector<run>> arrivals(std::span<std::int64_t const> shares,
                                                       rank_id self) const;

 private:
  [[nodiscard]] std::int64_t sent(std::span<std::int64_t const> shares, std::int32_t microbatch,
                                  rank_id host) const;

  expert_placement placement_{};
  microbatch_owners owners_{};
  std::vector<rank_id> live_{};
  std::int64_t part_ = 0;  // rows for each live rank
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/train/detail/token_routing.ipp"
#endif
