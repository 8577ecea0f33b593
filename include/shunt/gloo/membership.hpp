#pragma once
/// After a loss: who is left, and how far has everybody come?
///
/// Survivors may have noticed different peers, in different orders, at different times. Each signs
/// in to the end of the epoch with the ranks that it has lost and a number of its own (how far it
/// has come, for example). When every member has signed in or was lost by somebody who did, the
/// lowest of them decides: who signed in goes on. The decision is one file, made by an atomic link:
/// there is never a second one, whoever else wants to decide. Everybody returns what it says; a
/// rank that it leaves out (a process that was stopped and now goes on) throws fenced_off. No
/// time-out of its own: the mesh of the old epoch, which must stay up meanwhile, says who falls
/// silent. Decisions stay where they are, for those who come late; what a rank signed in with
/// before is removed.
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
#include "shunt/gloo/mesh.hpp"

namespace shunt {

/// The others went on without this rank.
class fenced_off : public std::runtime_error {
 public:
  fenced_off(rank_id self, std::int32_t epoch)
      : std::runtime_error("rank " + std::to_string(self.value()) +
                           " was taken for lost: the others left epoch " + std::to_string(epoch) +
                           " without it") {}
};

struct survivor {
  rank_id rank{};
  std::int64_t note = 0;  ///< what it signed in with

  constexpr bool operator==(survivor const&) const = default;
};

/// The survivors of an epoch, ascending: the same answer for all of them. `lost()` is what this
/// rank has noticed so far (`gloo_mesh::lost`). Throws fenced_off where this rank is none of them,
/// rendezvous_failed where the directory can't be used.
template <class Lost>
  requires std::convertible_to<std::invoke_result_t<Lost const&>, std::vector<rank_id>>
[[nodiscard]] std::vector<survivor> agree(gloo_config const& config, std::int32_t epoch,
                                          std::vector<rank_id> const& members, rank_id self,
                                          Lost const& lost, std::int64_t note) {
  namespace files = std::filesystem;
  files::path const base = files::path(config.directory) / ("epoch" + std::to_string(epoch));
  auto const named = [&](std::string const& end) { return files::path(base.string() + end); };
  auto const write = [](files::path const& to, auto const& numbers) {
    std::ofstream out(to);
    for (std::int64_t const n : numbers) out << n << ' ';
    if (!out.flush()) throw rendezvous_failed(to.string() + ": can't be written");
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
  std::optional<std::vector<rank_id>> signed_with;
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
          files::remove(earlier.string() + what + own);  // all have read what was decided there
        return answer;
      }
      if (std::vector<rank_id> now = lost(); now != signed_with) {
        std::vector<std::int64_t> view{note};
        for (rank_id const r : now) view.push_back(r.value());
        write(draft, view);
        files::rename(draft, named(".view" + own));  // appears whole or not at all
        signed_with = std::move(now);
      }
      std::vector<survivor> here;
      std::vector<rank_id> missed;
      for (rank_id const r : members)
        if (auto const seen = read(named(".view" + std::to_string(r.value())));
            seen && !seen->empty()) {
          here.push_back({r, seen->front()});
          for (std::size_t i = 1; i < seen->size(); ++i) missed.emplace_back((*seen)[i]);
        }
      bool const complete = std::all_of(members.begin(), members.end(), [&](rank_id r) {
        return gone(missed, r) || std::any_of(here.begin(), here.end(),
                                              [&](survivor const& s) { return s.rank == r; });
      });
      auto const decides = std::find_if(
          here.begin(), here.end(), [&](survivor const& s) { return !gone(*signed_with, s.rank); });
      if (!complete || decides == here.end() || decides->rank != self) continue;
      std::vector<std::int64_t> all;
      for (survivor const& s : here) {
        all.push_back(s.rank.value());
        all.push_back(s.note);
      }
      write(draft, all);
      std::error_code taken;  // somebody else may have decided
      files::create_hard_link(draft, decision, taken);
      if (taken && !files::exists(decision))
        throw rendezvous_failed(decision.string() + ": can't be written: " + taken.message());
    }
  } catch (files::filesystem_error const& error) {
    throw rendezvous_failed(config.directory + ": can't agree there: " + error.code().message());
  }
}

}  // namespace shunt
