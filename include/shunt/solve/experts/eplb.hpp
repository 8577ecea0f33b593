#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/group_packing.hpp"
#include "shunt/solve/experts/rated.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// EPLB's rule for one set of experts and ranks, with the memory it needs: made once, asked layer by layer without allocating.
///
/// w_e are the loads, c_e the replicas, S the slots. Replicate: all have one replica; the next goes to the largest w_e / c_e (ties: the
/// highest index) until there are S. Place: replicas in descending order of w_e / c_e (ties: the lowest index), each on the rank with the
/// least load that has a free slot (ties: the lowest rank), in its next free slot. That is what TensorRT-LLM's doReplication and
/// doPlacement do, in doubles, and where loads are below 2^24, which its floats hold, the result is the same to the bit.
///
/// Three things make it fast. Experts are sorted once (radix), and the replicas are merged from the sorted singles and the few that were
/// replicated. Counts start from ceil(w (S - E) / W), which the rule never falls short of: at most S - E of all w / k are above
/// W / (S - E). And ranks stay sorted by load, for what is placed last is usually the fullest: a step moves few of them.
/// O(E + (S - E) log E + S N) at worst, near O(E + S) in practice.
class eplb_rule {
 public:
  /// Throws nothing; needs 1 <= experts <= sum of slots.
  constexpr eplb_rule(std::int32_t experts, std::span<std::int32_t const> slots_per_rank)
      : experts_(static_cast<std::size_t>(experts)),
        loads_(experts_, 0),
        copies_(experts_, 0),
        order_(experts_),
        other_(experts_),
        heap_(experts_),
        waiting_(slots_per_rank.size()),
        served_(waiting_),
        sorted_(waiting_),
        keys_(waiting_.size(), 0),
        first_(1, 0),
        next_(waiting_.size(), 0) {
    for (auto const s : slots_per_rank) first_.push_back(slots_ += s);
  }

  /// Where load e of the list comes from and which expert it is stays with the caller: `names[e]` is written into the slots.
  /// `placed` has one entry a slot, rank by rank.
  constexpr void operator()(std::span<std::int64_t const> loads, std::span<expert_id const> names, std::span<expert_id> placed) {
    for (std::size_t e = 0; e < experts_; ++e) loads_[e] = static_cast<double>(loads[e]);
    replicate(loads);
    place(names, placed);
  }

  /// c_e of the layer asked last.
  [[nodiscard]] constexpr std::span<std::int32_t const> copies() const { return copies_; }

 private:
  struct entry {
    double share = 0;  ///< load over replicas; of a rank: its load
    std::int32_t index = 0;
  };
  static constexpr bool goes_first(entry const& a, entry const& b) {  // of two replicas to place
    return a.share > b.share || (a.share == b.share && a.index < b.index);
  }

  /// order_: experts by descending load, ties by index. Radix sort of the bits that occur; insertion where there are few experts.
  constexpr void sort_experts(std::span<std::int64_t const> loads) {
    if (experts_ <= 48) {
      for (std::size_t e = 0; e < experts_; ++e) {
        entry const item{loads_[e], static_cast<std::int32_t>(e)};
        std::size_t at = e;
        for (; at > 0 && order_[at - 1].share < item.share; --at) order_[at] = order_[at - 1];
        order_[at] = item;
      }
      return;
    }
    std::int64_t most = 0;
    for (std::size_t e = 0; e < experts_; ++e) {
      order_[e] = {loads_[e], static_cast<std::int32_t>(e)};
      most |= loads[e];
    }
    for (int shift = 0; most >> shift != 0; shift += 8) {
      std::int32_t start[257] = {};
      for (std::size_t e = 0; e < experts_; ++e) ++start[256 - (loads[e] >> shift & 255)];
      for (std::size_t b = 0; b < 256; ++b) start[b + 1] += start[b];
      for (entry const& item : order_)
        other_[static_cast<std::size_t>(start[255 - (loads[static_cast<std::size_t>(item.index)] >> shift & 255)]++)] = item;
      order_.swap(other_);
    }
  }

