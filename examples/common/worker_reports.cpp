#include "worker_reports.hpp"

namespace example {

void kill_self(worker_address const& at, shunt::report_sink const& say) {
  if (!at.waits) std::raise(SIGKILL);
  for (say(shunt::report_line("kill_request"));; ::pause()) {}
}

void report_and_rethrow(shunt::report_sink const& say, std::exception const& error) {
  try {
    std::string why = error.what();
    std::replace(why.begin(), why.end(), '\n', ' ');
    say(shunt::report_line("error").with("why", why));
  } catch (std::exception const&) {  // others have cleared the place away
  }
  throw;
}

bool is_last_report(std::string_view line) {
  auto const r = shunt::json_report::of(line);
  return r && (r->what() == "end" || r->what() == "error");
}

shunt::report_line report_of(shunt::loss const& l) {
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

shunt::loss loss_of(shunt::json_report const& r) {
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
