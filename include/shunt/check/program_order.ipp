#pragma once
#include "shunt/check/program_order.hpp"

#include <algorithm>

#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE lane_order::lane_order(rank_program const& own) {
  auto const& list = own.instructions;
  std::vector<std::int32_t> lane_of_stream(256, -1);
  bool batches = false;
  for (auto const& i : list) {
    if (lane_of_stream[i.lane] < 0) lane_of_stream[i.lane] = static_cast<std::int32_t>(lanes_++);
    lane_.push_back(static_cast<std::size_t>(lane_of_stream[i.lane]));
    batches = batches || i.batch >= 0;
  }
  total_ = lanes_ <= 1 && !batches;
  if (total_) return;
  ended_.assign(list.size() * lanes_, -1);
  std::vector<std::int32_t> last(lanes_, -1);
  for (std::size_t n = 0; n < list.size(); ++n) {
    auto const self = static_cast<std::int32_t>(n);
    auto const previous = last[lane_[n]];
    if (previous >= 0) {
      merge(n, previous);
      bool const together =
          list[n].batch >= 0 && list[static_cast<std::size_t>(previous)].batch == list[n].batch;
      if (!together) know(n, previous);
    }
    for (auto const w : own.after(list[n])) {
      merge(n, w);
      know(n, w);
    }
    last[lane_[n]] = self;
  }
}

SHUNT_INLINE std::size_t lane_order::lane(std::int32_t n) const {
  return lane_[static_cast<std::size_t>(n)];
}

SHUNT_INLINE bool lane_order::before(std::int32_t a, std::int32_t b) const {
  return total_ || a <= ended_[static_cast<std::size_t>(b) * lanes_ + lane(a)];
}

SHUNT_INLINE void lane_order::merge(std::size_t n, std::int32_t from) {
  for (std::size_t l = 0; l < lanes_; ++l) {
    auto& mine = ended_[n * lanes_ + l];
    mine = std::max(mine, ended_[static_cast<std::size_t>(from) * lanes_ + l]);
  }
}

SHUNT_INLINE void lane_order::know(std::size_t n, std::int32_t ended) {
  auto& mine = ended_[n * lanes_ + lane(ended)];
  mine = std::max(mine, ended);
}

}  // namespace shunt
