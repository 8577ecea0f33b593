#pragma once
#include "shunt/execute/host/run_log.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <tuple>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt::detail {

SHUNT_INLINE void run_log::instruction_ended_ahead(ticks start, ticks end) {
  times_.push_back({start, end});
}

SHUNT_INLINE void run_log::expect(std::size_t instructions) {
  if (auto const all = times_.size() + instructions; all > times_.capacity())
    times_.reserve(std::max(all, 2 * times_.capacity()));
}

SHUNT_INLINE void run_log::instruction_ended(ticks start, ticks end) {
  times_.push_back({start, end});
  ++done_.instructions;
}

SHUNT_INLINE void run_log::append_to(
    std::vector<event>& events, rank_id r,
    std::span<std::shared_ptr<program const> const> programs) const {
  std::size_t at = 0;
  for (std::int32_t n = 0; at < times_.size(); ++n) {
    auto const& list = programs[static_cast<std::size_t>(n)]->ranks[r].instructions;
    auto const count = std::min(list.size(), times_.size() - at);
    for (std::size_t i = 0; i < count; ++i, ++at)
      if (times_[at].end != left_out)
        events.push_back({r, n, static_cast<std::int32_t>(i), list[i].code, list[i].op,
                          times_[at].start, times_[at].end});
  }
}

SHUNT_INLINE void run_log::append_by_start(
    std::vector<event>& events, rank_id r,
    std::span<std::shared_ptr<program const> const> programs) const {
  auto const first = static_cast<std::ptrdiff_t>(events.size());
  append_to(events, r, programs);
  std::sort(events.begin() + first, events.end(), [](event const& a, event const& b) {
    return std::tie(a.start, a.iteration, a.instruction) <
           std::tie(b.start, b.iteration, b.instruction);
  });
}

}  // namespace shunt::detail
