#pragma once
/// One worker under somebody else's launcher. The lowest worker of the last stage that is left
/// speaks for all.
#include <algorithm>
#include <cstdint>
#include <iostream>
#include <string>

#include "comparison.hpp"
#include "language_training.hpp"
#include "launched_worker.hpp"
#include "options.hpp"
#include "report_merger.hpp"
#include "text.hpp"
#include "worker.hpp"

#include "shunt/core/id.hpp"
#include "shunt/launch/environment.hpp"
#include "shunt/launch/launched_rendezvous.hpp"
#include "shunt/launch/report_files.hpp"
#include "shunt/launch/shared_files.hpp"

namespace example {

/// Trains as the worker that a launcher made this process; the exit status.
[[nodiscard]] inline int train_launched(shunt::launched_process const& as, options const& o) {
  auto const& job = o.training.job;
  as.require_size(job.ranks(), std::to_string(job.pipelines) + " pipelines of " +
                                   std::to_string(job.stages) + " stages need " +
                                   std::to_string(job.ranks()));
  auto const bytes = load_text(o.text);
  bool const joins = launched_to_join();
  trained result;
  {
    shunt::launched_rendezvous const place(as, joins, o.process.launched());
    warn_if_open(place);
    shunt::report_files const reports(place.files(), place.directory(), as, joins);
    shunt::recovery_report report;
    try {
      report = work_as({.gloo = o.process.gloo(place), .self = as.rank, .joins = joins}, o,
                       reports.sink());
    } catch (shunt::rendezvous_failed const& error) {
      if (!error.absent().empty()) place.clear();  // nobody got any further
      throw;
    }

    // One that knows the losses; under a policy who knows them may change, and any one does.
    bool const reroutes = o.policy == "slipstream";
    std::int32_t reporting_rank = reroutes ? job.stages - 1 : 0;
    while (
        reporting_rank < job.ranks() &&
        std::binary_search(report.dead.begin(), report.dead.end(), shunt::rank_id(reporting_rank)))
      reporting_rank += reroutes ? job.stages : 1;
    if (reporting_rank != as.rank) {
      if (!report.stopped.empty()) std::cerr << "stopped: " << reason_to_stop(o, report) << "\n";
      return report.stopped.empty() ? 0 : 1;
    }
    progress_log live(std::cout, o);
    report_merger merger(o, &live);
    read_reports(reports, o.process, job.ranks(), report.dead, merger);
    result = merger.result();
    place.clear();
  }
  return conclude(std::cout, result, o.training,
                  [&] { return expected_of(train_undisturbed(o.training, bytes)); });
}

}  // namespace example
