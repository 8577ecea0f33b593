#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "../model.hpp"
#include "experts.hpp"
#include "shunt/train/aligned_bytes.hpp"

namespace example::moe {

/// Room of one rank for what an operation computes on its way; nothing in it outlives the
/// operation. Every array is at a multiple of 64 bytes. Over no memory it only counts.
struct workspace {
  workspace() = default;
  /// `most`: tokens of a slot.
  workspace(moe_model const& m, std::int64_t tokens, std::int64_t most, std::byte* at)
      : slot_rows(most) {
    auto const take = [&]<class T>(T*& array, std::int64_t count) {
      array = at == nullptr ? nullptr : reinterpret_cast<T*>(at + bytes);
      bytes +=
          static_cast<std::size_t>(shunt::aligned(count * static_cast<std::int64_t>(sizeof(T))));
    };
    std::int64_t const width = m.expert.width, hidden = m.expert.hidden;
    take(starts, tokens);
    take(embedded, tokens * m.context * m.embedding);
    take(x, tokens * width);
    take(dx, tokens * width);
    take(inverse, tokens);
    take(scores, tokens * std::max(m.experts, m.bytes));
    take(losses, tokens);

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
  }

  std::int64_t slot_rows = 0;  ///< what the matrices of a slot hold
  std::size_t bytes = 0;

  // of a micro-batch
  std::int64_t* starts = nullptr;  ///< of the windows in the text
  float *embedded = nullptr, *x = nullptr, *dx = nullptr, *inverse = nullptr, *scores = nullptr;
  double* losses = nullptr;
  // of a slot
  double *tokens_of_slot = nullptr, *above = nullptr, *below = nullptr, *inner = nullptr,
         *through = nullptr;
  expert_parts parameters{}, sums{};
  double *x_squares = nullptr, *above_squares = nullptr, *inner_squares = nullptr,
         *through_squares = nullptr;
};

}  // namespace example::moe
