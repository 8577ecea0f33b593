#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"

namespace heaps {

/// EPLB's rule with two heaps, written from its description and apart from `eplb`: the reference
/// that its speed is measured against. Memory is kept between layers. TensorRT-LLM's doReplication
/// and doPlacement have the same form; this function took 0.8-1.3 of their time.
class eplb_rule {
 public:
  /// Computes one layer; slots are listed rank by rank. Every expert has one replica; each further
  /// replica goes to the largest load / replicas (ties: the highest index). Replicas in descending
  /// order of load / replicas (ties: the lowest index) go to the least loaded rank with a free slot
  /// (ties: the lowest rank). Without any load the slots are dealt evenly.
  void operator()(std::span<std::int64_t const> loads, std::span<std::int32_t const> slots_per_rank,
                  std::span<shunt::expert_id> placed) {
    auto const experts = loads.size(), slots = placed.size();
    copies_.assign(experts, 1);
    if (std::any_of(loads.begin(), loads.end(), [](auto load) { return load > 0; })) {
      hottest_.clear();
      for (std::size_t e = 0; e < experts; ++e)
        hottest_.push_back({static_cast<double>(loads[e]), static_cast<std::int32_t>(e)});
      std::make_heap(hottest_.begin(), hottest_.end());
      for (std::size_t n = experts; n < slots; ++n) {
        std::pop_heap(hottest_.begin(), hottest_.end());
        auto& top = hottest_.back();
        auto const e = static_cast<std::size_t>(top.index);
        top.value = static_cast<double>(loads[e]) / ++copies_[e];
        std::push_heap(hottest_.begin(), hottest_.end());
      }
    } else {
      for (std::size_t n = experts; n < slots; ++n) ++copies_[n % experts];
    }

    replicas_.clear();
    for (std::size_t e = 0; e < experts; ++e)
      for (std::int32_t c = 0; c < copies_[e]; ++c)
        replicas_.push_back(
            {static_cast<double>(loads[e]) / copies_[e], static_cast<std::int32_t>(e)});
    std::sort(replicas_.begin(), replicas_.end(), [](item const& a, item const& b) {
      return a.value > b.value || (a.value == b.value && a.index < b.index);
    });

    ranks_.clear();
    next_.clear();
    end_.clear();
    std::int32_t first = 0;
    for (std::size_t r = 0; r < slots_per_rank.size(); ++r) {
      next_.push_back(first);
      end_.push_back(first += slots_per_rank[r]);
      if (slots_per_rank[r] > 0) ranks_.push_back({0, static_cast<std::int32_t>(r)});
    }
    std::make_heap(ranks_.begin(), ranks_.end(), std::greater<>{});
    for (auto const& [share, expert] : replicas_) {
      std::pop_heap(ranks_.begin(), ranks_.end(), std::greater<>{});
      auto& rank = ranks_.back();
      auto const r = static_cast<std::size_t>(rank.index);
      placed[static_cast<std::size_t>(next_[r]++)] = expert;
      rank.value += share;
      if (next_[r] < end_[r])
        std::push_heap(ranks_.begin(), ranks_.end(), std::greater<>{});
      else
        ranks_.pop_back();
    }
  }

 private:
  struct item {
    double value = 0;
    std::int32_t index = 0;
    auto operator<=>(item const&) const = default;
  };
  std::vector<std::int32_t> copies_, next_, end_;
  std::vector<item> hottest_, replicas_, ranks_;
};

}  // namespace heaps
