#pragma once
/// The rendezvous of the members of an epoch. All sign in to the shared directory, connect to each
/// other over TCP, and report success or failure there. No member starts before all are connected,
/// and none closes a connection before all have reported: Gloo ends a process whose peer resets a
/// connection while it is made.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <net/if.h>

#include <gloo/rendezvous/prefix_store.h>
#include <gloo/transport/tcp/device.h>

#include "shunt/core/id.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/detail/connections.hpp"
#include "shunt/gloo/detail/loopback_address.hpp"
#include "shunt/gloo/detail/own_directory.hpp"
#include "shunt/gloo/detail/waiting_time.hpp"
#include "shunt/gloo/process_end.hpp"

namespace shunt::detail {

/// Connects the members of an epoch. `lost()` returns the ranks that the mesh of the previous epoch
/// knows to be lost, if there is one (`has_previous`): no member waits for them, nor for those that
/// `has_ended`.
/// Returns the connections; a rank's index is its place among the members.
/// Throws rendezvous_failed.
template <class Lost>
[[nodiscard]] std::unique_ptr<connections> rendezvous(gloo_config const& config, std::int32_t epoch,
                                                      std::vector<rank_id> const& members,
                                                      rank_id self, Lost const& lost,
                                                      bool has_previous) {
  namespace files = std::filesystem;
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

  // The members that are certain not to come.
  auto const gone = [&] {
    auto all = lost();
    for (rank_id const r : members)
      if (r != self && has_ended(config.directory, r)) all.push_back(r);
    return all;
  };
  // A member that could not connect, or has signed in to its end, gives this epoch up for all.
  auto const given_up = [&] {
    return std::any_of(members.begin(), members.end(), [&](rank_id r) {
      return r != self && (signed_as(r, "failed") || signed_as(r, "view"));
    });
  };

  // Waits until all members meet a condition. Members that do not within `patience`, or are lost,
  // are absent. Once the epoch is given up, none is absent, and the wait ends after `grace`: the
  // members that live have noticed it by then.
  auto const wait_for = [&](auto const& condition, std::string const& what,
                            std::chrono::milliseconds grace) {
    waiting_time waited;
    std::optional<waiting_time> since_given_up;
    for (auto missing = members;; std::this_thread::sleep_for(std::chrono::milliseconds{1})) {
      auto const ended = gone();  // first: a rank that has signed in may leave the old mesh
      std::erase_if(missing, condition);
      if (missing.empty()) return;
      bool const all_missing_are_lost =
          std::all_of(missing.begin(), missing.end(), [&](rank_id r) { return among(ended, r); });
      if (!since_given_up && given_up()) since_given_up.emplace();
      if (since_given_up && (all_missing_are_lost || since_given_up->passed() >= grace))
        throw rendezvous_failed(config.directory + ": " + prefix + " was given up", {}, true);
      if (!all_missing_are_lost && waited.passed() <= config.patience) continue;
      std::string names;
      for (rank_id const r : missing)
        names += (names.empty() ? "" : ", ") + std::to_string(r.value());
      auto const after =
          all_missing_are_lost ? "" : "after " + std::to_string(config.patience.count()) + " ms ";
      throw rendezvous_failed(config.directory + ": " + after + "these ranks did not " + what +
                                  " " + prefix + ": " + names,
                              missing);
    }
  };

  // Returns why that is not possible; empty: connected.
  std::unique_ptr<connections> connected;
  auto const connect = [&]() -> std::string {
    // Once all have come, connecting takes milliseconds. A failure is retried in the next epoch.
    auto const patience =
        has_previous ? std::min(config.patience, 5 * config.silence / 4) : config.patience;
    if (!config.interface.empty() && if_nametoindex(config.interface.c_str()) == 0)
      return "no network interface " + config.interface;
    try {
      ::gloo::transport::tcp::attr attributes;
      attributes.iface = config.interface;
      if (config.interface.empty())
        attributes.hostname =
            config.hostname == gloo_config{}.hostname ? loopback_address() : config.hostname;
      auto device = ::gloo::transport::tcp::CreateDevice(attributes);
      auto const hopeless = [&] {
        auto const ended = gone();
        return given_up() || std::any_of(ended.begin(), ended.end(),
                                         [&](rank_id r) { return among(members, r); });
      };
      addresses all(config.directory, patience, hopeless);
      ::gloo::rendezvous::PrefixStore store(prefix, all);
      auto const place = std::find(members.begin(), members.end(), self) - members.begin();
      connected =
          std::make_unique<connections>(device, store, static_cast<int>(place),
                                        static_cast<int>(members.size()), patience, hopeless);
      return connected->failure();
    } catch (std::exception const& error) {
      return error.what();
    }
  };

  try {
    if (auto const why = own_directory(config.directory); !why.empty())
      throw rendezvous_failed(config.directory + ": can't meet there: " + why);
    if (!files::create_directory(sign(self, "rank")))  // atomic: one process makes it
      throw rendezvous_failed(config.directory + ": rank " + std::to_string(self.value()) +
                              " is there already, in " + prefix +
                              "; is the directory left over from another run?");
    wait_for([&](rank_id r) { return signed_as(r, "rank"); }, "come to", {});
    std::string const failure = connect();
    files::create_directory(sign(self, failure.empty() ? "ready" : "failed"));
    wait_for([&](rank_id r) { return signed_as(r, "ready") || signed_as(r, "failed"); },
             "connect in", 2 * config.silence);  // until then all connections stay open
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
