#pragma once
/// How the members of an epoch come together: all sign in to the shared directory, connect to each
/// other over TCP, and say whether they could; nobody starts before everybody is connected.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <net/if.h>

#include <gloo/rendezvous/prefix_store.h>
#include <gloo/transport/tcp/device.h>

#include "shunt/core/id.hpp"
#include "shunt/gloo/addresses.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/connections.hpp"

namespace shunt::detail {

/// A connected mesh, whose ranks are places among the members. `lost()` says who is known to be
/// lost from the epoch before, where anybody knows (`has_previous_mesh`): nobody waits for them.
/// Throws rendezvous_failed.
template <class Lost>
[[nodiscard]] std::unique_ptr<connections> rendezvous(gloo_config const& config, std::int32_t epoch,
                                                      std::vector<rank_id> const& members,
                                                      rank_id self, Lost const& lost,
                                                      bool has_previous_mesh) {
  namespace files = std::filesystem;
  using clock = std::chrono::steady_clock;
  std::string const prefix = "epoch" + std::to_string(epoch);
  auto const sign = [&](rank_id r, char const* what) {
    return files::path(config.directory) / (prefix + "." + what + std::to_string(r.value()));
  };
  auto const signed_as = [&](rank_id r, char const* what) {
    std::error_code ignored;
    return files::exists(sign(r, what), ignored);
  };
  auto const among = [](std::vector<rank_id> const& ranks, rank_id r) {
    return std::find(ranks.begin(), ranks.end(), r) != ranks.end();
  };

  /// Waits until all members meet a condition; those that don't, after a time or because they are
  /// lost, are absent.
  auto const wait_for = [&](auto const& condition, std::string const& what) {
    auto const until = clock::now() + config.patience;
    for (auto missing = members;; std::this_thread::sleep_for(std::chrono::milliseconds{1})) {
      auto const gone = lost();  // before looking: who has signed in may have left the old mesh
      std::erase_if(missing, condition);
      if (missing.empty()) return;
      bool const should_stop_waiting =
          std::all_of(missing.begin(), missing.end(), [&](rank_id r) { return among(gone, r); });
      if (!should_stop_waiting && clock::now() <= until) continue;
      std::string names;
      for (rank_id const r : missing)
        names += (names.empty() ? "" : ", ") + std::to_string(r.value());
      auto const after =
          should_stop_waiting ? "" : "after " + std::to_string(config.patience.count()) + " ms ";
      throw rendezvous_failed(config.directory + ": " + after + "these ranks did not " + what +
                                  " " + prefix + ": " + names,
                              missing);
    }
  };

  /// Why that isn't possible; empty: connected.
  std::unique_ptr<connections> connected;
  auto const connect = [&]() -> std::string {
    // once all have come connecting takes milliseconds, and where it fails though all are there
    // they try again in the next epoch
    auto const patience =
        has_previous_mesh ? std::min(config.patience, config.silence / 4) : config.patience;
    if (!config.interface.empty() && if_nametoindex(config.interface.c_str()) == 0)
      return "no network interface " + config.interface;
    try {
      ::gloo::transport::tcp::attr attributes;
      attributes.iface = config.interface;
      if (config.interface.empty()) attributes.hostname = config.hostname;
      auto device = ::gloo::transport::tcp::CreateDevice(attributes);
      auto const peer_died = [&] {
        auto const gone = lost();
        return std::any_of(gone.begin(), gone.end(), [&](rank_id r) { return among(members, r); });
      };
      addresses all(config.directory, patience, peer_died);
      ::gloo::rendezvous::PrefixStore store(prefix, all);
      auto const place = std::find(members.begin(), members.end(), self) - members.begin();
      connected =
          std::make_unique<connections>(device, store, static_cast<int>(place),
                                        static_cast<int>(members.size()), patience, peer_died);
      return {};
    } catch (std::exception const& error) {
      return error.what();
    }
  };

  try {
    files::create_directories(config.directory);
    if (!files::create_directory(sign(self, "rank")))  // atomic: whoever makes it is the one
      throw rendezvous_failed(config.directory + ": rank " + std::to_string(self.value()) +
                              " is there already, in " + prefix +
                              "; is the directory left over from another run?");
    wait_for([&](rank_id r) { return signed_as(r, "rank"); }, "come to");
    std::string const failure = connect();
    files::create_directory(sign(self, failure.empty() ? "ready" : "failed"));
    wait_for([&](rank_id r) { return signed_as(r, "ready") || signed_as(r, "failed"); },
             "connect in");
    if (!failure.empty())
      throw rendezvous_failed(config.directory + ": rank " + std::to_string(self.value()) +
                                  " can't connect in " + prefix + ": " + failure,
                              {}, true);
    for (rank_id const r : members)
      if (signed_as(r, "failed"))
        throw rendezvous_failed(config.directory + ": rank " + std::to_string(r.value()) +
                                    " could not connect in " + prefix,
                                {}, true);
  } catch (files::filesystem_error const& error) {
    throw rendezvous_failed(config.directory + ": can't meet there: " + error.code().message());
  }
  return connected;
}

}  // namespace shunt::detail
