#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/splitmix64.hpp"
#include "shunt/solve/experts/search/swap_search.hpp"
#include "shunt/solve/experts/search/threshold_packing.hpp"

namespace shunt::detail {

/// Searches replica counts and placement of one layer together. No rank gets two replicas of an
/// expert. Constructed for a number of experts and the slots of the live ranks; a call allocates
/// nothing.
/// Loads w_e are scaled to 31 bits in all, so that w_e / c_e is a whole number and every platform
/// finds the same placement. Effort is counted in steps: visits of a (rank, replica) pair.
/// The search starts from the counts of EPLB's greedy rule, capped at L, and improves by swaps that
/// relieve the fullest rank (swap_search). Then it parks spare slots on the least loaded experts.
/// Rounds follow, each with five times the steps of all before it: three quarters pack the large
/// experts below a falling threshold (threshold_packing), an eighth tries counts of the two hottest
/// experts, the rest walks over counts by threshold accepting; the first round does not walk. What
/// the search tries does not depend on the effort, which only ends it: more effort is never worse.
/// See docs/expert-solvers.md.
/// Reference: threshold accepting, Dueck and Scheuer 1990.
class placement_search {
 public:
  using load_type = std::int64_t;

  /// Requires 1 <= experts <= sum of slots, and 1 to `experts` slots on each rank.
  SHUNT_CONSTEXPR placement_search(std::int32_t experts, std::vector<std::int32_t> slots_per_rank);

  /// Searches for `effort` steps, or until no rank has more than `enough` times the mean load.
  /// Aims at `goal` times the mean, at most `enough`: the bound of the layer.
  /// Returns whether a placement without duplicates was found; placed() then holds it.
  SHUNT_CONSTEXPR bool operator()(std::span<load_type const> loads, std::int64_t effort,
                                  double goal, double enough, std::uint64_t seed);

  /// Returns the expert of each slot, rank by rank.
  [[nodiscard]] constexpr std::span<std::size_t const> placed() const { return best_; }
  /// Returns the load of the fullest rank over the mean, accurate to about 1e-7, the scale of the
  /// loads.
  [[nodiscard]] SHUNT_CONSTEXPR double fullest() const;
  /// Returns the steps that the latest search took.
  [[nodiscard]] constexpr std::int64_t steps() const { return steps_; }

 private:
  static constexpr load_type none = std::numeric_limits<load_type>::max();
  /// A rank with free slots: its load and its number in 32 bits each, so that one comparison orders
  /// both.
  using queued = std::uint64_t;

  /// The last step of the first round; and of the longest, so that no product overflows.
  static constexpr std::int64_t first_round = 30'000, longest_round = std::int64_t{1} << 35;

  /// Returns `factor` times the mean load, at most the sum of all.
  SHUNT_CONSTEXPR load_type times_mean(double factor) const;
  constexpr load_type mean() const { return sum_ / static_cast<load_type>(ranks_); }

  /// Runs the phases in rounds until the effort or the search ends.
  SHUNT_CONSTEXPR void search();
  SHUNT_CONSTEXPR void begin_phases();
  SHUNT_CONSTEXPR void start_from_best();

  // Returns a number below `bound`: SplitMix64 (Steele, Lea, Flood 2014), upper half times bound.
  SHUNT_CONSTEXPR std::uint64_t below(std::uint64_t bound);

  SHUNT_CONSTEXPR void set_copies(std::size_t e, std::size_t copies);

  /// Sets EPLB's counts, capped at L, for all experts but `pinned`, which keep theirs.
  /// Returns false if slots are left over.
  SHUNT_CONSTEXPR bool greedy_counts(std::span<std::size_t const> pinned = {});

  /// Gives each expert the fewest replicas that keep its share at the goal; spare slots are parked
  /// as further replicas of the least loaded experts. Tries these counts, then gives one parked
  /// slot after another to the largest share.
  SHUNT_CONSTEXPR void park_spare();

  /// Tries the counts of the two hottest experts, those near the greedy counts first; the other
  /// experts get greedy counts.
  SHUNT_CONSTEXPR void pin_hottest(std::int64_t end);

