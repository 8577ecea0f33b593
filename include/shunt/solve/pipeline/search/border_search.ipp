#pragma once
#include "shunt/solve/pipeline/search/border_search.hpp"

#include <algorithm>
#include <bit>
#include <map>

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
    : job_(job),
      layout_(layout),
      stages_(stages),
      until_{{}},
      ranks_(static_cast<std::size_t>(job.ranks)) {
  for (auto const& l : job.layers) {
    auto next = until_.back();
    next.forward += l.forward, next.input += l.backward_input, next.weight += l.backward_weight;
    next.state += l.state_bytes, next.activation += l.activation_bytes;
    until_.push_back(next);
  }
  for (std::int32_t s = 0; s < stages; ++s) {
    auto const r = layout.rank_of({0, s}, stages).index();
    links_.push_back(s == 0 ? 0 : links_.back() + (r != rank_of_.back() ? job.transfer : 0));
    rank_of_.push_back(r);
    ranks_[r].stages.push_back(static_cast<std::size_t>(s));
  }
  alike_.resize(rank_of_.size());
  std::map<std::pair<std::size_t, std::size_t>, std::vector<std::size_t>> between_ranks;
  auto const pair_at = [&](std::size_t border) {
    auto const [low, high] = std::minmax({rank_of_[border - 1], rank_of_[border]});
    return std::pair(low, high);
  };
  for (std::size_t b = 1; b < alike_.size(); ++b)
    if (rank_of_[b - 1] != rank_of_[b]) between_ranks[pair_at(b)].push_back(b);
  for (auto const& [ranks, borders] : between_ranks)
    for (std::size_t const b : borders)
      for (std::size_t const other : borders)
        if (other != b) alike_[b].push_back(other);
  auto const& all = until_.back();
  auto const mean = (all.forward + all.input + all.weight) / job.ranks * job.microbatches;
  coarse_ = std::max(0, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(mean))) - 11);
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

SHUNT_INLINE void border_search::count(stage_borders const& borders, std::size_t stage, int times) {
  auto const own = between(borders[stage], borders[stage + 1]);
  auto& rank = ranks_[rank_of_[stage]];
  rank.forward += times * own.forward, rank.input += times * own.input;
  rank.weight += times * own.weight;
  rank.bytes += times * (own.state + std::max<byte_count>(1, own.activation));
}

SHUNT_INLINE void border_search::end_of(stage_borders const& borders, rank_sums& rank) const {
  ticks const all = job_.microbatches;
  auto const& whole = until_.back();
  auto const first = rank.stages.front(), last = rank.stages.back();
  auto const& before = until_[static_cast<std::size_t>(borders[first])];
  ticks const pre = before.forward + links_[first];
  ticks const post = first == 0 ? 0
                                : before.input + links_[first] +
                                      until_[static_cast<std::size_t>(borders[1])].weight;
  ticks const turn = whole.forward + links_.back() + whole.input -
                     until_[static_cast<std::size_t>(borders[last + 1])].input + links_.back() -
                     links_[last];
  rank.end = std::max({pre + all * (rank.forward + rank.input + rank.weight),
                       pre + all * (rank.forward + rank.input) + post,
                       turn + all * (rank.input + rank.weight), turn + all * rank.input + post,
                       rank.idle + all * (rank.forward + rank.input + rank.weight)});
  if (job_.memory > 0)  // how often a stage can be stashed, as in measure/layer_bounds.hpp
    for (std::size_t const s : rank.stages) {
      auto const own = between(borders[s], borders[s + 1]);
      auto const& ahead = until_[static_cast<std::size_t>(borders[s])];
      auto const weight = std::max<byte_count>(1, own.activation);
      auto const stashes = std::max<std::int64_t>(1, (job_.memory - rank.bytes + weight) / weight);
      rank.end = std::max(rank.end, ahead.forward + ceil_divide<ticks>(all, stashes) *
                                                        (whole.forward - ahead.forward +
                                                         whole.input - ahead.input + own.weight));
    }
  auto const coarse = static_cast<std::uint64_t>(std::min<ticks>(rank.end >> coarse_, 8192));
  rank.norm = coarse * coarse * coarse * coarse;
}

SHUNT_INLINE void border_search::take(rank_sums const& rank, int times) {
  if (times > 0)
    norm_ += rank.norm;
  else
    norm_ -= rank.norm;
  if (job_.memory > 0) excess_ += times * std::max<byte_count>(0, rank.bytes - job_.memory);
}

