#pragma once
#include "shunt/simulate/detail/event_queue.hpp"

#include <algorithm>
#include <compare>
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"

namespace shunt::detail {

SHUNT_INLINE void event_queue::order_by_time() {
  if (by_time_) return;
  by_time_ = true;
  std::make_heap(ready_.begin(), ready_.end(), later);
}

SHUNT_INLINE void event_queue::push(ready_rank const& e) {
  ready_.push_back(e);
  if (by_time_) std::push_heap(ready_.begin(), ready_.end(), later);
}

SHUNT_INLINE ready_rank event_queue::pop() {
  if (by_time_) std::pop_heap(ready_.begin(), ready_.end(), later);
  ready_rank const e = ready_.back();
  ready_.pop_back();
  return e;
}

}  // namespace shunt::detail
