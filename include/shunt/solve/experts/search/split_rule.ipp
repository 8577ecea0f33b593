#pragma once
#include "shunt/solve/experts/search/split_rule.hpp"

#include <algorithm>
#include <cstddef>

namespace shunt::detail {

SHUNT_CONSTEXPR split_rule::split_rule(std::span<std::int32_t const> first_slot,
                                       std::int32_t experts)
    : experts_(experts),
      sources_(static_cast<std::int32_t>(first_slot.size()) - 1),
      rank_of_(static_cast<std::size_t>(first_slot.back()), 0),
      totals_(static_cast<std::size_t>(experts), 0),
      scratch_(static_cast<std::size_t>(split_scratch(sources_, experts, first_slot.back())), 0),
      inverse_(static_cast<std::size_t>(experts), 0.0) {
  for (std::size_t r = 0; r + 1 < first_slot.size(); ++r)
    std::fill(rank_of_.begin() + first_slot[r], rank_of_.begin() + first_slot[r + 1],
              static_cast<std::int32_t>(r));
}

SHUNT_CONSTEXPR std::span<std::int32_t const> split_rule::totals() const { return totals_; }

SHUNT_CONSTEXPR void split_rule::operator()(std::span<std::int64_t const> counts,
                                            std::span<expert_id const> expert_of,
                                            std::int64_t capacity, token_split& plan) {
  auto const slots = static_cast<std::int32_t>(rank_of_.size());
  plan.sources = sources_;
  plan.slots = slots;
  plan.experts = experts_;
  plan.tokens.resize(static_cast<std::size_t>(sources_) * rank_of_.size(), 0);
  plan.dropped.resize(static_cast<std::size_t>(sources_) * static_cast<std::size_t>(experts_), 0);
  split_layer({.sources = sources_,
               .experts = experts_,
               .slots = slots,
               .capacity = capacity,
               .counts = counts.data(),
               .expert_of = expert_of.data(),
               .rank_of = rank_of_.data(),
               .tokens = plan.tokens.data(),
               .dropped = plan.dropped.data(),
               .totals = totals_.data(),
               .scratch = scratch_.data(),
               .inverse = inverse_.data()});
}

}  // namespace shunt::detail
