#pragma once
#include "shunt/core/id.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Returns the program that sends a re-joining rank the persistent buffers of its stages from the
/// lowest of its peers: state, kept state, gradient and record, because a validation is under way.
/// Throws invalid_program where the rank takes no part in the iteration, a stage of it has no other
/// worker, or the iteration's steps aren't validated.
[[nodiscard]] program validated_join(program const& iteration, rank_id joining);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/validated_join.ipp"
#endif
