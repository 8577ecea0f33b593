// --engine gloo, where there is Gloo.
#include <iostream>
#include <string>

#include "../engines.hpp"
#include "../run_launched.hpp"
#include "../run_spawned.hpp"
#include "../sweep.hpp"
#include "../worker.hpp"
#include "shunt/launch/environment.hpp"
#include "shunt/launch/report_line.hpp"
#include "shunt/launch/worker_processes.hpp"

namespace example {

int train_with_processes(options const& o, command_line const& started_as) {
  if (o.process.workers == 0)
    if (auto const as = shunt::launched_process_of_environment()) return train_launched(*as, o);
  auto const bytes = load_text(o.text);
  progress_log live(std::cout, o);
  auto const run = train_with_spawned(o, started_as, bytes, &live);
  return conclude(std::cout, run.result, o.training,
                  [&] { return expected_of(train_undisturbed(o.training, bytes)); });
}

int sweep_with_processes(options const& o, command_line const& started_as) {
  return sweep(o, started_as, load_text(o.text));
}

int work_for_others(options const& o, worker_order const& order) {
  auto const say = shunt::report_to(shunt::worker_processes::report_descriptor);
  auto own = o;
  own.text = order.text;
  try {
    work_as({.gloo = o.process.gloo(order.place),
             .self = order.rank,
             .joins = order.joins,
             .waits = true},
            own, say);
    return 0;
  } catch (std::exception const&) {  // it has said so
    return 2;
  }
}

}  // namespace example
