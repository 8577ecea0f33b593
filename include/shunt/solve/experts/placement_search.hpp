#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"

namespace shunt {

/// Replica counts and placement of one layer searched together, never two replicas of an expert on a rank. Made once for a number of
/// experts and the slots of the live ranks, asked layer by layer without allocating.
///
/// Loads w_e are scaled to 31 bits in all, so that w_e / c_e is a whole number and every platform finds the same. One try: counts c_e in
/// 1 .. L with sum S; experts in descending order of w_e / c_e, each put on the c_e ranks with the least load that have a free slot. Those
/// ranks stay in order when all get the same, so that a try is a chain of merges, O(E + S + moved ranks). A rank that needs all experts
/// that are left gets each of them; a try that still finds too few ranks, or a rank too full to be of use, is void.
///
/// The search starts from the counts of EPLB's greedy, capped at L, improves by swaps of one or two experts between the fullest rank and
/// another, tries all counts of the two hottest experts for a quarter of the effort, then walks over counts: once or twice one to four
/// replicas go from an expert to another, half the time to one of the fullest rank. The try is kept unless it is worse than the last kept by more than a threshold that falls from 1/64 to zero (threshold accepting,
/// Dueck and Scheuer 1990); tries within 1/64 of the best are improved by swaps as well, within 1/512 by swaps of two. Effort is counted in
/// steps, visits of a (rank, replica) pair.
class placement_search {
 public:
  using load_type = std::int64_t;

  /// Needs 1 <= experts <= sum of slots and no rank with more slots than experts or without slots.
  constexpr placement_search(std::int32_t experts, std::vector<std::int32_t> slots_per_rank)
      : experts_(static_cast<std::size_t>(experts)),
        ranks_(slots_per_rank.size()),
        slots_of_(std::move(slots_per_rank)),
        weight_(experts_, 0),
        share_(experts_, 0),
        copies_(experts_, 0),
        order_(experts_, 0),
        position_(experts_, 0),
        host_first_(experts_, 0),
        queue_(ranks_, 0),
        moved_(ranks_, 0),
        free_(ranks_, 0),
        first_(ranks_ + 1, 0),
        load_(ranks_, 0),
        has_(ranks_ * experts_, 0),
        best_copies_(experts_, 0) {
    for (std::size_t r = 0; r < ranks_; ++r) first_[r + 1] = first_[r] + static_cast<std::size_t>(slots_of_[r]);
    for (auto const s : slots_of_) most_slots_ = std::max(most_slots_, static_cast<std::size_t>(s));
    hosts_.resize(first_[ranks_]);
    held_.resize(first_[ranks_]);
    best_.resize(first_[ranks_]);
    fullest_.reserve(most_slots_);
    theirs_.reserve(most_slots_);
  }

  /// Searches for `effort` steps, or until no rank has more than `enough` times the mean. True where a placement without duplicates was
  /// found: placed() then has it.
  constexpr bool operator()(std::span<load_type const> loads, std::int64_t effort, double enough, std::uint64_t seed) {
    load_type total = 0;
    for (auto const w : loads) total += w;
    int const shift = total == 0 ? 0 : 31 - static_cast<int>(std::bit_width(static_cast<std::uint64_t>(total)));
    load_type sum = 0;
    for (std::size_t e = 0; e < experts_; ++e) sum += weight_[e] = shift >= 0 ? loads[e] << shift : loads[e] >> -shift;
    enough_ = static_cast<load_type>(static_cast<double>(sum) / static_cast<double>(ranks_) * enough);
    best_load_ = none;
    steps_ = 0;
    random_ = seed;
    std::size_t const spare = first_[ranks_] - experts_;
    greedy_counts();
    order_all();
    if (attempt(none - 1) == none && !ordered_by_counts()) return false;
    keep_if_best(improve());
    if (spare == 0 || best_load_ <= enough_) return true;
    pin_hottest(effort / 4);
    for (std::size_t e = 0; e < experts_; ++e) set_copies(e, best_copies_[e]);
    order_all();
    if (attempt(none - 1) == none) {
      ordered_by_counts();
      order_all();
    }
    walk(effort);
    return true;
  }

