#pragma once
/// Programs on streams, or captured as graphs: all ranks of a program on one device, from one host
/// thread, for testing and emulation.
///
/// `submit` enqueues and returns. Results are read when the device has finished a program, and are
/// bit for bit those of inline_executor. A condition is a device word that the host does not read
/// before it enqueues, so conditions that disagree, and counts beyond their part, are found after
/// the run: `wait` throws. Failures are emulated: no instruction of a failed rank is enqueued
/// beyond its failure point, and other ranks go on as far as their dependencies let them. See
/// docs/engines.md.
#include <cstdint>
#include <memory>
#include <vector>

#include "shunt/execute/executor.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/execute/streams/graph_cache.hpp"
#include "shunt/execute/streams/stream_session.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

/// Enqueues instructions one by one, on one stream a lane of a rank. Times are those of device
/// events, in nanoseconds since the session's first program was submitted.
/// Requires a system that outlives all sessions.
template <stream_system System>
struct stream_executor {
  System* system = nullptr;
  std::vector<failure_point> failures{};  ///< injected failures
  bool timed = true;  ///< false: timelines have no events, and no times are taken

  /// Returns a session whose first program is iteration `first_iteration`.
  template <work_on_streams<System> Work>
  [[nodiscard]] stream_session<System, Work, false> open(Work& w,
                                                         std::int64_t first_iteration = 0) const {
    return {*system, {failures, timed}, w, first_iteration};
  }
  /// Runs one program in a session of its own.
  /// Throws as the session does.
  template <work_on_streams<System> Work>
  outcome run(program const& p, Work& w) const {
    return run_once(*this, p, w);
  }
};

/// Launches a whole program as one graph, with one call. Launches follow each other. A new program
/// replaces the graph with the same commands, else the one not launched for longest. A graph of the
/// same shape is updated, any other is instantiated anew. Sessions of one executor, and of its
/// copies, hand their graphs on: the next one captures its programs and updates what it finds.
/// Events in a graph hold the times of its last launch, so with `timed` a launch waits until the
/// times of the graph's previous launch were read.
/// Requires a system that outlives the executor, and one session at a time.
template <graph_system System>
struct graph_executor {
  System* system = nullptr;
  std::vector<failure_point> failures{};  ///< injected failures
  bool timed = false;                     ///< whether timelines have events
  std::int32_t graphs = 2;  ///< kept at once: a step, and the scatter to a new placement
  /// The graphs.
  std::shared_ptr<detail::graph_cache<System>> kept =
      std::make_shared<detail::graph_cache<System>>();

  /// Returns a session whose first program is iteration `first_iteration`.
  template <work_on_streams<System> Work>
  [[nodiscard]] stream_session<System, Work, true> open(Work& w,
                                                        std::int64_t first_iteration = 0) const {
    kept->keep(graphs);
    return {*system, {failures, timed}, w, first_iteration, kept};
  }
  /// Runs one program in a session of its own.
  /// Throws as the session does.
  template <work_on_streams<System> Work>
  outcome run(program const& p, Work& w) const {
    return run_once(*this, p, w);
  }
};

}  // namespace shunt
