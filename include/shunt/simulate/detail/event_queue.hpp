#pragma once
#include <compare>
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"

namespace shunt::detail {

/// A rank that can begin its list, start an instruction, or (at the list's length) end its list.
struct ready_rank {
  static constexpr std::int32_t begin_of_list = -1;
  ticks time = 0;
  rank_id rank{};
  std::int32_t instruction = begin_of_list;
  auto operator<=>(ready_rank const&) const = default;
};

/// Ranks that can go on. By default they leave in no particular order, in O(1) each. After
/// `order_by_time` the earliest leaves first, ties by rank and instruction, in O(log n) each.
class event_queue {
 public:
  explicit event_queue(bool by_time) : by_time_(by_time) {}

  [[nodiscard]] bool by_time() const { return by_time_; }
  void order_by_time();

  [[nodiscard]] bool empty() const { return ready_.empty(); }
  /// Returns the next one.
  /// Requires that the queue is not empty.
  [[nodiscard]] ready_rank const& front() const { return ready_.front(); }
  /// Returns all of them, in no particular order.
  [[nodiscard]] std::vector<ready_rank> const& all() const { return ready_; }

  void push(ready_rank const& e);
  /// Removes the next one.
  /// Requires that the queue is not empty.
  ready_rank pop();

 private:
  std::vector<ready_rank> ready_;
  bool by_time_;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/simulate/detail/event_queue.ipp"
#endif
