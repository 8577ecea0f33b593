#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/plan/reconfiguration.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// Where a rank has the state of a layer.
struct placed_state {
  layer_id layer{};
  region at{};
};

/// Appends copies of states from where ranks have them to where they will have them. Both tables
/// are by rank, their layers ascending. Each rank gets all sends, all receives, then copies of the
/// states that it had. Messages of a pair of ranks follow each other in the order of layers. So no
/// rank waits for a message behind one that it has not sent.
///
/// Throws invalid_program where a copy comes from a rank that does not hold the layer before, or
/// goes to one that does not hold it after, or a rank lacks a layer that it is to hold after.
void append_state_copies(program_builder& b, std::vector<std::vector<placed_state>> const& before,
                         std::vector<std::vector<placed_state>> const& after,
                         std::span<layer_copy const> copies, std::int32_t channel,
                         std::int32_t batch);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/lower/detail/state_copies.ipp"
#endif