  [[nodiscard]] constexpr std::span<std::size_t const> placed() const { return best_; }  ///< the expert of each slot, rank by rank
  /// The load of the fullest rank over the mean, as accurate as the scale of the loads, about 1e-7.
  [[nodiscard]] constexpr double fullest() const {
    load_type sum = 0;
    for (auto const w : weight_) sum += w;
    return sum == 0 ? 1 : static_cast<double>(best_load_) * static_cast<double>(ranks_) / static_cast<double>(sum);
  }
  [[nodiscard]] constexpr std::int64_t steps() const { return steps_; }  ///< that the last search took

 private:
  static constexpr load_type none = std::numeric_limits<load_type>::max();
  using queued = std::uint64_t;  ///< load and rank of a rank with free slots, in 32 bits each, so that one comparison orders both

  constexpr std::uint64_t below(std::uint64_t bound) {  // SplitMix64 (Steele, Lea, Flood 2014), upper half times bound
    std::uint64_t z = random_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return ((z ^ z >> 31) >> 32) * bound >> 32;
  }

  constexpr void set_copies(std::size_t e, std::size_t copies) {
    copies_[e] = copies;
    share_[e] = weight_[e] / static_cast<load_type>(copies);
  }

  /// EPLB's counts, capped at L, for all experts but `pinned`, which have theirs. False where slots are left over.
  constexpr bool greedy_counts(std::span<std::size_t const> pinned = {}) {
    std::size_t spare = first_[ranks_] - experts_;
    for (std::size_t const e : pinned) spare -= copies_[e] - 1;
    auto const free = [&](std::size_t e) { return std::find(pinned.begin(), pinned.end(), e) == pinned.end(); };
    for (std::size_t e = 0; e < experts_; ++e)
      if (free(e)) set_copies(e, 1);
    for (; spare > 0; --spare) {
      std::size_t best = experts_;
      for (std::size_t e = 0; e < experts_; ++e)
        if (copies_[e] < ranks_ && free(e) &&
            (best == experts_ || share_[e] > share_[best] || (share_[e] == share_[best] && copies_[e] < copies_[best])))
          best = e;
      if (best == experts_) return false;
      set_copies(best, copies_[best] + 1);
    }
    steps_ += static_cast<std::int64_t>((first_[ranks_] - experts_) * experts_ / 8);  // cheap ones
    return true;
  }

  /// Tries the counts of the two hottest experts, most first, greedy for the others.
  constexpr void pin_hottest(std::int64_t effort) {
    if (experts_ < 3) return;
    for (std::size_t e = 0; e < experts_; ++e) set_copies(e, 1);
    order_all();
    std::size_t const hot[2] = {order_[0], order_[1]};
    std::size_t const spare = first_[ranks_] - experts_;
    for (std::size_t a = std::min(ranks_, spare + 1); a >= 1; --a)
      for (std::size_t b = std::min(ranks_, spare + 2 - a); b >= 1; --b) {
        if (steps_ >= effort || best_load_ <= enough_) return;
        steps_ += 4;
        load_type const limit = best_load_ + best_load_ / 16;
        if (weight_[hot[0]] > limit * static_cast<load_type>(a) || weight_[hot[1]] > limit * static_cast<load_type>(b)) continue;
        set_copies(hot[0], a);
        set_copies(hot[1], b);
        if (!greedy_counts(hot)) continue;
        order_all();
        if (attempt(limit) < best_load_ + best_load_ / 32) keep_if_best(improve());
      }
  }

  constexpr bool goes_first(std::size_t a, std::size_t b) const { return share_[a] > share_[b] || (share_[a] == share_[b] && a < b); }

  /// Moves an expert whose share changed to its place in order_.
  constexpr void reorder(std::size_t e) {
    std::size_t at = position_[e];
    for (; at > 0 && goes_first(e, order_[at - 1]); --at) position_[order_[at] = order_[at - 1]] = at;
    for (; at + 1 < experts_ && goes_first(order_[at + 1], e); ++at) position_[order_[at] = order_[at + 1]] = at;
    position_[order_[at] = e] = at;
  }

  constexpr void order_all() {
    for (std::size_t e = 0; e < experts_; ++e) order_[e] = e;
    std::sort(order_.begin(), order_.end(), [&](auto a, auto b) { return goes_first(a, b); });
    for (std::size_t i = 0; i < experts_; ++i) position_[order_[i]] = i;
  }

