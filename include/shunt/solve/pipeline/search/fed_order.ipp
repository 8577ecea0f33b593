#pragma once
#include "shunt/solve/pipeline/search/fed_order.hpp"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"

namespace shunt::detail {

SHUNT_INLINE fed_order::fed_order(pipeline_job const& job)
    : count_(job.microbatches[0]), tree_(static_cast<std::size_t>(job.ranks())) {
  auto const ranks = static_cast<std::size_t>(job.ranks()),
             stages = static_cast<std::size_t>(job.stages);
  first_.assign(ranks + 1, 0);
  ranks_.resize(ranks);
  std::vector<std::size_t> rank_of;
  for (std::int32_t s = 0; s < job.stages; ++s) {
    rank_of.push_back(job.rank_of({0, s}).index());
    ++first_[rank_of.back() + 1];
  }
  std::partial_sum(first_.begin(), first_.end(), first_.begin());
  auto free = first_;
  std::vector<std::int32_t> where;
  for (std::size_t const r : rank_of) where.push_back(free[r]++);
  positions_.resize(stages);
  std::vector<ticks> work(ranks, 0);
  ticks before = 0;
  for (std::size_t s = 0; s < stages; ++s) {
    stage_id const stage{s};
    auto& q = position(where[s]);
    q.forward = job.costs.forward[stage];
    q.input = job.costs.backward_input[stage];
    q.weight = job.costs.backward_weight[stage];
    q.rank = static_cast<std::int32_t>(rank_of[s]);
    q.before = before;
    auto const link = [&](std::size_t to) {
      return job.transfer(rank_id{rank_of[s]}, rank_id{rank_of[to]});
    };
    if (s + 1 < stages) q.next = where[s + 1], q.onward = link(s + 1);
    if (s > 0) q.previous = where[s - 1], q.back = link(s - 1);
    before += q.forward + q.onward;
    work[rank_of[s]] += q.forward + q.input + q.weight;
  }
  slope_ = *std::max_element(work.begin(), work.end());
  auto const first = where[0];
  arrival_.assign(2 * stages * static_cast<std::size_t>(count_), 0);
  position(first).forwards_known = count_;
  ranks_[rank_of[0]].queued = position(first).forward * count_;
  sequence_.reserve(3 * stages * static_cast<std::size_t>(count_));
  for (std::size_t r = 0; r < ranks; ++r) tree_.set(static_cast<std::int32_t>(r), 0);
}

SHUNT_INLINE void fed_order::run(ticks until) {
  while (true) {
    auto const r = tree_.winner();
    ticks const now = tree_[r];
    if (now == winner_tree::never || now >= until) return;
    ticks again = winner_tree::never;
    auto const c = choose(r, now, again);
    ranks_[static_cast<std::size_t>(r)].waits = c.position < 0;
    if (c.position < 0)
      tree_.set(r, again);
    else
      begin(c, r, now);
  }
}

SHUNT_INLINE std::vector<ticks> fed_order::idle() const {
  std::vector<ticks> all;
  for (auto const& r : ranks_) all.push_back(r.idle);
  return all;
}

SHUNT_INLINE fed_order::position_state& fed_order::position(std::int32_t q) {
  return positions_[static_cast<std::size_t>(q)];
}

SHUNT_INLINE ticks& fed_order::arrival(std::int32_t q, std::int32_t m, bool input) {
  return arrival_[(2 * static_cast<std::size_t>(q) + input) * static_cast<std::size_t>(count_) +
                  static_cast<std::size_t>(m)];
}

SHUNT_INLINE fed_order::choice fed_order::forward_of(std::int32_t at, ticks now) {
  auto const& q = position(at);
  ticks const age = q.forwards * slope_ + 3 * q.before;
  if (q.forwards < 2 || q.next < 0) return {at, 0, 1, age};
  auto const& to = ranks_[static_cast<std::size_t>(position(q.next).rank)];
  ticks const has = to.queued + std::max<ticks>(0, to.end - now);
  if (has < q.forward) return {at, 0, 2, has};
  return {at, 0, 3, age};
}

SHUNT_INLINE fed_order::choice fed_order::choose(std::int32_t r, ticks now, ticks& again) {
  auto const at = static_cast<std::size_t>(r);
  choice best;
  std::int32_t oldest = 0;  // micro-batch of the best, which breaks ties
  auto const consider = [&](choice const& c, std::int32_t m) {
    if (best.position >= 0 && std::tie(best.rule, best.key, oldest) <= std::tie(c.rule, c.key, m))
      return;
    best = c;
    oldest = m;
  };
  for (auto i = first_[at]; i < first_[at + 1]; ++i) {
    auto const& q = position(i);
    if (q.inputs < q.inputs_known) {
      if (ticks const there = arrival(i, q.inputs, true); there <= now)
        consider({i, 1, 0, q.inputs}, -i);
      else
        again = std::min(again, there);
    }
    if (q.forwards < q.forwards_known) {
      if (ticks const there = arrival(i, q.forwards, false); there <= now)
        consider(forward_of(i, now), q.forwards);
      else
        again = std::min(again, there);
    }
    if (q.weights < q.inputs) consider({i, 2, 4, q.weights}, i);
  }
  return best;
}

SHUNT_INLINE void fed_order::begin(choice const& c, std::int32_t r, ticks now) {
  auto& q = position(c.position);
  auto& own = ranks_[static_cast<std::size_t>(r)];
  sequence_.push_back(4 * c.position + c.kind);
  own.idle += now - own.end;
  if (c.kind == 0) {
    std::int32_t const m = q.forwards++;
    own.queued -= q.forward;
    own.end = now + q.forward;
    if (q.next >= 0) {
      ranks_[static_cast<std::size_t>(position(q.next).rank)].queued += position(q.next).forward;
      post(q.next, m, own.end + q.onward, false);
    } else {
      arrival(c.position, m, true) = own.end;  // its own loss
      ++q.inputs_known;
    }
  } else if (c.kind == 1) {
    std::int32_t const m = q.inputs++;
    own.end = now + q.input;
    if (q.previous >= 0) post(q.previous, m, own.end + q.back, true);
  } else {
    ++q.weights;
    own.end = now + q.weight;
  }
  tree_.set(r, own.end);
}

SHUNT_INLINE void fed_order::post(std::int32_t to, std::int32_t m, ticks when, bool input) {
  auto& q = position(to);
  arrival(to, m, input) = when;
  ++(input ? q.inputs_known : q.forwards_known);
  if (ranks_[static_cast<std::size_t>(q.rank)].waits && tree_[q.rank] > when)
    tree_.set(q.rank, when);
}

}  // namespace shunt::detail
