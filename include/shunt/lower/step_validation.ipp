#pragma once
#include "shunt/lower/step_validation.hpp"

#include "shunt/lower/detail/step_validator.hpp"
#include "shunt/lower/gradient_norms.hpp"
#include "shunt/lower/validated_program.hpp"
#include "shunt/program/program.hpp"
#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE validated_program validated(program const& iteration, validation when,
                                                 rollback how) {
  return detail::step_validator(iteration, when, how)();
}

}  // namespace shunt
