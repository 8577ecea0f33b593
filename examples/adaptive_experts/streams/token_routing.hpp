#pragma once
/// How tokens travel between micro-batches and slots, as function objects for the items of a
/// device: the rows of what an exchange carries, by the shares of the exact token split, which
/// shunt/device/split_layers.hpp computes beforehand.
///
/// A rank's outgoing rows lie in one part for each live rank; within a part by micro-batch carried,
/// and within them slot by slot.
#include <cstdint>

#include "shunt/core/host_device.hpp"
#include "tokens.hpp"

namespace example::moe {

/// Where the experts of a layer and the micro-batches are. A live rank is named by its position
/// among the live ones.
struct routing_tables {
  std::int32_t microbatches = 0, experts = 0, slots = 0, live = 0;
  std::int64_t part_rows = 0;                 ///< of one part
  std::int32_t const* first_slot = nullptr;   ///< live + 1; ranks that are gone have no slots
  std::int32_t const* expert_of = nullptr;    ///< slots
  std::int32_t const* host_of = nullptr;      ///< slots: whose each is
  std::int32_t const* first_owned = nullptr;  ///< live + 1
  std::int32_t const* owned = nullptr;        ///< micro-batches, carrier by carrier
  std::int32_t const* gathered_at =
      nullptr;  ///< by micro-batch: its row among the counts of all live ranks

  /// Tokens of a micro-batch that go to slots first .. last - 1.
  [[nodiscard]] SHUNT_HD std::int64_t sent(std::int64_t const* shares, std::int64_t microbatch,
                                           std::int32_t first, std::int32_t last) const {
    std::int64_t sum = 0;
    for (std::int32_t s = first; s < last; ++s) sum += shares[microbatch * slots + s];
    return sum;
  }
  [[nodiscard]] SHUNT_HD std::int64_t sent_to(std::int64_t const* shares, std::int64_t microbatch,
                                              std::int32_t host) const {
    return sent(shares, microbatch, first_slot[host], first_slot[host + 1]);
  }
};

/// Counts in the order of ranks become counts in the order of micro-batches. Items: micro-batches x
/// experts.
struct order_counts {
  routing_tables to{};
  std::int64_t const* gathered = nullptr;
  std::int64_t* counts = nullptr;

  SHUNT_HD void operator()(std::int64_t i) const {
    counts[i] =
        gathered[std::int64_t{to.gathered_at[i / to.experts]} * to.experts + i % to.experts];
  }
};

/// How many bytes go to each live rank, or come from it. An item is a live rank.
struct count_routed {
  routing_tables to{};
  std::int64_t const* shares = nullptr;  ///< micro-batches x slots
  std::int32_t self = 0;                 ///< among the live
  bool to_slots = true;                  ///< else from this rank's slots back
  std::int64_t token_bytes = 4;
  std::int64_t* bytes = nullptr;

  SHUNT_HD void operator()(std::int64_t peer) const {
    auto const other = static_cast<std::int32_t>(peer);
    std::int32_t const source = to_slots ? self : other, host = to_slots ? other : self;
    std::int64_t sum = 0;
    for (std::int32_t k = to.first_owned[source]; k < to.first_owned[source + 1]; ++k)
      sum += to.sent_to(shares, to.owned[k], host);
    bytes[peer] = sum * token_bytes;
  }
};

/// The row of a micro-batch's first token for each slot. An item is a slot.
struct first_rows {
  routing_tables to{};
  std::int64_t const* shares = nullptr;
  std::int32_t self = 0;
  std::int32_t nth = 0;  ///< of those that this rank carries
  std::int64_t* row = nullptr;

