#pragma once
#include "shunt/check/program_memory.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/check/detail/buffer_history.hpp"
#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE void check_memory(rank_program const& own, rank_id r, lane_order const& order,
                               program_violations& out) {
  std::vector<detail::buffer_history> histories;
  histories.reserve(own.buffers.size());
  for (auto const& b : own.buffers) histories.emplace_back(b, order.total() ? 0 : order.lanes());
  std::vector<std::int32_t> raced;
  for (std::int32_t n = 0; n < static_cast<std::int32_t>(own.instructions.size()); ++n) {
    auto const& i = own.instructions[static_cast<std::size_t>(n)];
    raced.clear();
    region now{};
    auto const touched = [&](std::int32_t other) {
      if (other == n || order.before(other, n) ||
          std::find(raced.begin(), raced.end(), other) != raced.end())
        return;
      raced.push_back(other);
      out.push_back({.rule = program_rule::race, .at = {r, n}, .other = {r, other}, .where = now});
    };
    auto const unwritten = [&](region const& hole) {
      out.push_back({.rule = program_rule::unwritten, .at = {r, n}, .where = hole});
    };
    for (auto const regions : {own.condition(i), own.reads(i)})
      for (region const& x : regions) {
        now = x;
        histories[x.buffer.index()].read(n, order.lane(n), x, unwritten, touched);
      }
    for (region const& x : own.writes(i)) {
      now = x;
      histories[x.buffer.index()].write(n, x, i.condition < 0, touched);
    }
  }
}

}  // namespace shunt
