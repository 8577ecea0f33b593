#pragma once
#include "shunt/program/timeline.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"
#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE std::string name_of(opcode code, operation const& op) {
  if (code != opcode::compute) return std::string(to_string(code));
  auto name = std::string(to_string(op.kind));
  if (op.kind < op_kind::step)
    name += " " + std::to_string(op.pipeline.value()) + ":" + std::to_string(op.microbatch.value());
  return name;
}

}  // namespace shunt
