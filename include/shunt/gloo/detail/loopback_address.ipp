#pragma once
#include "shunt/gloo/detail/loopback_address.hpp"

#include <random>
#include <string>

namespace shunt::detail {

inline std::string loopback_address() {
  std::random_device random;
  std::uniform_int_distribution<int> any(1, 254);
  return "127." + std::to_string(any(random)) + "." + std::to_string(any(random)) + "." +
         std::to_string(any(random));
}

}  // namespace shunt::detail
