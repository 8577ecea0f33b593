#pragma once
/// Selects the host of an expert that sends its reduced gradient to each holder of a shard.
/// See docs/lowering.md.
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/lower/expert_buffers.hpp"
#include "shunt/plan/expert_hosts.hpp"

namespace shunt {

/// Returns the rank that sends an expert's gradient to `target`: itself where it is a host,
/// otherwise hosts[target mod |hosts|].
/// Requires that `hosts` is ascending and not empty.
/// Reference: SYMI (arXiv 2504.19925), Algorithm 2, appendix A.4.
[[nodiscard]] SHUNT_CONSTEXPR rank_id gradient_source(std::span<expert_host const> hosts,
                                                      rank_id target);

/// Selects sources so that the most messages sent by any rank are fewest, for the experts in
/// `gathered`. All hosts of the other experts send all parts that they have.
/// Returns source[e][k] for held[e][k]; empty for experts outside `gathered`.
/// Complexity: O(messages x hosts of an expert + shifts x slots).
/// Reference: Harvey, Ladner, Lovasz and Tamir, Journal of Algorithms 59, 2006 (semi-matchings).
[[nodiscard]] SHUNT_CONSTEXPR indexed<expert_id, std::vector<rank_id>> balanced_sources(
    indexed<expert_id, std::vector<expert_host>> const& hosts,
    indexed<expert_id, std::vector<held_shard>> const& held,
    indexed<expert_id, char> const& gathered, std::int32_t ranks);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/gather_sources.ipp"
#endif
