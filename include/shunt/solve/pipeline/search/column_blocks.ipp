#pragma once
#include "shunt/solve/pipeline/search/column_blocks.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"

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

SHUNT_INLINE block_search::numbered_counts::numbered_counts(counts const& most) {
  std::size_t next = 1;
  for (std::size_t k = 0; k < most.size(); ++k) {
    step[k] = next;
    next *= static_cast<std::size_t>(most[k]) + 1;
  }
  counts n{};
  for (std::size_t i = 0; i < next; ++i) {
    all.push_back(n);
    for (std::size_t k = 0; k < n.size() && ++n[k] > most[k]; ++k) n[k] = 0;
  }
}

SHUNT_INLINE std::size_t block_search::numbered_counts::number(counts const& n) const {
  std::size_t sum = 0;
  for (std::size_t k = 0; k < n.size(); ++k) sum += step[k] * static_cast<std::size_t>(n[k]);
  return sum;
}

SHUNT_INLINE block_search::block_search(worker_losses const& losses, std::vector<rank_kind> kinds,
                                        std::optional<std::int64_t> stash)
    : stages_(losses.job.stages), kinds_(std::move(kinds)), lengths_(losses.job.lengths) {
  auto const& job = losses.job;
  auto const n = static_cast<std::size_t>(stages_);
  units_ = job.total_microbatches();
  if (!lengths_.empty()) {
    std::int64_t all = 0;
    unit_ = 0;
    for (auto const l : lengths_) {
      all += l;
      unit_ = std::gcd(unit_, std::int64_t{l});
    }
    unit_ = std::max(unit_, ceil_divide<std::int64_t>(all, std::int64_t{4} * units_));
    units_ = static_cast<std::int32_t>(ceil_divide(all, unit_));
    shortest_ = *std::min_element(lengths_.begin(), lengths_.end());
  }
  behind_.assign(n + 1, 0);
  for (auto const& kind : kinds_) {
    auto& own = sums_.emplace_back(sums{{0}, {0}, {0}, {0}});
    for (auto const& c : kind.at) {
      own.forward.push_back(own.forward.back() + c.forward);
      own.input.push_back(own.input.back() + c.backward_input);
      own.weight.push_back(own.weight.back() + c.backward_weight);
      own.step.push_back(own.step.back() + c.step);
    }
  }
  for (std::size_t s = n; s-- > 0;) {
    auto least = std::numeric_limits<ticks>::max();
    for (auto const& kind : kinds_)
      least = std::min(least, kind.at[s].forward + kind.at[s].backward_input);
    behind_[s] = behind_[s + 1] + least;
  }
  auto const links = job.transfer.values();
  transfer_ = *std::min_element(links.begin(), links.end());
  std::vector<std::int64_t> state{0}, stashed{0};
  for (stage_id const s : ids<stage_id>(stages_)) {
    state.push_back(state.back() + losses.state[s]);
    stashed.push_back(stashed.back() + job.stash.forward[s]);
  }
  fits_.assign(n * (n + 1), 0);
  for (std::size_t k = 0; k < kinds_.size(); ++k) most_[k].resize(fits_.size());
  last_.resize(n);
  for (std::int32_t a = 0; a < stages_; ++a)
    for (std::int32_t b = a + 1; b <= stages_; ++b) {
      auto const i = static_cast<std::size_t>(a), j = static_cast<std::size_t>(b);
      fits_[at(a, b)] = (losses.state_limit == 0 || state[j] - state[i] <= losses.state_limit) &&
                        (!stash || stashed[j] - stashed[i] <= *stash);
    }
  if (kinds_.size() > 1) set_mixing(losses, stash);
}

