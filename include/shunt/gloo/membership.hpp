#pragma once
/// The members of an epoch agree on the survivors, and on a number of each (its progress).
///
/// Each member signs in to the end of the epoch with the ranks that it has lost and its number.
/// When every member has signed in or is lost to one that has, the lowest of them decides: the
/// members that have signed in survive. The decision is one file, made by an atomic link, so there
/// is never a second one. There is no time-out: the mesh of the old epoch stays up and detects
/// failures.
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
#include "shunt/gloo/mesh.hpp"

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

/// Agrees on the survivors of an epoch. `lost()` returns the ranks that this rank has lost so far
/// (`gloo_mesh::lost`). `note` is this rank's number.
/// Returns the survivors, ascending: the same answer on all of them.
/// Throws fenced_off where this rank is none of them; rendezvous_failed where the directory cannot
/// be used.
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
          files::remove(earlier.string() + what + own);  // all have read that decision
        return answer;
      }
      if (std::vector<rank_id> now = lost(); now != signed_with) {
        std::vector<std::int64_t> view{note};
        for (rank_id const r : now) view.push_back(r.value());
        write(draft, view);
        files::rename(draft, named(".view" + own));  // atomic
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
