#pragma once
#include "shunt/solve/pipeline/search/border_search.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "shunt/core/config.hpp"
#include "shunt/core/splitmix64.hpp"

namespace shunt::detail {

SHUNT_INLINE std::vector<layer_range> ranges_of(stage_borders const& borders) {
  std::vector<layer_range> stages;
  for (std::size_t s = 0; s + 1 < borders.size(); ++s)
    stages.push_back({borders[s], borders[s + 1]});
  return stages;
}

SHUNT_INLINE border_search::border_search(layer_job const& job, stage_layout const& layout,
                                          std::int32_t stages)
    : job_(job), layout_(layout), stages_(stages), until_{{}} {
  for (auto const& l : job.layers) {
    auto next = until_.back();
    next.forward += l.forward, next.input += l.backward_input, next.weight += l.backward_weight;
    next.state += l.state_bytes, next.activation += l.activation_bytes;
    until_.push_back(next);
  }
  for (std::int32_t s = 0; s < stages; ++s)
    rank_of_.push_back(layout.rank_of({0, s}, stages).index());
  auto const& all = until_.back();
  auto const most =
      static_cast<std::uint64_t>(all.forward + all.input + all.weight +
                                 2 * job.transfer * static_cast<ticks>(job.layers.size()));
  shift_ = std::max(
      0, static_cast<int>(std::bit_width(most)) +
             static_cast<int>(std::bit_width(static_cast<std::uint32_t>(job.microbatches))) - 22);
}

SHUNT_INLINE border_search::sums border_search::between(std::int32_t first,
                                                        std::int32_t end) const {
  auto const& a = until_[static_cast<std::size_t>(first)];
  auto const& b = until_[static_cast<std::size_t>(end)];
  return {b.forward - a.forward, b.input - a.input, b.weight - a.weight, b.state - a.state,
          b.activation - a.activation};
}

SHUNT_INLINE bool border_search::fits(std::int32_t first, std::int32_t end) const {
  if (job_.memory == 0) return true;
  auto const held = between(first, end);
  return held.state + std::max<byte_count>(1, held.activation) <= job_.memory;
}

SHUNT_INLINE cut_value border_search::value_of(stage_borders const& borders) {
  ranks_.assign(static_cast<std::size_t>(job_.ranks), {});
  ticks const c = job_.transfer, count = job_.microbatches;
  ticks before = 0, after = 0, first_weight = 0, longest = 0;
  std::size_t last = 0;
  for (std::size_t s = 0; s < rank_of_.size(); ++s) {
    auto const own = between(borders[s], borders[s + 1]);
    auto& rank = ranks_[rank_of_[s]];
    ticks const link = s > 0 && rank_of_[s] != last ? c : 0;
    before += link, after += link;
    if (s == 0) first_weight = own.weight;
    if (!rank.met) rank.before = before, rank.after = s > 0 ? after + first_weight : 0;
    rank.met = true;
    rank.forward += own.forward, rank.input += own.input, rank.weight += own.weight;
    rank.bytes += own.state + std::max<byte_count>(1, own.activation);
    before += own.forward, after += own.input;
    rank.rest = after;  // input gradients and links up to this stage, the last one so far
    last = rank_of_[s];
  }
  cut_value value;
  if (job_.memory > 0) {  // how often a stage can be stashed, as in measure/layer_bounds.hpp
    ticks ahead = 0;
    for (std::size_t s = 0; s < rank_of_.size(); ++s) {
      auto const own = between(borders[s], borders[s + 1]);
      auto const weight = std::max<byte_count>(1, own.activation);
      auto const others = ranks_[rank_of_[s]].bytes - weight;
      auto const stashes = std::max<std::int64_t>(1, (job_.memory - others) / weight);
      longest = std::max(longest, ahead + ceil_divide<ticks>(count, stashes) *
                                              (until_.back().forward - ahead + until_.back().input -
                                               until_[static_cast<std::size_t>(borders[s])].input +
                                               own.weight));
      ahead += own.forward;
    }
  }
  for (auto const& r : ranks_) {
    ticks const rest = after - r.rest;
    ticks const ends = std::max({r.before + count * (r.forward + r.input + r.weight),
                                 r.before + count * (r.forward + r.input) + r.after,
                                 before + rest + count * (r.input + r.weight),
                                 before + rest + count * r.input + r.after});
    longest = std::max(longest, ends);
    auto const coarse = static_cast<std::uint64_t>(ends >> shift_);
    value.spread += coarse * coarse;
    if (job_.memory > 0) value.excess += std::max<byte_count>(0, r.bytes - job_.memory);
  }
  value.makespan = longest;
  return value;
}

SHUNT_INLINE stage_borders border_search::even() const {
  auto const layers = static_cast<std::int32_t>(job_.layers.size());
  stage_borders borders{0};
  for (std::int32_t s = 0; s < stages_; ++s)
    borders.push_back(borders.back() + layers / stages_ + (s < layers % stages_));
  return borders;
}

SHUNT_INLINE stage_borders border_search::balanced() const {
  auto const layers = static_cast<std::int32_t>(job_.layers.size());
  bool const bytes = stages_ == job_.ranks;
  auto const work = [&](std::int32_t first, std::int32_t end) {
    auto const own = between(first, end);
    return own.forward + own.input + own.weight;
  };
  auto const cut = [&](ticks longest) {
    stage_borders borders{0};
    for (std::int32_t l = 1; l <= layers; ++l)
      if (l == layers || work(borders.back(), l + 1) > longest ||
          (bytes && !fits(borders.back(), l + 1)))
        borders.push_back(l);
    return borders;
  };
  ticks low = 0, high = work(0, layers);
  for (std::int32_t l = 0; l < layers; ++l) low = std::max(low, work(l, l + 1));
  auto const wanted = static_cast<std::size_t>(stages_) + 1;
  while (low < high) {
    ticks const middle = low + (high - low) / 2;
    if (cut(middle).size() <= wanted)
      high = middle;
    else
      low = middle + 1;
  }
  auto borders = cut(low);
  if (borders.size() > wanted) return even();
  while (borders.size() < wanted) {  // in halves, the longest stage with several layers first
    std::size_t longest = 0;
    ticks most = -1;
    for (std::size_t s = 0; s + 1 < borders.size(); ++s)
      if (borders[s + 1] - borders[s] > 1 && work(borders[s], borders[s + 1]) > most)
        most = work(borders[s], borders[s + 1]), longest = s;
    auto const middle = borders[longest] + (borders[longest + 1] - borders[longest]) / 2;
    borders.insert(borders.begin() + static_cast<std::ptrdiff_t>(longest) + 1, middle);
  }
  return borders;
}

SHUNT_INLINE std::int64_t border_search::cuts(std::int64_t limit) const {
  std::int64_t all = 1;
  auto const places = static_cast<std::int64_t>(job_.layers.size()) - 1;
  auto const cut = std::min<std::int64_t>(stages_ - 1, places - (stages_ - 1));
  for (std::int64_t i = 1; i <= cut; ++i) {
    all = all * (places - cut + i) / i;
    if (all >= limit) return limit;
  }
  return all;
}

SHUNT_INLINE void border_search::keep(pool& best, std::size_t most, cut_value const& value,
                                      stage_borders const& borders) {
  if (value.excess > 0 || (best.size() == most && value >= best.back().first)) return;
  auto const at = std::lower_bound(best.begin(), best.end(), value,
                                   [](auto const& a, auto const& b) { return a.first < b; });
  for (auto same = at; same != best.end() && same->first == value; ++same)
    if (same->second == borders) return;
  best.emplace(at, value, borders);
  if (best.size() > most) best.pop_back();
}

SHUNT_INLINE void border_search::every_cut(pool& best, std::size_t most) {
  auto const layers = static_cast<std::int32_t>(job_.layers.size());
  stage_borders borders;
  for (std::int32_t s = 0; s < stages_; ++s) borders.push_back(s);
  borders.push_back(layers);
  while (true) {
    keep(best, most, value_of(borders), borders);
    auto s = static_cast<std::size_t>(stages_) - 1;  // the last border that can move on
    while (s > 0 && borders[s] == layers - stages_ + static_cast<std::int32_t>(s)) --s;
    if (s == 0) return;
    ++borders[s];
    for (std::size_t t = s + 1; t < static_cast<std::size_t>(stages_); ++t)
      borders[t] = borders[t - 1] + 1;
  }
}

SHUNT_INLINE void border_search::climb(pool& best, std::size_t most, stage_borders borders,
                                       std::int64_t effort) {
  auto current = value_of(borders);
  keep(best, most, current, borders);
  if (stages_ == 1) return;
  std::array<cut_value, 64> history{};
  history.fill(current);
  splitmix64 random{state_++};
  auto const inner = static_cast<std::uint64_t>(stages_ - 1);
  for (std::int64_t step = 0; step < effort; ++step) {
    auto const first = static_cast<std::size_t>(1 + random.below(inner));
    auto const reach = random.below(3) == 0 ? inner : std::uint64_t{2};
    auto const end = std::min(first + 1 + static_cast<std::size_t>(random.below(reach)),
                              static_cast<std::size_t>(stages_));
    std::int32_t const by = random.below(2) == 0 ? 1 : -1;
    if (by > 0 ? borders[end - 1] + 1 >= borders[end] : borders[first] - 1 <= borders[first - 1])
      continue;
    for (std::size_t b = first; b < end; ++b) borders[b] += by;
    auto const now = value_of(borders);
    auto& before = history[static_cast<std::size_t>(step) % history.size()];
    if (now <= before || now <= current) {
      current = now;
      keep(best, most, now, borders);
    } else {
      for (std::size_t b = first; b < end; ++b) borders[b] -= by;
    }
    before = std::min(before, current);
  }
}

SHUNT_INLINE std::vector<std::pair<cut_value, stage_borders>> border_search::best(
    std::size_t most, std::int64_t effort) {
  pool found;
  if (cuts(effort + 1) <= effort) {
    every_cut(found, most);
    return found;
  }
  climb(found, most, balanced(), effort - effort / 3);
  climb(found, most, even(), effort / 3);
  return found;
}

}  // namespace shunt::detail
