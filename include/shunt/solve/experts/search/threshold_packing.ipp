#pragma once
#include "shunt/solve/experts/search/threshold_packing.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR std::size_t threshold_packing::rank(std::size_t i, std::size_t k) const {
  return static_cast<std::size_t>(
      states_[i * slots_of_.size() + picked_[i * slots_of_.size() + k]] & 0xffff);
}

SHUNT_CONSTEXPR threshold_packing::load_type threshold_packing::load_of(std::uint64_t entry) {
  return static_cast<load_type>(entry >> 32);
}

}  // namespace shunt::detail
