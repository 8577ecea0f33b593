#pragma once
/// A new process in the place of a dead one. Between two epochs all members write the same join
/// request into the rendezvous directory (executor.hpp, `admit`). A new process waits for the
/// request, which names its first epoch, the members and the iteration, and then meets the members.
/// A process that does not come in time is lost like any other. A request is stale where its epoch
/// is over, or its rank has already signed in to that epoch: it was meant for an earlier process.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/detail/own_directory.hpp"
#include "shunt/gloo/detail/waiting_time.hpp"

namespace shunt {

/// A request to join, for one rank.
struct join_request {
  std::int32_t epoch = 0;          ///< the first epoch of the new process
  std::int64_t iteration = 0;      ///< the first iteration after it has its state
  std::vector<rank_id> members{};  ///< of the epoch, with the new one, ascending
  std::vector<rank_id> dead{};     ///< before the join, with the new one, ascending
  bool operator==(join_request const&) const = default;
};

/// Writes a request for rank `joining`, as rank `self`.
/// Throws rendezvous_failed where it cannot be written.
inline void request_join(gloo_config const& config, rank_id joining, rank_id self,
                         join_request const& note) {
  namespace files = std::filesystem;
  if (auto const why = detail::own_directory(config.directory); !why.empty())
    throw rendezvous_failed(config.directory + ": can't meet there: " + why);
  auto const name = "invitation" + std::to_string(joining.value());
  auto const draft =
      files::path(config.directory) / (name + ".draft" + std::to_string(self.value()));
  std::ofstream out(draft);
  out << note.epoch << ' ' << note.iteration << ' ' << note.members.size();
  for (rank_id const r : note.members) out << ' ' << r.value();
  out << ' ' << note.dead.size();
  for (rank_id const r : note.dead) out << ' ' << r.value();
  out.close();
  std::error_code failed;
  if (out) files::rename(draft, files::path(config.directory) / name, failed);  // atomic
  if (!out || failed) throw rendezvous_failed(draft.string() + ": can't be written");
}

/// Waits for a request to rank `self`.
/// Returns the request.
/// Throws rendezvous_failed where none comes within `patience`.
[[nodiscard]] inline join_request await_join_request(gloo_config const& config, rank_id self,
                                                     std::chrono::milliseconds patience) {
  namespace files = std::filesystem;
  auto const in = [&](std::string const& name) { return files::path(config.directory) / name; };
  auto const own = std::to_string(self.value());
  auto const read = [&]() -> std::optional<join_request> {
    std::ifstream file(in("invitation" + own));
    join_request note;
    auto const ranks = [&](std::vector<rank_id>& all) {
      std::size_t count = 0;
      file >> count;
      for (std::int32_t r = 0; all.size() < count && file >> r;) all.emplace_back(r);
    };
    file >> note.epoch >> note.iteration;
    ranks(note.members);
    ranks(note.dead);
    if (!file) return std::nullopt;
    auto const epoch = "epoch" + std::to_string(note.epoch);
    std::error_code ignored;
    if (files::exists(in(epoch + ".next"), ignored) ||
        files::exists(in(epoch + ".rank" + own), ignored))
      return std::nullopt;
    return note;
  };
  detail::waiting_time waited;
  for (;; std::this_thread::sleep_for(std::chrono::milliseconds{1})) {
    if (auto const note = read()) return *note;
    if (waited.passed() > patience)
      throw rendezvous_failed(config.directory + ": nobody asked rank " + own + " to come within " +
                              std::to_string(patience.count()) + " ms");
  }
}

}  // namespace shunt
