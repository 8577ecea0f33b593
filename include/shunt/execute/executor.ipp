#pragma once
#include "shunt/execute/executor.hpp"

#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "shunt/execute/work.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"
#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE std::shared_ptr<program const> non_owning(program const& p) {
  return {std::shared_ptr<void const>{}, &p};
}

}  // namespace shunt
