#pragma once
#include "shunt/execute/executor.hpp"

#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE std::shared_ptr<program const> non_owning(program const& p) {
  return {std::shared_ptr<void const>{}, &p};
}

}  // namespace shunt