  /// Places the counts; the largest rank load, or none where it would be above `limit` or a replica finds no rank.
  constexpr load_type attempt(load_type limit) {
    std::size_t waiting = ranks_, host = 0;
    for (std::size_t r = 0; r < ranks_; ++r) {
      queue_[r] = r;
      free_[r] = slots_of_[r];
    }
    load_type most = 0;
    for (std::size_t i = 0; i < experts_; ++i) {
      std::size_t const e = order_[i], wanted = copies_[e], left = experts_ - i;
      bool const forced = left <= most_slots_;
      if (wanted > waiting || (forced && !force(waiting, wanted, left))) return none;
      auto const share = static_cast<queued>(share_[e]) << 32;
      host_first_[e] = host;
      std::size_t moved = 0;
      for (std::size_t k = 0; k < wanted; ++k) {
        queued const q = queue_[k] + share;
        auto const r = static_cast<std::uint32_t>(q);
        hosts_[host++] = r;
        most = std::max(most, static_cast<load_type>(q >> 32));
        moved_[moved] = q;
        moved += --free_[r] > 0;
      }
      if (most > limit) return none;
      if (forced) std::sort(moved_.begin(), moved_.begin() + static_cast<std::ptrdiff_t>(moved));
      std::size_t to = 0, from = wanted;
      for (std::size_t k = 0; k < moved;) queue_[to++] = from < waiting && queue_[from] < moved_[k] ? queue_[from++] : moved_[k++];
      if (to != from)
        for (; from < waiting; ++from) queue_[to++] = queue_[from];
      else
        to = waiting;
      waiting = to;
      steps_ += 1 + static_cast<std::int64_t>(wanted);
    }
    return most;
  }

  /// Brings the ranks that need each of the `left` experts to the front. False where they are more than `wanted`.
  constexpr bool force(std::size_t waiting, std::size_t wanted, std::size_t left) {
    std::size_t front = 0;
    for (std::size_t k = 0; k < waiting; ++k) {
      auto const free = static_cast<std::size_t>(free_[static_cast<std::uint32_t>(queue_[k])]);
      if (free < left) continue;
      if (free > left || front == wanted) return false;
      std::rotate(queue_.begin() + static_cast<std::ptrdiff_t>(front), queue_.begin() + static_cast<std::ptrdiff_t>(k),
                  queue_.begin() + static_cast<std::ptrdiff_t>(k) + 1);
      ++front;
    }
    return true;
  }

  /// Experts by descending counts, each on the ranks with most free slots: finds a placement of these counts where there is one (Gale
  /// and Ryser 1957). Where there is none replicas go from the most to the least replicated expert, one by one.
  constexpr bool ordered_by_counts() {
    for (;;) {
      for (std::size_t e = 0; e < experts_; ++e) order_[e] = e;
      std::sort(order_.begin(), order_.end(),
                [&](auto a, auto b) { return copies_[a] > copies_[b] || (copies_[a] == copies_[b] && a < b); });
      for (std::size_t r = 0; r < ranks_; ++r) {
        queue_[r] = r;
        free_[r] = slots_of_[r];
      }
      std::size_t host = 0;
      bool fits = true;
      for (std::size_t i = 0; fits && i < experts_; ++i) {
        std::size_t const e = order_[i];
        std::sort(queue_.begin(), queue_.end(), [&](queued a, queued b) { return free_[a] > free_[b] || (free_[a] == free_[b] && a < b); });
        host_first_[e] = host;
        for (std::size_t k = 0; fits && k < copies_[e]; ++k) {
          fits = free_[queue_[k]]-- > 0;
          if (fits) hosts_[host++] = queue_[k];
        }
      }
      if (fits) return true;
      std::size_t const from = order_.front(), to = order_.back();
      if (copies_[from] <= copies_[to] + 1) return false;
      set_copies(from, copies_[from] - 1);
      set_copies(to, copies_[to] + 1);
    }
  }

