#pragma once
#include "shunt/train/detail/token_routing.hpp"

#include <algorithm>

#include "shunt/solve/experts/capacity_split.hpp"

namespace shunt::detail {

SHUNT_INLINE void token_routing::set_owners(microbatch_owners owners) {
  owners_ = std::move(owners);
  live_ = owners_.live();
}

SHUNT_INLINE void token_routing::place(expert_placement placement, moe_shape const& shape) {
  part_ = owners_.most() * part_tokens(shape, placement);
  placement_ = std::move(placement);
}

SHUNT_INLINE auto token_routing::owned_by(rank_id r) const -> std::vector<owned> {
  std::vector<owned> all;
  for (auto const k : owners_.owned_by(r)) all.push_back({k, all.size()});
  return all;
}

SHUNT_INLINE void token_routing::split(layer_id l, std::span<std::int64_t const> gathered,
                                       std::int64_t capacity,
                                       std::optional<source_capacity> const& sources,
                                       std::span<std::int64_t> shares) const {
  auto const experts = static_cast<std::size_t>(placement_.experts);
  auto const most = static_cast<std::size_t>(owners_.most());
  std::vector<std::int64_t> counts(static_cast<std::size_t>(owners_.microbatches()) * experts);
  for (std::size_t peer = 0; peer < live_.size(); ++peer)
    for (auto const& c : owned_by(live_[peer])) {
      auto const row = gathered.subspan((peer * most + c.nth) * experts, experts);
      std::copy(row.begin(), row.end(),
                counts.begin() + std::ptrdiff_t{c.microbatch} * placement_.experts);
    }
  auto const tokens = routed(placement_, l, std::move(counts), capacity);
  auto const answer = sources ? (*sources)(tokens) : capacity_split{}(tokens);
  std::copy(answer.plan.tokens.begin(), answer.plan.tokens.end(), shares.begin());
}

SHUNT_INLINE std::int64_t token_routing::sent(std::span<std::int64_t const> shares,
                                              std::int32_t microbatch, rank_id host) const {
  std::int64_t sum = 0;
  auto const row = shares.subspan(static_cast<std::size_t>(microbatch) *
                                  static_cast<std::size_t>(placement_.slots()));
  for (auto s = placement_.first_slot[host.index()]; s < placement_.first_slot[host.index() + 1];
       ++s)
    sum += row[static_cast<std::size_t>(s)];
  return sum;
}

SHUNT_INLINE void token_routing::count_bytes(std::span<std::int64_t const> shares, rank_id self,
                                             bool to_slots, byte_count token_bytes,
                                             std::span<std::int64_t> counts) const {
  for (std::size_t peer = 0; peer < live_.size(); ++peer) {
    auto const source = to_slots ? self : live_[peer], host = to_slots ? live_[peer] : self;
    counts[peer] = 0;
    for (auto const k : owners_.owned_by(source))
      counts[peer] += sent(shares, k, host) * token_bytes;
  }
}

SHUNT_INLINE std::vector<std::int64_t> token_routing::first_rows() const {
  std::vector<std::int64_t> all;
  for (std::size_t peer = 0; peer < live_.size(); ++peer)
    all.push_back(static_cast<std::int64_t>(peer) * part_);
  return all;
}

SHUNT_INLINE void token_routing::take_rows(layer_id l, std::span<std::int64_t const> shares,
                                           std::int32_t microbatch,
                                           std::span<std::int32_t const> expert,
                                           std::vector<std::int64_t>& next,
                                           std::span<std::int64_t> row,
                                           std::span<std::int64_t const> order) const {
  // the slots of each expert, in order, with the next row of each
  struct target {
    std::int64_t row = 0, left = 0;
  };
  auto const own = shares.subspan(static_cast<std::size_t>(microbatch) *
                                  static_cast<std::size_t>(placement_.slots()));
  std::vector<std::vector<target>> targets(static_cast<std::size_t>(placement_.experts));
  for (std::size_t peer = 0; peer < live_.size(); ++peer)
    for (auto s = placement_.first_slot[live_[peer].index()];
         s < placement_.first_slot[live_[peer].index() + 1]; ++s) {
      auto const left = own[static_cast<std::size_t>(s)];
      targets[placement_.layer(l)[static_cast<std::size_t>(s)].index()].push_back(
          {next[peer], left});
      next[peer] += left;
    }
  std::vector<std::size_t> at(targets.size(), 0);
  for (std::size_t k = 0; k < expert.size(); ++k) {
    auto const t = order.empty() ? k : static_cast<std::size_t>(order[k]);
    auto const e = static_cast<std::size_t>(expert[t]);
    while (at[e] < targets[e].size() && targets[e][at[e]].left == 0) ++at[e];
    row[t] = -1;
    if (at[e] == targets[e].size()) continue;
    auto& to = targets[e][at[e]];
    row[t] = to.row++;
    --to.left;
  }
}

SHUNT_INLINE auto token_routing::arrivals(std::span<std::int64_t const> shares, rank_id self) const
    -> std::vector<std::vector<run>> {
  auto const first = placement_.first_slot[self.index()],
             last = placement_.first_slot[self.index() + 1];
  std::vector<std::vector<run>> slots(static_cast<std::size_t>(last - first));
  for (std::size_t peer = 0; peer < live_.size(); ++peer) {
    std::int64_t row = static_cast<std::int64_t>(peer) * part_;
    for (auto const k : owners_.owned_by(live_[peer]))
      for (auto s = first; s < last; ++s) {
        auto const count =
            shares[static_cast<std::size_t>(std::int64_t{k} * placement_.slots() + s)];
        if (count > 0) slots[static_cast<std::size_t>(s - first)].push_back({row, count});
        row += count;
      }
  }
  return slots;
}

}  // namespace shunt::detail
