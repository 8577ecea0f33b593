#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"

namespace shunt::detail {

/// EPLB's rule for one set of experts and ranks. Allocates when it is constructed, not when it is
/// called.
/// w_e are the loads, c_e the replica counts, S the slots. Replicate: each expert has one replica;
/// the next replica goes to the largest w_e / c_e (ties: the highest index) until there are S.
/// Place: replicas in descending order of w_e / c_e (ties: the lowest index), each into the next
/// free slot of the rank with the least load among those with a free slot (ties: the lowest rank).
/// The result equals TensorRT-LLM's doReplication and doPlacement in doubles; where loads are below
/// 2^24, which its floats hold, it is the same to the bit.
/// See docs/expert-solvers.md.
/// Complexity: O(E + (S - E) log E + S N log N) at worst, near O(E + S log N) in practice.
class eplb_rule {
 public:
  /// Requires 1 <= experts <= sum of slots.
  SHUNT_CONSTEXPR eplb_rule(std::int32_t experts, std::span<std::int32_t const> slots_per_rank);

  /// Computes one layer. Load e of the list belongs to the expert `names[e]`, which is written into
  /// the slots of its replicas. `placed` has one entry per slot, rank by rank.
  SHUNT_CONSTEXPR void operator()(std::span<std::int64_t const> loads,
                                  std::span<expert_id const> names, std::span<expert_id> placed);

  /// Returns c_e of the latest layer.
  [[nodiscard]] constexpr std::span<std::int32_t const> copies() const { return copies_; }

 private:
  struct entry {
    double share = 0;  ///< load over replicas
    std::int32_t index = 0;
  };
  /// Key of a rank without free slots, and of no rank.
  static constexpr std::uint64_t full = ~std::uint64_t{0};

  /// Fills order_: experts by descending load, ties by index, both in one key. Above 64 experts by
  /// radix sort over the bits that occur.
  SHUNT_CONSTEXPR void sort_experts();
  SHUNT_CONSTEXPR std::int32_t expert_at(std::size_t i) const;
  SHUNT_CONSTEXPR double load_at(std::size_t i) const;

  SHUNT_CONSTEXPR void replicate();

  /// Returns T such that about `spare` of the values w_e / k lie above T: an expert above T has
  /// about w_e / T - 1/2 of them, and at least one.
  SHUNT_CONSTEXPR double nearly_least_share(std::int32_t spare) const;

  constexpr auto heap_end() { return heap_.begin() + static_cast<std::ptrdiff_t>(replicated_); }

  SHUNT_CONSTEXPR void give_more(std::int32_t many);

  SHUNT_CONSTEXPR void take_back(std::int32_t many);

  SHUNT_CONSTEXPR double share_of(std::int32_t e) const;

  /// Sorts the replicated experts into placement order.
  SHUNT_CONSTEXPR void sort_replicated();

  /// Fills share_ and name_ with all replicas in placement order.
  SHUNT_CONSTEXPR void list_replicas(std::span<expert_id const> names);

  /// Places the replicas. A key is a rank's load, rounded down to leave room for the rank in one
  /// word; load_ has the exact load. Loads are never negative, so their bit patterns are ordered as
  /// their values.
  SHUNT_CONSTEXPR void place(std::span<expert_id const> names, std::span<expert_id> placed);

  /// Sorts keys_; keys that differ in the rank alone are ordered by the exact load.
  SHUNT_CONSTEXPR void line_up();

  static constexpr std::size_t room(std::size_t n) { return std::max<std::size_t>(64, n) + 1; }

  std::size_t experts_;
  std::int32_t slots_ = 0;
  std::uint64_t index_bits_, index_mask_, rank_mask_;
  std::vector<double> loads_;
  std::vector<std::int32_t> copies_;
  /// Experts by load; from replicated_ on those with one replica. other_ is scratch of the sort.
  std::vector<std::uint64_t> order_, other_;
  std::vector<entry> heap_;  ///< the replicated experts
  std::size_t replicated_ = 0;
  std::vector<double> load_;  ///< of each rank
  std::vector<std::uint64_t> keys_;
  std::vector<double> share_{};  ///< of each replica, in placement order
  std::vector<expert_id> name_{};
  std::vector<std::int32_t> first_, next_;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/search/eplb_rule.ipp"
#endif
