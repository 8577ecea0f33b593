#pragma once
#include "shunt/execute/host/collectives.hpp"

#include <string>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"

namespace shunt {

SHUNT_INLINE std::size_t count_at(std::span<std::byte const> counts, std::size_t j,
                                  std::size_t capacity, rank_id rank) {
  std::int64_t count = 0;
  std::memcpy(&count, counts.data() + j * sizeof count, sizeof count);
  if (count < 0 || static_cast<std::size_t>(count) > capacity)
    throw invalid_program("exchange on rank " + std::to_string(rank.value()) + ": count " +
                          std::to_string(j) + " is " + std::to_string(count) + ", its part holds " +
                          std::to_string(capacity) + " bytes");
  return static_cast<std::size_t>(count);
}

}  // namespace shunt
