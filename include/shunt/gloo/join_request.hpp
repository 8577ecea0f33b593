#pragma once
/// A new process in a dead one's place.
///
/// Between two epochs the members ask one rank to come: each of them leaves the same note where
/// they meet (see processes.hpp, `admit`). A new process that waits for the note learns from it the
/// epoch in which it is a member, who the others are, and where training stands; it meets them
/// there as everybody does. Where it does not come in time it is lost like any other. A note whose
/// epoch is over, or in whose epoch the rank has signed in already, was meant for a process before
/// this one.
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
#include "shunt/gloo/mesh.hpp"

namespace shunt {

struct join_request {
  std::int32_t epoch = 0;          ///< that the new process is to take part in first
  std::int64_t iteration = 0;      ///< that runs after it has its state
  std::vector<rank_id> members{};  ///< of the epoch, the new one among them, ascending
  std::vector<rank_id> dead{};     ///< before it came, itself among them, ascending
  bool operator==(join_request const&) const = default;
};

/// Leaves a note for rank `joining`, as rank `self`. Throws rendezvous_failed where that can't be
/// written.
inline void request_join(gloo_config const& config, rank_id joining, rank_id self,
                         join_request const& note) {
  namespace files = std::filesystem;
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
  if (out)
    files::rename(draft, files::path(config.directory) / name,
                  failed);  // appears whole or not at all
  if (!out || failed) throw rendezvous_failed(draft.string() + ": can't be written");
}

/// Waits for a note to rank `self`. Throws rendezvous_failed where none comes within `patience`.
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
  auto const until = gloo_mesh::clock::now() + patience;
  for (;; std::this_thread::sleep_for(std::chrono::milliseconds{1})) {
    if (auto const note = read()) return *note;
    if (gloo_mesh::clock::now() > until)
      throw rendezvous_failed(config.directory + ": nobody asked rank " + own + " to come within " +
                              std::to_string(patience.count()) + " ms");
  }
}

}  // namespace shunt
