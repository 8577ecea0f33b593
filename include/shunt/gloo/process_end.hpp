#pragma once
/// The program that starts the processes says in the rendezvous directory when one has ended. The
/// others notice by themselves the end of a process that they have met; for one that ended on its
/// way to them they would wait.
#include <string>

#include "shunt/core/id.hpp"
#include "shunt/gloo/detail/host_platform.hpp"

namespace shunt {

namespace detail {

[[nodiscard]] inline std::string end_of_process(std::string const& directory, rank_id r) {
  return directory + "/ended" + std::to_string(r.value());
}

}  // namespace detail

/// Says that the process of this rank has ended, and that none is in its place until
/// `report_start`.
template <detail::platform Platform = detail::host_platform>
void report_end(std::string const& directory, rank_id r) {
  static_cast<void>(Platform::write(detail::end_of_process(directory, r), ""));
}

/// Says that a process of this rank is about to start.
template <detail::platform Platform = detail::host_platform>
void report_start(std::string const& directory, rank_id r) {
  Platform::remove(detail::end_of_process(directory, r));
}

/// Returns whether the latest process of this rank has ended, by `report_end`.
template <detail::platform Platform = detail::host_platform>
[[nodiscard]] bool has_ended(std::string const& directory, rank_id r) {
  return Platform::exists(detail::end_of_process(directory, r));
}

}  // namespace shunt
