#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/lower/detail/pipeline_starts.hpp"
#include "shunt/plan/pipeline_actions.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt::detail {

/// Stable radix sort, a byte at a time. Linear for each byte of `largest`.
template <class Item>
constexpr void sort_by_key(std::vector<Item>& items, ticks largest) {
  std::vector<Item> sorted(items.size());
  for (int shift = 0; shift < 64 && (largest >> shift) > 0; shift += 8) {
    auto const digit = [&](Item const& i) {
      return static_cast<std::size_t>((i.key >> shift) & 255);
    };
    std::array<std::size_t, 257> begin{};
    for (Item const& i : items) ++begin[digit(i) + 1];
    for (std::size_t d = 0; d < 256; ++d) begin[d + 1] += begin[d];
    for (Item const& i : items) sorted[begin[digit(i)]++] = i;
    items.swap(sorted);
  }
}

/// Places the messages of a schedule, see place_messages. `starts` may be null for one_per_edge.
class message_placing {
 public:
  constexpr message_placing(pipeline_job const& job, pipeline_schedule const& schedule,
                            message_lanes lanes, pipeline_starts const* starts)
      : job_(job), schedule_(schedule), lanes_(lanes), starts_(starts), cell_(job) {}

  [[nodiscard]] SHUNT_CONSTEXPR pipeline_actions placed() &&;

 private:
  static constexpr std::int32_t none = -1;

  /// State of another rank while a rank is processed.
  struct partner {
    rank_id known_to = none;
    std::int32_t last = none;  // the previous end in its queue
    std::uint8_t send_lane = 0, receive_lane = 0;
  };
  struct keyed {
    ticks key = 0;
    std::int32_t message = 0;
    rank_id from{}, to{};
  };
  /// One end of a message in the queue of its lane.
  struct queued {
    std::int32_t next = none;
    bool ready = false, behind = false;  // behind: an earlier end isn't placed yet
  };

  /// An output, numbered as in pipeline_cells, that goes to or comes from another rank.
  struct crossing {
    std::size_t output = 0;
    rank_id peer = none;
    stage_id stage{};  // that makes it
    [[nodiscard]] constexpr bool has_no_peer() const { return peer == none; }
  };

  /// Returns the output of another rank that an operation of rank r needs. `c`: its cell.
  [[nodiscard]] constexpr crossing received(rank_id r, operation const& o, std::size_t c) const;
  /// Returns the output of an operation that another rank needs.
  [[nodiscard]] constexpr crossing sent(rank_id r, operation const& o, std::size_t c) const;
  [[nodiscard]] static constexpr crossing between(rank_id r, rank_id peer, std::size_t output,
                                                  stage_id stage);

  /// Number of an end in `queue_` (side 0: send, 1: receive). With a lane for each edge only sends
  /// are queued.
  [[nodiscard]] constexpr std::size_t end(std::size_t output, std::size_t side) const {
    return lanes_ == message_lanes::one_per_edge ? output : 2 * output + side;
  }

  /// Queues the sends of each edge in the order of the receiver's list.
  SHUNT_CONSTEXPR void queue_edges(std::vector<std::size_t>& sizes);

  /// Queues the messages of each rank or pair of ranks by the start of the operations that need
  /// them.
  SHUNT_CONSTEXPR void queue_by_start(std::vector<std::size_t>& sizes);

  /// Puts an end behind the last one of its queue.
  constexpr void put_behind(std::int32_t& last, std::size_t end);

  SHUNT_CONSTEXPR void write(rank_id r);

  /// Marks one end of a message as ready. Places it, and the following ends of its lane, as far as
  /// they are ready. `o`: an operation of its pipeline and micro-batch.
  /// Returns whether it is placed.
  constexpr bool end_is_ready(rank_id r, crossing m, std::size_t side, operation const& o);

  constexpr void place(rank_id r, crossing m, std::size_t side, operation const& o);

  [[nodiscard]] constexpr std::uint8_t lane(rank_id r, rank_id peer, std::size_t side);
  [[nodiscard]] SHUNT_CONSTEXPR std::uint8_t new_lane(rank_id r);

  pipeline_job const& job_;
  pipeline_schedule const& schedule_;
  message_lanes lanes_;
  pipeline_starts const* starts_;
  pipeline_cells cell_;
  pipeline_actions actions_{};
  std::vector<rank_id> host_{};                 // by cell: the rank that computes it
  std::vector<std::uint8_t> takes_gradient_{};  // by cell: whether its gradient is computed
  std::vector<queued> queue_{};                 // by end
  std::vector<partner> partner_{};              // by rank
  pipeline_action* out_ = nullptr;              // the next action of the rank being written
  std::int32_t used_lanes_ = 0;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/lower/detail/message_placing.ipp"
#endif
