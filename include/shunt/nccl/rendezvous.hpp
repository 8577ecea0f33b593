#pragma once
/// Rendezvous of processes that each hold one rank: they agree on the identity of a communicator
/// through shared files: in a directory, or behind a port.
///
/// Each member of an epoch registers with the name of its device; the lowest member stores the
/// identity that NCCL made. Errors that NCCL would report late or at another rank are reported here
/// at once, by rank: a rank that is present twice, two ranks on one device, ranks that do not
/// arrive in time. Only the identity is exchanged. The directory belongs to one run, and the caller
/// removes it.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/launch/disk_files.hpp"
#include "shunt/launch/shared_files.hpp"
#include "shunt/nccl/communicator.hpp"
#include "shunt/nccl/library.hpp"

namespace shunt {

struct nccl_rendezvous {
  std::string directory{};                     ///< shared by all ranks, writable, for this run only
  std::chrono::milliseconds patience{30'000};  ///< wait for all members
  std::shared_ptr<shared_files const> files =
      std::make_shared<disk_files const>();  ///< where that directory is
};

/// Returns the identity of an epoch's communicator; the lowest member makes it by `make()`.
/// Throws nccl_error: invalid_usage where a rank or a device is present twice, in_progress where
/// members do not arrive, system_error where the directory cannot be used.
template <class Make>
[[nodiscard]] auto rendezvous(nccl_rendezvous const& at, std::int32_t epoch,
                              std::span<rank_id const> members, rank_id self,
                              std::string const& device, Make const& make) {
  using identity = std::invoke_result_t<Make const&>;
  static_assert(std::is_trivially_copyable_v<identity>);
  auto const& files = *at.files;
  auto const named = [&](std::string const& end) {
    return at.directory + "/epoch" + std::to_string(epoch) + "." + end;
  };
  auto const named_by = [&](char const* what, rank_id r) {
    return named(what + std::to_string(r.value()));
  };
  auto const of_directory = [&](std::string const& what) { return at.directory + ": " + what; };
  auto const require = [&](std::error_code failed) {
    if (failed)
      throw nccl_error(of_directory("can't meet there: " + failed.message()),
                       nccl_status::system_error);
  };
  try {
    if (auto const why = files.own_directory(at.directory); !why.empty())
      throw nccl_error(of_directory("can't meet there: " + why), nccl_status::system_error);
    // Creating the directory is atomic: one process succeeds.
    auto const taken = files.make_directory(named_by("rank", self));
    if (taken == std::errc::file_exists)
      throw nccl_error(of_directory("rank " + std::to_string(self.value()) +
                                    " is there already, in epoch " + std::to_string(epoch) +
                                    "; is the directory left over from another run?"),
                       nccl_status::invalid_usage);
    require(taken);
    auto const own = named_by("device", self);
    require(replace_file(files, own + ".draft", own, device));
    if (self == *std::min_element(members.begin(), members.end())) {
      identity const id = make();
      require(replace_file(files, named("identity.draft"), named("identity"),
                           {reinterpret_cast<char const*>(&id), sizeof id}));
    }
    auto const until = std::chrono::steady_clock::now() + at.patience;
    for (;; std::this_thread::sleep_for(std::chrono::milliseconds{1})) {
      std::vector<rank_id> absent;
      std::map<std::string, rank_id> on;
      for (rank_id const r : members)
        if (auto const theirs = files.read(named_by("device", r)); !theirs)
          absent.push_back(r);
        else if (auto const [first, fresh] = on.emplace(*theirs, r); !fresh)
          throw nccl_error(of_directory("ranks " + std::to_string(first->second.value()) + " and " +
                                        std::to_string(r.value()) + " use the same device, " +
                                        *theirs),
                           nccl_status::invalid_usage);
      auto const bytes = files.read(named("identity"));
      if (absent.empty() && bytes && bytes->size() == sizeof(identity)) {
        identity id;
        std::memcpy(&id, bytes->data(), sizeof id);
        return id;
      }
      if (std::chrono::steady_clock::now() <= until) continue;
      throw nccl_error(of_directory("after " + std::to_string(at.patience.count()) + " ms " +
                                    detail::names_of(absent) + " did not come to epoch " +
                                    std::to_string(epoch)),
                       nccl_status::in_progress);
    }
  } catch (rendezvous_failed const& gone) {
    throw nccl_error(gone.what(), nccl_status::system_error);
  }
}

}  // namespace shunt
