#pragma once
/// EPLB's rule to the letter: float32, its order of slots and its ranks of replicas. The library's
/// `eplb` is the same greedy in double, with other ties and in another order.
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace planner {

/// What EPLB is asked; for its global policy, groups and nodes are 1.
struct eplb_shape {
  std::size_t experts = 0, replicas = 0, groups = 1, nodes = 1, gpus = 1;
};

/// The least of some keys, of which one at a time changes.
/// Complexity: O(log n) a change, without branches on keys.
class tournament {
 public:
  static constexpr std::uint64_t none = ~std::uint64_t{0};  ///< behind all keys

  /// Begins with n keys of none; then `leaf` for each, and `build`.
  void clear(std::size_t n) {
    leaves_ = std::bit_ceil(n);
    nodes_.resize(std::max(nodes_.size(), 2 * leaves_));
    std::fill(nodes_.begin() + static_cast<std::ptrdiff_t>(leaves_),
              nodes_.begin() + static_cast<std::ptrdiff_t>(2 * leaves_), none);
  }
  std::uint64_t& leaf(std::size_t i) { return nodes_[leaves_ + i]; }
  void build() {
    for (std::size_t i = leaves_ - 1; i > 0; --i)
      nodes_[i] = std::min(nodes_[2 * i], nodes_[2 * i + 1]);
  }
  [[nodiscard]] std::uint64_t least() const { return nodes_[1]; }
  void set(std::size_t i, std::uint64_t key) {
    std::uint64_t* const nodes = nodes_.data();
    nodes[i += leaves_] = key;
    for (; i > 1; i /= 2) nodes[i / 2] = key = std::min(key, nodes[i ^ 1]);
  }

 private:
  std::size_t leaves_ = 1;
  std::vector<std::uint64_t> nodes_ = std::vector<std::uint64_t>(2, none);
};

/// Places one layer after the other. Allocates when it is constructed.
/// Requires weights that are finite and at least 0, replicas that gpus divide and that are at least
/// the experts, gpus and groups that nodes divide, and experts that groups divide.
/// Reference: https://github.com/deepseek-ai/EPLB.
class eplb_rule {
 public:
  explicit eplb_rule(eplb_shape shape)
      : shape_(shape),
        keys_(shape.replicas),
        moved_(shape.replicas),
        pack_(shape.replicas),
        place_(shape.replicas),
        held_(std::max(shape.nodes, shape.gpus)),
        group_weight_(shape.groups),
        expert_of_(shape.experts),
        weight_(shape.experts / shape.nodes),
        each_(weight_.size()),
        copies_(weight_.size()),
        logical_(shape.replicas / shape.nodes),
        rank_(logical_.size()),
        share_(logical_.size()) {}

  /// Fills one entry a slot: the expert, and which of the expert's replicas stands there.
  void operator()(std::span<float const> weights, std::span<std::int32_t> experts,
                  std::span<std::int32_t> ranks) {
    order_groups(weights);
    std::size_t const of_node = logical_.size(), of_gpu = shape_.replicas / shape_.gpus;
    for (std::size_t node = 0; node < shape_.nodes; ++node) {
      auto const names = std::span(expert_of_).subspan(node * weight_.size(), weight_.size());
      for (std::size_t i = 0; i < names.size(); ++i) weight_[i] = weights[names[i]];
      replicate();
      pack(share_, shape_.gpus / shape_.nodes);
      for (std::size_t i = 0; i < of_node; ++i) {
        std::size_t const slot = node * of_node + pack_[i] * of_gpu + place_[i];
        experts[slot] = static_cast<std::int32_t>(names[logical_[i]]);
        ranks[slot] = static_cast<std::int32_t>(rank_[i]);
      }
    }
  }

 private:
  /// Order of float32 numbers that are at least 0.
  static std::uint32_t bits(float x) { return std::bit_cast<std::uint32_t>(x); }

  /// Deals the groups to nodes and lists the experts node by node.
  void order_groups(std::span<float const> weights) {
    std::size_t const size = shape_.experts / shape_.groups;
    for (std::size_t g = 0; g < shape_.groups; ++g) {
      float sum = 0;
      for (float const w : weights.subspan(g * size, size)) sum += w;
      group_weight_[g] = sum;
    }
    pack(group_weight_, shape_.nodes);
    for (std::size_t g = 0; g < shape_.groups; ++g)
      for (std::size_t i = 0; i < size; ++i)
        expert_of_[(pack_[g] * (shape_.groups / shape_.nodes) + place_[g]) * size + i] =
            g * size + i;
  }

  /// One replica each, then the next one to the largest weight / replicas, ties to the first.
  void replicate() {
    std::size_t const experts = weight_.size();
    // inverted: the largest share is the least key
    auto const key = [&](std::size_t e) { return std::uint64_t{~bits(each_[e])} << 32 | e; };
    experts_.clear(experts);
    for (std::size_t e = 0; e < experts; ++e) {
      copies_[e] = 1;
      each_[e] = weight_[e];
      experts_.leaf(e) = key(e);
      logical_[e] = e;
      rank_[e] = 0;
    }
    if (logical_.size() > experts) experts_.build();
    for (std::size_t i = experts; i < logical_.size(); ++i) {
      std::size_t const e = experts_.least() & 0xffffffffu;
      logical_[i] = e;
      rank_[i] = copies_[e]++;
      each_[e] = weight_[e] / static_cast<float>(copies_[e]);
      experts_.set(e, key(e));
    }
    for (std::size_t i = 0; i < logical_.size(); ++i) share_[i] = each_[logical_[i]];
  }

  /// Deals items to packs of equally many: in descending order of weight, each to the pack with the
  /// least weight among those with room, ties to the first. One item a pack: in their order.
  void pack(std::span<float const> weights, std::size_t packs) {
    std::size_t const room = weights.size() / packs;
    if (room == 1) {
      for (std::size_t i = 0; i < packs; ++i) pack_[i] = i, place_[i] = 0;
      return;
    }
    sort(weights);
    packs_.clear(packs);
    for (std::size_t p = 0; p < packs; ++p) packs_.leaf(p) = p;
    packs_.build();
    std::fill_n(held_.begin(), packs, std::size_t{0});
    for (std::size_t k = 0; k < weights.size(); ++k) {
      std::size_t const item = keys_[k] & 0xffffffffu, p = packs_.least() & 0xffffffffu;
      float const load = std::bit_cast<float>(static_cast<std::uint32_t>(packs_.least() >> 32));
      pack_[item] = p;
      place_[item] = held_[p]++;
      auto const key = std::uint64_t{bits(load + weights[item])} << 32 | p;
      packs_.set(p, held_[p] == room ? tournament::none : key);
    }
  }

  /// Fills keys_ with the items, in the low halves, in stable descending order of weight, by
  /// radix.
  void sort(std::span<float const> weights) {
    std::size_t const n = weights.size();
    for (auto& digit : counts_) std::ranges::fill(digit, 0u);
    for (std::size_t i = 0; i < n; ++i) {
      std::uint32_t const down = ~bits(weights[i]);
      keys_[i] = std::uint64_t{down} << 32 | i;
      for (std::size_t d = 0; d < counts_.size(); ++d) ++counts_[d][down >> 8 * d & 0xff];
    }
    for (std::size_t d = 0; d < counts_.size(); ++d) {
      std::uint32_t first = 0;
      bool one = false;  // whether all have the same digit
      for (auto& count : counts_[d]) {
        one |= count == n;
        first += std::exchange(count, first);
      }
      if (one) continue;
      for (std::size_t i = 0; i < n; ++i)
        moved_[counts_[d][keys_[i] >> (32 + 8 * d) & 0xff]++] = keys_[i];
      std::swap(keys_, moved_);
    }
  }

  eplb_shape shape_;
  std::vector<std::uint64_t> keys_, moved_;
  tournament experts_{}, packs_{};
  std::vector<std::size_t> pack_, place_;  ///< of each item
  std::vector<std::size_t> held_;          ///< items of each pack
  std::vector<float> group_weight_;
  std::vector<std::size_t> expert_of_;  ///< node by node
  std::vector<float> weight_, each_;    ///< of the experts of a node, and of a replica of each
  std::vector<std::size_t> copies_, logical_, rank_;
  std::vector<float> share_;
  std::array<std::array<std::uint32_t, 256>, 4> counts_{};
};

}  // namespace planner
