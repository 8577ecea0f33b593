#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
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

  /// Return the sum of the latest layer's loads, the load of each rank, summed in the order of its
  /// slots, and the largest w_e / c_e.
  [[nodiscard]] constexpr std::int64_t total() const { return total_; }
  [[nodiscard]] constexpr std::span<double const> rank_loads() const { return load_; }
  [[nodiscard]] constexpr double largest_share() const { return share_[0]; }

 private:
  struct replicated {
    double share = 0, load = 0;
    std::int32_t copies = 0;
    double given = 0;  ///< the share to which the latest replica was given
  };
  /// Key of a rank without free slots, and of no rank.
  static constexpr std::uint64_t full = ~std::uint64_t{0};
  static constexpr std::int32_t slack = 4;  ///< entries behind the list of replicas

  /// Fills order_: experts by descending load, ties by index. A key is the load, all of its bits
  /// inverted, before the index. Above 64 experts by radix sort over the bits that occur.
  SHUNT_CONSTEXPR void sort_experts(std::int64_t const* loads);
  SHUNT_CONSTEXPR std::int32_t expert_at(std::size_t i) const;
  SHUNT_CONSTEXPR double load_at(std::size_t i) const;

  /// Finds the replicated experts: the first replicated_ of order_, with their loads, replica
  /// counts and shares in that order.
  SHUNT_CONSTEXPR void replicate();

  /// Returns T such that about `spare` of the values w_e / k lie above T: an expert above T has
  /// about w_e / T - 1/2 of them, and at least one. Where the n experts above T have few each, more
  /// of them lie close above T, which makes it about n / (6 spare) more.
  SHUNT_CONSTEXPR double nearly_least_share(std::int32_t spare) const;

  /// Does `many` times: `change` to the replicated expert that is first by `before`, unless
  /// `adopt` made one replicated instead. Experts are named by their positions in hot_. A few times
  /// by looking at all experts, more often with a heap.
  constexpr void change_first(std::int32_t many, auto const& before, auto const& adopt,
                              auto const& change) {
    bool const with_heap = many > 4;
    auto const after = [&](std::size_t a, std::size_t b) { return before(b, a); };
    auto const heap = [&] { return std::span(heap_).first(replicated_); };
    if (with_heap) {
      std::iota(heap_.begin(), heap_.end(), std::size_t{0});
      std::ranges::make_heap(heap(), after);
    }
    for (; many > 0; --many) {
      std::size_t first = with_heap ? heap_[0] : 0;
      for (std::size_t i = 1; !with_heap && i < replicated_; ++i)
        if (before(i, first)) first = i;
      if (adopt(first)) {
        if (with_heap) std::ranges::push_heap(heap(), after);
        continue;
      }
      if (with_heap) std::ranges::pop_heap(heap(), after);
      change(hot_[first]);
      if (with_heap) std::ranges::push_heap(heap(), after);
    }
  }

  /// The next replica goes to the largest share, ties to the highest index.
  SHUNT_CONSTEXPR void give_more(std::int32_t many);

  /// The latest replica went to the least w / (c - 1), ties to the lowest index.
  SHUNT_CONSTEXPR void take_back(std::int32_t many);

  /// Fills keys_ with the positions of the replicated experts, in the low bits, in placement order.
  SHUNT_CONSTEXPR void sort_replicated();

  /// Fills share_ and name_ with all replicas in placement order.
  SHUNT_CONSTEXPR void list_replicas(expert_id const* names);

  /// Places the replicas in rounds: ranks in ascending order of load take one each, as long as no
  /// rank served in the round has less than the next one. A key is a rank's load, rounded down to
  /// leave room for the rank in one word; load_ has the exact load. Loads are never negative, so
  /// their bit patterns are ordered as their values.
  SHUNT_CONSTEXPR void place(expert_id* placed);

  /// The rounds that serve all ranks, of which all have the same number of slots. Returns how many
  /// replicas are placed.
  SHUNT_CONSTEXPR std::size_t place_full_rounds(expert_id* placed);

  SHUNT_CONSTEXPR void place_rest(expert_id* placed, std::size_t from);
  /// Sorts the keys of live ranks; keys that differ in the rank alone are ordered by the exact
  /// load.
  SHUNT_CONSTEXPR void line_up();

  /// Ends live_ before the ranks without free slots.
  SHUNT_CONSTEXPR void drop_full();

  /// Moves key i to its place among the sorted keys behind it.
  SHUNT_CONSTEXPR void insert(std::size_t i);

  SHUNT_CONSTEXPR bool before(std::uint64_t a, std::uint64_t b) const;

  static constexpr std::size_t room(std::size_t n) { return std::max<std::size_t>(64, n) + 1; }

  std::size_t experts_, ranks_;
  std::int32_t slots_ = 0;
  bool alike_ = false;  ///< whether all ranks have the same number of slots
  std::uint64_t index_bits_, index_mask_, rank_mask_, inverse_ = 0;
  std::int64_t total_ = 0;
  /// Experts by load; from replicated_ on those with one replica. other_ is scratch of the sort.
  std::vector<std::uint64_t> order_, other_;
  std::vector<replicated> hot_;    ///< the replicated experts, as in order_
  std::vector<std::size_t> heap_;  ///< positions in hot_
  std::size_t replicated_ = 0;
  std::vector<double> load_, new_load_;         ///< of each rank
  std::vector<std::uint64_t> keys_, new_keys_;  ///< the first live_ of them in use
  std::size_t live_ = 0;                        ///< ranks with free slots
  std::vector<double> share_{};                 ///< of each replica, in placement order
  std::vector<expert_id> name_{};
  std::vector<std::int32_t> first_, next_;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/search/eplb_rule.ipp"
#endif
