#pragma once
/// The program that starts the processes says in the rendezvous directory when one has ended. The
/// others notice by themselves the end of a process that they have met; for one that ended on its
/// way to them they would wait.
#include <string>

#include "shunt/core/id.hpp"
#include "shunt/gloo/config.hpp"

namespace shunt {

namespace detail {

[[nodiscard]] inline std::string end_of_process(gloo_config const& config, rank_id r) {
  return config.directory + "/ended" + std::to_string(r.value());
}

}  // namespace detail

/// Says that the process of this rank has ended, and that none is in its place until
/// `report_start`.
inline void report_end(gloo_config const& config, rank_id r) {
  static_cast<void>(config.files->write(detail::end_of_process(config, r), ""));
}

/// Says that a process of this rank is about to start.
inline void report_start(gloo_config const& config, rank_id r) {
  config.files->remove(detail::end_of_process(config, r));
}

/// Returns whether the latest process of this rank has ended, by `report_end`.
[[nodiscard]] inline bool has_ended(gloo_config const& config, rank_id r) {
  return config.files->exists(detail::end_of_process(config, r));
}

}  // namespace shunt