SHUNT_INLINE void block_search::set_mixing(worker_losses const& losses,
                                           std::optional<std::int64_t> stash) {
  counts most{};
  double all = 1;  // counts of all ranks
  for (std::size_t k = 1; k < kinds_.size(); ++k) {
    most[k - 1] = kinds_[k].ranks;
    all *= kinds_[k].ranks + 1;
  }
  double const n = stages_;
  for (;;) {
    double in_block = 1;
    for (auto const m : most) in_block *= m + 1;
    double const cuts = n * (n + 1) / 2 * units_ * in_block * in_block,
                 sets = all * (kinds_[0].ranks + 1) * std::min(most_ranks, kinds_[0].ranks + 1) *
                        in_block;
    if (cuts + sets <= most_steps) break;
    auto const largest = std::max_element(most.begin(), most.end());
    if (*largest == 0) break;
    --*largest;
  }
  mixed_ = numbered_counts(most);
  if (mixed_.all.size() > 1) return;
  for (auto& kind : kinds_) {
    apart_.emplace_back(losses, std::vector{std::move(kind)}, stash);
    apart_.back().kind_ = apart_.size() - 1;
  }
}

SHUNT_INLINE std::size_t block_search::at(std::int32_t first, std::int32_t end) const {
  return static_cast<std::size_t>(first) * static_cast<std::size_t>(stages_ + 1) +
         static_cast<std::size_t>(end);
}

SHUNT_INLINE void block_search::set_limit(ticks limit) {
  for (std::int32_t a = 0; a < stages_; ++a) {
    auto& end = last_[static_cast<std::size_t>(a)];
    end = a;
    for (std::int32_t b = a + 1; b <= stages_ && fits_[at(a, b)]; ++b) {
      auto const i = static_cast<std::size_t>(a), j = static_cast<std::size_t>(b);
      bool any = false;
      for (std::size_t k = 0; k < kinds_.size(); ++k) {
        auto const& [forward, input, weight, step] = sums_[k];
        ticks const f = forward[j] - forward[i], back = input[j] - input[i] + weight[j] - weight[i],
                    left = limit - (step[j] - step[i]),
                    first = shortest_ * (f + behind_[j]) + (b < stages_ ? 2 * transfer_ : 0);
        auto& most = most_[k][at(a, b)] = 0;
        if (left < f + back) continue;
        any = true;
        auto const w = std::min(left / (f + back), (left - first) / back) / unit_;
        most = static_cast<std::int32_t>(std::clamp<ticks>(w, 0, units_));
      }
      if (!any) break;
      end = b;
    }
  }
}

SHUNT_INLINE std::int32_t block_search::needed(std::size_t column, std::int32_t units,
                                               counts const& others, shape of) const {
  std::int64_t left = units;
  std::int32_t ranks = 0;
  for (std::size_t k = 1; k < kinds_.size(); ++k) {
    if (others[k - 1] == 0) continue;
    auto const most = most_[k][column];
    if (most == 0 || (of.chains && most < units)) return never;
    ranks += others[k - 1];
    left -= std::int64_t{others[k - 1]} * most;
  }
  if (ranks > (of.chains ? 1 : units)) return never;
  if (left <= 0) return 0;
  auto const most = most_[0][column];
  if (most == 0 || (of.chains && most < units)) return never;
  return static_cast<std::int32_t>(ceil_divide<std::int64_t>(left, most));
}

SHUNT_INLINE void block_search::cover(std::int32_t units, shape of) {
  auto const n = static_cast<std::size_t>(stages_), width = mixed_.all.size();
  fewest_.assign((n + 1) * width, never);
  cuts_.assign((n + 1) * width, {stages_, 0});
  std::fill(fewest_.begin() + static_cast<std::ptrdiff_t>(n * width), fewest_.end(), 0);
  for (std::int32_t a = stages_; a-- > 0;) {
    auto const here = static_cast<std::size_t>(a) * width;
    for (std::int32_t b = a + 1; b <= last_[static_cast<std::size_t>(a)]; ++b)
      for (std::size_t own = 0; own < width; ++own) {
        auto const need = needed(at(a, b), units, mixed_.all[own], of);
        if (need == never) continue;
        for (std::size_t all = own; all < width; ++all) {
          if (!std::equal(mixed_.all[own].begin(), mixed_.all[own].end(), mixed_.all[all].begin(),
                          std::less_equal{}))
            continue;
          auto const ranks = need + fewest_[static_cast<std::size_t>(b) * width + all - own];
          auto& fewest = fewest_[here + all];
          if (ranks < fewest || (of.few && ranks == fewest)) {
            fewest = ranks;
            cuts_[here + all] = {b, own};
          }
        }
      }
  }
}

