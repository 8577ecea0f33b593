#pragma once
#include <chrono>
#include <memory>
#include <string>

#include "shunt/launch/disk_files.hpp"
#include "shunt/launch/shared_files.hpp"

namespace shunt {

/// How processes find each other, and when a peer is lost.
struct gloo_config {
  std::string directory{};  ///< of the rendezvous: shared by all, for this run and its user alone
  std::shared_ptr<shared_files const> files =
      std::make_shared<disk_files const>();  ///< where that directory is
  std::string interface{};                  ///< network interface to listen on; empty: by host name
  std::string hostname = "127.0.0.1";       ///< address to listen on where no interface is named;
                                            ///< this one: a random address of 127.0.0.0/8
  std::chrono::milliseconds silence{1000};  ///< a peer without a heartbeat for so long is lost
  std::chrono::milliseconds patience{10'000};  ///< for all members to come, and to connect
};

}  // namespace shunt
