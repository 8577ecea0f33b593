#pragma once
#include "shunt/solve/pipeline/search/timed_schedule.hpp"

#include <algorithm>

#include "shunt/core/config.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/measure/operation_graph.hpp"

namespace shunt::detail {

SHUNT_INLINE timed_schedule::timed_schedule(pipeline_job const& job, pipeline_schedule const& plan)
    : job_(job), plan_(plan), in_(job), uneven_(job.uneven()) {
  lanes_ = plan.staggered_step ? in_.all.size() : 1;
  auto const ranks = static_cast<std::size_t>(job.ranks());
  order.resize(ranks);
  auto const cells = job.cells();
  for (auto* table : {&forward_, &gradient_, &weight_}) table->resize(cells, none);
  for (rank_id r : ids<rank_id>(job.ranks())) {
    std::size_t next_pair = 0;
    auto const& list = plan.order[r];
    for (std::size_t i = 0; i < list.size(); ++i) {
      item x{.first = list[i],
             .step = list[i].kind == op_kind::step,
             .rank = r.value(),
             .duration = cost_of(job, list[i], r)};
      if (x.step && !plan.staggered_step) continue;  // all steps stand at the end
      if (!plan.overlapped.empty() && next_pair < plan.overlapped[r].size() &&
          at(plan.overlapped[r][next_pair]) == i) {
        ++next_pair;
        x.pair = true;
        x.second = list[++i];
        x.duration = cost_of(job, x.first, x.second, r);
      }
      enter(x.first);
      if (x.pair) enter(x.second);
      order[r.index()].push_back(static_cast<std::int32_t>(items.size()));
      items.push_back(x);
    }
  }
  for (item& x : items) {
    if (x.step) continue;
    x.producer[0] = producer_of(x.first);
    if (x.pair) x.producer[1] = producer_of(x.second);
  }
  ends_.resize(items.size() * lanes_);
  done_.resize(items.size());
  waiter_.resize(items.size());
  next_waiter_.resize(ranks);
  next_.resize(ranks);
  before_step_.resize(at(job.stages));
  path_.assign(in_.all.size(), stage_group_starts(in_.all.size(), no_start));
}

SHUNT_INLINE std::int64_t timed_schedule::work() const {
  return static_cast<std::int64_t>(items.size() * lanes_);
}

SHUNT_INLINE std::int32_t timed_schedule::stage_group_of(std::int32_t rank) const {
  return in_.of[rank_id{rank}];
}

SHUNT_INLINE std::int32_t timed_schedule::forward(operation const& o) const {
  return forward_[cell(o, o.stage)];
}

SHUNT_INLINE std::int32_t timed_schedule::gradient(operation const& o) const {
  return gradient_[cell(o, o.stage)];
}

SHUNT_INLINE void timed_schedule::place_on(std::int32_t rank, item& x) const {
  x.rank = rank;
  if (!uneven_) return;
  x.duration = x.pair ? cost_of(job_, x.first, x.second, rank_id{rank})
                      : cost_of(job_, x.first, rank_id{rank});
}

SHUNT_INLINE bool timed_schedule::must_precede(item const& x, item const& y) const {
  auto const parts = [&](operation const& a, operation const& b) {
    if (a.stage != b.stage || a.kind == op_kind::step) return false;
    if (b.kind == op_kind::step) return true;
    if (a.pipeline != b.pipeline) return false;
    if (a.microbatch == b.microbatch) return place(a.kind) < place(b.kind);
    return a.kind == b.kind && a.microbatch < b.microbatch && job_.dead.empty() &&
           !uneven_;  // equal micro-batches are interchangeable
  };
  return parts(x.first, y.first) || (y.pair && parts(x.first, y.second)) ||
         (x.pair && parts(x.second, y.first)) || (x.pair && y.pair && parts(x.second, y.second));
}

SHUNT_INLINE bool timed_schedule::keeps_cap(std::int32_t rank) const {
  auto const most = job_.stash_limit(rank_id{rank});
  if (!most) return true;
  std::int64_t held = 0;
  auto const add = [&](operation const& o) {
    if (o.kind == op_kind::step) return true;
    auto const whole = job_.stash.forward[o.stage], early = job_.stash.backward_input[o.stage];
    held += o.kind == op_kind::forward          ? whole
            : o.kind == op_kind::backward       ? -whole
            : o.kind == op_kind::backward_input ? -early
                                                : early - whole;
    return o.kind != op_kind::forward || held <= *most;
  };
  for (std::int32_t const i : order[at(rank)])
    if (!add(items[at(i)].first) || (items[at(i)].pair && !add(items[at(i)].second))) return false;
  return true;
}

SHUNT_INLINE timed_schedule::score timed_schedule::value(ticks worst) {
  find_stage_group_ends();
  if (!plan_.staggered_step) return {*std::max_element(path_[0].begin(), path_[0].end()), sum_};
  ticks low = 0, high = 0;
  for (std::size_t c = 0; c < path_.size(); ++c) {
    low = std::max(low, path_[c][c]);
    for (ticks const e : path_[c]) high = std::max(high, e);
  }
  if (low > worst || settles(path_, low, starts)) return {low, sum_};
  return {least_theta(path_, low + 1, high, starts), sum_};
}

SHUNT_INLINE timed_schedule::score timed_schedule::value_at_starts() {
  if (!plan_.staggered_step) return value();
  find_stage_group_ends();
  ticks longest = 0;
  for (std::size_t c = 0; c < starts.size(); ++c)
    longest = std::max(longest, path_[0][c] - starts[c]);
  return {longest, sum_};
}

SHUNT_INLINE ticks timed_schedule::end_of(std::int32_t i) const {
  if (!plan_.staggered_step) return ends_[at(i)];
  ticks end = no_start;
  for (std::size_t c = 0; c < lanes_; ++c)
    end = std::max(end, starts[c] + ends_[at(i) * lanes_ + c]);
  return end;
}

SHUNT_INLINE ticks timed_schedule::arrival(std::int32_t producer, std::int32_t rank) const {
  return end_of(producer) + job_.transfer(rank_id{items[at(producer)].rank}, rank_id{rank});
}

SHUNT_INLINE pipeline_schedule timed_schedule::plan() const {
  pipeline_schedule result{.order = indexed<rank_id, std::vector<operation>>(order.size()),
                           .staggered_step = plan_.staggered_step};
  if (!plan_.overlapped.empty()) result.overlapped.resize(order.size());
  for (rank_id r : ids<rank_id>(job_.ranks())) {
    auto& list = result.order[r];
    for (std::int32_t const i : order[r.index()]) {
      item const& x = items[at(i)];
      if (x.pair) result.overlapped[r].push_back(static_cast<std::int32_t>(list.size()));
      list.push_back(x.first);
      if (x.pair) list.push_back(x.second);
    }
    if (plan_.staggered_step) continue;
    for (operation const& o : plan_.order[r])
      if (o.kind == op_kind::step) list.push_back(o);
  }
  return result;
}

SHUNT_INLINE int timed_schedule::place(op_kind k) {
  return k == op_kind::forward ? 0 : k == op_kind::backward_weight ? 2 : 1;
}

SHUNT_INLINE std::size_t timed_schedule::cell(operation const& o, stage_id s) const {
  return job_.cell(o.pipeline, s, o.microbatch);
}

SHUNT_INLINE void timed_schedule::enter(operation const& o) {
  if (o.kind == op_kind::step) return;
  auto& table = o.kind == op_kind::forward           ? forward_
                : o.kind == op_kind::backward_weight ? weight_
                                                     : gradient_;
  table[cell(o, o.stage)] = static_cast<std::int32_t>(items.size());
}

SHUNT_INLINE std::int32_t timed_schedule::producer_of(operation const& o) const {
  if (o.kind == op_kind::forward)
    return o.stage > 0 ? forward_[cell(o, o.stage.value() - 1)] : none;
  if (o.kind == op_kind::backward_weight || o.stage.value() + 1 == job_.stages) return none;
  return gradient_[cell(o, o.stage.value() + 1)];
}

SHUNT_INLINE bool timed_schedule::run(std::size_t lanes) {
  lanes_ = lanes;
  std::fill(done_.begin(), done_.end(), false);
  std::fill(waiter_.begin(), waiter_.end(), none);
  std::fill(next_.begin(), next_.end(), 0);
  if (plan_.staggered_step) {
    left_.assign(before_step_.size(), 0);
    ready_.assign(before_step_.size() * lanes_, no_start);
    for (auto& list : before_step_) list.clear();
    for (item const& x : items) {
      left_[x.first.stage.index()] += !x.step;
      if (x.pair) ++left_[x.second.stage.index()];
    }
  }
  std::size_t reached = 0;
  runnable_.clear();
  for (std::size_t r = order.size(); r-- > 0;) runnable_.push_back(static_cast<std::int32_t>(r));
  while (!runnable_.empty()) {
    std::int32_t const r = runnable_.back();
    runnable_.pop_back();
    auto const& list = order[at(r)];
    for (std::size_t& i = next_[at(r)]; i < list.size(); ++i) {
      std::int32_t const own = list[i];
      item const& x = items[at(own)];
      if (x.step && left_[x.first.stage.index()] > 0) {
        before_step_[x.first.stage.index()].push_back(r);
        break;
      }
      std::int32_t blocked = none;
      for (std::int32_t const p : x.producer)
        if (p != none && !done_[at(p)]) blocked = p;
      if (blocked != none) {
        next_waiter_[at(r)] = waiter_[at(blocked)];
        waiter_[at(blocked)] = r;
        break;
      }
      time(x, own, i > 0 ? list[i - 1] : none);
      done_[at(own)] = true;
      ++reached;
      for (std::int32_t w = waiter_[at(own)]; w != none; w = next_waiter_[at(w)])
        runnable_.push_back(w);
      if (x.step || !plan_.staggered_step) continue;
      reduce(x.first.stage, own);
      if (x.pair) reduce(x.second.stage, own);
    }
  }
  return reached == items.size();
}

SHUNT_INLINE void timed_schedule::time(item const& x, std::int32_t own, std::int32_t before) {
  ticks* const end = &ends_[at(own) * lanes_];
  if (before != none) {
    std::copy_n(&ends_[at(before) * lanes_], lanes_, end);
  } else {
    std::fill_n(end, lanes_, plan_.staggered_step ? no_start : 0);
    auto const stage_group = at(stage_group_of(x.rank));
    if (plan_.staggered_step && lanes_ == in_.all.size()) end[stage_group] = 0;
    if (plan_.staggered_step && lanes_ != in_.all.size()) end[0] = starts[stage_group];
  }
  auto const after = [&](ticks const* other, ticks delay) {
    for (std::size_t c = 0; c < lanes_; ++c) end[c] = std::max(end[c], other[c] + delay);
  };
  for (std::int32_t const p : x.producer)
    if (p != none)
      after(&ends_[at(p) * lanes_], job_.transfer(rank_id{items[at(p)].rank}, rank_id{x.rank}));
  if (x.step) after(&ready_[x.first.stage.index() * lanes_], 0);
  for (std::size_t c = 0; c < lanes_; ++c) end[c] = end[c] < 0 ? no_start : end[c] + x.duration;
}

SHUNT_INLINE void timed_schedule::reduce(stage_id s, std::int32_t own) {
  for (std::size_t c = 0; c < lanes_; ++c)
    ready_[s.index() * lanes_ + c] =
        std::max(ready_[s.index() * lanes_ + c], ends_[at(own) * lanes_ + c]);
  if (--left_[s.index()] == 0)
    for (std::int32_t const w : before_step_[s.index()]) runnable_.push_back(w);
}

SHUNT_INLINE void timed_schedule::find_stage_group_ends() {
  for (auto& row : path_) std::fill(row.begin(), row.end(), no_start);
  sum_ = 0;
  bool const at_starts = plan_.staggered_step && lanes_ != in_.all.size();
  for (std::size_t r = 0; r < order.size(); ++r) {
    if (order[r].empty()) continue;
    auto const d = at(stage_group_of(static_cast<std::int32_t>(r)));
    ticks const* const end = &ends_[at(order[r].back()) * lanes_];
    for (std::size_t c = 0; c < lanes_; ++c) path_[c][d] = std::max(path_[c][d], end[c]);
    sum_ += lanes_ > 1 ? end[d] : end[0] - (at_starts ? starts[d] : 0);
  }
}

}  // namespace shunt::detail
