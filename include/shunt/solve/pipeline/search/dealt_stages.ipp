#pragma once
#include "shunt/solve/pipeline/search/dealt_stages.hpp"

#include <algorithm>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"

namespace shunt::detail {

SHUNT_INLINE dealt_stages::dealt_stages(layer_job const& job, std::int32_t stages,
                                        std::int32_t chunks)
    : job_(job), chunks_(chunks) {
  for (auto const& l : job.layers) {
    forward_.push_back(forward_.back() + l.forward);
    work_.push_back(work_.back() + l.forward + l.backward_input + l.backward_weight);
  }
  cut(stages);
  deal(chunks);
}

SHUNT_INLINE ticks dealt_stages::work(std::size_t stage) const {
  return work_[static_cast<std::size_t>(borders_[stage + 1])] -
         work_[static_cast<std::size_t>(borders_[stage])];
}

SHUNT_INLINE void dealt_stages::cut(std::int32_t stages) {
  auto const layers = static_cast<std::int32_t>(job_.layers.size());
  ticks const share = work_.back() / job_.ranks;
  auto const with = [&](ticks longest) {
    stage_borders made{0};
    for (std::int32_t l = 1; l < layers; ++l) {
      auto const first = static_cast<std::size_t>(made.back()),
                 end = static_cast<std::size_t>(l) + 1;
      if (forward_[end] - forward_[first] > longest || work_[end] - work_[first] > share)
        made.push_back(l);
    }
    made.push_back(layers);
    return made;
  };
  ticks low = 0, high = forward_.back();
  while (low < high) {  // the least longest forward that makes few enough stages
    ticks const middle = low + (high - low) / 2;
    if (with(middle).size() <= static_cast<std::size_t>(stages) + 1)
      high = middle;
    else
      low = middle + 1;
  }
  borders_ = with(low);
}

SHUNT_INLINE void dealt_stages::deal(std::int32_t chunks) {
  auto const stages = borders_.size() - 1, ranks = static_cast<std::size_t>(job_.ranks);
  rank_of_.assign(stages, 0);
  load_.assign(ranks, 0);
  count_.assign(ranks, 0);
  std::vector<ticks> forward(ranks, 0);
  ticks const share = work_.back() / job_.ranks, tail = work(stages - 1);
  bool const kept = tail > share / 3;  // the last rank has the last stage
  if (kept) load_.back() = tail;
  for (std::size_t s = 0; s < stages; ++s) {
    std::size_t to = ranks;
    ticks least = 0;
    for (std::size_t r = 0; r < ranks; ++r) {
      if (count_[r] == chunks || (s > 0 && rank_of_[s - 1] == r && ranks > 1)) continue;
      ticks const over = std::max<ticks>(0, load_[r] + work(s) - share - share / 50);
      ticks const key = over > 0 ? forward_.back() + over : forward[r];
      if (to == ranks || key < least) to = r, least = key;
    }
    if (s + 1 == stages && kept) {
      to = ranks - 1;
      load_[to] -= tail;
    }
    if (to == ranks)
      to =
          static_cast<std::size_t>(std::min_element(count_.begin(), count_.end()) - count_.begin());
    rank_of_[s] = to;
    forward[to] += forward_[static_cast<std::size_t>(borders_[s + 1])] -
                   forward_[static_cast<std::size_t>(borders_[s])];
    load_[to] += work(s);
    ++count_[to];
  }
}

SHUNT_INLINE bool dealt_stages::complete() const {
  return std::all_of(count_.begin(), count_.end(),
                     [&](std::int32_t c) { return c > 0 && c <= chunks_; });
}

SHUNT_INLINE stage_layout dealt_stages::layout() const {
  std::vector<rank_id> ranks;
  for (std::size_t const r : rank_of_) ranks.emplace_back(r);
  return stage_layout::custom(std::move(ranks));
}

SHUNT_INLINE std::vector<ticks> dealt_stages::starts() const {
  std::vector<ticks> starts(load_.size(), -1);
  for (std::size_t s = 0; s < rank_of_.size(); ++s)
    if (auto& first = starts[rank_of_[s]]; first < 0)
      first = forward_[static_cast<std::size_t>(borders_[s])];
  return starts;
}

SHUNT_INLINE void dealt_stages::balance(std::vector<ticks> const& idle, std::int64_t effort) {
  auto const stages = rank_of_.size(), ranks = load_.size();
  // Returns whether `a` and `b` change by so much work, as neither then ends after both did.
  auto const shift = [&](std::size_t a, std::size_t b, ticks by) {
    auto const end = [&](std::size_t r, ticks more) {
      return idle[r] + job_.microbatches * (load_[r] + more);
    };
    if (std::max(end(a, by), end(b, -by)) > std::max(end(a, 0), end(b, 0))) return false;
    load_[a] += by;
    load_[b] -= by;
    return true;
  };
  for (std::int64_t step = 0; step < effort; ++step) {
    auto const s = static_cast<std::size_t>(random_.below(stages));
    auto const own = rank_of_[s];
    switch (random_.below(3)) {
      case 0: {  // two stages near to each other change ranks
        auto const other =
            std::min(stages - 1, s + 1 + static_cast<std::size_t>(random_.below(ranks)));
        if (own != rank_of_[other] && shift(own, rank_of_[other], work(other) - work(s)))
          std::swap(rank_of_[s], rank_of_[other]);
        break;
      }
      case 1: {  // a stage goes to another rank
        auto const to = static_cast<std::size_t>(random_.below(ranks));
        if (to == own || count_[own] == 1 || count_[to] == chunks_ || !shift(to, own, work(s)))
          break;
        rank_of_[s] = to;
        --count_[own], ++count_[to];
        break;
      }
      default: {  // the border before a stage moves by a layer
        std::int32_t const by = random_.below(2) == 0 ? 1 : -1;
        if (s == 0 || own == rank_of_[s - 1] ||
            (by > 0 ? borders_[s] + 1 >= borders_[s + 1] : borders_[s] - 1 <= borders_[s - 1]))
          break;
        auto const at = static_cast<std::size_t>(borders_[s]);
        ticks const more = by > 0 ? work_[at + 1] - work_[at] : work_[at - 1] - work_[at];
        if (shift(rank_of_[s - 1], own, more)) borders_[s] += by;
      }
    }
  }
}

}  // namespace shunt::detail
