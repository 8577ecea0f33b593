#pragma once
#include "shunt/solve/pipeline/search/column_blocks.hpp"

#include <algorithm>
#include <cstddef>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"

namespace shunt::detail {

SHUNT_INLINE std::int32_t column_block::ranks() const {
  std::int32_t sum = 0;
  for (auto const& c : columns) sum += c.ranks;
  return sum;
}

SHUNT_INLINE std::int32_t column_block::widest() const {
  std::int32_t most = 0;
  for (auto const& c : columns) most = std::max(most, c.ranks);
  return most;
}

SHUNT_INLINE block_search::block_search(worker_losses const& losses, std::int32_t ranks,
                                        std::optional<std::int64_t> stash)
    : stages_(losses.job.stages), ranks_(ranks), microbatches_(losses.job.total_microbatches()) {
  auto const& job = losses.job;
  auto const sums = [&](per_stage const& list) {
    std::vector<std::int64_t> all{0};
    for (std::int32_t s = 0; s < stages_; ++s) all.push_back(all.back() + list[s]);
    return all;
  };
  forward_ = sums(job.costs.forward);
  input_ = sums(job.costs.backward_input);
  weight_ = sums(job.costs.backward_weight);
  step_ = sums(job.costs.step);
  auto const links = job.transfer.values();
  transfer_ = *std::min_element(links.begin(), links.end());
  auto const state = sums(losses.state), stashed = sums(job.stash.forward);
  auto const n = static_cast<std::size_t>(stages_);
  fits_.assign(n * (n + 1), 0);
  most_.resize(fits_.size());
  last_.resize(n);
  for (std::int32_t a = 0; a < stages_; ++a)
    for (std::int32_t b = a + 1; b <= stages_; ++b) {
      auto const i = static_cast<std::size_t>(a), j = static_cast<std::size_t>(b);
      fits_[at(a, b)] = (losses.state_limit == 0 || state[j] - state[i] <= losses.state_limit) &&
                        (!stash || stashed[j] - stashed[i] <= *stash);
    }
}

SHUNT_INLINE std::size_t block_search::at(std::int32_t first, std::int32_t end) const {
  return static_cast<std::size_t>(first) * static_cast<std::size_t>(stages_ + 1) +
         static_cast<std::size_t>(end);
}

SHUNT_INLINE void block_search::set_limit(ticks limit) {
  auto const last = static_cast<std::size_t>(stages_);
  for (std::int32_t a = 0; a < stages_; ++a) {
    auto& end = last_[static_cast<std::size_t>(a)];
    end = a;
    for (std::int32_t b = a + 1; b <= stages_ && fits_[at(a, b)]; ++b) {
      auto const i = static_cast<std::size_t>(a), j = static_cast<std::size_t>(b);
      ticks const f = forward_[j] - forward_[i],
                  back = input_[j] - input_[i] + weight_[j] - weight_[i],
                  left = limit - (step_[j] - step_[i]),
                  tail = forward_[last] - forward_[j] + input_[last] - input_[j] +
                         (b < stages_ ? 2 * transfer_ : 0);
      if (left < f + back) break;
      auto const w = std::min(left / (f + back), (left - f - tail) / back);
      most_[at(a, b)] = static_cast<std::int32_t>(std::clamp<ticks>(w, 0, microbatches_));
      end = b;
    }
  }
}

SHUNT_INLINE std::int32_t block_search::cover(std::int32_t microbatches, shape of) {
  auto const n = static_cast<std::size_t>(stages_);
  fewest_.assign(n + 1, never);
  ends_.assign(n + 1, stages_);
  fewest_[n] = 0;
  for (std::int32_t a = stages_; a-- > 0;) {
    auto const i = static_cast<std::size_t>(a);
    for (std::int32_t b = a + 1; b <= last_[i]; ++b) {
      auto const most = most_[at(a, b)];
      if (most == 0 || (of.chains && most < microbatches)) continue;
      auto const ranks = fewest_[static_cast<std::size_t>(b)] + ceil_divide(microbatches, most);
      if (ranks < fewest_[i] || (of.few && ranks == fewest_[i])) {
        fewest_[i] = ranks;
        ends_[i] = b;
      }
    }
  }
  return fewest_[0];
}

SHUNT_INLINE std::vector<std::int32_t> block_search::largest_blocks(shape of) {
  auto const widest = std::min(ranks_, std::max(most_ranks, stages_));
  std::vector<std::int32_t> largest(static_cast<std::size_t>(widest) + 1, 0);
  for (std::int32_t n = 1; n <= microbatches_; ++n) {
    auto const ranks = cover(n, of);
    if (ranks > widest) break;
    largest[static_cast<std::size_t>(ranks)] = n;
  }
  return largest;
}

SHUNT_INLINE std::vector<column_block> block_search::under(ticks limit, shape of) {
  set_limit(limit);
  auto const largest = largest_blocks(of);
  auto const all = static_cast<std::size_t>(ranks_);
  std::vector<std::int32_t> sum(all + 1, 0);
  std::vector<std::size_t> used(all + 1, 0);
  for (std::size_t r = 1; r <= all; ++r) {
    sum[r] = sum[r - 1];  // one rank waits
    for (std::size_t q = 1; q <= r && q < largest.size(); ++q)
      if (auto const n = sum[r - q] + largest[q]; largest[q] > 0 && n > sum[r]) {
        sum[r] = n;
        used[r] = q;
      }
  }
  std::vector<column_block> blocks;
  if (sum[all] < microbatches_) return blocks;
  for (std::size_t r = all; r > 0; r -= std::max<std::size_t>(1, used[r]))
    if (used[r] > 0) blocks.push_back({.microbatches = largest[used[r]]});
  for (auto over = sum[all] - microbatches_; over > 0;)
    for (auto b = blocks.rbegin(); b != blocks.rend() && over > 0; ++b)
      if (b->microbatches > 0) {
        --b->microbatches;
        --over;
      }
  std::erase_if(blocks, [](column_block const& b) { return b.microbatches == 0; });
  for (auto& b : blocks) {
    cover(b.microbatches, of);
    for (std::int32_t a = 0; a < stages_;) {
      auto const end = ends_[static_cast<std::size_t>(a)];
      b.columns.push_back({a, end, ceil_divide(b.microbatches, most_[at(a, end)])});
      a = end;
    }
  }
  std::sort(blocks.begin(), blocks.end());
  return blocks;
}

SHUNT_INLINE std::optional<ticks> block_search::least(shape of) {
  auto const n = static_cast<std::size_t>(stages_);
  ticks const way = forward_[n] + input_[n] + weight_[n] + step_[n];
  ticks low = (way - step_[n]) * microbatches_ / ranks_ - 1,
        high = way * microbatches_ + 2 * transfer_ + way;
  if (under(high, of).empty()) return std::nullopt;
  while (high - low > 1) {
    auto const middle = low + (high - low) / 2;
    (under(middle, of).empty() ? low : high) = middle;
  }
  return high;
}

}  // namespace shunt::detail
