// --engine gloo, where there is Gloo.
#include <algorithm>
#include <cstdint>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "../account.hpp"
#include "../engines.hpp"
#include "../verdict.hpp"
#include "../worker.hpp"
#include "launch.hpp"
#include "own_processes.hpp"

namespace example {
namespace {

/// With processes of this program's own, others under each policy.
int train_with_own(options const& o, command_line const& started_as) {
  auto const text = load_text(o.text);
  left_files files(o);
  bool disturbed = !o.faults.empty() || o.dropless;
  std::vector<policy_run> runs;
  for (auto const& name : o.policies) {
    account heard(o.setup, name);
    own_processes workers(o.meet, started_as, text, heard,
                          [](shunt::rank_id r) { return "rank " + std::to_string(r.value()); });
    for (shunt::rank_id const r : shunt::ids<shunt::rank_id>(o.setup.ranks)) {
      auto const process = workers.start(r, {"--worker-policy", name});
      std::cout << "rank " << r.value() << " is process " << process << std::endl;
    }
    workers.watch();
    disturbed = disturbed || heard.disturbed();
    runs.push_back(std::move(heard).result());
  }
  return conclude(o, files, std::move(runs), disturbed,
                  [&] { return train_undisturbed(o.setup, o.policies.front(), text); });
}

/// As the rank that a launcher made this process. The lowest that is left speaks for all.
int train_launched(launch const& as, options const& o) {
  auto const ranks = o.setup.ranks;
  if (as.size != ranks)
    throw shunt::invalid_problem("WORLD_SIZE", "is " + std::to_string(as.size) + ", there are " +
                                                   std::to_string(ranks) + " ranks");
  if (o.policies.size() > 1)
    throw shunt::invalid_problem("--policy", "a launcher's processes train under one: name one");
  if (launched_to_join())
    throw shunt::invalid_problem("SHUNT_JOIN", "is set, and no rank comes back");
  auto const text = load_text(o.text);
  left_files files(o);
  launch_place const place(o.meet, as, false);
  std::vector<shunt::rank_id> dead;
  auto const speaks = [&] {
    std::int32_t lowest = 0;
    while (lowest < ranks && std::binary_search(dead.begin(), dead.end(), shunt::rank_id(lowest)))
      ++lowest;
    return lowest == as.rank;
  };
  account heard(o.setup, o.policies.front());
  auto const read = [&] {
    place.read(ranks, dead, [&](shunt::rank_id r, message const& m) { heard.hear(r, m); });
  };
  try {
    work_as({.gloo = o.meet.gloo(place.path()), .self = as.rank}, o, o.policies.front(),
            place.say(), dead);
  } catch (shunt::no_mesh const& error) {
    if (!error.absent().empty()) place.clear();  // nobody got any further
    throw;
  } catch (shunt::invalid_problem const&) {  // all say so; what they did until then is told as well
    if (speaks()) {
      read();
      place.clear();
    }
    throw;
  }
  if (!speaks()) return 0;
  read();
  place.clear();
  bool const disturbed = o.dropless || heard.disturbed();
  std::vector<policy_run> runs;
  runs.push_back(std::move(heard).result());
  return conclude(o, files, std::move(runs), disturbed,
                  [&] { return train_undisturbed(o.setup, o.policies.front(), text); });
}

}  // namespace

int train_with_processes(options const& o, command_line const& started_as) {
  if (o.meet.workers == 0)
    if (auto const as = launch_of_environment()) return train_launched(*as, o);
  return train_with_own(o, started_as);
}

int work_for_others(options const& o, worker_order const& order) {
  auto own = o;
  own.text = order.text;
  std::vector<shunt::rank_id> dead;
  try {
    work_as({.gloo = o.meet.gloo(order.place), .self = order.rank, .waits = true}, own,
            order.policy, voice(crew::voice_of_member), dead);
    return 0;
  } catch (std::exception const&) {  // it has said so
    return 2;
  }
}

}  // namespace example
