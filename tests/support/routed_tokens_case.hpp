#pragma once
/// A random layer of routed tokens: placement, owners of micro-batches, the expert of every token,
/// and the shares that follow from them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "shunt/lower/moe_iteration.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/microbatch_owners.hpp"
#include "shunt/problem/routed_tokens.hpp"
#include "shunt/solve/experts/search/claim_noise.hpp"
#include "shunt/solve/experts/source_capacity.hpp"
#include "shunt/train/detail/token_routing.hpp"
#include "support/random_choices.hpp"

namespace shunt::tests {

struct routed_tokens_case {
  static constexpr std::int64_t tokens = 7;
  std::int32_t ranks = 0, experts = 0;
  moe_shape shape{};
  expert_placement placement{.layers = 1};
  microbatch_owners owners{};
  std::vector<std::vector<std::int32_t>> expert_of_token{};  // by micro-batch
  std::vector<std::int64_t> gathered{};                      // counts of all live ranks
  std::vector<std::int64_t> shares{};
  detail::token_routing routing{};
  std::optional<source_capacity> sources{};
  static constexpr std::int64_t iteration = 11;

  /// With `by_source` micro-batches have the room, and every expert a slot.
  explicit routed_tokens_case(std::uint64_t seed, bool by_source = false) {
    if (by_source)
      sources = {.min_capacity = 1 + static_cast<std::int64_t>(seed % 3), .seed = seed};
    random_choices d(seed);
    ranks = 2 + d.below(4);
    experts = 1 + d.below(4);
    std::vector<rank_id> dead;
    for (std::int32_t r = 1; r < ranks; ++r)
      if (d.below(4) == 0) dead.emplace_back(r);
    owners = owners_without(dead, ranks);
    placement.experts = experts;
    for (std::int32_t r = 0; r < ranks; ++r) {
      auto const slots = owners.alive(r) ? d.below(4) : 0;
      for (std::int32_t s = 0; s < slots; ++s) placement.expert_of.emplace_back(d.below(experts));
      placement.first_slot.push_back(placement.first_slot.back() + slots);
      if (!by_source || r > 0) continue;
      for (std::int32_t e = 0; e < experts; ++e) placement.expert_of.emplace_back(e);
      placement.first_slot.back() += experts;
    }
    shape = {.tokens = tokens,
             .slot_capacity = d.coin() || by_source ? dropless : 2 + d.below(6),
             .experts = {.experts = experts, .ranks = ranks}};
    routing.set_owners(owners);
    routing.place(placement, shape);

    auto const width = static_cast<std::size_t>(experts);
    auto const live = owners.live();
    gathered.resize(live.size() * static_cast<std::size_t>(owners.most()) * width);
    expert_of_token.resize(static_cast<std::size_t>(ranks));
    for (std::size_t peer = 0; peer < live.size(); ++peer)
      for (auto const& own : routing.owned_by(live[peer])) {
        auto& list = expert_of_token[static_cast<std::size_t>(own.microbatch)];
        for (std::int64_t t = 0; t < tokens; ++t) {
          list.push_back(d.below(experts));
          ++gathered[(peer * static_cast<std::size_t>(owners.most()) + own.nth) * width +
                     static_cast<std::size_t>(list.back())];
        }
      }
    shares.resize(static_cast<std::size_t>(ranks) * static_cast<std::size_t>(placement.slots()));
    routing.split(0, gathered, shape.slot_capacity, sources, shares);
  }

  [[nodiscard]] std::int64_t part_rows() const {
    return owners.most() * part_tokens(shape, placement);
  }
  /// The rows that the tokens of a rank's micro-batches take, micro-batch by micro-batch.
  [[nodiscard]] std::vector<std::vector<std::int64_t>> rows_of(rank_id r) const {
    std::vector<std::vector<std::int64_t>> all;
    auto next = routing.first_rows();
    for (auto const& own : routing.owned_by(r)) {
      all.emplace_back(static_cast<std::size_t>(tokens));
      std::vector<std::int64_t> order;
      if (sources)
        order = detail::claim_noise::of(sources->seed, iteration, 0, own.microbatch).order(tokens);
      routing.take_rows(0, shares, own.microbatch,
                        expert_of_token[static_cast<std::size_t>(own.microbatch)], next, all.back(),
                        order);
    }
    return all;
  }
};

}  // namespace shunt::tests
