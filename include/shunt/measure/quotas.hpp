#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/token_quotas.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt {

/// Returns the home rank of every expert, layers x experts. Slot k of the problem is the home of
/// expert k, or of the expert that `previous` places there.
/// Throws what validate throws, and invalid_problem if the number of slots differs from that of the
/// experts or `previous` names an expert twice in a layer.
[[nodiscard]] SHUNT_CONSTEXPR std::vector<rank_id> home_ranks(expert_layers const& problem);

/// Returns the tokens of a layer that each rank computes: those of its own experts less the tokens
/// moved to copies, plus those of the copies it hosts.
[[nodiscard]] SHUNT_CONSTEXPR indexed<rank_id, std::int64_t> quota_loads(
    std::span<std::int64_t const> loads, std::span<rank_id const> homes, std::int32_t ranks,
    std::span<expert_copy const> copies);

/// Returns a lower bound of the copies of any quotas with at most `cap` tokens per rank.
/// A copy brings tokens of one expert to one rank, so it carries at most the expert's load and at
/// most the cap. A rank with s tokens above the cap therefore needs as many copies as pieces of its
/// experts, each at most the cap, add up to s; ranks share no experts. The ranks below the cap take
/// all tokens above it, so at least those with the largest rooms that hold them receive a copy
/// each.
/// Complexity: O(E log E).
[[nodiscard]] SHUNT_CONSTEXPR std::int64_t copies_bound(std::span<std::int64_t const> loads,
                                                        std::span<rank_id const> homes,
                                                        std::int32_t ranks,
                                                        std::span<char const> live,
                                                        std::int64_t cap);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/quotas.ipp"
#endif
