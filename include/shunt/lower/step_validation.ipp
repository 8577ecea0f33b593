#pragma once
#include "shunt/lower/step_validation.hpp"

#include "shunt/core/config.hpp"
#include "shunt/lower/detail/step_validator.hpp"

namespace shunt {

SHUNT_INLINE validated_program validated(program const& iteration, validation when, rollback how) {
  return detail::step_validator(iteration, when, how)();
}

}  // namespace shunt