  /// Swaps until the fullest rank can't be relieved; starts from the placement of the last attempt. The largest rank load.
  constexpr load_type improve() {
    std::fill(has_.begin(), has_.end(), char{0});
    std::fill(load_.begin(), load_.end(), load_type{0});
    for (std::size_t r = 0; r < ranks_; ++r) moved_[r] = first_[r];
    for (std::size_t const e : order_)
      for (std::size_t k = 0; k < copies_[e]; ++k) {
        std::size_t const r = hosts_[host_first_[e] + k];
        held_[moved_[r]++] = e;
        load_[r] += share_[e];
        has_[r * experts_ + e] = 1;
      }
    for (std::size_t r = 0; r < ranks_; ++r) sort_rank(r);  // in order already unless attempt() had to fall back
    for (;;) {
      std::size_t const fullest = static_cast<std::size_t>(std::max_element(load_.begin(), load_.end()) - load_.begin());
      load_type const top = load_[fullest];
      if (top <= enough_) return top;
      load_type least = top;
      std::size_t best_rank = ranks_, out = 0, in = 0;
      for (std::size_t q = 0; q < ranks_; ++q) {
        load_type const gap = top - load_[q];
        if (gap <= 1 || top - gap / 2 >= least) continue;
        std::size_t j = first_[q];
        for (std::size_t i = first_[fullest]; i < first_[fullest + 1]; ++i) {
          std::size_t const a = held_[i];
          if (has_[q * experts_ + a]) continue;
          load_type const wish = share_[a] - gap / 2;
          while (j + 1 < first_[q + 1] && share_[held_[j]] > wish) ++j;
          for (std::size_t k = j > first_[q] ? j - 1 : j; k <= j; ++k) {
            std::size_t const b = held_[k];
            load_type const d = share_[a] - share_[b];
            load_type const after = std::max(top - d, load_[q] + d);
            if (after < least && !has_[fullest * experts_ + b]) {
              least = after;
              best_rank = q;
              out = i;
              in = k;
            }
          }
        }
        steps_ += static_cast<std::int64_t>(first_[fullest + 1] - first_[fullest] + first_[q + 1] - first_[q]);
      }
      if (best_rank != ranks_)
        swap(fullest, out, best_rank, in);
      else if (top - best_load_ > best_load_ / 512 || !swap_two(fullest))
        return top;
    }
  }

  /// Swaps two experts of the fullest rank with two of another, the best such swap. False where none relieves it.
  constexpr bool swap_two(std::size_t fullest) {
    struct pair {
      std::size_t rank, out[2], in[2];
    };
    load_type const top = load_[fullest];
    load_type least = top;
    pair best{};
    for (std::size_t q = 0; q < ranks_; ++q) {
      load_type const gap = top - load_[q];
      if (gap <= 1 || top - gap / 2 >= least) continue;
      theirs_.clear();
      for (std::size_t k = first_[q]; k < first_[q + 1]; ++k)
        if (!has_[fullest * experts_ + held_[k]]) theirs_.push_back(k);
      for (std::size_t i = first_[fullest]; i < first_[fullest + 1]; ++i) {
        if (has_[q * experts_ + held_[i]]) continue;
        for (std::size_t j = i + 1; j < first_[fullest + 1]; ++j) {
          if (has_[q * experts_ + held_[j]]) continue;
          load_type const mine = share_[held_[i]] + share_[held_[j]];
          for (std::size_t k = 0; k < theirs_.size(); ++k)
            for (std::size_t m = k + 1; m < theirs_.size(); ++m) {
              load_type const d = mine - share_[held_[theirs_[k]]] - share_[held_[theirs_[m]]];
              load_type const after = std::max(top - d, load_[q] + d);
              if (after >= least) continue;
              least = after;
              best = {q, {i, j}, {theirs_[k], theirs_[m]}};
            }
          steps_ += static_cast<std::int64_t>(theirs_.size() * theirs_.size() / 4);
        }
      }
    }
    if (least == top) return false;
    std::size_t const a = held_[best.out[1]], b = held_[best.in[1]];
    swap(fullest, best.out[0], best.rank, best.in[0]);
    swap(fullest, where(fullest, a), best.rank, where(best.rank, b));
    return true;
  }

  constexpr std::size_t where(std::size_t r, std::size_t e) const {
    std::size_t at = first_[r];
    while (held_[at] != e) ++at;
    return at;
  }

  constexpr void swap(std::size_t r, std::size_t i, std::size_t q, std::size_t k) {
    std::size_t const a = held_[i], b = held_[k];
    load_type const d = share_[a] - share_[b];
    load_[r] -= d;
    load_[q] += d;
    has_[r * experts_ + a] = has_[q * experts_ + b] = 0;
    has_[r * experts_ + b] = has_[q * experts_ + a] = 1;
    std::swap(held_[i], held_[k]);
    sort_rank(r);
    sort_rank(q);
  }

