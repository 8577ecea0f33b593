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
void add_process_options(argument_parser& app, process_options& o, worker_order& order);

}  // namespace example
