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
[[noreturn]] inline void kill_self(worker_address const& at, shunt::report_sink const& say) {
  if (!at.waits) std::raise(SIGKILL);
  for (say(shunt::report_line("kill_request"));; ::pause()) {}
}

/// Says what went wrong, where that is still possible, and goes on throwing it: the only thing to
/// do in a handler.
[[noreturn]] inline void report_and_rethrow(shunt::report_sink const& say,
                                            std::exception const& error) {
  try {
    std::string why = error.what();
    std::replace(why.begin(), why.end(), '\n', ' ');
    say(shunt::report_line("error").with("why", why));
  } catch (std::exception const&) {  // others have cleared the place away
  }
  throw;
}

[[nodiscard]] inline bool is_last_report(std::string_view line) {
  auto const r = shunt::json_report::of(line);
  return r && (r->what() == "end" || r->what() == "error");
}

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

[[nodiscard]] inline shunt::report_line report_of(shunt::loss const& l) {
  return shunt::report_line("loss")
      .with("iteration", l.iteration)
      .with("ranks", l.ranks)
      .with("noticed", l.noticed)
      .with("detect", l.detect)
      .with("agree", l.agree)
      .with("restore", l.restore)
      .with("replan", l.replan)
      .with("rebuild", l.rebuild)
      .with("redo", l.redo)
      .with("steps_undone", l.steps_undone)
      .with("instructions_lost", l.instructions_lost)
      .with("kept", l.kept)
      .with("total", l.total);
}
[[nodiscard]] inline shunt::loss loss_of(shunt::json_report const& r) {
  return {.iteration = r.integer("iteration"),
          .ranks = r.list<shunt::rank_id>("ranks"),
          .steps_undone = r.integer<std::int32_t>("steps_undone"),
          .instructions_lost = r.integer("instructions_lost"),
          .kept = r.integer("kept"),
          .total = r.integer("total"),
          .noticed = r.integer("noticed"),
          .detect = r.integer("detect"),
          .agree = r.integer("agree"),
          .restore = r.integer("restore"),
          .replan = r.integer("replan"),
          .rebuild = r.integer("rebuild"),
          .redo = r.integer("redo")};
}

}  // namespace example
