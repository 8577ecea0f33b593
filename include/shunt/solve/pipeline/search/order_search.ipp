#pragma once
#include "shunt/solve/pipeline/search/order_search.hpp"

#include <algorithm>
#include <limits>

#include "shunt/core/config.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt::detail {

SHUNT_INLINE order_search::order_search(pipeline_job const& job, pipeline_schedule const& plan,
                                        bool reroute, std::int64_t effort)
    : job_(job),
      timed_(job, plan),
      staggered_(plan.staggered_step),
      reroute_(reroute && (!job.dead.empty() || job.uneven())),
      reroute_all_(reroute && job.uneven()),
      left_(effort) {
  moved_.resize(timed_.items.size(), 0);
  for (auto const& x : timed_.items) rank_of_.push_back(x.rank);
}

SHUNT_INLINE pipeline_schedule order_search::best(ticks bound) {
  ticks steps = 0;
  if (!staggered_)
    for (ticks const all : longest_steps(job_, stage_groups(job_))) steps = std::max(steps, all);
  timed_.run();
  current_ = best_ = timed_.value();
  keep();
  std::int64_t stalled = 0;
  for (round_ = 1; best_.first + steps > bound && left_ > 0; ++round_) {
    if (!step()) {
      if (!shake()) break;
      continue;
    }
    if (current_ < best_) {
      best_ = current_;
      keep();
      stalled = 0;
    } else if (++stalled > patience) {
      stalled = 0;
      if (!shake()) break;
    }
  }
  recall();
  return timed_.plan();
}

SHUNT_INLINE void order_search::keep() {
  kept_ = timed_.order;
  for (std::size_t i = 0; i < rank_of_.size(); ++i) rank_of_[i] = timed_.items[i].rank;
}

SHUNT_INLINE void order_search::recall() {
  timed_.order = kept_;
  for (std::size_t i = 0; i < rank_of_.size(); ++i) timed_.place_on(rank_of_[i], timed_.items[i]);
}

SHUNT_INLINE void order_search::find_blocks() {
  blocks_.clear();
  positions();
  auto const stage_group_count = staggered_ ? timed_.starts.size() : 0;
  std::vector<char> seen(std::max<std::size_t>(1, stage_group_count), 0);
  // start at the longest stage group, on the rank of it that ends last
  std::int32_t last = none;
  ticks longest = no_start;
  for (std::size_t r = 0; r < timed_.order.size(); ++r) {
    if (timed_.order[r].empty()) continue;
    auto const i = timed_.order[r].back();
    ticks const length =
        timed_.end_of(i) -
        (staggered_ ? timed_.starts[at(timed_.stage_group_of(static_cast<std::int32_t>(r)))] : 0);
    if (length > longest) {
      longest = length;
      last = i;
    }
  }
  while (last != none) {
    std::int32_t const stage_group = trace(last);
    last = none;
    if (!staggered_ || seen[at(stage_group)]) break;
    seen[at(stage_group)] = 1;
    ticks latest = no_start;
    for (std::size_t r = 0; r < timed_.order.size(); ++r)
      if (!timed_.order[r].empty() &&
          timed_.stage_group_of(static_cast<std::int32_t>(r)) == stage_group)
        if (ticks const e = timed_.end_of(timed_.order[r].back()); e > latest) {
          latest = e;
          last = timed_.order[r].back();
        }
  }
}

SHUNT_INLINE std::int32_t order_search::trace(std::int32_t i) {
  for (;;) {
    auto const rank = timed_.items[at(i)].rank;
    auto const& list = timed_.order[at(rank)];
    std::size_t const behind = position_[at(i)];
    std::size_t first = behind;
    std::int32_t source = none;
    for (;; --first) {
      auto const& x = timed_.items[at(list[first])];
      ticks const start = timed_.end_of(list[first]) - x.duration;
      bool const joined = first > 0 && timed_.end_of(list[first - 1]) == start;
      if (joined && !(first < behind && random_() % 8 == 0 && fed(x, rank, start) != none))
        continue;
      source = fed(x, rank, start);
      if (source == none && x.step) source = last_of_stage(x.first.stage, start);
      break;
    }
    blocks_.push_back({rank, first, behind});
    if (source == none) return timed_.stage_group_of(rank);
    i = source;
  }
}

