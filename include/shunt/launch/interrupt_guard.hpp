#pragma once
/// Programs that end their workers before they end themselves, at SIGINT, SIGTERM or SIGHUP.
#include <signal.h>

#include <array>
#include <csignal>
#include <stdexcept>

namespace shunt {

/// Thrown where a user asks the program to end (SIGINT, SIGTERM, SIGHUP).
class run_interrupted : public std::runtime_error {
 public:
  run_interrupted() : std::runtime_error("interrupted: all workers were ended") {}
};

/// While it lives, signals that ask the program to end are blocked and noted instead of ending it.
/// They arrive where a call such as ppoll lets them through. One at a time.
class interrupt_guard {
 public:
  interrupt_guard();
  interrupt_guard(interrupt_guard const&) = delete;
  interrupt_guard& operator=(interrupt_guard const&) = delete;
  ~interrupt_guard();

  /// Returns the signals that were blocked before: the mask of processes to start, and of a wait.
  [[nodiscard]] sigset_t const& mask() const { return mask_; }
  /// Throws run_interrupted where a signal came.
  static void check() {
    if (requested_) throw run_interrupted();
  }

 private:
  static constexpr std::array<int, 3> which{SIGINT, SIGTERM, SIGHUP};
  static inline std::sig_atomic_t volatile requested_ = 0;  // by a handler, which has no object
  std::array<struct sigaction, 3> before_{};
  sigset_t mask_{};
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/launch/interrupt_guard.ipp"
#endif