SHUNT_INLINE std::vector<block_search::filled_block> block_search::fullest(ticks limit, shape of) {
  std::vector<filled_block> blocks;
  for (auto& one : apart_)
    for (auto const& b : one.fullest(limit, of)) blocks.push_back(b);
  if (!apart_.empty()) return blocks;
  set_limit(limit);
  struct option {
    std::int32_t ranks = 0;
    std::size_t others = 0;
    std::int32_t units = 0;
  };
  auto const widest = std::min(kinds_[0].ranks, std::max(most_ranks, stages_));
  auto const width = mixed_.all.size();
  std::vector<option> options(static_cast<std::size_t>(widest + 1) * width);
  for (std::int32_t n = 1; n <= units_; ++n) {
    cover(n, of);
    bool any = false;
    for (std::size_t o = 0; o < width; ++o)
      if (auto const ranks = fewest_[o]; ranks <= widest) {
        options[static_cast<std::size_t>(ranks) * width + o] = {ranks, o, n};
        any = true;
      }
    if (!any) break;
  }
  std::erase_if(options, [](option const& o) { return o.units == 0; });
  counts every{};
  for (std::size_t k = 1; k < kinds_.size(); ++k) every[k - 1] = kinds_[k].ranks;
  numbered_counts const all(every);
  auto const rows = all.all.size(), cells = rows * static_cast<std::size_t>(kinds_[0].ranks + 1);
  std::vector<std::int32_t> sum(cells, 0);
  std::vector<std::size_t> used(cells, 0);  // 1: a rank waits; from 2 on: an option
  auto const before = [&](std::size_t cell, option const& o) {
    return cell - static_cast<std::size_t>(o.ranks) * rows - all.number(mixed_.all[o.others]);
  };
  std::vector<std::size_t> waiting(cells, 0);  // the cell without that rank
  for (std::size_t cell = 1; cell < cells; ++cell) {
    auto const& others = all.all[cell % rows];
    auto const ranks = static_cast<std::int32_t>(cell / rows);
    bool first = true;
    auto const waits = [&](std::size_t without) {
      if (!first && sum[without] <= sum[cell]) return;
      first = false;
      sum[cell] = sum[without];
      waiting[cell] = without;
    };
    if (ranks > 0) waits(cell - rows);
    for (std::size_t k = 0; k < others.size(); ++k)
      if (others[k] > 0) waits(cell - all.step[k]);
    for (std::size_t i = 0; i < options.size(); ++i) {
      auto const& o = options[i];
      if (o.ranks > ranks) break;
      auto const& mixes = mixed_.all[o.others];
      if (!std::equal(mixes.begin(), mixes.end(), others.begin(), std::less_equal{})) continue;
      if (auto const n = sum[before(cell, o)] + o.units; n > sum[cell]) {
        sum[cell] = n;
        used[cell] = i + 1;
      }
    }
  }
  for (auto cell = cells - 1; cell > 0;) {
    if (used[cell] == 0) {
      cell = waiting[cell];
      continue;
    }
    auto const& o = options[used[cell] - 1];
    blocks.push_back({this, o.units, o.others});
    cell = before(cell, o);
  }
  return blocks;
}

