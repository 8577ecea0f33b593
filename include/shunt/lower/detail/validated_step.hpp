#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// A step of one stage on one rank, its instructions and regions.
struct validated_step {
  stage_id stage{};
  std::int32_t keep = -1, step = -1;  ///< instructions
  region gradient{}, flag{}, state{}, kept{};
  region record{}, kept_record{}, share{}, prefix{}, words{};

  [[nodiscard]] region norms_of_record() const;
  [[nodiscard]] region redo() const { return {words.buffer, words.offset, 8}; }
  [[nodiscard]] region again() const { return {words.buffer, words.offset + 8, 8}; }
};

/// Returns the steps of a rank, by stage.
/// Throws invalid_program where a step doesn't read gradient, flag and state, or its state isn't
/// copied before.
[[nodiscard]] std::vector<validated_step> steps_of(rank_program const& own, rank_id r);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/lower/detail/validated_step.ipp"
#endif
