#pragma once
/// Weight scatter as one exchange, planned on the device from the next placement, which the host
/// need not know.
/// `scatter_rows` assigns rows, `pack_weights` fills the parts to send, `unpack_weights` fills the
/// slots.
/// See docs/device-code.md.
/// Reference: SYMI, arXiv 2504.19925, section 4.3.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/host_device.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/device/row_copies.hpp"
#include "shunt/plan/shard_map.hpp"

namespace shunt {

/// The bytes of each expert that a rank owns, as tables of ranks x experts. `offset` is where they
/// begin in the owner's shard buffer.
struct shard_parts {
  std::vector<std::int64_t> begin{}, bytes{}, offset{};
  std::int64_t longest = 0;  ///< largest of `bytes`

  bool operator==(shard_parts const&) const = default;
};

/// Returns the owned parts of all shards. Mirrors send nothing and have no entry, but they take
/// room in the shard buffers of their ranks.
/// Throws invalid_problem where an owner has two parts of one expert.
[[nodiscard]] inline shard_parts parts_of(shard_map const& map, std::int32_t ranks,
                                          std::int32_t weight_bytes) {
  std::size_t const experts = map.shards.size(), cells = experts * static_cast<std::size_t>(ranks);
  shard_parts parts{std::vector<std::int64_t>(cells, 0), std::vector<std::int64_t>(cells, 0),
                    std::vector<std::int64_t>(cells, 0)};
  indexed<rank_id, std::int64_t> end(static_cast<std::size_t>(ranks));
  for (expert_id e : ids<expert_id>(experts))
    for (shard const& s : map.shards[e]) {
      std::size_t const at = s.owner.index() * experts + e.index();
      if (parts.bytes[at] != 0)
        throw invalid_problem("shards[" + std::to_string(e.value()) + "]",
                              "has two parts at rank " + std::to_string(s.owner.value()));
      parts.begin[at] = s.begin * weight_bytes;
      parts.bytes[at] = s.size() * weight_bytes;
      parts.offset[at] = end[s.owner];
      if (parts.bytes[at] > parts.longest) parts.longest = parts.bytes[at];
      end[s.owner] += parts.bytes[at];
      for (rank_id const r : s.mirrors) end[r] += parts.bytes[at];
    }
  return parts;
}

/// Computes the row of each slot's expert within its rank's part, and the number of rows of each
/// rank. Items: layers x ranks.
struct scatter_rows {
  std::int32_t ranks = 0;
  std::int32_t slots = 0;                    ///< of a layer, over all ranks
  std::int32_t const* first_slot = nullptr;  ///< ranks + 1
  std::int32_t const* expert_of = nullptr;   ///< layers x slots
  /// layers x slots, written: the row; its complement (negative) where an earlier slot of the rank
  /// has the same expert.
  std::int32_t* row_of = nullptr;
  std::int64_t* rows = nullptr;  ///< layers x ranks, written

  SHUNT_HD void operator()(std::int64_t item) const {
    std::int64_t const layer = item / ranks, rank = item % ranks;
    std::int32_t const* const expert = expert_of + layer * slots;
    std::int32_t* const row = row_of + layer * slots;
    std::int32_t used = 0;
    for (std::int32_t s = first_slot[rank]; s < first_slot[rank + 1]; ++s) {
      std::int32_t earlier = first_slot[rank];
      while (expert[earlier] != expert[s]) ++earlier;
      row[s] = earlier == s ? used++ : ~row[earlier];
    }
    rows[item] = used;
  }
};

/// Packs one layer's shards for all ranks. A row of the launch is a slot of all ranks.
struct pack_weights {
  unsigned char const* shards = nullptr;       ///< this rank's weights of shards
  std::int64_t const* offset = nullptr;        ///< this rank's row of shard_parts::offset
  std::int64_t const* bytes = nullptr;         ///< this rank's row of shard_parts::bytes
  std::int32_t const* expert_of = nullptr;     ///< one a slot
  std::int32_t const* row_of = nullptr;        ///< one a slot, from scatter_rows
  std::int32_t const* rank_of_slot = nullptr;  ///< one a slot
  std::int64_t part_rows = 0;      ///< rows of a part: the largest number of slots of a rank
  std::int64_t row_bytes = 0;      ///< at least shard_parts::longest; a multiple of 16 is fast
  unsigned char* parts = nullptr;  ///< ranks x part_rows x row_bytes

  SHUNT_HD void operator()(std::int32_t slot, std::int64_t thread, std::int64_t threads) const {
    std::int32_t const row = row_of[slot], e = expert_of[slot];
    if (row < 0) return;
    detail::copy_row(
        {shards + offset[e], parts + (rank_of_slot[slot] * part_rows + row) * row_bytes, bytes[e]},
        thread, threads);
  }
};

/// Fills this rank's slots of one layer from the received parts, part o from owner o. Rows: this
/// rank's slots x ranks.
struct unpack_weights {
  unsigned char const* parts = nullptr;     ///< as packed, ranks x part_rows x row_bytes
  std::int64_t const* begin = nullptr;      ///< shard_parts::begin, ranks x experts
  std::int64_t const* bytes = nullptr;      ///< shard_parts::bytes, ranks x experts
  std::int32_t const* expert_of = nullptr;  ///< this rank's slots
  std::int32_t const* row_of = nullptr;     ///< this rank's slots, from scatter_rows
  std::int32_t ranks = 0;
  std::int32_t experts = 0;
  std::int64_t part_rows = 0;
  std::int64_t row_bytes = 0;
  std::int64_t expert_bytes = 0;   ///< size of a slot
  unsigned char* slots = nullptr;  ///< this rank's slots

  SHUNT_HD void operator()(std::int32_t row, std::int64_t thread, std::int64_t threads) const {
    std::int32_t const slot = row / ranks, owner = row % ranks, e = expert_of[slot];
    std::int64_t const from = owner * part_rows + (row_of[slot] < 0 ? ~row_of[slot] : row_of[slot]);
    std::int64_t const cell = std::int64_t{owner} * experts + e;
    detail::copy_row(
        {parts + from * row_bytes, slots + slot * expert_bytes + begin[cell], bytes[cell]}, thread,
        threads);
  }
};

}  // namespace shunt
