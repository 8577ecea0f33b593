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
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/detail/heartbeats.hpp"
#include "shunt/gloo/detail/host_platform.hpp"
#include "shunt/gloo/detail/insist.hpp"
#include "shunt/gloo/detail/number_files.hpp"
#include "shunt/gloo/detail/unreached.hpp"
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

  bool operator==(survivor const&) const = default;
};

/// Agrees on the survivors of an epoch. `losses()` returns the ranks that this rank has lost so far
/// (`gloo_mesh::losses`). `note` is this rank's number.
/// Returns the survivors, ascending: the same answer on all of them.
/// Throws fenced_off where this rank is none of them; rendezvous_failed where the directory cannot
/// be used.
template <detail::platform Platform = detail::host_platform, class Losses>
  requires std::convertible_to<std::invoke_result_t<Losses const&>, known_losses>
[[nodiscard]] std::vector<survivor> agree(gloo_config const& config, std::int32_t epoch,
                                          std::vector<rank_id> const& members, rank_id self,
                                          Losses const& losses, std::int64_t note) {
  auto const view_of = [&](rank_id r) { return detail::epoch_file(config, epoch, "view", r); };
  auto const decision = config.directory + "/epoch" + std::to_string(epoch) + ".next",
             draft = detail::epoch_file(config, epoch, "draft", self);
  auto const gone = [](std::vector<rank_id> const& ranks, rank_id r) {
    return std::find(ranks.begin(), ranks.end(), r) != ranks.end();
  };
  std::optional<bool> signed_as_decider;
  std::optional<detail::waiting_time<Platform>> undecided;  // since all are here
  detail::waiting_time<Platform> waited;
  for (;; Platform::sleep(std::chrono::milliseconds{1})) {
    if (auto const decided = detail::read_numbers(config, decision)) {
      std::vector<survivor> answer;
      for (std::size_t i = 0; i + 1 < decided->size(); i += 2)
        answer.push_back({static_cast<std::int32_t>((*decided)[i]), (*decided)[i + 1]});
      if (std::none_of(answer.begin(), answer.end(),
                       [&](survivor const& s) { return s.rank == self; }))
        throw fenced_off(self, epoch);
      for (auto const* const what : {"view", "draft"})  // all have read the earlier decision
        config.files->remove(detail::epoch_file(config, epoch - 1, what, self));
      return answer;
    }
    known_losses const mine = losses();
    // Of those that are not certainly dead, it must hear half.
    bool const decider =
        mine.silent.size() + mine.ranks.size() + 2 * mine.quiet.size() <= members.size() ||
        waited.passed() > config.patience;
    if (decider != signed_as_decider || !config.files->exists(view_of(self))) {
      std::vector<std::int64_t> const mine_now{note, decider};
      detail::replace_numbers<Platform>(config, draft, view_of(self), mine_now);
      signed_as_decider = decider;
    }
    std::vector<survivor> here;
    std::optional<rank_id> decides;
    for (rank_id const r : members)
      if (auto const seen = detail::read_numbers(config, view_of(r)); seen && seen->size() == 2) {
        here.push_back({r, seen->front()});
        if (!decides && seen->back() != 0 && !gone(mine.ranks, r)) decides = r;
      }
    bool const complete = std::all_of(members.begin(), members.end(), [&](rank_id r) {
      return gone(mine.ranks, r) ||
             std::any_of(here.begin(), here.end(), [&](survivor const& s) { return s.rank == r; });
    });
    if (!complete || !decides) {
      undecided.reset();
      continue;
    }
    if (!undecided) undecided.emplace();
    // The member that should decide may have died, where no mesh watches it: then others do.
    bool const in_its_place = decider && undecided->passed() > 2 * config.silence;
    if (decides != self && !in_its_place) continue;
    std::vector<rank_id> signed_in;
    for (survivor const& s : here) signed_in.push_back(s.rank);
    auto const left_out = detail::unreached(config, epoch, std::move(signed_in));
    std::vector<std::int64_t> all;
    for (survivor const& s : here) {
      if (gone(left_out, s.rank)) continue;
      all.push_back(s.rank.value());
      all.push_back(s.note);
    }
    detail::insist<Platform>(config, [&] {
      if (auto const failed = config.files->write(draft, detail::as_text(all))) return failed;
      auto const failed = config.files->link(draft, decision);
      // Another member may have decided.
      return failed == std::errc::file_exists ? std::error_code{} : failed;
    });
  }
}

}  // namespace shunt