  /// Attempts the current counts and improves what is near the best.
  SHUNT_CONSTEXPR void try_counts();

  /// Packs the large experts (above 1/32 of a rank's mean) below a falling threshold. Each
  /// threshold is halfway between the best load and the highest threshold given up. When the two
  /// meet, the search restarts from the highest threshold not refuted and now skips one choice in
  /// twelve. Stops when a sixteenth of a round has packed nothing: walks over counts then find
  /// more.
  SHUNT_CONSTEXPR void pack(std::int64_t end);

  /// Places the large experts as packed, one replica of each other expert, and spare replicas of
  /// the smallest. If that exceeds `limit`, deals the others round robin, which always succeeds.
  /// Returns the largest rank load.
  SHUNT_CONSTEXPR load_type complete(load_type limit);

  SHUNT_CONSTEXPR bool goes_first(std::size_t a, std::size_t b) const;

  /// Moves an expert with a changed share to its place in order_.
  SHUNT_CONSTEXPR void reorder(std::size_t e);

  SHUNT_CONSTEXPR void order_all();

  /// Places the current counts.
  /// Returns the largest rank load, or none if it exceeds `limit` or a replica finds no rank.
  SHUNT_CONSTEXPR load_type attempt(load_type limit);

  /// Continues an attempt at the i-th expert of the order, after `host` replicas. `waiting` ranks
  /// are queued, none above the limit.
  SHUNT_CONSTEXPR load_type attempt_from(std::size_t i, std::size_t host, std::size_t waiting,
                                         load_type most, load_type limit);

  /// Moves the ranks that need each of the `left` experts to the front.
  /// Returns false if there are more than `wanted` such ranks.
  SHUNT_CONSTEXPR bool force(std::size_t waiting, std::size_t wanted, std::size_t left);

  /// Places experts by descending count, each on the ranks with the most free slots: this finds a
  /// placement of the counts if one exists (Gale and Ryser 1957). Otherwise replicas move from the
  /// most to the least replicated expert, one by one.
  SHUNT_CONSTEXPR bool ordered_by_counts();

  /// Improves the placement of the latest attempt by swaps, which may end later than the effort.
  /// Returns the largest rank load.
  SHUNT_CONSTEXPR load_type improve();

  SHUNT_CONSTEXPR void keep_if_best(load_type load);

  /// Fills fullest_ with the experts on the fullest rank of hosts_: the best candidates for more
  /// replicas.
  SHUNT_CONSTEXPR void note_fullest();

  SHUNT_CONSTEXPR void walk(std::int64_t end);

  SHUNT_CONSTEXPR void give(std::size_t from, std::size_t to, std::size_t many);

  std::size_t experts_, ranks_;
  std::vector<std::int32_t> slots_of_;
  std::size_t most_slots_ = 0;
  std::vector<load_type> weight_, share_;
  /// c_e; experts by descending share; the position of each expert in order_.
  std::vector<std::size_t> copies_, order_, position_;
  std::vector<std::size_t> by_weight_{}, heap_{};  ///< experts by descending load; scratch
  /// Ranks of expert e: hosts_[host_first_[e]] and the c_e - 1 entries after it.
  std::vector<std::size_t> host_first_, hosts_{};
  std::vector<queued> queue_, moved_;
  std::vector<std::int32_t> free_;
  std::vector<std::size_t> first_, fullest_{};
  std::vector<load_type> load_;
  swap_search swaps_;
  threshold_packing packing_;
  std::vector<load_type> large_{};  ///< loads of the experts that packing_ places
  std::vector<std::size_t> best_{}, best_copies_;
  load_type sum_ = 0, goal_ = 0, enough_ = 0, best_load_ = none;
  std::int64_t steps_ = 0, effort_ = 0;
  // where pack and pin_hottest go on in the next round
  load_type rest_ = 0, too_low_ = 0, given_up_ = 0;
  bool packed_ = false, restarted_ = false;
  std::size_t pins_ = 0, pinned_[2] = {1, 1};
  splitmix64 random_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/search/placement_search.ipp"
#endif
