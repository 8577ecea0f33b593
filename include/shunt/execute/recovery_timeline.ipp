#pragma once
#include "shunt/execute/recovery_timeline.hpp"

#include <algorithm>
#include <cstdint>
#include <tuple>

#include "shunt/core/config.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

SHUNT_INLINE timeline timeline_of(recovery_report const& report) {
  timeline all{.seconds_per_tick = 1e-9};
  ticks offset = 0;
  for (auto const& s : report.sessions) {
    ticks last = 0;
    for (auto e : s.result.timeline.events) {
      last = std::max(last, e.end);
      e.iteration += static_cast<std::int32_t>(s.first);
      e.start += offset;
      e.end += offset;
      all.events.push_back(e);
    }
    offset += last;
  }
  std::sort(all.events.begin(), all.events.end(), [](event const& a, event const& b) {
    return std::tie(a.rank, a.start, a.iteration, a.instruction) <
           std::tie(b.rank, b.start, b.iteration, b.instruction);
  });
  return all;
}

}  // namespace shunt
