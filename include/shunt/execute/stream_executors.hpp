#pragma once
/// Programs on streams, or captured as graphs: all ranks of a program on one device, for testing
/// and emulation, from one thread of the host.
///
/// `submit` enqueues and returns; what a program came to is looked at when the device is done with
/// it. Results are the same bits as the inline executor's: the same order of all that depends on
/// each other, collectives folded in the group's order. A condition is a word on the device, which
/// the host doesn't read before it enqueues; so conditions that disagree, and counts beyond their
/// part, are found when the program has run: `wait` throws. Ranks that fall silent are emulated:
/// nothing of them is enqueued beyond their fault, and others go on as far as their dependencies
/// let them.
#include <cstdint>
#include <vector>

#include "shunt/execute/executor.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/execute/streams/stream_session.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

/// Instructions are enqueued one by one, on one stream a lane of a rank. Times are those of events
/// on the device, in nanoseconds since the session's first program was submitted.
template <stream_system System>
struct stream_executor {
  System* system = nullptr;
  std::vector<failure_point> failures{};
  bool timed =
      true;  ///< without, a timeline has no events, and an instruction needs none for its times

  template <work_on_streams<System> Work>
  [[nodiscard]] stream_session<System, Work, false> open(Work& w,
                                                         std::int64_t first_iteration = 0) const {
    return {*system, {failures, timed, 0}, w, first_iteration};
  }
  template <work_on_streams<System> Work>
  outcome run(program const& p, Work& w) const {
    auto session = open(w);
    session.submit(non_owning(p));
    return session.wait();
  }
};

/// A whole program is one graph, launched with one call. Another program takes the place of the one
/// with the same commands, else of the one not launched for longest: a graph of the same shape is
/// updated, any other instantiated anew. Launches follow each other. Events in a graph hold the
/// times of its last launch, so with `timed` a launch waits until the same graph's launch before
/// has been read.
template <graph_system System>
struct graph_executor {
  System* system = nullptr;
  std::vector<failure_point> failures{};
  bool timed = false;
  std::int32_t graphs = 2;  ///< kept at once: a step, and the scatter to a new placement

  template <work_on_streams<System> Work>
  [[nodiscard]] stream_session<System, Work, true> open(Work& w,
                                                        std::int64_t first_iteration = 0) const {
    return {*system, {failures, timed, graphs}, w, first_iteration};
  }
  template <work_on_streams<System> Work>
  outcome run(program const& p, Work& w) const {
    auto session = open(w);
    session.submit(non_owning(p));
    return session.wait();
  }
};

}  // namespace shunt