SHUNT_INLINE std::vector<block_column> block_search::columns_of(filled_block const& block,
                                                                shape of) {
  cover(block.units, of);
  auto const width = mixed_.all.size();
  std::vector<block_column> columns;
  auto others = block.others;
  for (std::int32_t a = 0; a < stages_;) {
    auto const [end, own] = cuts_[static_cast<std::size_t>(a) * width + others];
    auto const& mixed = mixed_.all[own];
    auto const ranks = needed(at(a, end), block.units, mixed, of);
    columns.push_back({a, end, std::accumulate(mixed.begin(), mixed.end(), ranks), mixed});
    if (kind_ > 0) columns.back().others[kind_ - 1] = ranks;
    others -= own;
    a = end;
  }
  return columns;
}

SHUNT_INLINE void block_search::deal(std::vector<column_block>& blocks) const {
  std::vector<std::int32_t> order(lengths_.size());
  std::iota(order.begin(), order.end(), 0);
  auto const length = [&](std::int32_t n) { return lengths_[static_cast<std::size_t>(n)]; };
  std::sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return std::pair(-length(a), a) < std::pair(-length(b), b);
  });
  std::vector<std::int64_t> dealt(blocks.size(), 0);
  for (auto const n : order) {
    std::size_t best = 0;
    for (std::size_t b = 1; b < blocks.size(); ++b)  // the one that is then the least full
      if ((dealt[b] + length(n)) * blocks[best].microbatches <
          (dealt[best] + length(n)) * blocks[b].microbatches)
        best = b;
    dealt[best] += length(n);
    blocks[best].numbers.push_back(n);
  }
  std::erase_if(blocks, [](column_block const& b) { return b.numbers.empty(); });
  for (auto& b : blocks) {
    std::sort(b.numbers.begin(), b.numbers.end());
    b.microbatches = static_cast<std::int32_t>(b.numbers.size());
    for (auto& c : b.columns)  // no rank without a micro-batch
      for (std::size_t k = 0; c.ranks > b.microbatches; --c.ranks) {
        auto const beside = std::accumulate(c.others.begin(), c.others.end(), 0);
        if (c.ranks > beside) continue;
        while (c.others[k] == 0) ++k;
        --c.others[k];
      }
  }
}

SHUNT_INLINE std::vector<column_block> block_search::under(ticks limit, shape of) {
  auto filled = fullest(limit, of);
  std::int64_t over = -std::int64_t{units_};
  for (auto const& b : filled) over += b.units;
  std::vector<column_block> blocks;
  if (over < 0) return blocks;
  while (over > 0)
    for (auto b = filled.rbegin(); b != filled.rend() && over > 0; ++b)
      if (b->units > 0) {
        --b->units;
        --over;
      }
  for (auto const& b : filled)
    if (b.units > 0)
      blocks.push_back(
          {.microbatches = b.units, .columns = b.by->columns_of(b, of), .numbers = {}});
  if (!lengths_.empty()) deal(blocks);
  std::sort(blocks.begin(), blocks.end());
  return blocks;
}

SHUNT_INLINE std::optional<ticks> block_search::least(shape of) {
  ticks fastest = 0, slowest = 0, ranks = 0;
  auto const n = static_cast<std::size_t>(stages_);
  for (std::size_t k = 0; k < kinds_.size(); ++k) {
    auto const& own = sums_[k];
    auto const work = own.forward[n] + own.input[n] + own.weight[n];
    fastest = k == 0 ? work : std::min(fastest, work);
    slowest = std::max(slowest, work + own.step[n]);
    ranks += kinds_[k].ranks;
  }
  auto const all = unit_ * units_;
  ticks low = fastest * all / ranks - 1, high = slowest * all + 2 * transfer_ + shortest_ * slowest;
  if (under(high, of).empty()) return std::nullopt;
  while (high - low > 1) {
    auto const middle = low + (high - low) / 2;
    (under(middle, of).empty() ? low : high) = middle;
  }
  return high;
}

}  // namespace shunt::detail
