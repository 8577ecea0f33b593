#pragma once
#include "shunt/launch/worker_end.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE void report_and_rethrow(report_sink const& say, std::exception const& error) {
  try {
    std::string why = error.what();
    std::replace(why.begin(), why.end(), '\n', ' ');
    say(report_line("error").with("why", why));
  } catch (std::exception const&) {  // others have cleared the place away
  }
  throw;
}

SHUNT_INLINE void kill_this_process(report_sink const& say, bool by_starter) {
  if (!by_starter) ::raise(SIGKILL);
  for (say(report_line("kill_request"));; ::pause()) {}
}

SHUNT_INLINE void first_error::receive(std::string why) {
  if (why_.empty() || why_.ends_with("was given up")) why_ = std::move(why);
}

}  // namespace shunt
