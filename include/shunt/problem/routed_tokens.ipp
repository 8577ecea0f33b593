#pragma once
#include "shunt/problem/routed_tokens.hpp"

#include <cstddef>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::int64_t slot_capacity(std::int64_t tokens, std::int32_t slots,
                                           capacity_factor const& factor) {
  if (tokens < 0)
    throw invalid_problem("tokens", "must be at least 0, is " + std::to_string(tokens));
  if (slots < 1) throw invalid_problem("slots", "must be at least 1, is " + std::to_string(slots));
  if (factor.numerator < 0)
    throw invalid_problem("numerator",
                          "must be at least 0, is " + std::to_string(factor.numerator));
  if (factor.denominator < 1)
    throw invalid_problem("denominator",
                          "must be at least 1, is " + std::to_string(factor.denominator));
  auto const wanted = checked_multiply(tokens, factor.numerator);
  auto const shares = checked_multiply(slots, factor.denominator);
  if (!wanted || !shares)
    throw invalid_problem("tokens", "times the capacity factor is beyond 64 bits");
  return ceil_divide(*wanted, *shares);
}

SHUNT_CONSTEXPR std::int32_t routed_tokens::ranks() const {
  return static_cast<std::int32_t>(first_slot.size()) - 1;
}

SHUNT_CONSTEXPR std::int32_t routed_tokens::slots() const {
  return static_cast<std::int32_t>(expert_of.size());
}

SHUNT_CONSTEXPR std::int64_t routed_tokens::count(rank_id source, expert_id e) const {
  return counts[source.index() * static_cast<std::size_t>(experts) + e.index()];
}

SHUNT_CONSTEXPR void validate(routed_tokens const& p) {
  auto const at = [](char const* field, auto i) {
    return std::string(field) + "[" + std::to_string(i) + "]";
  };
  if (p.experts < 1)
    throw invalid_problem("experts", "must be at least 1, is " + std::to_string(p.experts));
  if (p.first_slot.size() < 2) throw invalid_problem("first_slot", "names no rank");
  if (p.first_slot.front() != 0)
    throw invalid_problem("first_slot[0]", "must be 0, is " + std::to_string(p.first_slot.front()));
  for (std::size_t r = 1; r < p.first_slot.size(); ++r)
    if (p.first_slot[r] < p.first_slot[r - 1])
      throw invalid_problem(at("first_slot", r), "must not be below the entry before it, is " +
                                                     std::to_string(p.first_slot[r]));
  if (p.expert_of.size() != static_cast<std::size_t>(p.first_slot.back()))
    throw invalid_problem("expert_of", "has " + std::to_string(p.expert_of.size()) +
                                           " values for " + std::to_string(p.first_slot.back()) +
                                           " slots");
  for (std::size_t s = 0; s < p.expert_of.size(); ++s)
    if (p.expert_of[s] < expert_id{0} || p.expert_of[s] >= expert_id{p.experts})
      throw invalid_problem(at("expert_of", s), "must be an expert below " +
                                                    std::to_string(p.experts) + ", is " +
                                                    std::to_string(p.expert_of[s].value()));
  if (p.capacity < 0)
    throw invalid_problem("capacity", "must be at least 0, is " + std::to_string(p.capacity));
  if (p.counts.size() != static_cast<std::size_t>(p.ranks()) * static_cast<std::size_t>(p.experts))
    throw invalid_problem("counts", "has " + std::to_string(p.counts.size()) + " values for " +
                                        std::to_string(p.ranks()) + " ranks x " +
                                        std::to_string(p.experts) + " experts");
  for (std::int32_t e = 0; e < p.experts; ++e) {
    std::int64_t sum = 0;
    for (std::int32_t r = 0; r < p.ranks(); ++r) {
      std::int64_t const count = p.count(r, e);
      if (count < 0 || count >= (std::int64_t{1} << 31))
        throw invalid_problem(at("counts", r) + "[" + std::to_string(e) + "]",
                              "must be at least 0 and below 2^31, is " + std::to_string(count));
      sum += count;
      if (sum >= (std::int64_t{1} << 31))
        throw invalid_problem("counts", "expert " + std::to_string(e) + " has 2^31 tokens or more");
    }
  }
}

}  // namespace shunt
