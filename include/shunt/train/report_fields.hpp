#pragma once
/// What worker processes report of a training: the names of the members, for report_of
/// (launch/report_line.hpp) and json_report::object (json/report.hpp).
#include <concepts>
#include <string>

#include "shunt/execute/recovery.hpp"
#include "shunt/train/moe_training.hpp"
#include "shunt/train/pipeline_run.hpp"
#include "shunt/train/pipeline_training.hpp"

namespace shunt {

/// Calls f(name, member) for each member that is reported.
void fields(trained_iteration& i, auto const& f) {
  f("iteration", i.iteration), f("loss", i.loss), f("live", i.live), f("planned", i.planned);
  f("took", i.took);
}
void fields(step_outcome& s, auto const& f) {
  f("norm", s.norm), f("left_out", s.left_out), f("clipped", s.clipped);
  f("taken_back", s.taken_back);
}
void fields(loss& l, auto const& f) {
  f("iteration", l.iteration), f("ranks", l.ranks), f("noticed", l.noticed);
  f("detect", l.detect), f("agree", l.agree), f("restore", l.restore), f("replan", l.replan);
  f("rebuild", l.rebuild), f("redo", l.redo), f("steps_undone", l.steps_undone);
  f("instructions_lost", l.instructions_lost), f("kept", l.kept), f("total", l.total);
}
void fields(moe_loss& l, auto const& f) {
  fields(static_cast<loss&>(l), f), f("state_bytes", l.state_bytes);
}
void fields(moe_record& r, auto const& f) {
  f("loss", r.loss), f("misfits", r.misfits), f("live", r.live), f("loads", r.loads);
  f("dropped", r.dropped), f("fullest", r.fullest), f("exchanged", r.exchanged);
  f("hosted", r.hosted), f("received", r.received);
  auto const bytes = [&](std::string const& phase, phase_bytes& b) {
    f(phase + "formula", b.formula), f(phase + "counted", b.counted), f(phase + "plain", b.plain);
    f(phase + "deduplicated", b.deduplicated), f(phase + "moved", b.moved);
  };
  bytes("gradients.", r.gradients), bytes("weights.", r.weights);
}

}  // namespace shunt
