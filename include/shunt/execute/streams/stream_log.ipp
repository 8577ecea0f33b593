#pragma once
#include "shunt/execute/streams/stream_log.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/host/run_log.hpp"
#include "shunt/execute/streams/stream_plan.hpp"

namespace shunt::detail {

SHUNT_INLINE void log_run(std::span<run_log> logs, stream_plan const& plan,
                          std::span<std::int32_t const> done, std::vector<bool> const& completes,
                          std::span<std::int64_t const> words, std::span<ticks const> stamps) {
  std::size_t number = 0;
  for (rank_id const r : ids<rank_id>(logs.size())) {
    auto& own = logs[r.index()];
    own.expect(static_cast<std::size_t>(done[r.index()]));
    for (std::int32_t i = 0; i < done[r.index()]; ++i, ++number) {
      auto const word = plan.word_at[number];
      auto const& span = plan.spans[number];
      if (word != stream_plan::none && words[static_cast<std::size_t>(word)] == 0)
        own.instruction_left_out();
      else if (!stamps.empty())
        own.instruction_ended(stamps[static_cast<std::size_t>(span.start)],
                              stamps[static_cast<std::size_t>(span.end)]);
      else
        own.instruction_ended(0, 0);
    }
    if (completes[r.index()]) own.list_ended();
  }
}

}  // namespace shunt::detail
