// --engine gloo, where there is Gloo.
#include <algorithm>
#include <cstdint>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "../comparison.hpp"
#include "../engines.hpp"
#include "../report_merger.hpp"
#include "../worker.hpp"
#include "launched_worker.hpp"
#include "shunt/launch/environment.hpp"
#include "shunt/launch/launched_rendezvous.hpp"
#include "shunt/launch/report_files.hpp"
#include "shunt/launch/report_line.hpp"
#include "shunt/launch/worker_processes.hpp"
#include "spawned_workers.hpp"

namespace example {
namespace {

/// With processes of this program's own, others under each policy.
int train_with_own(options const& o, command_line const& started_as) {
  auto const text = load_text(o.text);
  output_files files(o);
  bool disturbed = !o.failures.empty() || o.dropless;
  std::vector<policy_run> runs;
  for (auto const& name : o.policies) {
    report_merger merger(o.setup, name);
    spawned_workers workers(o.process, started_as, text, merger,
                            [](shunt::rank_id r) { return "rank " + std::to_string(r.value()); });
    for (shunt::rank_id const r : shunt::ids<shunt::rank_id>(o.setup.ranks)) {
      auto const process = workers.start(r, {"--worker-policy", name});
      std::cout << "rank " << r.value() << " is process " << process << std::endl;
    }
    workers.watch();
    disturbed = disturbed || merger.disturbed();
    runs.push_back(std::move(merger).result());
  }
  return conclude(o, files, std::move(runs), disturbed,
                  [&] { return train_inline(o.setup, o.policies.front(), text); });
}

/// As the rank that a launcher made this process. The lowest that is left speaks for all.
int train_launched(shunt::launched_process const& as, options const& o) {
  auto const ranks = o.setup.ranks;
  as.require_size(ranks, "there are " + std::to_string(ranks) + " ranks");
  if (o.policies.size() > 1)
    throw shunt::invalid_problem("--policy", "a launcher's processes train under one: name one");
  if (launched_to_join())
    throw shunt::invalid_problem("SHUNT_JOIN", "is set, and no rank comes back");
  auto const text = load_text(o.text);
  output_files files(o);
  report_merger merger(o.setup, o.policies.front());
  {
    shunt::launched_rendezvous const place(as, false, o.process.launched());
    warn_if_open(place);
    shunt::report_files const reports(place.files(), place.directory(), as, false);
    std::vector<shunt::rank_id> dead;
    auto const is_reporting_rank = [&] {
      std::int32_t lowest = 0;
      while (lowest < ranks && std::binary_search(dead.begin(), dead.end(), shunt::rank_id(lowest)))
        ++lowest;
      return lowest == as.rank;
    };
    auto const read = [&] {
      read_reports(reports, o.process, ranks, dead, merger);
      place.clear();
    };
    try {
      work_as({.gloo = o.process.gloo(place), .self = as.rank}, o, o.policies.front(),
              reports.sink(), dead);
    } catch (shunt::rendezvous_failed const& error) {
      if (!error.absent().empty()) place.clear();  // nobody got any further
      throw;
    } catch (
        shunt::invalid_problem const&) {  // all say so; what they did until then is told as well
      if (is_reporting_rank()) read();
      throw;
    }
    if (!is_reporting_rank()) return 0;
    read();
  }
  bool const disturbed = o.dropless || merger.disturbed();
  std::vector<policy_run> runs;
  runs.push_back(std::move(merger).result());
  return conclude(o, files, std::move(runs), disturbed,
                  [&] { return train_inline(o.setup, o.policies.front(), text); });
}

}  // namespace

int train_with_processes(options const& o, command_line const& started_as) {
  if (o.process.workers == 0)
    if (auto const as = shunt::launched_process_of_environment()) return train_launched(*as, o);
  return train_with_own(o, started_as);
}

int work_for_others(options const& o, worker_order const& order) {
  auto own = o;
  own.text = order.text;
  std::vector<shunt::rank_id> dead;
  try {
    work_as({.gloo = o.process.gloo(order.place), .self = order.rank, .waits = true}, own,
            order.policy, shunt::report_to(shunt::worker_processes::report_descriptor), dead);
    return 0;
  } catch (std::exception const&) {  // it has said so
    return 2;
  }
}

}  // namespace example
