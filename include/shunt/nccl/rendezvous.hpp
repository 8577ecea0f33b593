#pragma once
/// How processes that each hold one rank come to name the same communicator: they sign in to a
/// directory that all of them see.
///
/// Each member of an epoch signs with the name of its device; the lowest one leaves the identity
/// that NCCL made. What NCCL would let hang or report from the wrong end is told here at once, by
/// name: a rank that is there twice, two ranks on one device, ranks that don't come in time. The
/// directory belongs to one run and is the caller's to remove. Nothing is sent here but the
/// identity.
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

struct nccl_meeting {
  std::string directory{};                     ///< shared by all, writable, of this run alone
  std::chrono::milliseconds patience{30'000};  ///< for all members to come
};

/// The identity of an epoch's communicator; `make` is called by the lowest member. Throws
/// nccl_error: invalid_usage where a rank or a device is there twice, in_progress where members
/// don't come, system_error where the directory can't be used.
template <class Make>
[[nodiscard]] auto meet(nccl_meeting const& at, std::int32_t epoch,
                        std::span<rank_id const> members, rank_id self, std::string const& device,
                        Make const& make) {
  using identity = std::invoke_result_t<Make const&>;
  static_assert(std::is_trivially_copyable_v<identity>);
  namespace files = std::filesystem;
  auto const named = [&](std::string const& end) {
    return files::path(at.directory) / ("epoch" + std::to_string(epoch) + "." + end);
  };
  auto const sign = [&](rank_id r) { return named("rank" + std::to_string(r.value())); };
  auto const leave = [&](files::path const& to,
                         std::string_view what) {  // appears whole or not at all
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
    if (!files::create_directory(sign(self)))  // whoever makes it is the one
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
