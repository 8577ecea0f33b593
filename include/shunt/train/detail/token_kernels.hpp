#pragma once
/// What kernels compute of the routing of detail/token_routing.hpp, by the shares that
/// device/split_layers.hpp computes, and of sums and steps: function objects of items.
#include <cstdint>

#include "shunt/core/host_device.hpp"
#include "shunt/device/adam_step.hpp"
#include "shunt/solve/experts/search/claim_noise.hpp"
#include "shunt/train/fixed_point.hpp"
#include "shunt/train/stream_moe_model.hpp"

namespace shunt::detail {

/// Where the experts of a layer and the micro-batches are. A live rank is named by its position
/// among the live ones.
struct routing_tables {
  std::int32_t microbatches = 0, experts = 0, slots = 0, live = 0;
  std::int64_t part_rows = 0;                 ///< of one part
  std::int32_t const* first_slot = nullptr;   ///< live + 1; ranks that are gone have no slots
  std::int32_t const* expert_of = nullptr;    ///< slots
  std::int32_t const* host_of = nullptr;      ///< slots: the live rank of each
  std::int32_t const* first_owned = nullptr;  ///< live + 1
  std::int32_t const* owned = nullptr;        ///< micro-batches, rank by rank
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
  std::int32_t nth = 0;  ///< of those of this rank
  std::int64_t* row = nullptr;

  SHUNT_HD void operator()(std::int64_t slot) const {
    std::int32_t const host = to.host_of[slot], *const own = to.owned + to.first_owned[self];
    std::int64_t at = host * to.part_rows;
    for (std::int32_t k = 0; k < nth; ++k) at += to.sent_to(shares, own[k], host);
    row[slot] =
        at + to.sent(shares, own[nth], to.first_slot[host], static_cast<std::int32_t>(slot));
  }
};

/// The split of source_capacity, after split_layers has listed the slots of each expert. Items:
/// micro-batches x slots.
struct take_source_room {
  routing_tables to{};
  std::int64_t room = 0;                             ///< of a micro-batch for an expert
  std::int32_t const* first_slot_of_rank = nullptr;  ///< micro-batches; they count as ranks
  std::int64_t const* counts = nullptr;              ///< micro-batches x experts
  std::int32_t const* hosted = nullptr;              ///< split_layers::hosted
  std::int32_t const* hosted_end = nullptr;          ///< split_layers::hosted_end
  std::int64_t* shares = nullptr;                    ///< written

  SHUNT_HD void operator()(std::int64_t i) const {
    std::int64_t const source = i / to.slots, slot = i % to.slots;
    std::int32_t const e = to.expert_of[slot], begin = e == 0 ? 0 : hosted_end[e - 1],
                       group = first_slot_of_rank[source] / to.experts;
    std::int64_t const claims = counts[source * to.experts + e];
    bool const taken = hosted[begin + group % (hosted_end[e] - begin)] == slot;
    shares[i] = !taken ? 0 : claims < room ? claims : room;
  }
};

/// The tokens of a micro-batch in an order of chance, which the device's iteration decides too.
struct random_claims {
  std::int64_t const* iteration = nullptr;  ///< none: tokens claim by number
  std::uint64_t seed = 0;
  std::int64_t layer = 0, microbatch = 0;
};

/// The row that a token takes: those of one expert fill its slots, in order; -1 where there is no
/// more room. An item is a token, and looks at all before it; or at all, where chance orders them.
struct place_token {
  std::int32_t const* expert = nullptr;      ///< of each token
  std::int64_t* place = nullptr;             ///< written
  std::int64_t const* tokens = nullptr;      ///< the micro-batch's row of the shares
  std::int64_t const* row = nullptr;         ///< first_rows
  std::int32_t const* hosted = nullptr;      ///< split_layers::hosted
  std::int32_t const* hosted_end = nullptr;  ///< split_layers::hosted_end
  std::int64_t count = 0;                    ///< of tokens, where chance orders them
  random_claims claims{};

