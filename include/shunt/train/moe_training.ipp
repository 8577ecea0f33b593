#pragma once
#include "shunt/train/moe_training.hpp"

#include <cstddef>
#include <numeric>
#include <string>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/train/aligned_bytes.hpp"
#include "shunt/train/fixed_point.hpp"

namespace shunt {
namespace detail {

inline void require_within(char const* field, std::int64_t value, std::int64_t least,
                           std::int64_t most) {
  if (value < least)
    throw invalid_problem(field, "must be at least " + std::to_string(least) + ", is " +
                                     std::to_string(value));
  if (value > most)
    throw invalid_problem(field, "must be at most " + std::to_string(most) + ", is " +
                                     std::to_string(value));
}

}  // namespace detail

SHUNT_INLINE void validate(moe_training const& t) {
  constexpr std::int64_t most = 1 << 20;
  detail::require_within("ranks", t.ranks, 1, fixed_point::most_terms);  // micro-batches of a sum
  detail::require_within("slots_per_rank", t.slots_per_rank, 1, most / t.ranks);
  detail::require_within("tokens", t.tokens, 1, most);
  detail::require_within("copies", t.copies, 1, most);
  detail::require_within("iterations", t.iterations, 1, moe_training::most_iterations);
  if (t.only && (t.only->value() < 0 || t.only->value() >= t.ranks))
    throw invalid_problem("only", "rank " + std::to_string(t.only->value()) + " is not one of 0.." +
                                      std::to_string(t.ranks - 1));
  static_cast<void>(t.slot_capacity());
  if (t.sources) static_cast<void>(t.sources->room(t.tokens, 1));
}

SHUNT_INLINE void validate(moe_sizes const& s) {
  constexpr std::int64_t most = std::int64_t{1} << 40;
  detail::require_within("layers", s.layers, 1, 1 << 16);
  detail::require_within("experts", s.experts, 1, 1 << 20);
  detail::require_within("width", s.width, 1, most);
  detail::require_within("dense", s.dense, 1, most);
  detail::require_within("expert", s.expert, 1, most);
  detail::require_within("kept", s.kept, 0, most);
}

SHUNT_INLINE moe_shape shape_of(moe_sizes const& s, moe_training const& t, byte_count kept_bytes,
                                std::int64_t moments) {
  auto const floats = static_cast<byte_count>(sizeof(float));
  return {.layers = s.layers,
          .tokens = t.tokens,
          .slot_capacity = t.slot_capacity(),
          .token_bytes = s.width * floats,
          .hidden_bytes = aligned(t.tokens * s.width * floats),
          .kept_bytes = kept_bytes,
          .dense_bytes = (1 + moments) * s.dense * floats,
          .sums = s.dense + 2,
          .experts = {.experts = s.experts,
                      .ranks = t.ranks,
                      .elements = s.expert,
                      .gradient_bytes = static_cast<std::int32_t>(size_of(t.collection.type)),
                      .weight_bytes = static_cast<std::int32_t>(floats),
                      .state_bytes = static_cast<std::int32_t>((1 + moments) * floats)}};
}

SHUNT_INLINE double balance(moe_record const& r) {
  if (r.dropped.empty()) return 0;
  auto const experts = r.loads.size() / r.dropped.size();
  double sum = 0;
  for (std::size_t l = 0; l < r.dropped.size(); ++l) {
    auto const first = r.loads.begin() + static_cast<std::ptrdiff_t>(l * experts);
    auto const kept =
        std::accumulate(first, first + static_cast<std::ptrdiff_t>(experts), -r.dropped[l]);
    if (kept > 0)
      sum += static_cast<double>(r.fullest[l]) * static_cast<double>(r.live) /
             static_cast<double>(kept);
  }
  return sum / static_cast<double>(r.dropped.size());
}

}  // namespace shunt
