#pragma once
#include <cstdint>
#include <span>

#include "shunt/core/id.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Returns the program for `ranks` ranks in which rank i of `p` is rank `numbers[i]`. All other
/// ranks have empty lists. Throws invalid_program where there is not one number for each rank, or a
/// number is not one of the ranks or is taken twice.
[[nodiscard]] program renumbered(program p, std::span<rank_id const> numbers, std::int32_t ranks);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/program/renumbered.ipp"
#endif