SHUNT_INLINE void border_search::load(stage_borders const& borders) {
  for (auto& r : ranks_) r.forward = r.input = r.weight = r.bytes = 0;
  for (std::size_t s = 0; s < rank_of_.size(); ++s) count(borders, s, 1);
  norm_ = 0, excess_ = 0;
  for (auto& r : ranks_) {
    end_of(borders, r);
    take(r, 1);
  }
}

SHUNT_INLINE void border_search::shift(stage_borders& borders, std::size_t border,
                                       std::int32_t by) {
  auto& left = ranks_[rank_of_[border - 1]];
  auto& right = ranks_[rank_of_[border]];
  take(left, -1);
  if (&left != &right) take(right, -1);
  count(borders, border - 1, -1);
  count(borders, border, -1);
  borders[border] += by;
  count(borders, border - 1, 1);
  count(borders, border, 1);
  end_of(borders, left);
  take(left, 1);
  if (&left == &right) return;
  end_of(borders, right);
  take(right, 1);
}

SHUNT_INLINE cut_value border_search::value_now() const {
  cut_value value{excess_, 0};
  for (auto const& r : ranks_) value.makespan = std::max(value.makespan, r.end);
  return value;
}

SHUNT_INLINE cut_value border_search::value_of(stage_borders const& borders) {
  load(borders);
  return value_now();
}

SHUNT_INLINE void border_search::expect(std::vector<ticks> const& idle) {
  for (std::size_t r = 0; r < ranks_.size(); ++r) ranks_[r].idle = idle.empty() ? 0 : idle[r];
}

SHUNT_INLINE stage_borders border_search::even() const {
  auto const layers = static_cast<std::int32_t>(job_.layers.size());
  stage_borders borders{0};
  for (layer_range const& stage : shunt::even_cut(layers, stages_)) borders.push_back(stage.end);
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
  keep(best, most, value_of(borders), borders);
  if (stages_ == 1) return;
  auto current = level_now(), least = current;
  std::vector<level> history(
      static_cast<std::size_t>(std::clamp<std::int64_t>(effort / 32, 8, 512)), current);
  splitmix64 random{state_++};
  std::vector<std::pair<std::size_t, std::int32_t>> moves;
  auto const inner = static_cast<std::uint64_t>(stages_ - 1);
  for (std::int64_t step = 0; step < effort; ++step) {
    auto const first = static_cast<std::size_t>(1 + random.below(inner));
    std::int32_t const by = random.below(2) == 0 ? 1 : -1;
    auto const& others = alike_[first];
    moves.clear();
    if (!others.empty() && random.below(3) != 0) {
      // a layer to the neighbour here, another one back elsewhere
      auto const other = others[static_cast<std::size_t>(random.below(others.size()))];
      bool const turned = rank_of_[other] != rank_of_[first];
      moves = {{first, by}, {other, turned ? by : -by}};
    } else {
      auto const reach = random.below(4) == 0 ? std::min<std::uint64_t>(inner, 16) : 2;
      auto const end = std::min(first + 1 + static_cast<std::size_t>(random.below(reach)),
                                static_cast<std::size_t>(stages_));
      for (std::size_t i = 0; i < end - first; ++i)  // from the end that has room
        moves.emplace_back(by > 0 ? end - 1 - i : first + i, by);
    }
    std::size_t done = 0;
    for (; done < moves.size(); ++done) {
      auto const [at, to] = moves[done];
      if (to > 0 ? borders[at] + 1 >= borders[at + 1] : borders[at] - 1 <= borders[at - 1]) break;
      shift(borders, at, to);
    }
    auto const undo = [&] {
      while (done-- > 0) shift(borders, moves[done].first, -moves[done].second);
    };
    if (done < moves.size()) {
      undo();
      continue;
    }
    auto const now = level_now();
    auto& before = history[static_cast<std::size_t>(step) % history.size()];
    if (now <= before || now <= current) {
      current = now;
      if (now <= least || random.below(8) == 0) keep(best, most, value_now(), borders);
      least = std::min(least, now);
    } else {
      undo();
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
  climb(found, most, balanced(), effort - effort / 4);
  climb(found, most, even(), effort / 4);
  return found;
}

SHUNT_INLINE std::vector<std::pair<cut_value, stage_borders>> border_search::best_from(
    stage_borders borders, std::size_t most, std::int64_t effort) {
  pool found;
  climb(found, most, std::move(borders), effort);
  return found;
}

}  // namespace shunt::detail
