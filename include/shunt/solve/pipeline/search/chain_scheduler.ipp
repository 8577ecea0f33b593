#pragma once
#include "shunt/solve/pipeline/search/chain_scheduler.hpp"

#include <algorithm>
#include <numeric>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"

namespace shunt::detail {

SHUNT_INLINE chain_scheduler::chain_scheduler(pipeline_job const& job) : job_(job), in_(job) {
  auto const ranks = static_cast<std::size_t>(job.ranks()),
             positions = static_cast<std::size_t>(job.workers());
  std::vector<std::int32_t> count(ranks + 1, 0), where(positions);
  auto const cell = [&](std::int32_t p, std::int32_t s) {
    return static_cast<std::size_t>(p) * static_cast<std::size_t>(job.stages) +
           static_cast<std::size_t>(s);
  };
  for (std::int32_t p = 0; p < job.pipelines; ++p)
    for (std::int32_t s = 0; s < job.stages; ++s) ++count[job.rank_of({p, s}).index() + 1];
  std::partial_sum(count.begin(), count.end(), count.begin());
  first_ = count;
  earlier_.push_back(0);
  positions_.resize(positions);
  for (std::int32_t p = 0; p < job.pipelines; ++p)
    for (std::int32_t s = 0; s < job.stages; ++s) {
      rank_id const r = job.rank_of({p, s});
      where[cell(p, s)] = count[r.index()]++;
      auto& q = positions_[static_cast<std::size_t>(where[cell(p, s)])];
      q.at = {p, s};
      q.rank = r.value();
      q.whole = job.stash.forward[s];
      q.early = job.stash.backward_input[s];
      q.all = job.microbatches[p];
    }
  for (auto const& q : positions_)
    earlier_.push_back(earlier_.back() + static_cast<std::size_t>(q.all));
  for (auto& q : positions_) {
    std::int32_t const p = q.at.pipeline.value(), s = q.at.stage.value();
    if (s + 1 < job.stages) q.next = where[cell(p, s + 1)];
    if (s > 0) q.previous = where[cell(p, s - 1)];
  }
  ranks_.resize(ranks);
  for (std::size_t r = 0; r < ranks; ++r) {
    auto& own = ranks_[r];
    own.cap = job.stash_limit(static_cast<std::int32_t>(r)).value_or(std::int64_t{1} << 61);
    own.chains = 0;
    std::int64_t alone = 0;
    for (auto q = first_[r]; q < first_[r + 1]; ++q) {
      bool const begins = q == first_[r] || position(q).at.pipeline != position(q - 1).at.pipeline;
      alone = (begins ? 0 : alone) + position(q).whole;
      own.alone = std::max(own.alone, alone);
      own.chains += begins;
    }
    for (auto q = first_[r + 1], last = q - 1; q-- > first_[r];) {
      if (position(q).at.pipeline != position(last).at.pipeline) last = q;
      position(q).last = last;
    }
  }
  arrival_.resize(earlier_.back() * 2);
  sequence_.reserve(earlier_.back() * 3);
  while (leaves_ < ranks) leaves_ *= 2;
}

SHUNT_INLINE std::int64_t chain_scheduler::operations() const {
  return static_cast<std::int64_t>(earlier_.back() * 3);
}

SHUNT_INLINE std::int32_t chain_scheduler::too_small() const {
  for (std::size_t r = 0; r < ranks_.size(); ++r)
    if (ranks_[r].alone > ranks_[r].cap) return static_cast<std::int32_t>(r);
  return -1;
}

SHUNT_INLINE std::size_t chain_scheduler::rank_of(std::size_t q) const {
  return static_cast<std::size_t>(positions_[q].rank);
}

SHUNT_INLINE void chain_scheduler::use(std::vector<position_costs> const& costs) {
  for (std::size_t q = 0; q < positions_.size(); ++q) positions_[q].cost = costs[q];
}

SHUNT_INLINE void chain_scheduler::hold_whole(bool whole) {
  for (auto& q : positions_) q.early = whole ? 0 : job_.stash.backward_input[q.at.stage];
}

SHUNT_INLINE void chain_scheduler::run_listed(chain_rules const& rules) {
  for (std::size_t q = 0; q < positions_.size(); ++q) positions_[q].rule = rules.positions[q];
  slope_ = rules.slope;
  drive([this](std::int32_t r, ticks now) { return listed(r, now); });
}

SHUNT_INLINE bool chain_scheduler::run_ordered(chain_order const& order, std::int32_t patience) {
  position_.assign(order.first.begin(), order.first.end() - 1);
  drive([&](std::int32_t r, ticks now) { return ordered(order, patience, r, now); });
  return sequence_.size() == earlier_.back() * 3;
}

SHUNT_INLINE chain_order chain_scheduler::order(bool weights) {
  chain_order kept{.entries = std::vector<std::int32_t>(earlier_.back() * (weights ? 3 : 2)),
                   .weights = weights};
  for (std::int32_t const q : first_)
    kept.first.push_back(earlier_[static_cast<std::size_t>(q)] * (weights ? 3 : 2));
  position_.assign(kept.first.begin(), kept.first.end() - 1);
  for (std::int32_t const e : sequence_)
    if (weights || e % 4 < 2)
      kept.entries[position_[rank_of(static_cast<std::size_t>(e / 4))]++] = e;
  return kept;
}

SHUNT_INLINE void chain_scheduler::replay(std::vector<std::int32_t> const& sequence) {
  reset();
  if (&sequence != &sequence_) sequence_ = sequence;
  for (std::int32_t const e : sequence_) {
    auto& q = position(e / 4);
    auto& own = ranks_[static_cast<std::size_t>(q.rank)];
    ticks const now = own.end;
    if (e % 4 == 2) {
      own.end = now + lasts(q, q.cost.weight, q.weights++);
      continue;
    }
    if (e % 4 == 0) {
      std::int32_t const m = q.forwards++;
      own.end = std::max(now, arrival(e / 4, m, false)) + lasts(q, q.cost.forward, m);
      if (q.next >= 0)
        arrival(q.next, m, false) = own.end + q.cost.onward;
      else
        arrival(e / 4, m, true) = own.end;
    } else {
      std::int32_t const m = q.inputs++;
      own.end = std::max(now, arrival(e / 4, m, true)) + lasts(q, q.cost.input, m);
      if (q.previous >= 0) arrival(q.previous, m, true) = own.end + q.cost.back;
    }
  }
}

SHUNT_INLINE ticks chain_scheduler::makespan() const {
  ticks last = 0;
  for (auto const& r : ranks_) last = std::max(last, r.end);
  return last;
}

SHUNT_INLINE ticks chain_scheduler::mean_end() const {
  ticks sum = 0;
  for (auto const& r : ranks_) sum += r.end / static_cast<ticks>(ranks_.size());
  return sum;
}

SHUNT_INLINE ticks chain_scheduler::idle(std::size_t r) const {
  ticks work = 0;
  for (std::int32_t q = first_[r]; q < first_[r + 1]; ++q) {
    auto const& own = positions_[static_cast<std::size_t>(q)];
    for (std::int32_t m = 0; m < own.all; ++m)
      work += lasts(own, own.cost.forward + own.cost.input + own.cost.weight, m);
  }
  return ranks_[r].end - work;
}

SHUNT_INLINE std::pair<ticks, ticks> chain_scheduler::spans(std::vector<ticks> const& steps) {
  stage_group_end_.assign(in_.all.size(), 0);
  for (std::size_t r = 0; r < ranks_.size(); ++r) {
    auto& end = stage_group_end_[stage_group_of(r)];
    end = std::max(end, ranks_[r].end);
  }
  for (std::size_t r = 0; r < ranks_.size(); ++r)
    ranks_[r].start = stage_group_end_[stage_group_of(r)];
  for (auto& q : positions_) q.forwards = q.inputs = q.weights = q.all;
  // from here on `arrival` holds the latest start of the consumer
  for (std::size_t i = sequence_.size(); i-- > 0;) {
    std::int32_t const e = sequence_[i];
    auto& q = position(e / 4);
    auto& start = ranks_[static_cast<std::size_t>(q.rank)].start;
    if (e % 4 == 2) {
      start -= lasts(q, q.cost.weight, --q.weights);
    } else if (e % 4 == 1) {
      std::int32_t const m = --q.inputs;
      if (q.previous >= 0) start = std::min(start, arrival(q.previous, m, true) - q.cost.back);
      arrival(e / 4, m, true) = start -= lasts(q, q.cost.input, m);
    } else {
      std::int32_t const m = --q.forwards;
      start = std::min(start, q.next >= 0 ? arrival(q.next, m, false) - q.cost.onward
                                          : arrival(e / 4, m, true));
      arrival(e / 4, m, false) = start -= lasts(q, q.cost.forward, m);
    }
  }
  ticks longest = 0, mean = 0;
  for (std::size_t r = 0; r < ranks_.size(); ++r) {
    ticks step = 0;
    for (stage_id const s : in_.all[stage_group_of(r)].stages) step += steps[s.index()];
    ticks const span = stage_group_end_[stage_group_of(r)] - ranks_[r].start + step;
    longest = std::max(longest, span);
    mean += span / static_cast<ticks>(ranks_.size());
  }
  return {longest, mean};
}

SHUNT_INLINE pipeline_schedule chain_scheduler::schedule(std::vector<std::int32_t> const& sequence,
                                                         bool staggered_step) {
  pipeline_schedule plan{.order = indexed<rank_id, std::vector<operation>>(ranks_.size()),
                         .staggered_step = staggered_step};
  for (std::size_t r = 0; r < ranks_.size(); ++r)
    plan.order[rank_id{r}].reserve((earlier_[static_cast<std::size_t>(first_[r + 1])] -
                                    earlier_[static_cast<std::size_t>(first_[r])]) *
                                       3 +
                                   static_cast<std::size_t>(first_[r + 1] - first_[r]));
  for (auto& q : positions_) q.forwards = q.inputs = q.weights = 0;
  for (std::int32_t const e : sequence) {
    auto& q = position(e / 4);
    std::int32_t const m = e % 4 == 0 ? q.forwards++ : e % 4 == 1 ? q.inputs++ : q.weights++;
    op_kind const kind = e % 4 == 0   ? op_kind::forward
                         : e % 4 == 1 ? op_kind::backward_input
                                      : op_kind::backward_weight;
    plan.order[q.rank].push_back({kind, q.at.pipeline, q.at.stage, m});
  }
  for (std::size_t r = 0; r < ranks_.size(); ++r)
    for (stage_id const s : in_.all[stage_group_of(r)].stages)
      plan.order[rank_id{r}].push_back({.kind = op_kind::step, .stage = s});
  return plan;
}

SHUNT_INLINE bool chain_scheduler::position_state::older_than(std::int32_t m,
                                                              std::int32_t p) const {
  return forwards < m || (forwards == m && at.pipeline < p);
}

SHUNT_INLINE chain_scheduler::position_state& chain_scheduler::position(std::int32_t q) {
  return positions_[static_cast<std::size_t>(q)];
}

SHUNT_INLINE ticks& chain_scheduler::arrival(std::int32_t q, std::int32_t m, bool input) {
  auto const at = static_cast<std::size_t>(q);
  return arrival_[2 * earlier_[at] + static_cast<std::size_t>(input ? positions_[at].all + m : m)];
}

SHUNT_INLINE std::size_t chain_scheduler::stage_group_of(std::size_t r) const {
  return static_cast<std::size_t>(in_.of[rank_id{r}]);
}

SHUNT_INLINE void chain_scheduler::reset() {
  for (std::size_t i = 0; i < positions_.size(); ++i) {
    auto& q = positions_[i];
    q.forwards = q.inputs = q.weights = q.inputs_known = 0;
    q.forwards_known = q.previous < 0 ? q.all : 0;
    if (q.previous < 0)
      for (std::int32_t m = 0; m < q.all; ++m) arrival(static_cast<std::int32_t>(i), m, false) = 0;
  }
  for (auto& r : ranks_) {
    r.end = 0;
    r.held = 0;
    r.waits = true;
  }
}

SHUNT_INLINE void chain_scheduler::wake(std::int32_t r, ticks when) {
  auto i = leaves_ + static_cast<std::size_t>(r);
  tree_[i] = when;
  while (i > 1) {
    i /= 2;
    tree_[i] = std::min(tree_[2 * i], tree_[2 * i + 1]);
  }
}

SHUNT_INLINE void chain_scheduler::begin(choice const& c, std::int32_t r, ticks now) {
  auto& q = position(c.position);
  auto& own = ranks_[static_cast<std::size_t>(r)];
  sequence_.push_back(c.position * 4 + c.kind);
  if (c.kind == 0) {
    std::int32_t const m = q.forwards++;
    own.end = now + lasts(q, q.cost.forward, m);
    own.held += q.whole;
    if (q.next >= 0) {
      post(q.next, m, own.end + q.cost.onward, false);
    } else {
      arrival(c.position, m, true) = own.end;  // its own loss
      ++q.inputs_known;
    }
  } else if (c.kind == 1) {
    std::int32_t const m = q.inputs++;
    own.end = now + lasts(q, q.cost.input, m);
    own.held -= q.early;
    if (q.previous >= 0) post(q.previous, m, own.end + q.cost.back, true);
  } else {
    own.end = now + lasts(q, q.cost.weight, q.weights++);
    own.held -= q.whole - q.early;
  }
  wake(r, own.end);
}

SHUNT_INLINE void chain_scheduler::post(std::int32_t to, std::int32_t m, ticks when, bool input) {
  auto& q = position(to);
  arrival(to, m, input) = when;
  ++(input ? q.inputs_known : q.forwards_known);
  if (ranks_[static_cast<std::size_t>(q.rank)].waits &&
      tree_[leaves_ + static_cast<std::size_t>(q.rank)] > when)
    wake(q.rank, when);
}

SHUNT_INLINE bool chain_scheduler::reserve::younger(std::int32_t m, std::int32_t p) const {
  return m > microbatch || (m == microbatch && p > pipeline);
}

SHUNT_INLINE chain_scheduler::reserve chain_scheduler::reserve_of(std::int32_t r) {
  auto const& own = ranks_[static_cast<std::size_t>(r)];
  std::int32_t const from = first_[static_cast<std::size_t>(r)],
                     to = first_[static_cast<std::size_t>(r) + 1];
  auto const& only = position(to - 1);
  reserve oldest{only.forwards, only.at.pipeline.value(), own.cap - own.alone};
  if (own.chains > 1 && only.forwards == only.all) oldest.microbatch = job_.microbatches.most();
  if (own.chains > 1)
    for (std::int32_t q = from; q < to; ++q)
      if (auto const& s = position(q);
          s.last == q && s.forwards < s.all && s.older_than(oldest.microbatch, oldest.pipeline)) {
        oldest.microbatch = s.forwards;
        oldest.pipeline = s.at.pipeline.value();
      }
  for (std::int32_t q = from; q < to; ++q) {
    auto const& s = position(q);
    std::int32_t const not_younger = oldest.microbatch + (s.at.pipeline.value() <= oldest.pipeline);
    if (s.forwards > not_younger) oldest.room -= (s.forwards - not_younger) * s.whole;
  }
  return oldest;
}

SHUNT_INLINE chain_scheduler::choice chain_scheduler::listed(std::int32_t r, ticks now) {
  auto const& own = ranks_[static_cast<std::size_t>(r)];
  std::int32_t const from = first_[static_cast<std::size_t>(r)],
                     to = first_[static_cast<std::size_t>(r) + 1];
  auto const kept = reserve_of(r);
  choice best;
  ticks least = never;
  for (std::int32_t i = from; i < to; ++i) {
    auto& q = position(i);
    auto const consider = [&](std::int32_t kind, ticks key) {
      if (key >= least) return;
      least = key;
      best.position = i;
      best.kind = kind;
    };
    if (q.inputs < q.inputs_known) {
      ticks const there = arrival(i, q.inputs, true);
      if (there <= now)
        consider(1, q.rule.input + q.inputs * slope_);
      else
        best.again = std::min(best.again, there);
    }
    if (q.forwards < q.forwards_known && q.forwards - q.inputs < q.rule.in_flight &&
        own.held + q.whole <= own.cap &&
        (!kept.younger(q.forwards, q.at.pipeline.value()) || q.whole <= kept.room)) {
      ticks const there = arrival(i, q.forwards, false);
      if (there <= now)
        consider(0, q.rule.forward + q.forwards * slope_);
      else
        best.again = std::min(best.again, there);
    }
    if (q.weights < q.inputs) consider(2, q.rule.weight + q.weights * slope_);
  }
  return best;
}

SHUNT_INLINE chain_scheduler::choice chain_scheduler::ordered(chain_order const& order,
                                                              std::int32_t patience, std::int32_t r,
                                                              ticks now) {
  auto const at = static_cast<std::size_t>(r);
  auto const& own = ranks_[at];
  choice next;
  bool full = false;
  if (position_[at] < order.first[at + 1]) {
    std::int32_t const e = order.entries[position_[at]], i = e / 4, kind = e % 4;
    auto const& q = position(i);
    full = kind == 0 && own.held + q.whole > own.cap;
    if (!full && (kind == 0   ? q.forwards < q.forwards_known
                  : kind == 1 ? q.inputs < q.inputs_known
                              : q.weights < q.inputs)) {
      ticks const there =
          kind == 2 ? now : arrival(i, kind == 1 ? q.inputs : q.forwards, kind == 1);
      if (there <= now) {
        ++position_[at];
        return {i, kind, never};
      }
      next.again = there;
    }
  }
  if (order.weights) return next;
  for (std::int32_t i = first_[at], oldest = job_.microbatches.most(); i < first_[at + 1]; ++i)
    if (auto const& q = position(i); q.weights < q.inputs && q.weights < oldest) {
      oldest = q.weights;
      next.position = i;
      next.kind = 2;
    }
  if (next.position < 0 || full || next.again == never) return next;
  auto const& filler = position(next.position);
  ticks const weight = lasts(filler, filler.cost.weight, filler.weights);
  if (next.again - now < weight / 4 * patience + (weight % 4 * patience + 3) / 4)
    next.position = -1;
  return next;
}

}  // namespace shunt::detail
