#pragma once
#include "shunt/core/solution.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::string_view to_string(status s) {
  switch (s) {
    case status::optimal: return "optimal";
    case status::feasible: return "feasible";
    case status::infeasible: return "infeasible";
    case status::limit_reached: return "limit_reached";
  }
  return "unknown";
}

}  // namespace shunt
