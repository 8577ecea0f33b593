#pragma once
/// One worker under somebody else's launcher: what both training programs do alike.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "process_options.hpp"
#include "shunt/core/id.hpp"
#include "shunt/json/report.hpp"
#include "shunt/launch/launched_rendezvous.hpp"
#include "shunt/launch/report_files.hpp"
#include "worker_reports.hpp"

namespace example {

/// Whether the launcher's worker comes in the place of one that died.
[[nodiscard]] bool launched_to_join();

/// One line of one process, where strangers may join.
void warn_if_open(shunt::launched_rendezvous const& place);

/// Passes on what all ranks have reported.
template <class Account>
void read_reports(shunt::report_files const& reports, process_options const& o, std::int32_t ranks,
                  std::vector<shunt::rank_id> const& dead, Account& merger) {
  reports.read(ranks, dead, o.patience, is_last_report,
               [&](shunt::rank_id r, std::string const& line) {
                 if (auto const report = shunt::json_report::of(line)) merger.receive(r, *report);
               });
}

}  // namespace example
