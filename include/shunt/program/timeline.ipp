#pragma once
#include "shunt/program/timeline.hpp"

#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE std::string name_of(opcode code, operation const& op) {
  if (code != opcode::compute) return std::string(to_string(code));
  auto name = std::string(to_string(op.kind));
  if (is_of_microbatch(op.kind))
    name += " " + std::to_string(op.pipeline.value()) + ":" + std::to_string(op.microbatch.value());
  return name;
}

}  // namespace shunt
