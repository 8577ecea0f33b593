#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/host/run_log.hpp"
#include "shunt/execute/streams/stream_plan.hpp"

namespace shunt::detail {

/// Adds one run of a program to the logs of all ranks. `done` says by rank how many instructions
/// ran, `completes` whether the list ended. `words` are the words that the run has written,
/// `stamps` the times that it has taken; without stamps all times are 0.
void log_run(std::span<run_log> logs, stream_plan const& plan, std::span<std::int32_t const> done,
             std::vector<bool> const& completes, std::span<std::int64_t const> words,
             std::span<ticks const> stamps);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/execute/streams/stream_log.ipp"
#endif
