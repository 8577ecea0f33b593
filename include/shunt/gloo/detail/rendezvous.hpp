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
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/detail/host_platform.hpp"
#include "shunt/gloo/detail/insist.hpp"
#include "shunt/gloo/detail/number_files.hpp"
#include "shunt/gloo/detail/unreached.hpp"
#include "shunt/gloo/detail/waiting_time.hpp"
#include "shunt/gloo/process_end.hpp"

namespace shunt::detail {

/// Connects the members of an epoch. `lost()` returns the ranks that the mesh of the previous epoch
/// knows to be lost, if there is one (`has_previous`): no member waits for them, nor for those that
/// `has_ended`.
/// Returns the connections; a rank's index is its place among the members.
/// Throws rendezvous_failed.
template <platform Platform, class Lost>
[[nodiscard]] std::unique_ptr<typename Platform::connections> rendezvous(
    gloo_config const& config, std::int32_t epoch, std::vector<rank_id> const& members,
    rank_id self, Lost const& lost, bool has_previous) {
  std::string const prefix = "epoch" + std::to_string(epoch);
  auto const sign = [&](rank_id r, char const* what) { return epoch_file(config, epoch, what, r); };
  auto const signed_as = [&](rank_id r, char const* what) {
    return config.files->exists(sign(r, what));
  };
  auto const among = [](std::vector<rank_id> const& ranks, rank_id r) {
    return std::find(ranks.begin(), ranks.end(), r) != ranks.end();
  };

  // The members that are certain not to come.
  auto const gone = [&] {
    auto all = lost();
    for (rank_id const r : members)
      if (r != self && has_ended(config, r)) all.push_back(r);
    return all;
  };
  // A member that could not connect, or has signed in to its end, gives this epoch up for all.
  auto const given_up = [&] {
    return std::any_of(members.begin(), members.end(), [&](rank_id r) {
      return r != self && (signed_as(r, "failed") || signed_as(r, "view"));
    });
  };

  // Waits until all members meet a condition. Members that do not within `longest`, or are lost,
  // are absent. Once the epoch is given up, none is absent, and the wait ends after `grace`: the
  // members that live have noticed it by then.
  auto const wait_for = [&](auto const& condition, std::string const& what,
                            std::chrono::milliseconds longest, std::chrono::milliseconds grace) {
    waiting_time<Platform> waited;
    std::optional<waiting_time<Platform>> since_given_up;
    for (auto missing = members;; Platform::sleep(std::chrono::milliseconds{1})) {
      // First: a rank that has signed in may leave the old mesh, or give the epoch up.
      auto const ended = gone();
      bool const over = given_up();
      std::erase_if(missing, condition);
      if (missing.empty()) return;
      bool const all_missing_are_lost =
          std::all_of(missing.begin(), missing.end(), [&](rank_id r) { return among(ended, r); });
      if (!since_given_up && over) since_given_up.emplace();
      if (since_given_up && (all_missing_are_lost || since_given_up->passed() >= grace))
        throw rendezvous_failed(config.directory + ": " + prefix + " was given up", {}, true);
      if (!all_missing_are_lost && waited.passed() <= longest) continue;
      std::string names;
      for (rank_id const r : missing)
        names += (names.empty() ? "" : ", ") + std::to_string(r.value());
      auto const after =
          all_missing_are_lost ? "" : "after " + std::to_string(longest.count()) + " ms ";
      throw rendezvous_failed(config.directory + ": " + after + "these ranks did not " + what +
                                  " " + prefix + ": " + names,
                              missing);
    }
  };

  // Returns why that is not possible; empty: connected.
  std::vector<rank_id> unreached;
  std::unique_ptr<typename Platform::connections> connected;
  auto const connect = [&]() -> std::string {
    // Once all have come, connecting takes milliseconds. A failure is retried in the next epoch.
    // For an address and for a connection together it is less than the others wait for the sign.
    auto const patience =
        has_previous ? std::min(config.patience / 2, 5 * config.silence / 4) : config.patience / 2;
    waiting_time<Platform> waited;
    try {
      auto const hopeless = [&] {
        static_cast<void>(waited.passed());
        auto const ended = gone();
        return given_up() || std::any_of(ended.begin(), ended.end(),
                                         [&](rank_id r) { return among(members, r); });
      };
      auto const place = std::find(members.begin(), members.end(), self) - members.begin();
      connected = std::make_unique<typename Platform::connections>(
          config, prefix, static_cast<int>(place), static_cast<int>(members.size()), patience,
          hopeless);
      if (!connected->failure().empty() && waited.passed() >= 3 * patience / 4)
        for (int const i : connected->unreached())
          unreached.push_back(members[static_cast<std::size_t>(i)]);
      return connected->failure();
    } catch (std::exception const& error) {
      return error.what();
    }
  };

  auto const sign_in = [&](char const* what) {
    insist<Platform>(config, [&] {
      auto const failed = config.files->make_directory(sign(self, what));  // atomic
      if (failed == std::errc::file_exists)
        throw rendezvous_failed(config.directory + ": rank " + std::to_string(self.value()) +
                                " is there already, in " + prefix +
                                "; is the directory left over from another run?");
      return failed;
    });
  };
  // A failure may pass: a stranger was first, or the network was slow. Where the two epochs before
  // have failed too, a member names those that it cannot reach.
  auto const sign_failed = [&] {
    for (std::int32_t const before : {1, 2})
      if (std::none_of(members.begin(), members.end(), [&](rank_id r) {
            return config.files->exists(failed_sign(config, epoch - before, r));
          }))
        unreached.clear();
    std::vector<std::int64_t> numbers;
    for (rank_id const r : unreached) numbers.push_back(r.value());
    auto const name = failed_sign(config, epoch, self);
    replace_numbers<Platform>(config, name + ".draft", name, numbers);
  };
  sign_in("rank");
  wait_for([&](rank_id r) { return signed_as(r, "rank"); }, "come to", config.patience, {});
  std::string const failure = connect();
  if (failure.empty())
    sign_in("ready");
  else
    sign_failed();
  // Until then all connections stay open. Who has signed in to the end connects no more.
  try {
    wait_for(
        [&](rank_id r) {
          return signed_as(r, "ready") || signed_as(r, "failed") || signed_as(r, "view");
        },
        "connect in", config.patience + config.silence, 2 * config.silence);
  } catch (rendezvous_failed const& given_up_by_others) {
    if (failure.empty() || !given_up_by_others.absent().empty()) throw;  // else why it gave up
  }
  if (!failure.empty())
    throw rendezvous_failed(config.directory + ": rank " + std::to_string(self.value()) +
                                " can't connect in " + prefix + ": " + failure,
                            {}, true);
  for (rank_id const r : members)
    if (!signed_as(r, "ready"))
      throw rendezvous_failed(config.directory + ": rank " + std::to_string(r.value()) +
                                  " could not connect in " + prefix,
                              {}, true);
  return connected;
}

}  // namespace shunt::detail
