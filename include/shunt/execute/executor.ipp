#pragma once
#include "shunt/execute/executor.hpp"

#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

SHUNT_INLINE std::shared_ptr<program const> non_owning(program const& p) {
  return {std::shared_ptr<void const>{}, &p};
}

}  // namespace shunt
