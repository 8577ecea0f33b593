#pragma once
#include "shunt/execute/host/rank_buffers.hpp"

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"

namespace shunt {

SHUNT_INLINE std::span<std::byte> rank_buffers::operator[](region const& r) const {
  return buffers_[r.buffer.index()].subspan(static_cast<std::size_t>(r.offset),
                                            static_cast<std::size_t>(r.size));
}

SHUNT_INLINE void rank_buffers::refuse(rank_id rank, buffer_id b, std::string const& why) {
  throw invalid_program("rank " + std::to_string(rank.value()) + ", buffer " +
                        std::to_string(b.value()) + ": " + why);
}

}  // namespace shunt
