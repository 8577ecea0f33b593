#pragma once
/// The command line of a program whose workers can be processes.
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "cli.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/launch/launched_rendezvous.hpp"

namespace example {

/// How this program was started, for workers to be started alike.
using command_line = std::vector<std::string>;

/// Where and how worker processes meet.
struct process_options {
  std::string rendezvous{};  ///< where they meet; empty: among the system's temporary files, or at
                             ///< a launcher's MASTER_ADDR and MASTER_PORT
  std::string key{};         ///< for that port
  std::string interface{};   ///< network interface; empty: this machine alone
  std::int32_t workers = 0;  ///< processes to start, whatever a launcher says; 0: as many as there
                             ///< are workers, unless a launcher says more
  std::chrono::milliseconds patience{30'000};  ///< for a process that has to come, or to end
  std::chrono::milliseconds silence{2'000};    ///< after which a worker is given up

  shunt::gloo_config gloo(std::string const& place) const {
    return {.directory = place, .interface = interface, .silence = silence, .patience = patience};
  }
  shunt::gloo_config gloo(shunt::launched_rendezvous const& place) const {
    auto config = gloo(place.directory());
    config.files = place.files();
    return config;
  }
  shunt::launched_rendezvous::config launched() const {
    return {.directory = rendezvous, .key = key, .patience = patience};
  }
};

/// What a worker process of this program's own is told.
struct worker_order {
  std::int32_t rank = -1;  ///< -1: this is no worker
  std::string place{};     ///< where the others are
  std::string text{};      ///< what to train on
  std::string policy{};    ///< which of several
  bool joins = false;
};

/// Says that this build has no such engine.
[[noreturn]] inline void refuse_engine(std::string const& field, std::string const& library) {
  throw shunt::invalid_problem(field, "this build has no " + library);
}

/// Options of both. The caller's option of a worker's silence is its own.
inline void add_process_options(argument_parser& app, process_options& o, worker_order& order) {
  auto const before = app.group("Engine");
  add_integer(app, "--workers", o.workers,
              "processes to start, whatever a launcher says: as many as there are workers", 0);
  app.add_option("--rendezvous", o.rendezvous,
                 "directory where processes meet (default: one of their own among temporary files)")
      ->envname("SHUNT_RENDEZVOUS");
  app.add_option("--rendezvous-key", o.key,
                 "secret of all processes that meet at a launcher's MASTER_ADDR and MASTER_PORT, "
                 "where they have no such directory")
      ->envname("SHUNT_RENDEZVOUS_KEY");
  app.add_option("--interface", o.interface,
                 "network interface of processes (default: this machine alone)")
      ->envname("SHUNT_INTERFACE");
  auto const wait = [&o](std::string const& text) {
    o.patience = std::chrono::milliseconds(parse_integer("patience", text, 1, 3'600'000));
  };
  app.add_option_function("--patience", wait, "milliseconds to wait for a process that has to come")
      ->type_name("N")
      ->default_str(std::to_string(o.patience.count()));
  app.add_option("--as-worker", order.rank)
      ->group("");  // what this program tells processes that it starts itself
  app.add_option("--meet", order.place)->group("");
  app.add_option("--worker-text", order.text)->group("");
  app.group(before);
}

}  // namespace example
