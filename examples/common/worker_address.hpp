#pragma once
#include <unistd.h>

#include <csignal>

#include "messages.hpp"
#include "shunt/core/id.hpp"
#include "shunt/gloo/config.hpp"

namespace example {

/// Where and how a worker process meets the others.
struct worker_address {
  shunt::gloo_config gloo{};
  shunt::rank_id self{};
  bool joins = false;  ///< comes in the place of a dead worker, when the others ask it to
  bool waits = false;  ///< to be killed by whoever started it; otherwise kills itself
};

/// SIGKILL, for this process.
[[noreturn]] inline void kill_self(worker_address const& at, report_pipe const& say) {
  if (!at.waits) std::raise(SIGKILL);
  for (say(report_kind::kill_request, {});; ::pause()) {}
}

}  // namespace example
