#pragma once
#include "shunt/simulate/detail/event_queue.hpp"

#include <algorithm>
#include <functional>

#include "shunt/core/config.hpp"

namespace shunt::detail {

// The heap has the earliest on top.
SHUNT_INLINE void event_queue::order_by_time() {
  if (by_time_) return;
  by_time_ = true;
  std::make_heap(ready_.begin(), ready_.end(), std::greater<>{});
}

SHUNT_INLINE void event_queue::push(ready_rank const& e) {
  ready_.push_back(e);
  if (by_time_) std::push_heap(ready_.begin(), ready_.end(), std::greater<>{});
}

SHUNT_INLINE ready_rank event_queue::pop() {
  if (by_time_) std::pop_heap(ready_.begin(), ready_.end(), std::greater<>{});
  ready_rank const e = ready_.back();
  ready_.pop_back();
  return e;
}

}  // namespace shunt::detail