  constexpr void replicate(std::span<std::int64_t const> loads) {
    sort_experts(loads);
    auto const experts = static_cast<std::int32_t>(experts_);
    std::int32_t spare = slots_ - experts;
    std::int64_t total = 0;
    for (std::size_t e = 0; e < experts_; ++e) total += loads[e];
    std::fill(copies_.begin(), copies_.end(), 1);
    replicated_ = 0;
    if (spare == 0) return;
    if (total == 0) {
      for (std::int32_t e = 0; e < experts; ++e) copies_[static_cast<std::size_t>(e)] = slots_ / experts + (e < slots_ % experts);
      return;
    }

    // the counts no expert falls short of; products are exact and quotients differ in doubles where total * slots is below 2^51
    if (total <= (std::int64_t{1} << 51) / slots_) {
      std::int32_t const all = spare;
      double const each = static_cast<double>(all) / static_cast<double>(total) * (1 - 0x1p-40);
      for (; replicated_ < experts_; ++replicated_) {
        auto const& [load, e] = order_[replicated_];
        auto const more = static_cast<std::int32_t>(load * each);  // ceil(x) - 1, or one less where x is whole
        if (more == 0) break;
        copies_[static_cast<std::size_t>(e)] += more;
        spare -= more;
      }
    }
    for (std::size_t i = 0; i < replicated_; ++i) heap_[i] = {share_of(order_[i].index), order_[i].index};
    auto const later = [](entry const& a, entry const& b) { return a.share < b.share || (a.share == b.share && a.index < b.index); };
    auto const heap = [&] { return heap_.begin() + static_cast<std::ptrdiff_t>(replicated_); };
    std::make_heap(heap_.begin(), heap(), later);
    for (; spare > 0; --spare) {
      // of the singles the first of the order is the largest; among equal ones the rule wants the highest index
      bool single = replicated_ < experts_ && (replicated_ == 0 || order_[replicated_].share >= heap_[0].share);
      if (single) {
        std::size_t last = replicated_;
        while (last + 1 < experts_ && order_[last + 1].share == order_[replicated_].share) ++last;
        single = replicated_ == 0 || later(heap_[0], order_[last]);
        if (single)
          std::rotate(order_.begin() + static_cast<std::ptrdiff_t>(replicated_), order_.begin() + static_cast<std::ptrdiff_t>(last),
                      order_.begin() + static_cast<std::ptrdiff_t>(last) + 1);
      }
      if (single) {
        std::int32_t const e = order_[replicated_].index;
        copies_[static_cast<std::size_t>(e)] = 2;
        heap_[replicated_++] = {share_of(e), e};
        std::push_heap(heap_.begin(), heap(), later);
      } else {
        std::int32_t const e = heap_[0].index;
        ++copies_[static_cast<std::size_t>(e)];
        entry const item{share_of(e), e};
        std::size_t at = 0;
        for (std::size_t child = 1; child < replicated_; child = 2 * at + 1) {
          child += child + 1 < replicated_ && later(heap_[child], heap_[child + 1]);
          if (!later(item, heap_[child])) break;
          heap_[at] = heap_[child];
          at = child;
        }
        heap_[at] = item;
      }
    }
  }

  constexpr double share_of(std::int32_t e) const { return loads_[static_cast<std::size_t>(e)] / copies_[static_cast<std::size_t>(e)]; }

  constexpr void place(std::span<expert_id const> names, std::span<expert_id> placed) {
    // the replicated ones by share; a heap is nearly in order
    for (std::size_t i = 1; i < replicated_; ++i) {
      entry const item = heap_[i];
      std::size_t at = i;
      for (; at > 0 && goes_first(item, heap_[at - 1]); --at) heap_[at] = heap_[at - 1];
      heap_[at] = item;
    }
    line_up_ranks();
    std::size_t many = 0, single = replicated_;
    while (many < replicated_ || single < experts_) {
      bool const from_many = many < replicated_ && (single == experts_ || goes_first(heap_[many], order_[single]));
      entry const item = from_many ? heap_[many++] : order_[single++];
      auto const e = static_cast<std::size_t>(item.index);
      for (std::int32_t k = copies_[e]; k > 0; --k) give(item.share, names[e], placed);
    }
  }

  // Ranks that got nothing since the last sort stand in waiting_[head_ .. ranks), by (load, rank); those that did are in served_, in any
  // order, and as long as the first waiting one is below all of them no order is needed. Mostly a whole round of ranks goes by that way.
  constexpr void line_up_ranks() {
    lined_up_ = served_count_ = 0;
    head_ = 0;
    for (std::size_t r = 0; r < next_.size(); ++r) {
      next_[r] = first_[r];
      if (first_[r] < first_[r + 1]) waiting_[lined_up_++] = {0, static_cast<std::int32_t>(r)};
    }
  }

  static constexpr bool below(entry const& a, entry const& b) { return a.share < b.share || (a.share == b.share && a.index < b.index); }

  constexpr void give(double share, expert_id name, std::span<expert_id> placed) {
    if (served_count_ > 0 && (head_ == lined_up_ || !below(waiting_[head_], least_))) sort_served();
    entry item = waiting_[head_++];
    auto const r = static_cast<std::size_t>(item.index);
    std::int32_t const slot = next_[r]++;
    placed[static_cast<std::size_t>(slot)] = name;
    if (slot + 1 == first_[r + 1]) return;
    item.share += share;
    if (served_count_ == 0 || below(item, least_)) least_ = item;
    served_[served_count_++] = item;
  }

