#pragma once
#include <unistd.h>

#include <csignal>

#include "messages.hpp"
#include "shunt/core/id.hpp"
#include "shunt/gloo/config.hpp"

namespace example {

/// Where and how a worker process meets the others.
struct meeting {
  shunt::gloo_config gloo{};
  shunt::rank_id self{};
  bool joins = false;  ///< comes in the place of a dead worker, when the others ask it to
  bool waits = false;  ///< to be killed by whoever started it; otherwise kills itself
};

/// SIGKILL, for this process.
[[noreturn]] inline void strike(meeting const& at, voice const& say) {
  if (!at.waits) std::raise(SIGKILL);
  for (say(says::strike, {});; ::pause()) {}
}

}  // namespace example
