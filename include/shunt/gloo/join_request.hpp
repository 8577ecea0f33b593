#pragma once
/// A new process in the place of a dead one. Between two epochs all members write the same join
/// request into the rendezvous directory (executor.hpp, `admit`). A new process waits for the
/// request, which names its first epoch, the members and the iteration, and then meets the members.
/// A process that does not come in time is lost like any other. A request is stale where its epoch
/// is over, or its rank has already signed in to that epoch: it was meant for an earlier process.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/detail/host_platform.hpp"
#include "shunt/gloo/detail/insist.hpp"
#include "shunt/gloo/detail/number_files.hpp"
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
template <detail::platform Platform = detail::host_platform>
void request_join(gloo_config const& config, rank_id joining, rank_id self,
                  join_request const& note) {
  auto const name = config.directory + "/invitation" + std::to_string(joining.value());
  auto const draft = name + ".draft" + std::to_string(self.value());
  std::vector<std::int64_t> numbers{note.epoch, note.iteration};
  for (auto const* const ranks : {&note.members, &note.dead}) {
    numbers.push_back(static_cast<std::int64_t>(ranks->size()));
    for (rank_id const r : *ranks) numbers.push_back(r.value());
  }
  detail::replace_numbers<Platform>(config, draft, name, numbers);
}

/// Waits for a request to rank `self`.
/// Returns the request.
/// Throws rendezvous_failed where none comes within `patience`.
template <detail::platform Platform = detail::host_platform>
[[nodiscard]] join_request await_join_request(gloo_config const& config, rank_id self,
                                              std::chrono::milliseconds patience) {
  auto const in = [&](std::string const& name) { return config.directory + "/" + name; };
  auto const own = std::to_string(self.value());
  auto const read = [&]() -> std::optional<join_request> {
    auto const numbers = detail::read_numbers(config, in("invitation" + own));
    if (!numbers || numbers->size() < 2) return std::nullopt;
    join_request note{.epoch = static_cast<std::int32_t>((*numbers)[0]),
                      .iteration = (*numbers)[1]};
    std::size_t at = 2;
    for (auto* const ranks : {&note.members, &note.dead}) {
      if (at == numbers->size()) return std::nullopt;
      auto const count = static_cast<std::size_t>((*numbers)[at++]);
      if (count > numbers->size() - at) return std::nullopt;
      for (std::size_t const end = at + count; at < end; ++at)
        ranks->emplace_back(static_cast<std::int32_t>((*numbers)[at]));
    }
    if (config.files->exists(in("epoch" + std::to_string(note.epoch) + ".next")) ||
        config.files->exists(detail::epoch_file(config, note.epoch, "rank", self)))
      return std::nullopt;
    // A directory that has vanished meanwhile knows nothing of its epochs.
    if (detail::read_numbers(config, in("invitation" + own)) != numbers) return std::nullopt;
    return note;
  };
  detail::waiting_time<Platform> waited;
  for (;; Platform::sleep(std::chrono::milliseconds{1})) {
    if (auto const note = read()) return *note;
    if (waited.passed() > patience)
      throw rendezvous_failed(config.directory + ": nobody asked rank " + own + " to come within " +
                              std::to_string(patience.count()) + " ms");
  }
}

}  // namespace shunt