SHUNT_INLINE std::int32_t order_search::fed(timed_schedule::item const& x, std::int32_t rank,
                                            ticks start) const {
  for (std::int32_t const p : x.producer)
    if (p != none && timed_.arrival(p, rank) == start) return p;
  return none;
}

SHUNT_INLINE std::int32_t order_search::last_of_stage(stage_id s, ticks end) const {
  for (std::size_t i = 0; i < timed_.items.size(); ++i) {
    auto const& x = timed_.items[i];
    if (!x.step && (x.first.stage == s || (x.pair && x.second.stage == s)) &&
        timed_.end_of(static_cast<std::int32_t>(i)) == end)
      return static_cast<std::int32_t>(i);
  }
  return none;
}

SHUNT_INLINE void order_search::positions() {
  position_.resize(timed_.items.size());
  for (auto const& list : timed_.order)
    for (std::size_t k = 0; k < list.size(); ++k) position_[at(list[k])] = k;
}

SHUNT_INLINE void order_search::find_moves() {
  moves_.clear();
  find_blocks();
  for (block const& b : blocks_) {
    auto const& list = timed_.order[at(b.rank)];
    for (std::size_t k = b.first; k <= b.last; ++k) {
      auto const& x = timed_.items[at(list[k])];
      std::size_t left = k, right = k;
      while (left > b.first && !timed_.must_precede(timed_.items[at(list[left - 1])], x)) --left;
      while (right < b.last && !timed_.must_precede(x, timed_.items[at(list[right + 1])])) ++right;
      if (left < k) moves_.push_back({.item = list[k], .from = k, .to = left});
      if (left + 1 < k) moves_.push_back({.item = list[k], .from = k, .to = k - 1});
      if (right > k) moves_.push_back({.item = list[k], .from = k, .to = right});
      if (right > k + 1) moves_.push_back({.item = list[k], .from = k, .to = k + 1});
      if (reroute_ && !x.step && !x.pair &&
          (reroute_all_ || !job_.alive(worker{x.first.pipeline, x.first.stage})))
        for (rank_id const q : job_.live_holders(x.first.stage))
          if (q != b.rank) moves_.push_back({.item = list[k], .to_rank = q.value()});
    }
  }
}

SHUNT_INLINE void order_search::shift(std::vector<std::int32_t>& list, std::size_t from,
                                      std::size_t to) {
  auto const first = list.begin() + static_cast<std::ptrdiff_t>(std::min(from, to)),
             last = list.begin() + static_cast<std::ptrdiff_t>(std::max(from, to)) + 1;
  if (from < to)
    std::rotate(first, first + 1, last);
  else
    std::rotate(first, last - 1, last);
}

SHUNT_INLINE bool order_search::rehost(move const& m) {
  operation const o = timed_.items[at(m.item)].first;
  auto& target = timed_.order[at(m.to_rank)];
  auto& source = timed_.order[at(timed_.items[at(m.item)].rank)];
  std::size_t least = 0;
  for (std::int32_t const i : {timed_.forward(o), timed_.gradient(o), timed_.weight(o)}) {
    if (i == none) continue;
    auto& x = timed_.items[at(i)];
    if (x.pair) return false;
    ticks const start = when_[at(i)] - x.duration;
    std::size_t to = least;
    while (to < target.size() &&
           when_[at(target[to])] - timed_.items[at(target[to])].duration < start &&
           !timed_.items[at(target[to])].step)
      ++to;
    source.erase(std::find(source.begin(), source.end(), i));
    target.insert(target.begin() + static_cast<std::ptrdiff_t>(to), i);
    timed_.place_on(m.to_rank, x);
    least = to + 1;
  }
  return true;
}

