#pragma once
/// The members of an epoch agree on the survivors, and on a number of each (its progress).
///
/// Each member signs in to the end of the epoch with its number, and says whether it decides: not
/// where it misses most of the members and knows no more than that they are silent, for then it is
/// probably its own fault. The lowest member that decides waits for all whom it does not miss
/// itself; the members that have signed in by then survive. The decision is one file, made by an
/// atomic link, so there is never a second one. There is no time-out for members that are heard:
/// the mesh of the old epoch stays up and detects failures. Who does not decide does so after
/// `patience`. A directory that was removed meanwhile is made again.
/// See docs/engines.md.
#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/detail/heartbeats.hpp"
#include "shunt/gloo/detail/own_directory.hpp"
#include "shunt/gloo/detail/waiting_time.hpp"

namespace shunt {

/// Thrown where the other members went on without this rank.
class fenced_off : public std::runtime_error {
 public:
  fenced_off(rank_id self, std::int32_t epoch)
      : std::runtime_error("rank " + std::to_string(self.value()) +
                           " was taken for lost: the others left epoch " + std::to_string(epoch) +
                           " without it") {}
};

/// A rank that survives an epoch.
struct survivor {
  rank_id rank{};
  std::int64_t note = 0;  ///< the number that it signed in with

  constexpr bool operator==(survivor const&) const = default;
};

/// Agrees on the survivors of an epoch. `losses()` returns the ranks that this rank has lost so far
/// (`gloo_mesh::losses`). `note` is this rank's number.
/// Returns the survivors, ascending: the same answer on all of them.
/// Throws fenced_off where this rank is none of them; rendezvous_failed where the directory cannot
/// be used.
template <class Losses>
  requires std::convertible_to<std::invoke_result_t<Losses const&>, known_losses>
[[nodiscard]] std::vector<survivor> agree(gloo_config const& config, std::int32_t epoch,
                                          std::vector<rank_id> const& members, rank_id self,
                                          Losses const& losses, std::int64_t note) {
  namespace files = std::filesystem;
  files::path const base = files::path(config.directory) / ("epoch" + std::to_string(epoch));
  auto const named = [&](std::string const& end) { return files::path(base.string() + end); };
  auto const write = [&](files::path const& to, auto const& numbers) {
    for (bool const first : {true, false}) {
      std::ofstream out(to);
      for (std::int64_t const n : numbers) out << n << ' ';
      if (out.flush()) return;
      std::string why = "can't be written";
      if (first) why = detail::own_directory(config.directory);  // it may have been removed
      if (!why.empty()) throw rendezvous_failed(to.string() + ": " + why);
    }
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
  auto const gone = [](std::vector<rank_id> const& ranks, rank_id r) {
    return std::find(ranks.begin(), ranks.end(), r) != ranks.end();
  };
  std::optional<bool> signed_as_decider;
  detail::waiting_time waited;
  try {
    for (;; std::this_thread::sleep_for(std::chrono::milliseconds{1})) {
      if (auto const decided = read(decision)) {
        std::vector<survivor> answer;
        for (std::size_t i = 0; i + 1 < decided->size(); i += 2)
          answer.push_back({(*decided)[i], (*decided)[i + 1]});
        if (std::none_of(answer.begin(), answer.end(),
                         [&](survivor const& s) { return s.rank == self; }))
          throw fenced_off(self, epoch);
        files::path const earlier =
            files::path(config.directory) / ("epoch" + std::to_string(epoch - 1));
        for (auto const* const what : {".view", ".draft"})
          files::remove(earlier.string() + what + own);  // all have read that decision
        return answer;
      }
      known_losses const mine = losses();
      // Of those that are not certainly dead, it must hear half.
      bool const decider = mine.silent.size() + mine.ranks.size() <= members.size() ||
                           waited.passed() > config.patience;
      if (decider != signed_as_decider || !files::exists(named(".view" + own))) {
        write(draft, std::vector<std::int64_t>{note, decider});
        files::rename(draft, named(".view" + own));  // atomic
        signed_as_decider = decider;
      }
      std::vector<survivor> here;
      std::optional<rank_id> decides;
      for (rank_id const r : members)
        if (auto const seen = read(named(".view" + std::to_string(r.value())));
            seen && seen->size() == 2) {
          here.push_back({r, seen->front()});
          if (!decides && seen->back() != 0 && !gone(mine.ranks, r)) decides = r;
        }
      bool const complete = std::all_of(members.begin(), members.end(), [&](rank_id r) {
        return gone(mine.ranks, r) || std::any_of(here.begin(), here.end(),
                                                  [&](survivor const& s) { return s.rank == r; });
      });
      if (!complete || decides != self) continue;
      std::vector<std::int64_t> all;
      for (survivor const& s : here) {
        all.push_back(s.rank.value());
        all.push_back(s.note);
      }
      write(draft, all);
      std::error_code taken;  // another member may have decided
      files::create_hard_link(draft, decision, taken);
      if (taken && !files::exists(decision))
        throw rendezvous_failed(decision.string() + ": can't be written: " + taken.message());
    }
  } catch (files::filesystem_error const& error) {
    throw rendezvous_failed(config.directory + ": can't agree there: " + error.code().message());
  }
}

}  // namespace shunt
