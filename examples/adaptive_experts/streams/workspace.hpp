#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "../model.hpp"
#include "experts.hpp"
#include "shunt/device/adam_step.hpp"
#include "shunt/lower/moe_iteration.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/train/aligned_bytes.hpp"
#include "tokens.hpp"

namespace example::moe {

/// Room of one rank for what an operation computes on its way; nothing in it outlives the
/// operation. Every array is at a multiple of 64 bytes. Over no memory it only counts.
struct workspace {
  workspace() = default;
  workspace(moe_model const& m, shunt::moe_shape const& shape,
            shunt::expert_placement const& placement, std::byte* at)
      : slot_rows(std::min(shape.slot_capacity, shape.tokens * shape.experts.ranks)) {
    auto const take = [&]<class T>(T*& array, std::int64_t count) {
      array = at == nullptr ? nullptr : reinterpret_cast<T*>(at + bytes);
      bytes +=
          static_cast<std::size_t>(shunt::aligned(count * static_cast<std::int64_t>(sizeof(T))));
    };
    std::int64_t const tokens = shape.tokens, width = m.expert.width, hidden = m.expert.hidden,
                       experts = m.experts;
    std::int64_t const microbatches = shape.experts.ranks, slots = placement.slots(),
                       inputs = std::int64_t{m.context} * m.embedding;
    take(windows, tokens * (m.context + 1));
    take(embedded, tokens * inputs);
    take(x, tokens * width);
    take(dx, tokens * width);
    take(inverse, tokens);
    take(scores, tokens * std::max<std::int64_t>(experts, m.bytes));
    take(losses, tokens);
    take(loss, 1);
    take(gradient, std::max({m.bytes * width, width * inputs, experts * width,
                             std::int64_t{m.bytes} * m.embedding}));
    take(column, m.bytes);

    take(counts, microbatches * experts);
    take(dropped, microbatches * experts);
    take(rest, microbatches * experts);
    take(hosted, slots);
    take(hosted_end, experts);
    take(row, slots);
    take(start, slots * microbatches);
    take(end, slots * microbatches);

    take(tokens_of_slot, slot_rows * width);
    take(above, slot_rows * width);
    take(below, slot_rows * width);
    take(inner, slot_rows * hidden);
    take(through, slot_rows * hidden);
    for (auto* parts : {&parameters, &sums}) {
      parts->width = width;
      parts->hidden = hidden;
      take(parts->w1, hidden * width);
      take(parts->b1, hidden);
      take(parts->w2, width * hidden);
      take(parts->b2, width);
    }
    for (auto** squares : {&x_squares, &above_squares}) take(*squares, width);
    for (auto** squares : {&inner_squares, &through_squares}) take(*squares, hidden);
    take(clock, 1);
  }

  std::int64_t slot_rows = 0;  ///< the most tokens that a slot can have: what its matrices hold
  std::size_t bytes = 0;

  // of a micro-batch
  std::uint8_t* windows = nullptr;
  float *embedded = nullptr, *x = nullptr, *dx = nullptr, *inverse = nullptr, *scores = nullptr;
  double* losses = nullptr;
  float *loss = nullptr, *gradient = nullptr, *column = nullptr;
  // of a layer's split
  std::int64_t *counts = nullptr, *dropped = nullptr;
  std::int32_t *rest = nullptr, *hosted = nullptr, *hosted_end = nullptr;
  std::int64_t *row = nullptr, *start = nullptr, *end = nullptr;
  // of a slot
  double *tokens_of_slot = nullptr, *above = nullptr, *below = nullptr, *inner = nullptr,
         *through = nullptr;
  expert_parts parameters{}, sums{};
  double *x_squares = nullptr, *above_squares = nullptr, *inner_squares = nullptr,
         *through_squares = nullptr;
  // of a step
  shunt::adam_clock* clock = nullptr;
};

}  // namespace example::moe
