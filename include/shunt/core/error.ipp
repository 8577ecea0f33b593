#pragma once
#include "shunt/core/error.hpp"

#include <utility>

#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE invalid_problem::invalid_problem(std::string field, std::string const& what)
    : std::invalid_argument(field + ": " + what), field_(std::move(field)) {}

}  // namespace shunt