  constexpr void sort_rank(std::size_t r) {
    for (std::size_t i = first_[r] + 1; i < first_[r + 1]; ++i) {
      std::size_t const e = held_[i];
      std::size_t at = i;
      for (; at > first_[r] && share_[held_[at - 1]] < share_[e]; --at) held_[at] = held_[at - 1];
      held_[at] = e;
    }
  }

  constexpr void keep_if_best(load_type load) {
    if (load >= best_load_) return;
    best_load_ = load;
    std::copy(held_.begin(), held_.end(), best_.begin());
    std::copy(copies_.begin(), copies_.end(), best_copies_.begin());
  }

  /// fullest_: the experts on the fullest rank as hosts_ has it, the best ones to replicate more.
  constexpr void note_fullest() {
    std::fill(load_.begin(), load_.end(), load_type{0});
    for (std::size_t e = 0; e < experts_; ++e)
      for (std::size_t k = 0; k < copies_[e]; ++k) load_[hosts_[host_first_[e] + k]] += share_[e];
    auto const fullest = static_cast<std::size_t>(std::max_element(load_.begin(), load_.end()) - load_.begin());
    fullest_.clear();
    for (std::size_t e = 0; e < experts_; ++e)
      for (std::size_t k = 0; k < copies_[e]; ++k)
        if (hosts_[host_first_[e] + k] == fullest) fullest_.push_back(e);
    steps_ += static_cast<std::int64_t>(first_[ranks_]);
  }

  constexpr void walk(std::int64_t effort) {
    struct change {
      std::size_t from, to, many;
    };
    load_type kept = best_load_;
    note_fullest();
    while (steps_ < effort && best_load_ > enough_) {
      load_type const slack = kept / 64 * (effort - steps_) / effort;
      load_type const near = best_load_ + best_load_ / 64, limit = std::max(kept + slack, near);
      change done[2] = {};
      std::size_t changes = 0;
      std::size_t const wanted = 1 + below(2);
      for (std::size_t k = 0; k < wanted; ++k) {
        std::size_t const from = below(2) == 0 ? held_[below(held_.size())] : below(experts_),
                          to = below(2) == 0 ? fullest_[below(fullest_.size())] : below(experts_);
        std::size_t const many = std::min({1 + static_cast<std::size_t>(below(4)), copies_[from] - 1, ranks_ - copies_[to]});
        if (from == to || many == 0 || weight_[from] > limit * static_cast<load_type>(copies_[from] - many)) continue;
        give(from, to, many);
        done[changes++] = {from, to, many};
      }
      steps_ += 4;
      if (changes == 0) continue;
      load_type load = attempt(limit);
      if (load < near) keep_if_best(load = improve());
      if (load <= kept + slack) {
        kept = load;
        note_fullest();
      } else {
        while (changes-- > 0) give(done[changes].to, done[changes].from, done[changes].many);
      }
    }
  }

  constexpr void give(std::size_t from, std::size_t to, std::size_t many) {
    set_copies(from, copies_[from] - many);
    reorder(from);
    set_copies(to, copies_[to] + many);
    reorder(to);
  }

  std::size_t experts_, ranks_;
  std::vector<std::int32_t> slots_of_;
  std::size_t most_slots_ = 0;
  std::vector<load_type> weight_, share_;
  std::vector<std::size_t> copies_, order_, position_;  ///< c_e; experts by descending share; where each stands there
  std::vector<std::size_t> host_first_, hosts_{};       ///< ranks of an expert: hosts_[host_first_[e]] and the c_e - 1 after it
  std::vector<queued> queue_, moved_;
  std::vector<std::int32_t> free_;
  std::vector<std::size_t> first_, held_{};  ///< experts of a rank by descending share
  std::vector<std::size_t> fullest_{}, theirs_{};
  std::vector<load_type> load_;
  std::vector<char> has_;  ///< ranks x experts
  std::vector<std::size_t> best_{}, best_copies_;
  load_type best_load_ = none, enough_ = 0;
  std::int64_t steps_ = 0;
  std::uint64_t random_ = 0;
};

}  // namespace shunt