SHUNT_INLINE bool order_search::make(move const& m) {
  auto const rank = timed_.items[at(m.item)].rank;
  if (m.to_rank != none) {
    saved_ = {timed_.order[at(rank)], timed_.order[at(m.to_rank)]};
    return rehost(m) && timed_.keeps_cap(m.to_rank) && timed_.keeps_cap(rank);
  }
  shift(timed_.order[at(rank)], m.from, m.to);
  return timed_.keeps_cap(rank);
}

SHUNT_INLINE void order_search::undo(move const& m, std::int32_t rank) {
  if (m.to_rank == none) return shift(timed_.order[at(rank)], m.to, m.from);
  timed_.order[at(rank)] = std::move(saved_.first);
  timed_.order[at(m.to_rank)] = std::move(saved_.second);
  operation const o = timed_.items[at(m.item)].first;
  for (std::int32_t const i : {timed_.forward(o), timed_.gradient(o), timed_.weight(o)})
    if (i != none && !timed_.items[at(i)].pair) timed_.place_on(rank, timed_.items[at(i)]);
}

SHUNT_INLINE void order_search::remember_times() {
  if (!reroute_) return;
  when_.resize(timed_.items.size());
  for (std::size_t i = 0; i < when_.size(); ++i)
    when_[i] = timed_.end_of(static_cast<std::int32_t>(i));
}

SHUNT_INLINE void order_search::sample() {
  if (moves_.size() <= most_moves) return;
  for (std::size_t k = 0; k < most_moves; ++k)
    std::swap(moves_[k], moves_[k + random_() % (moves_.size() - k)]);
  moves_.resize(most_moves);
}

SHUNT_INLINE bool order_search::step() {
  find_moves();
  remember_times();
  sample();
  bool const rough = timed_.lanes() > most_lanes;
  std::size_t chosen = moves_.size();
  score least{};
  for (std::size_t k = 0; k < moves_.size() && left_ > 0; ++k) {
    move const& m = moves_[k];
    auto const rank = timed_.items[at(m.item)].rank;
    if (make(m)) {
      bool const works = rough ? timed_.run_at_starts() : timed_.run();
      left_ -= timed_.work();
      if (works) {
        score const now =
            rough ? timed_.value_at_starts()
                  : timed_.value(chosen < moves_.size() ? least.first
                                                        : std::numeric_limits<ticks>::max());
        bool const allowed = moved_[at(m.item)] <= round_ || now < best_;
        if (allowed && (chosen == moves_.size() || now < least)) {
          least = now;
          chosen = k;
        }
      }
    }
    undo(m, rank);
  }
  if (chosen == moves_.size()) return false;
  make(moves_[chosen]);
  moved_[at(moves_[chosen].item)] = round_ + 8 + static_cast<std::int64_t>(random_() % 10);
  timed_.run();
  current_ = timed_.value();
  return true;
}

SHUNT_INLINE bool order_search::shake() {
  recall();
  std::fill(moved_.begin(), moved_.end(), 0);
  timed_.run();
  current_ = timed_.value();
  bool any = false;
  for (std::uint64_t kicks = 4 + random_() % 12; kicks > 0 && left_ > 0; --kicks) {
    find_moves();
    remember_times();
    if (moves_.empty()) break;
    move const m = moves_[random_() % moves_.size()];
    auto const rank = timed_.items[at(m.item)].rank;
    left_ -= timed_.work();
    if (make(m) && timed_.run()) {
      current_ = timed_.value();
      any = true;
    } else {
      undo(m, rank);
      timed_.run();
      current_ = timed_.value();
    }
  }
  return any || !moves_.empty();
}

}  // namespace shunt::detail