  SHUNT_HD void operator()(std::int64_t t) const {
    std::int64_t const e = expert[t];
    std::int64_t at = 0;
    if (claims.iteration == nullptr) {
      for (std::int64_t before = 0; before < t; ++before) at += expert[before] == e;
    } else {
      auto const noise =
          claim_noise::of(claims.seed, *claims.iteration, claims.layer, claims.microbatch);
      for (std::int64_t other = 0; other < count; ++other)
        at += expert[other] == e && noise.before(other, t);
    }
    place[t] = -1;
    for (std::int32_t k = e == 0 ? 0 : hosted_end[e - 1]; k < hosted_end[e]; ++k) {
      std::int32_t const slot = hosted[k];
      if (at < tokens[slot]) {
        place[t] = row[slot] + at;
        return;
      }
      at -= tokens[slot];
    }
  }
};

/// Items: tokens x width.
struct send_tokens {
  float const* input = nullptr;
  std::int64_t const* place = nullptr;
  std::int64_t width = 1;
  float* outgoing = nullptr;

  SHUNT_HD void operator()(std::int64_t i) const {
    if (place[i / width] >= 0) outgoing[place[i / width] * width + i % width] = input[i];
  }
};

/// Finds the rows of all slots of a rank. An item is one of them.
struct find_arrivals {
  routing_tables to{};
  std::int64_t const* shares = nullptr;
  std::int32_t self = 0;
  std::int64_t* start = nullptr;  ///< own slots x micro-batches
  std::int64_t* end = nullptr;

  [[nodiscard]] SHUNT_HD slot_rows of(std::int64_t own) const {
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

/// Counts the tokens that chose each expert. An item is an expert.
struct count_choices {
  std::int32_t const* expert = nullptr;
  std::int64_t tokens = 0;
  std::int64_t* counts = nullptr;

  SHUNT_HD void operator()(std::int64_t e) const {
    std::int64_t sum = 0;
    for (std::int64_t t = 0; t < tokens; ++t) sum += expert[t] == e;
    counts[e] = sum;
  }
};

/// A dense gradient, of the sum over a micro-batch's tokens, is zeroed, and added to the sums where
/// the condition holds. An item is a lane, which counts what doesn't fit.
struct add_dense_gradient {
  float* gradient = nullptr;
  std::int64_t size = 0, lanes = 1;
  float tokens = 1;
  std::int64_t* sums = nullptr;
  std::int64_t* unfit = nullptr;  ///< by lane
  std::int64_t const* condition = nullptr;

  SHUNT_HD void operator()(std::int64_t lane) const {
    bool const holds = condition == nullptr || *condition != 0;
    for (std::int64_t i = lane; i < size; i += lanes) {
      float const g = holds ? gradient[i] / tokens : 0;
      unfit[lane] += fixed_point::fits(g) ? 0 : 1;
      sums[i] += fixed_point::rounded(g);
      gradient[i] = 0;
    }
  }
};

/// The same of a loss. One item.
struct add_loss {
  double const* loss = nullptr;
  double tokens = 1;
  std::int64_t* sum = nullptr;
  std::int64_t* misfits = nullptr;

  SHUNT_HD void operator()(std::int64_t) const {
    auto const mean = static_cast<float>(*loss / tokens);
    *misfits += fixed_point::fits(mean) ? 0 : 1;
    *sum += fixed_point::rounded(mean);
  }
};

/// The counts of all lanes are added to the misfits. A team.
struct add_unfit {
  std::int64_t const* unfit = nullptr;
  std::int64_t lanes = 1;
  std::int64_t* misfits = nullptr;

  [[nodiscard]] SHUNT_HD constexpr std::int64_t shared_bytes() const { return 0; }
  template <class Team>
  SHUNT_HD void operator()(Team const& team, std::int32_t, unsigned char*) const {
    std::int64_t const bad = team.sum([&](std::int32_t thread) {
      std::int64_t own = 0;
      for (std::int64_t i = thread; i < lanes; i += team.size()) own += unfit[i];
      return own;
    });
    team.each([&](std::int32_t thread) {
      if (thread == 0) *misfits += bad;
    });
  }
};

/// The clock of an optimizer as the iteration says it, noted beside what the step keeps. One item.
struct begin_step {
  adam_rule rule{};
  std::int64_t const* iteration = nullptr;
  adam_clock* clock = nullptr;
  std::int64_t* kept = nullptr;

  SHUNT_HD void operator()(std::int64_t i) const {
    clock->update = *iteration;
    adam_tick{.rule = rule, .clock = clock}(i);
    *kept = *iteration;
  }
};

/// Adam, an item an element: shards begin anywhere.
struct step_element {
  adam_step<std::int64_t> step{};

  SHUNT_HD void operator()(std::int64_t i) const { step.element(i); }
};

}  // namespace shunt::detail
