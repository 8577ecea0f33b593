#pragma once
/// The program that starts the processes says in the rendezvous directory when one has ended. The
/// others notice by themselves the end of a process that they have met; for one that ended on its
/// way to them they would wait.
#include <string>

#include "shunt/core/id.hpp"

namespace shunt {

/// Says that the process of this rank has ended, and that none is in its place until
/// `report_start`.
void report_end(std::string const& directory, rank_id r);

/// Says that a process of this rank is about to start.
void report_start(std::string const& directory, rank_id r);

/// Returns whether the latest process of this rank has ended, by `report_end`.
[[nodiscard]] bool has_ended(std::string const& directory, rank_id r);

}  // namespace shunt

#include "shunt/gloo/process_end.ipp"
