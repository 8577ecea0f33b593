#pragma once
/// What worker processes of both training programs report (shunt/launch/report_line.hpp). The last
/// word of each is "end", or "error" with `why`.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

#include "shunt/core/id.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/json/report.hpp"
#include "shunt/launch/report_line.hpp"

namespace example {

/// Where and how a worker process meets the others.
struct worker_address {
  shunt::gloo_config gloo{};
  shunt::rank_id self{};
  bool joins = false;  ///< comes in the place of a dead worker, when the others ask it to
  bool waits = false;  ///< to be killed by whoever started it; otherwise kills itself
};

/// SIGKILL, for this process.
[[noreturn]] void kill_self(worker_address const& at, shunt::report_sink const& say);

/// Says what went wrong, where that is still possible, and goes on throwing it: the only thing to
/// do in a handler.
[[noreturn]] void report_and_rethrow(shunt::report_sink const& say, std::exception const& error);

[[nodiscard]] bool is_last_report(std::string_view line);

/// What went wrong first: who gives up a rendezvous says why, the others only that it was given up.
class first_error {
 public:
  void receive(shunt::json_report const& error) {
    if (why_.empty() || why_.ends_with("was given up")) why_ = error.text("why");
  }
  [[nodiscard]] std::string or_else(std::string const& otherwise) const {
    return why_.empty() ? otherwise : why_;
  }

 private:
  std::string why_{};
};

[[nodiscard]] shunt::report_line report_of(shunt::loss const& l);
[[nodiscard]] shunt::loss loss_of(shunt::json_report const& r);

}  // namespace example
