#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "comparison.hpp"
#include "merged_losses.hpp"
#include "outcome.hpp"
#include "shunt/json/report.hpp"
#include "shunt/launch/report_line.hpp"
#include "shunt/train/gathered_parameters.hpp"
#include "training.hpp"
#include "worker_reports.hpp"

namespace example {

/// What a rank's process says of an iteration.
[[nodiscard]] inline shunt::report_line report_of(std::int64_t iteration,
                                                  iteration_record const& r) {
  shunt::report_line line("record");
  line.with("iteration", iteration).with("loss", r.loss).with("misfits", r.misfits);
  line.with("live", r.live).with("loads", r.loads).with("dropped", r.dropped);
  line.with("fullest", r.fullest).with("exchanged", r.exchanged);
  line.with("hosted", r.hosted).with("received", r.received);
  for (auto const& [phase, b] : {std::pair("gradients.", r.gradients), {"weights.", r.weights}})
    line.with(std::string(phase) + "formula", b.formula)
        .with(std::string(phase) + "counted", b.counted)
        .with(std::string(phase) + "plain", b.plain)
        .with(std::string(phase) + "deduplicated", b.deduplicated)
        .with(std::string(phase) + "moved", b.moved);
  return line;
}
[[nodiscard]] inline iteration_record record_of(moe_model const& m, shunt::json_report const& r) {
  auto const bytes = [&](std::string const& phase) {
    return phase_bytes{r.integer(phase + "formula"), r.integer(phase + "counted"),
                       r.integer(phase + "plain"), r.integer(phase + "deduplicated"),
                       r.integer(phase + "moved")};
  };
  auto loads = r.list("loads"), dropped = r.list("dropped"), fullest = r.list("fullest"),
       exchanged = r.list("exchanged"), hosted = r.list("hosted"), received = r.list("received");
  auto const layers = static_cast<std::size_t>(m.layers);
  if (loads.size() != layers * static_cast<std::size_t>(m.experts) ||
      std::set<std::size_t>{layers, dropped.size(), fullest.size(), exchanged.size(), hosted.size(),
                            received.size()}
              .size() > 1)
    throw std::runtime_error("a record of an iteration is for another model");
  return {.loss = r.number("loss"),
          .loads = std::move(loads),
          .dropped = std::move(dropped),
          .fullest = std::move(fullest),
          .exchanged = std::move(exchanged),
          .hosted = std::move(hosted),
          .received = std::move(received),
          .live = r.integer<std::int32_t>("live"),
          .misfits = r.integer("misfits"),
          .gradients = bytes("gradients."),
          .weights = bytes("weights.")};
}

/// The same of a loss.
[[nodiscard]] inline shunt::report_line report_of(rank_loss const& l) {
  return report_of(static_cast<shunt::loss const&>(l)).with("state_bytes", l.state_bytes);
}

/// What the processes of a run say, put together, and said on as they go: all of them know the
/// same, each with times of its own.
class report_merger {
 public:
  report_merger(training_setup const& setup, std::string const& name)
      : setup_(setup), say_{setup, run_.name}, parameters_(parameter_count(setup)) {
    run_.name = name;
  }
  report_merger(report_merger const&) = delete;
  report_merger& operator=(report_merger const&) = delete;

  /// `at`: when a process of this rank was killed, in nanoseconds of the steady clock.
  void killed(shunt::rank_id r, shunt::ticks at) { losses_.killed(r, at); }

  /// Throws runtime_error and logic_error where processes disagree.
  void receive(shunt::rank_id from, shunt::json_report const& r) {
    auto const& what = r.what();
    if (what == "gone") {
      auto const lost = r.list<shunt::rank_id>("ranks");
      if (gone_.insert(lost).second)
        std::cout << "rank " << describe(lost) << " fell silent in iteration "
                  << r.integer("iteration") << std::endl;
    } else if (what == "record") {
      auto record = record_of(setup_.model, r);
      auto const t = r.integer<std::size_t>("iteration");
      if (t < run_.records.size() && record != run_.records[t])
        throw std::runtime_error("rank " + std::to_string(from.value()) +
                                 " has another iteration " + std::to_string(t) +
                                 " than the ranks before it");
      if (t != run_.records.size()) return;
      run_.records.push_back(std::move(record));
      say_(static_cast<std::int32_t>(t), run_.records.back());
    } else if (what == "loss") {
      losses_.receive(from, rank_loss{loss_of(r), r.integer("state_bytes")});
    } else if (what == "parameters") {
      std::vector<float> values;
      for (auto const bits : r.list<std::uint32_t>("bits"))
        values.push_back(std::bit_cast<float>(bits));
      parameters_.add(from, r.integer<std::size_t>("first"), values);
    } else if (what == "end") {
      ended_.insert(from);
      run_.seconds = std::max(run_.seconds, r.number("seconds"));
    } else if (what == "error") {
      error_.receive(r);
    }
  }

  /// Iterations that some rank runs at least.
  [[nodiscard]] std::int64_t begun() const {
    return static_cast<std::int64_t>(run_.records.size());
  }
  [[nodiscard]] bool ended(shunt::rank_id r) const { return ended_.contains(r); }
  /// Whether ranks were lost on the way.
  [[nodiscard]] bool disturbed() const { return !gone_.empty(); }

  /// After the last word; prints what losses took. Throws runtime_error, with what the first said
  /// that could not go on, where nobody came to the end, or where some parameters are known to
  /// nobody who is left.
  [[nodiscard]] policy_run result() && {
    if (ended_.empty()) throw std::runtime_error(error_.or_else("no rank is left"));
    for (auto const& l : losses_.merged([&](shunt::rank_id r) { return ended(r); })) print(l);
    run_.parameters = std::move(parameters_).whole();
    return std::move(run_);
  }

 private:
  training_setup const& setup_;
  policy_run run_{};
  progress_printer const say_;
  shunt::gathered_parameters parameters_;
  merged_losses<rank_loss> losses_{};
  std::set<std::vector<shunt::rank_id>> gone_{};
  std::set<shunt::rank_id> ended_{};
  first_error error_{};
};

}  // namespace example
