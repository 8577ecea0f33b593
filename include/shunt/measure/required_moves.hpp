#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt {

/// Returns the experts of a layer that no slot of the previous placement holds, ascending: those of
/// which a live rank has no copy.
/// Requires `previous`.
[[nodiscard]] SHUNT_CONSTEXPR std::vector<expert_id> lost_experts(expert_layers const& problem,
                                                                  layer_id layer);

/// Returns how many experts ranks must newly receive (moved_experts) such that every expert has a
/// slot and every empty slot of the previous placement gets an expert that its rank lacks: the
/// larger of the lost experts and the empty slots. A rank that lacks fewer experts than it has
/// empty slots counts those. No placement of this kind has fewer moves, and one has as few if there
/// are as many slots as experts: a lost expert takes one move wherever it goes, and a slot that is
/// empty, or whose expert has a further one, is left for that expert.
/// Requires `previous`.
/// Complexity: O(slots + experts).
[[nodiscard]] SHUNT_CONSTEXPR std::int32_t required_moves(expert_layers const& problem,
                                                          layer_id layer);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/required_moves.ipp"
#endif
