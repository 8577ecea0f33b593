#pragma once
/// The command line of a program whose workers can be processes.
#include <CLI/CLI.hpp>
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

  [[nodiscard]] shunt::gloo_config gloo(std::string const& place) const {
    return {.directory = place, .interface = interface, .silence = silence, .patience = patience};
  }
  [[nodiscard]] shunt::gloo_config gloo(shunt::launched_rendezvous const& place) const {
    auto config = gloo(place.directory());
    config.files = place.files();
    return config;
  }
  [[nodiscard]] shunt::launched_rendezvous::config launched() const {
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

/// Options of both. The caller's option of a worker's silence is its own.
inline void add_process_options(CLI::App& app, process_options& o, worker_order& order) {
  add_integer(app, "--workers", o.workers,
              "processes to start, whatever a launcher says: as many as there are workers", 0)
      ->group("Engine");
  app.add_option("--rendezvous", o.rendezvous,
                 "directory where processes meet (default: one of their own among temporary files)")
      ->envname("SHUNT_RENDEZVOUS")
      ->group("Engine");
  app.add_option("--rendezvous-key", o.key,
                 "secret of all processes that meet at a launcher's MASTER_ADDR and MASTER_PORT, "
                 "where they have no such directory")
      ->envname("SHUNT_RENDEZVOUS_KEY")
      ->group("Engine");
  app.add_option("--interface", o.interface,
                 "network interface of processes (default: this machine alone)")
      ->envname("SHUNT_INTERFACE")
      ->group("Engine");
  auto const wait = [&o](std::string const& text) {
    o.patience = std::chrono::milliseconds(parse_integer("patience", text, 1, 3'600'000));
  };
  app.add_option_function<std::string>("--patience", wait,
                                       "milliseconds to wait for a process that has to come")
      ->type_name("N")
      ->default_str(std::to_string(o.patience.count()))
      ->group("Engine");
  app.add_option("--as-worker", order.rank)
      ->group("");  // what this program tells processes that it starts itself
  app.add_option("--meet", order.place)->group("");
  app.add_option("--worker-text", order.text)->group("");
}

}  // namespace example