  SHUNT_HD void operator()(std::int64_t slot) const {
    std::int32_t const host = to.host_of[slot], *const own = to.owned + to.first_owned[self];
    std::int64_t at = host * to.part_rows;
    for (std::int32_t k = 0; k < nth; ++k) at += to.sent_to(shares, own[k], host);
    row[slot] =
        at + to.sent(shares, own[nth], to.first_slot[host], static_cast<std::int32_t>(slot));
  }
};

/// The row that a token takes: those of one expert fill its slots, in order; -1 where there is no
/// more room. An item is a token, and looks at all before it.
struct place_token {
  kept_arrays kept{};
  std::int64_t const* tokens = nullptr;      ///< the micro-batch's row of the shares
  std::int64_t const* row = nullptr;         ///< first_rows
  std::int32_t const* hosted = nullptr;      ///< split_layers::hosted
  std::int32_t const* hosted_end = nullptr;  ///< split_layers::hosted_end

  SHUNT_HD void operator()(std::int64_t t) const {
    std::int64_t const e = kept.chosen(t);
    std::int64_t at = 0;
    for (std::int64_t before = 0; before < t; ++before) at += kept.chosen(before) == e;
    kept.place[t] = -1;
    for (std::int32_t k = e == 0 ? 0 : hosted_end[e - 1]; k < hosted_end[e]; ++k) {
      std::int32_t const slot = hosted[k];
      if (at < tokens[slot]) {
        kept.place[t] = static_cast<float>(row[slot] + at);
        return;
      }
      at -= tokens[slot];
    }
  }
};

/// Items: tokens x width.
struct send_tokens {
  kept_arrays kept{};
  std::int64_t width = 1;
  float* outgoing = nullptr;

  SHUNT_HD void operator()(std::int64_t i) const {
    auto const place = static_cast<std::int64_t>(kept.place[i / width]);
    if (place >= 0) outgoing[place * width + i % width] = kept.x[i];
  }
};

/// The tokens of a slot among what arrived: a run of rows for each micro-batch, in the order in
/// which they lie.
struct slot_arrivals {
  std::int64_t* start = nullptr;  ///< by micro-batch carried: the first row
  std::int64_t* end = nullptr;    ///< and how many tokens there are up to the end of its run
  std::int32_t runs = 0;

  [[nodiscard]] SHUNT_HD std::int64_t tokens() const { return end[runs - 1]; }
  /// Where the slot's i-th token lies.
  [[nodiscard]] SHUNT_HD std::int64_t row(std::int64_t i) const {
    std::int32_t low = 0, high = runs - 1;  // the first run that ends beyond i
    while (low < high) {
      std::int32_t const middle = (low + high) / 2;
      if (end[middle] > i)
        high = middle;
      else
        low = middle + 1;
    }
    return start[low] + i - (low == 0 ? 0 : end[low - 1]);
  }
};

/// Finds them for all slots of a rank. An item is one of them.
struct find_arrivals {
  routing_tables to{};
  std::int64_t const* shares = nullptr;
  std::int32_t self = 0;
  std::int64_t* start = nullptr;  ///< own slots x micro-batches
  std::int64_t* end = nullptr;

  [[nodiscard]] SHUNT_HD slot_arrivals of(std::int64_t own) const {
    return {start + own * to.microbatches, end + own * to.microbatches, to.microbatches};
  }
  SHUNT_HD void operator()(std::int64_t own) const {
    std::int32_t const first = to.first_slot[self], slot = first + static_cast<std::int32_t>(own);
    auto const runs = of(own);
    std::int64_t tokens = 0;
    for (std::int32_t peer = 0; peer < to.live; ++peer) {
      std::int64_t row = peer * to.part_rows;
      for (std::int32_t k = to.first_owned[peer]; k < to.first_owned[peer + 1]; ++k) {
        std::int64_t const microbatch = to.owned[k];
        runs.start[k] = row + to.sent(shares, microbatch, first, slot);
        runs.end[k] = tokens += shares[microbatch * to.slots + slot];
        row += to.sent_to(shares, microbatch, self);
      }
    }
  }
};

}  // namespace example::moe
