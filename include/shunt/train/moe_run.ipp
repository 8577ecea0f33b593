#pragma once
#include "shunt/train/moe_run.hpp"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/host/stopwatch.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/lower/gradient_collection.hpp"
#include "shunt/lower/shard_recovery.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/moved_bytes.hpp"
#include "shunt/measure/moved_experts.hpp"
#include "shunt/measure/token_traffic.hpp"
#include "shunt/plan/shard_recovery.hpp"
#include "shunt/plan/token_split.hpp"
#include "shunt/problem/lost_ranks.hpp"
#include "shunt/solve/shards/restore_shards.hpp"
#include "shunt/train/gathered_parameters.hpp"

namespace shunt {

template <moe_trainee Work, expert_placer Placer>
moe_run<Work, Placer>::moe_run(Work& work, Placer place)
    : work_(work),
      training_(work.training()),
      place_(std::move(place)),
      loads_{.layers = shape().layers,
             .experts = shape().experts.experts,
             .loads =
                 std::vector<std::int64_t>(static_cast<std::size_t>(shape().layers) *
                                               static_cast<std::size_t>(shape().experts.experts),
                                           0),
             .slots_per_rank = std::vector<std::int32_t>(static_cast<std::size_t>(training_.ranks),
                                                         training_.slots_per_rank)} {
  placement_ = placed();
  lower_for_placement();
}

template <moe_trainee Work, expert_placer Placer>
template <class Executor>
moe_record moe_run<Work, Placer>::iterate(Executor const& executor) {
  if (!begun_) scatter(executor);
  begun_ = true;
  auto const dead = transact(executor, t_, [&](ranks gone) {
    if (auto* const cost = go_on_without(executor, gone))
      restore(*cost, [&] { scatter(executor); });
    return iteration_;
  });
  auto const live = survivors(dead);
  moe_record record{.loss = work_.loss(live.front()),
                    .live = training_.ranks - static_cast<std::int32_t>(dead.size()),
                    .misfits = work_.misfits(live.front()),
                    .gradients = gradients_};
  count(record, live);
  auto const completed = t_++;
  auto const before = placement_;
  if (!go_on_without(executor, dead)) place_anew();
  count_received(record, before);
  record.weights = weights_;
  scatter(executor);
  on_iteration(completed, record);
  return record;
}

template <moe_trainee Work, expert_placer Placer>
std::size_t moe_run<Work, Placer>::parameter_count() const {
  auto const& of = work_.sizes();
  return static_cast<std::size_t>(of.dense + of.expert * of.layers * of.experts);
}

template <moe_trainee Work, expert_placer Placer>
template <class Know>
void moe_run<Work, Placer>::parameters_of(rank_id r, Know const& know) {
  using buffers = moe_buffers;
  auto const known = [&](std::int64_t first, buffer_id b, std::int64_t offset, std::int64_t size) {
    auto const values = work_.template values<float>(r, b);
    know(static_cast<std::size_t>(first),
         std::span<float const>(values).subspan(static_cast<std::size_t>(offset),
                                                static_cast<std::size_t>(size)));
  };
  auto const dense = std::int64_t{work_.sizes().dense};
  known(0, buffers::dense, 0, dense);
  auto const places = held_shards(shards(), training_.ranks);
  for (layer_id const l : ids<layer_id>(loads_.layers))
    for (expert_id const e : ids<expert_id>(loads_.experts))
      for (auto const& h : places[e]) {
        if (h.holder != r) continue;
        auto const& shard = shards().shards[e][static_cast<std::size_t>(h.shard)];
        auto const nth = std::int64_t{l.value()} * loads_.experts + e.value();
        known(dense + nth * shards().elements + shard.begin, buffers::state(l), h.offset,
              shard.size());
      }
}

template <moe_trainee Work, expert_placer Placer>
std::vector<float> moe_run<Work, Placer>::parameters() {
  gathered_parameters all(parameter_count());
  for (rank_id const r : survivors(dead_))
    parameters_of(
        r, [&](std::size_t first, std::span<float const> values) { all.add(r, first, values); });
  return std::move(all).whole();
}

template <moe_trainee Work, expert_placer Placer>
template <class Executor, class Plan>
std::vector<rank_id> moe_run<Work, Placer>::transact(Executor const& executor,
                                                     std::int64_t iteration, Plan&& plan) {
  auto const report = run_through_losses(
      executor, work_, {.first = iteration, .end = iteration + 1, .dead = dead_},
      [&](ranks dead) { return std::optional<program>(plan(dead)); },
      [](completed_iteration const&) {});
  for (auto const& session : report.sessions) opening_ += session.opening;
  for (loss const& l : report.losses) {
    auto& cost = cost_of(l.ranks);
    if (iteration >= 0) cost.iteration = l.iteration;
    cost.steps_undone = l.steps_undone;
    cost.instructions_lost = l.instructions_lost;
    cost.noticed = l.noticed;
    cost.detect = l.detect;
    cost.agree = l.agree;
    cost.restore += l.restore;
    cost.rebuild += l.rebuild;
    cost.redo = l.redo;
  }
  return report.dead;
}

template <moe_trainee Work, expert_placer Placer>
moe_loss& moe_run<Work, Placer>::cost_of(std::vector<rank_id> const& lost) {
  for (moe_loss& l : losses_)
    if (!lost.empty() && std::find(l.ranks.begin(), l.ranks.end(), lost.front()) != l.ranks.end())
      return l;
  return losses_.emplace_back(moe_loss{{.iteration = t_, .ranks = lost}});
}

template <moe_trainee Work, expert_placer Placer>
template <class Action>
void moe_run<Work, Placer>::restore(moe_loss& cost, Action const& action) {
  stopwatch const clock;
  auto const before = opening_;
  action();
  cost.rebuild += opening_ - before;
  cost.restore += clock.now() - (opening_ - before);
}

template <moe_trainee Work, expert_placer Placer>
template <class Executor>
void moe_run<Work, Placer>::scatter(Executor const& executor) {
  auto const dead = [&] {
    return transact(executor, scatter_before(t_), [&](ranks gone) {
      go_on_without(executor, gone);
      return scatter_;
    });
  };
  while (go_on_without(executor, dead())) {}
}

template <moe_trainee Work, expert_placer Placer>
template <class Executor>
moe_loss* moe_run<Work, Placer>::go_on_without(Executor const& executor, ranks dead) {
  auto const lost = mark_dead(dead);
  if (lost.empty()) return nullptr;
  auto& cost = cost_of(lost);
  restore(cost, [&] {
    while (!mark_dead(move_shards(executor, cost)).empty()) {
    }  // more were lost after theirs had moved
  });
  stopwatch const clock;
  placement_ = placed();
  lower_for_placement();
  cost.replan = clock.now();
  return &cost;
}

template <moe_trainee Work, expert_placer Placer>
std::vector<rank_id> moe_run<Work, Placer>::mark_dead(ranks dead) {
  std::vector<rank_id> lost;
  for (rank_id const r : dead) {
    if (std::find(dead_.begin(), dead_.end(), r) != dead_.end()) continue;
    lost.push_back(r);
    dead_.push_back(r);
    loads_.slots_per_rank[r.index()] = 0;
    work_.forget(r);
  }
  if (lost.empty()) return lost;
  std::sort(dead_.begin(), dead_.end());
  work_.set_owners(owners_without(dead_, training_.ranks));
  on_loss(lost, t_);
  return lost;
}

template <moe_trainee Work, expert_placer Placer>
template <class Executor>
std::vector<rank_id> moe_run<Work, Placer>::move_shards(Executor const& executor, moe_loss& cost) {
  shard_recovery to;
  auto gone = transact(executor, transfer_iteration, [&](ranks dead) {
    mark_dead(dead);
    auto answer = restore_shards{.map = shards()}({.state = shape().experts, .dead = dead_});
    if (!answer.has_plan())
      throw invalid_problem("shards", "lost in iteration " + std::to_string(t_) + ", in each of " +
                                          std::to_string(shape().layers) +
                                          " layers: " + std::string(answer.reason));
    to = std::move(answer.plan);
    auto p = lower(shape(), shards(), to, state_recovery{.planes = Work::state_planes});
    work_.fit(p);
    return p;
  });
  for (shard_copy const& c : to.copies)
    cost.state_bytes += (c.end - c.begin) * shape().experts.state_bytes * shape().layers;
  work_.adopt(std::move(to.map));
  return gone;
}

template <moe_trainee Work, expert_placer Placer>
expert_placement moe_run<Work, Placer>::placed() {
  loads_.previous.clear();  // of the live ranks
  for (layer_id const l : ids<layer_id>(placement_.layers))
    for (rank_id const r : ids<rank_id>(training_.ranks)) {
      auto const first = placement_.first_slot[r.index()],
                 last = placement_.first_slot[r.index() + 1];
      auto const slots = placement_.layer(l).subspan(static_cast<std::size_t>(first),
                                                     static_cast<std::size_t>(last - first));
      if (loads_.slots_per_rank[r.index()] == last - first)
        loads_.previous.insert(loads_.previous.end(), slots.begin(), slots.end());
    }
  if (std::ssize(loads_.previous) != std::int64_t{loads_.layers} * loads_.slots())
    loads_.previous.clear();  // the placer took other slots than it was given
  auto answer = place_(std::as_const(loads_));
  if (!answer.has_plan()) throw invalid_problem("slots", answer.reason);
  return std::move(answer.plan);
}

template <moe_trainee Work, expert_placer Placer>
void moe_run<Work, Placer>::place_anew() {
  auto next = placed();
  if (next == placement_) return;
  placement_ = std::move(next);
  lower_for_placement();
}

template <moe_trainee Work, expert_placer Placer>
void moe_run<Work, Placer>::lower_for_placement() {
  scatter_ = lower(shape(), placement_, shards(), training_.scatter);
  iteration_ = lower(shape(), placement_, shards(), training_.collection);
  work_.fit(iteration_);
  work_.place(placement_);
  count_bytes();
}

template <moe_trainee Work, expert_placer Placer>
void moe_run<Work, Placer>::count_bytes() {
  auto const bytes = [&](auto const& own, auto plain, std::int64_t size) {
    auto const moved = [&](auto const& how) {
      return bytes_moved(lower(shape().experts, placement_, shards(), how));
    };
    plain.deduplicate = false;
    auto const all = moved(plain);
    plain.deduplicate = true;
    return phase_bytes{.formula =
                           placement_.slots() * shape().experts.elements * size * shape().layers,
                       .counted = all.logical(),
                       .plain = all.network,
                       .deduplicated = moved(plain).network,
                       .moved = moved(own).network};
  };
  auto const copies = static_cast<std::int64_t>(shards().shards[0].front().mirrors.size()) + 1;
  gradients_ = bytes(training_.collection, gradient_collection{.type = training_.collection.type},
                     copies * shape().experts.gradient_bytes);
  weights_ = bytes(training_.scatter, weight_scatter{}, shape().experts.weight_bytes);
}

template <moe_trainee Work, expert_placer Placer>
std::vector<rank_id> moe_run<Work, Placer>::survivors(ranks dead) const {
  auto live = shunt::owners_of(shape()).live();
  std::erase_if(live, [&](rank_id r) {
    return !work_.has(r) || std::find(dead.begin(), dead.end(), r) != dead.end();
  });
  if (live.empty()) throw invalid_problem("dead", "no rank is left");
  return live;
}

template <moe_trainee Work, expert_placer Placer>
void moe_run<Work, Placer>::count(moe_record& record, std::vector<rank_id> const& live) {
  using buffers = moe_buffers;
  auto const experts = static_cast<std::size_t>(loads_.experts);
  auto const rank = live.front();
  std::fill(loads_.loads.begin(), loads_.loads.end(), 0);
  for (layer_id const l : ids<layer_id>(loads_.layers)) {
    auto const counts = work_.template values<std::int64_t>(rank, buffers::all_counts(l));
    for (rank_id const r : live)
      if (!std::ranges::equal(counts,
                              work_.template values<std::int64_t>(r, buffers::all_counts(l))))
        throw std::logic_error("rank " + std::to_string(r.value()) +
                               " knows other counts than rank " + std::to_string(rank.value()));
    count_tokens(record, l, work_.template values<std::int64_t>(rank, buffers::shares(l)));
    for (std::size_t i = 0; i < counts.size(); ++i)
      loads_.loads[l.index() * experts + i % experts] += counts[i];
  }
  record.loads = loads_.loads;
}

template <moe_trainee Work, expert_placer Placer>
void moe_run<Work, Placer>::count_tokens(moe_record& record, layer_id l,
                                         std::span<std::int64_t const> shares) const {
  token_split by_rank{
      .sources = training_.ranks, .slots = placement_.slots(), .experts = placement_.experts};
  auto const slots = static_cast<std::size_t>(placement_.slots());
  by_rank.tokens.assign(static_cast<std::size_t>(training_.ranks) * slots, 0);
  auto const owners = shunt::owners_of(shape());
  indexed<rank_id, std::int64_t> taken(static_cast<std::size_t>(training_.ranks));
  std::int64_t kept = 0;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    slot_id const s = i % slots;
    by_rank.sent(owners.of[i / slots], s) += shares[i];
    taken[placement_.rank_of(s)] += shares[i];
    kept += shares[i];
  }
  auto const traffic = traffic_of(by_rank, placement_, 0);
  record.dropped.push_back(training_.all_tokens() - kept);
  record.fullest.push_back(*std::max_element(taken.begin(), taken.end()));
  record.exchanged.push_back(std::max(traffic.most_sent, traffic.most_received));
  record.hosted.push_back(hosted_pairs(placement_, l));
}

template <moe_trainee Work, expert_placer Placer>
void moe_run<Work, Placer>::count_received(moe_record& record,
                                           expert_placement const& before) const {
  for (layer_id const l : ids<layer_id>(loads_.layers)) {
    auto const received = received_experts(before, placement_, l);
    record.received.push_back(*std::max_element(received.begin(), received.end()));
  }
}

}  // namespace shunt
