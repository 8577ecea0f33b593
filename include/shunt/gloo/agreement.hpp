#pragma once
/// After a loss: who is left, and how far has everybody come?
///
/// Survivors may have noticed different peers, in different orders, at different times. Each signs in to the end of the epoch with the ranks
/// that it lost and a number of its own (how many iterations it has completed, for example). The lowest one that signed in decides when every
/// member has signed in or was lost by somebody, or else `silence` later: those who did not sign in are out. The decision is one file, made
/// by an atomic link: there is never a second one, whoever else wants to decide. Everybody returns what it says; a rank that it leaves out
/// (a process that was stopped and now goes on) throws fenced_off.
///
/// Keep the mesh of the old epoch until this returns, for leaving it looks like another loss to those who have not signed in.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/gloo/mesh.hpp"

namespace shunt {

/// The others went on without this rank.
class fenced_off : public std::runtime_error {
 public:
  fenced_off(rank_id self, std::int32_t epoch)
      : std::runtime_error("rank " + std::to_string(self.value()) + " was taken for lost: the others left epoch " + std::to_string(epoch) +
                           " without it") {}
};

struct survivor {
  rank_id rank{};
  std::int64_t note = 0;  ///< what it signed in with

  constexpr bool operator==(survivor const&) const = default;
};

/// The survivors of an epoch, ascending: the same answer for all of them. `lost` is what this rank noticed (`gloo_mesh::lost`).
/// Throws fenced_off where this rank is none of them, no_mesh where the directory can't be used.
[[nodiscard]] inline std::vector<survivor> agree(gloo_config const& config, std::int32_t epoch, std::vector<rank_id> const& members,
                                                 rank_id self, std::vector<rank_id> const& lost, std::int64_t note) {
  namespace files = std::filesystem;
  using clock = std::chrono::steady_clock;
  files::path const base = files::path(config.directory) / ("epoch" + std::to_string(epoch));
  auto const named = [&](std::string const& end) { return files::path(base.string() + end); };
  auto const write = [](files::path const& to, auto const& numbers) {
    std::ofstream out(to);
    for (std::int64_t const n : numbers) out << n << ' ';
    if (!out.flush()) throw no_mesh(to.string() + ": can't be written");
  };
  auto const read = [](files::path const& from) -> std::optional<std::vector<std::int64_t>> {
    std::ifstream in(from);
    if (!in) return std::nullopt;
    std::vector<std::int64_t> numbers;
    for (std::int64_t n = 0; in >> n;) numbers.push_back(n);
    return numbers;
  };
  std::string const own = std::to_string(self.value());
  files::path const decision = named(".next"), draft = named(".draft" + own);
  try {
    std::vector<std::int64_t> view{note};
    for (rank_id const r : lost) view.push_back(r.value());
    write(draft, view);
    files::rename(draft, named(".view" + own));  // appears whole or not at all

    auto const since = clock::now();
    for (;; std::this_thread::sleep_for(std::chrono::milliseconds{1})) {
      if (auto const decided = read(decision)) {
        std::vector<survivor> answer;
        for (std::size_t i = 0; i + 1 < decided->size(); i += 2) answer.push_back({(*decided)[i], (*decided)[i + 1]});
        if (std::none_of(answer.begin(), answer.end(), [&](survivor const& s) { return s.rank == self; })) throw fenced_off(self, epoch);
        return answer;
      }
      std::vector<survivor> here;
      std::vector<std::int64_t> missed;
      for (rank_id const r : members)
        if (auto const seen = read(named(".view" + std::to_string(r.value()))); seen && !seen->empty()) {
          here.push_back({r, seen->front()});
          missed.insert(missed.end(), seen->begin() + 1, seen->end());
        }
      auto const waited = clock::now() - since;
      bool const complete = std::all_of(members.begin(), members.end(), [&](rank_id r) {
        return std::find(missed.begin(), missed.end(), r.value()) != missed.end() ||
               std::any_of(here.begin(), here.end(), [&](survivor const& s) { return s.rank == r; });
      });
      // the lowest decides; the next one where that one is gone as well, and so on
      auto const place = std::find_if(here.begin(), here.end(), [&](survivor const& s) { return s.rank == self; }) - here.begin();
      if (!(complete && place == 0) && waited < config.silence * (place + 1)) continue;
      std::vector<std::int64_t> all;
      for (survivor const& s : here) {
        all.push_back(s.rank.value());
        all.push_back(s.note);
      }
      write(draft, all);
      std::error_code taken;  // somebody else may have decided
      files::create_hard_link(draft, decision, taken);
      if (taken && !files::exists(decision)) throw no_mesh(decision.string() + ": can't be written: " + taken.message());
    }
  } catch (files::filesystem_error const& error) {
    throw no_mesh(config.directory + ": can't agree there: " + error.code().message());
  }
}

}  // namespace shunt
