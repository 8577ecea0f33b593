#pragma once
/// Rendezvous of processes that each hold one rank: they agree on the identity of a communicator
/// through a shared directory.
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
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/nccl/communicator.hpp"
#include "shunt/nccl/library.hpp"

namespace shunt {

struct nccl_rendezvous {
  std::string directory{};                     ///< shared by all ranks, writable, for this run only
  std::chrono::milliseconds patience{30'000};  ///< wait for all members
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
  namespace files = std::filesystem;
  auto const named = [&](std::string const& end) {
    return files::path(at.directory) / ("epoch" + std::to_string(epoch) + "." + end);
  };
  auto const sign = [&](rank_id r) { return named("rank" + std::to_string(r.value())); };
  // Writes a draft and renames it, so that readers see the whole file or none.
  auto const leave = [&](files::path const& to, std::string_view what) {
    auto const draft = files::path(to.string() + ".draft");
    std::ofstream out(draft, std::ios::binary);
    out << what;
    if (!out.flush())
      throw nccl_error(draft.string() + ": can't be written", nccl_status::system_error);
    out.close();
    files::rename(draft, to);
  };
  auto const read = [](files::path const& from) -> std::optional<std::string> {
    std::ifstream in(from, std::ios::binary);
    if (!in) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  auto const of_directory = [&](std::string const& what) { return at.directory + ": " + what; };
  try {
    files::create_directories(at.directory);
    // Creating the directory is atomic: one process succeeds.
    if (!files::create_directory(sign(self)))
      throw nccl_error(of_directory("rank " + std::to_string(self.value()) +
                                    " is there already, in epoch " + std::to_string(epoch) +
                                    "; is the directory left over from another run?"),
                       nccl_status::invalid_usage);
    leave(sign(self) / "device", device);
    if (self == *std::min_element(members.begin(), members.end())) {
      identity const id = make();
      leave(named("identity"), {reinterpret_cast<char const*>(&id), sizeof id});
    }
    auto const until = std::chrono::steady_clock::now() + at.patience;
    for (;; std::this_thread::sleep_for(std::chrono::milliseconds{1})) {
      std::vector<rank_id> absent;
      std::map<std::string, rank_id> on;
      for (rank_id const r : members)
        if (auto const theirs = read(sign(r) / "device"); !theirs)
          absent.push_back(r);
        else if (auto const [first, fresh] = on.emplace(*theirs, r); !fresh)
          throw nccl_error(of_directory("ranks " + std::to_string(first->second.value()) + " and " +
                                        std::to_string(r.value()) + " use the same device, " +
                                        *theirs),
                           nccl_status::invalid_usage);
      auto const bytes = read(named("identity"));
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
  } catch (files::filesystem_error const& error) {
    throw nccl_error(of_directory("can't meet there: " + error.code().message()),
                     nccl_status::system_error);
  }
}

}  // namespace shunt