  /// served_, sorted, goes before head_, then both are merged; there is room, as each of them left a place there.
  constexpr void sort_served() {
    std::size_t const n = served_count_;
    served_count_ = 0;
    if (n > 40) {
      std::sort(served_.begin(), served_.begin() + static_cast<std::ptrdiff_t>(n), below);
      sorted_.swap(served_);
    } else {  // how many go before each: no branches
      auto* const keys = keys_.data();
      auto const* const served = served_.data();
      auto* const sorted = sorted_.data();
      for (std::size_t i = 0; i < n; ++i) keys[i] = std::bit_cast<std::uint64_t>(served[i].share);  // never negative: ordered alike
      for (std::size_t i = 0; i < n; ++i) {
        std::uint64_t const key = keys[i];
        std::uint64_t before = 0;
        for (std::size_t j = 0; j < i; ++j) before += keys[j] <= key;
        for (std::size_t j = i + 1; j < n; ++j) before += keys[j] < key;
        sorted[before] = served[i];
      }
      for (std::size_t i = 1; i < n; ++i)  // equal loads, by rank
        for (std::size_t j = i; j > 0 && sorted[j].share == sorted[j - 1].share && sorted[j].index < sorted[j - 1].index; --j)
          std::swap(sorted[j], sorted[j - 1]);
    }
    std::size_t from = head_, to = head_ -= n;
    for (std::size_t i = 0; i < n;)
      waiting_[to++] = from < lined_up_ && below(waiting_[from], sorted_[i]) ? waiting_[from++] : sorted_[i++];
  }

  std::size_t experts_;
  std::int32_t slots_ = 0;
  std::vector<double> loads_;
  std::vector<std::int32_t> copies_;
  std::vector<entry> order_, other_;  ///< experts by load; from replicated_ on those with one replica
  std::vector<entry> heap_;           ///< the replicated ones
  std::size_t replicated_ = 0;
  std::vector<entry> waiting_, served_, sorted_;
  std::vector<std::uint64_t> keys_;  ///< the bits of served_
  std::size_t lined_up_ = 0, head_ = 0, served_count_ = 0;
  entry least_{};  ///< of served_
  std::vector<std::int32_t> first_, next_;
};

/// EPLB (DeepSeek), as TensorRT-LLM computes it: eplb_rule over all ranks, or, where the problem binds experts to groups and has several
/// nodes, whole groups packed on nodes first and the rule within each node (EPLB's hierarchical policy; within a node ties are as
/// above, counted in ascending order of experts). Slots may differ from rank to rank and divide nothing.
///
/// It knows no ban on two replicas of an expert on one rank and wastes slots by it; `balanced` doesn't. Infeasible: fewer slots than
/// experts, or groups that no node has slots for. Throws what validate throws.
struct eplb {
  static constexpr std::string_view name = "eplb";

  [[nodiscard]] constexpr solution<expert_placement> operator()(expert_layers const& problem) const {
    validate(problem);
    auto answer = unplaced(problem);
    if (!answer.has_plan()) return answer;
    if (problem.groups > 0 && problem.nodes() > 1) return hierarchical(problem, std::move(answer));
    eplb_rule rule(problem.experts, problem.slots_per_rank);
    std::vector<expert_id> names(static_cast<std::size_t>(problem.experts));
    for (std::size_t e = 0; e < names.size(); ++e) names[e] = e;
    for (layer_id l : ids<layer_id>(problem.layers)) rule(problem.loads_of(l), names, answer.plan.layer(l));
    return rated(problem, std::move(answer.plan));
  }

 private:
  static constexpr solution<expert_placement> hierarchical(expert_layers const& problem, solution<expert_placement> answer) {
    group_packing packing(problem);
    struct node {
      std::int32_t experts = 0;
      std::vector<eplb_rule> rule{};  // at most one
      std::vector<std::int64_t> loads{};
      std::vector<expert_id> names{};
    };
    std::vector<node> nodes(static_cast<std::size_t>(problem.nodes()));
    auto const per_node = static_cast<std::size_t>(problem.ranks_per_node);
    for (layer_id l : ids<layer_id>(problem.layers)) {
      auto const loads = problem.loads_of(l);
      auto const node_of = packing(loads);
      if (node_of.empty()) {
        answer.plan = {};
        answer.status = status::infeasible;
        answer.reason = "groups: no node has slots for a whole group of layer " + std::to_string(l.value());
        return answer;
      }
      for (node& n : nodes) {
        n.loads.clear();
        n.names.clear();
      }
      for (std::size_t e = 0; e < loads.size(); ++e) {
        node& n = nodes[node_of[packing.group_of(e)]];
        n.loads.push_back(loads[e]);
        n.names.push_back(e);
      }
      for (std::size_t i = 0; i < nodes.size(); ++i) {
        node& n = nodes[i];
        auto const ranks =
            std::span(problem.slots_per_rank).subspan(i * per_node, std::min(per_node, problem.slots_per_rank.size() - i * per_node));
        auto const first = static_cast<std::size_t>(answer.plan.first_slot[i * per_node]);
        auto const slots = answer.plan.layer(l).subspan(first, static_cast<std::size_t>(packing.slots()[i]));
        if (n.names.empty()) {  // more nodes than groups: nothing to hold but copies of the first expert
          std::fill(slots.begin(), slots.end(), expert_id{0});
          continue;
        }
        if (n.rule.empty() || n.experts != static_cast<std::int32_t>(n.names.size())) {
          n.experts = static_cast<std::int32_t>(n.names.size());
          n.rule.assign(1, eplb_rule(n.experts, ranks));
        }
        n.rule[0](n.loads, n.names, slots);
      }
    }
    return rated(problem, std::move(answer.plan));
  }
};
static_assert(solver_for<eplb, expert_layers>);

}  // namespace shunt
