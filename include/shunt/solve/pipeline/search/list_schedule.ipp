#pragma once
#include "shunt/solve/pipeline/search/list_schedule.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "shunt/core/config.hpp"

namespace shunt::detail {

SHUNT_INLINE list_scheduler::list_scheduler(pipeline_job const& job, bool split, routing rule,
                                            std::int32_t turn)
    : job_(job),
      split_(split),
      alike_(job.lengths.empty()),
      stage_groups_(job),
      clock_(static_cast<std::size_t>(job.ranks())) {
  auto const cells = job.cells();
  ranks_.resize(static_cast<std::size_t>(job.ranks()));
  cells_.resize(cells);
  owners_.resize(cells);
  if (!alike_) lengths_.resize(cells);
  for (auto* list : {&forward_on_the_way_, &gradient_on_the_way_}) list->resize(cells);
  weights_.resize(cells);
  done_.resize(cells * (split ? 3 : 2));
  place_cells(routes(job, rule, turn), rule);
  spans_.resize(stage_groups_.all.size());
}

SHUNT_INLINE void list_scheduler::run(stage_policies const& policies) {
  left_ = static_cast<std::int64_t>(done_.size());
  std::fill(bits_.begin(), bits_.end(), 0);
  for (auto& s : spans_) s = {std::numeric_limits<ticks>::max(), 0};
  clock_.clear();
  for (auto& d : rank_stages_) prepare(d, policies[d.stage]);
  for (auto& r : ranks_) prepare(r);
  // An operation wakes other ranks later than now: only a backward_weight may take no time.
  for (std::int32_t next = clock_.winner(); clock_[next] != winner_tree::never;) {
    ticks const now = clock_[next];
    rank_state& r = ranks_[static_cast<std::size_t>(next)];
    arrive(r, now);
    while (r.idle_from <= now && start_something(r, now)) continue;
    clock_.set(next, r.idle_from > now ? (r.done == r.all ? winner_tree::never : r.idle_from)
                                       : next_arrival(r));
    next = clock_.winner_after(next, now);
  }
  for (rank_state const& r : ranks_) {
    if (r.done == r.first_done) continue;
    auto& span = spans_[static_cast<std::size_t>(r.stage_group)];
    span = {std::min(span.start, r.began), std::max(span.end, r.idle_from)};
  }
  for (auto& s : spans_)
    if (s.start > s.end) s = {};
}

SHUNT_INLINE ticks list_scheduler::makespan() const {
  ticks last = 0;
  for (auto const& s : spans_) last = std::max(last, s.end);
  return last;
}

SHUNT_INLINE pipeline_schedule list_scheduler::schedule(bool staggered_step) const {
  pipeline_schedule plan{.order = indexed<rank_id, std::vector<operation>>(ranks_.size()),
                         .staggered_step = staggered_step};
  for (rank_id r : ids<rank_id>(job_.ranks())) {
    auto const& from = ranks_[r.index()];
    auto const& held = stage_groups_.all[static_cast<std::size_t>(from.stage_group)].stages;
    auto& list = plan.order[r];
    if (from.first_done == from.all) continue;
    list.reserve(static_cast<std::size_t>(from.done - from.first_done) + held.size());
    for (std::int32_t i = from.first_done; i < from.done; ++i) {
      auto const [kind, at_cell] = done_[static_cast<std::size_t>(i)];
      auto const& of = owner_of(at_cell);
      auto d = rank_stages_.begin() + from.first_rank_stage;
      while (at_cell >= d->first + d->cells) ++d;
      list.push_back({kind, of.pipeline, d->stage, of.microbatch});
    }
  }
  append_steps(stage_groups_, plan);
  return plan;
}

SHUNT_INLINE void list_scheduler::place_cells(routes const& to, routing rule) {
  auto const index = [&](pipeline_id p, stage_id s, microbatch_id m) { return job_.cell(p, s, m); };
  struct rerouted_cell {
    microbatch_id microbatch;
    pipeline_id pipeline;
    std::int32_t turn;  // own pipelines first, then those behind it
  };
  // [rank][place of the stage in the stage group]
  std::vector<std::vector<std::vector<rerouted_cell>>> at(ranks_.size());
  for (rank_id r : ids<rank_id>(job_.ranks()))
    at[r.index()].resize(
        stage_groups_.all[static_cast<std::size_t>(stage_groups_.of[r])].stages.size());
  for (stage_id s : ids<stage_id>(job_.stages))
    for (microbatch_id m : ids<microbatch_id>(job_.microbatches.most()))
      for (pipeline_id p : ids<pipeline_id>(job_.pipelines)) {
        if (m >= job_.microbatches[p]) continue;
        pipeline_id const host = to.host(p, s, m);
        rank_id const r = job_.rank_of({host, s});
        auto const& held = stage_groups_.all[static_cast<std::size_t>(stage_groups_.of[r])].stages;
        auto const place =
            static_cast<std::size_t>(std::lower_bound(held.begin(), held.end(), s) - held.begin());
        at[r.index()][place].push_back(
            {m, p,
             rule == routing::pooled
                 ? p.value()
                 : (p.value() - host.value() + job_.pipelines) % job_.pipelines});
      }
  std::vector<std::int32_t> cell_of(cells_.size(), nowhere), rank_stage_of(cells_.size(), nowhere);
  std::int32_t next_cell = 0, next_done = 0, next_word = 0;
  for (rank_id r : ids<rank_id>(job_.ranks())) {
    auto& rank = ranks_[r.index()];
    rank.stage_group = stage_groups_.of[r];
    rank.first_rank_stage = static_cast<std::int32_t>(rank_stages_.size());
    rank.first_done = next_done;
    if (auto const cap = job_.stash_limit(r)) rank.cap = *cap;
    auto const& held = stage_groups_.all[static_cast<std::size_t>(rank.stage_group)].stages;
    for (std::size_t i = 0; i < held.size(); ++i) {
      auto& list = at[r.index()][i];
      if (list.empty()) continue;
      stage_id const s = held[i];
      auto const& c = job_.costs;
      ticks const weight = job_.cost_on(c.backward_weight, r, s);
      rank_stage d{.rank = r.value(),
                   .stage = s,
                   .first = next_cell,
                   .cells = static_cast<std::int32_t>(list.size()),
                   .first_word = next_word};
      d.words = (d.cells + 63) / 64;
      d.stash = job_.stash.forward[s];
      d.early = split_ ? job_.stash.backward_input[s] : d.stash;
      d.forward = job_.cost_on(c.forward, r, s);
      d.input = job_.cost_on(c.backward_input, r, s) + (split_ ? 0 : weight);
      d.weight = weight;
      // re-routed ones first: the own pipeline takes the last turn
      auto const place_all = [&](std::int32_t last_turn) {
        std::sort(list.begin(), list.end(), [&](rerouted_cell const& a, rerouted_cell const& b) {
          auto const turn = [&](rerouted_cell const& g) {
            return (g.turn + last_turn) % job_.pipelines;
          };
          return std::pair(a.microbatch, turn(a)) < std::pair(b.microbatch, turn(b));
        });
      };
      place_all(0);
      for (rerouted_cell const& g : list) {
        rank_stage_of[static_cast<std::size_t>(next_cell)] =
            static_cast<std::int32_t>(rank_stages_.size());
        owners_[static_cast<std::size_t>(next_cell)] = {.pipeline = g.pipeline,
                                                        .microbatch = g.microbatch};
        if (!alike_)
          lengths_[static_cast<std::size_t>(next_cell)] = job_.length_of(g.pipeline, g.microbatch);
        cell_of[index(g.pipeline, s, g.microbatch)] = next_cell++;
      }
      place_all(job_.pipelines - 1);
      for (std::int32_t place = 0; place < d.cells; ++place) {
        rerouted_cell const& g = list[static_cast<std::size_t>(place)];
        std::int32_t const own = cell_of[index(g.pipeline, s, g.microbatch)];
        owners_[static_cast<std::size_t>(own)].rerouted_first = place;
        owners_[static_cast<std::size_t>(d.first + place)].at_rerouted_first = own;
      }
      next_done += d.cells * (split_ ? 3 : 2);
      next_word += 2 * d.words;
      rank_stages_.push_back(d);
    }
    rank.rank_stages = static_cast<std::int32_t>(rank_stages_.size()) - rank.first_rank_stage;
    rank.all = next_done;
    std::int64_t room = 0;
    for (std::int32_t i = rank.rank_stages; i-- > 0;) {
      auto& d = rank_stages_[static_cast<std::size_t>(rank.first_rank_stage + i)];
      d.room = room += d.stash;
    }
  }
  bits_.resize(static_cast<std::size_t>(next_word));
  for (pipeline_id p : ids<pipeline_id>(job_.pipelines))
    for (microbatch_id m : ids<microbatch_id>(job_.microbatches[p])) {
      auto const next_stage = static_cast<std::size_t>(job_.microbatches[p]);
      auto at_stage = index(p, 0, m);
      for (std::int32_t s = 1; s < job_.stages; ++s, at_stage += next_stage) {
        auto const a = cell_of[at_stage], b = cell_of[at_stage + next_stage];
        auto &here = cells_[static_cast<std::size_t>(a)],
             &next = cells_[static_cast<std::size_t>(b)];
        here.after = b;
        here.rank_stage_after = rank_stage_of[static_cast<std::size_t>(b)];
        next.before = a;
        next.rank_stage_before = rank_stage_of[static_cast<std::size_t>(a)];
      }
    }
}

SHUNT_INLINE void list_scheduler::prepare(rank_stage& d, stage_policy const& policy) {
  d.policy = policy;
  d.in_flight = d.stashed = d.forwards = d.inputs = d.forwards_coming = d.gradients_coming =
      d.weights = d.weighed = 0;
  if (d.stage > 0) return;
  for (std::int32_t c = d.first; c < d.first + d.cells; ++c) put(d, d.first_word, c);
  d.forwards = d.cells;
}

SHUNT_INLINE void list_scheduler::prepare(rank_state& r) {
  r.held = 0;
  r.done = r.first_done;
  r.idle_from = 0;
  for (std::int32_t i = 0; i < r.rank_stages; ++i)
    r.idle_from = std::max(
        r.idle_from, rank_stages_[static_cast<std::size_t>(r.first_rank_stage + i)].policy.start);
  if (r.rank_stages > 0) clock_.set(static_cast<std::int32_t>(&r - ranks_.data()), r.idle_from);
}

SHUNT_INLINE list_scheduler::rank_stage* list_scheduler::rank_stages_of(rank_state const& r) {
  return rank_stages_.data() + r.first_rank_stage;
}

SHUNT_INLINE list_scheduler::owner const& list_scheduler::owner_of(std::int32_t c) const {
  return owners_[static_cast<std::size_t>(c)];
}

SHUNT_INLINE void list_scheduler::put(rank_stage const& d, std::int32_t word, std::int32_t c) {
  auto const place = static_cast<std::uint32_t>(d.policy.rerouted_first ? owner_of(c).rerouted_first
                                                                        : c - d.first);
  bits_[static_cast<std::size_t>(word) + place / 64] |= std::uint64_t{1} << place % 64;
}

SHUNT_INLINE std::int32_t list_scheduler::lowest(std::int32_t word) const {
  auto w = static_cast<std::size_t>(word);
  while (bits_[w] == 0) ++w;
  return static_cast<std::int32_t>(w - static_cast<std::size_t>(word)) * 64 +
         std::countr_zero(bits_[w]);
}

SHUNT_INLINE void list_scheduler::drop(std::int32_t word, std::int32_t place) {
  auto& bits = bits_[static_cast<std::size_t>(word) + static_cast<std::size_t>(place) / 64];
  bits &= bits - 1;
}

SHUNT_INLINE std::int32_t list_scheduler::cell_at(rank_stage const& d, std::int32_t place) const {
  return d.policy.rerouted_first ? owner_of(d.first + place).at_rerouted_first : d.first + place;
}

SHUNT_INLINE void list_scheduler::arrive(rank_state const& r, ticks now) {
  auto const take = [&](rank_stage& d, std::vector<arrival>& all, std::int32_t& coming,
                        std::int32_t word, std::int32_t& there) {
    arrival* const list = all.data() + d.first;
    for (std::int32_t i = 0; i < coming;) {
      if (list[i].when > now) {
        ++i;
        continue;
      }
      put(d, word, list[i].cell);
      ++there;
      list[i] = list[--coming];
    }
  };
  for (rank_stage* d = rank_stages_of(r); d != rank_stages_of(r) + r.rank_stages; ++d) {
    take(*d, forward_on_the_way_, d->forwards_coming, d->first_word, d->forwards);
    take(*d, gradient_on_the_way_, d->gradients_coming, d->first_word + d->words, d->inputs);
  }
}

SHUNT_INLINE ticks list_scheduler::earliest(std::vector<arrival> const& all, rank_stage const& d,
                                            std::int32_t coming) {
  ticks least = winner_tree::never;
  for (std::int32_t i = 0; i < coming; ++i)
    least = std::min(least, all[static_cast<std::size_t>(d.first + i)].when);
  return least;
}

SHUNT_INLINE ticks list_scheduler::next_arrival(rank_state const& r) {
  ticks least = winner_tree::never;
  for (rank_stage* d = rank_stages_of(r); d != rank_stages_of(r) + r.rank_stages; ++d)
    least = std::min({least, earliest(forward_on_the_way_, *d, d->forwards_coming),
                      earliest(gradient_on_the_way_, *d, d->gradients_coming)});
  return least;
}

SHUNT_INLINE bool list_scheduler::gradient_within(rank_state const& r, ticks now, ticks length) {
  for (rank_stage* d = rank_stages_of(r); d != rank_stages_of(r) + r.rank_stages; ++d)
    if (earliest(gradient_on_the_way_, *d, d->gradients_coming) < now + length) return true;
  return false;
}

SHUNT_INLINE bool list_scheduler::start_something(rank_state& r, ticks now) {
  choice input, forward;
  rank_stage* weight = nullptr;
  auto const consider = [&](choice& best, rank_stage& d, std::int32_t word) {
    std::int32_t const place = lowest(word);
    if (r.rank_stages == 1) {
      best = {&d, place, 0};
      return;
    }
    std::int64_t const turn =
        std::int64_t{owner_of(cell_at(d, place)).microbatch.value()} + d.policy.lag;
    if (best.of == nullptr || turn < best.turn) best = {&d, place, turn};
  };
  for (rank_stage* d = rank_stages_of(r) + r.rank_stages; d-- != rank_stages_of(r);) {
    if (d->inputs > 0) consider(input, *d, d->first_word + d->words);
    if (d->forwards > 0 && d->room <= r.cap - r.held && d->in_flight < d->policy.in_flight)
      consider(forward, *d, d->first_word);
    if (weight == nullptr && d->weighed < d->weights) weight = d;
  }
  if (input.of != nullptr &&
      (forward.of == nullptr || input.of->policy.prefer == stage_policy::first::input))
    return start_input(r, input, now);
  if (forward.of != nullptr &&
      (weight == nullptr || forward.of->stashed < forward.of->policy.weight_before)) {
    if (forward.of->policy.patience != stage_policy::wait::never &&
        gradient_within(r, now, lasting(forward.of->forward, cell_at(*forward.of, forward.place))))
      return false;
    return start_forward(r, forward, now);
  }
  if (weight == nullptr) return false;
  auto const next = weights_[static_cast<std::size_t>(weight->first + weight->weighed)];
  ticks const length = lasting(weight->weight, next);
  if (weight->policy.patience == stage_policy::wait::weight && gradient_within(r, now, length))
    return false;
  ++weight->weighed;
  begin(r, op_kind::backward_weight, next, now, now + length);
  r.held -= weight->stash - weight->early;
  --weight->stashed;
  return true;
}

SHUNT_INLINE void list_scheduler::begin(rank_state& r, op_kind kind, std::int32_t c, ticks now,
                                        ticks end) {
  if (r.done == r.first_done) r.began = now;
  done_[static_cast<std::size_t>(r.done++)] = {kind, c};
  --left_;
  r.idle_from = end;
}

SHUNT_INLINE void list_scheduler::send(std::vector<arrival>& all, std::int32_t& coming,
                                       rank_stage const& d, arrival what) {
  all[static_cast<std::size_t>(d.first + coming++)] = what;
  if (what.when < clock_[d.rank] && ranks_[static_cast<std::size_t>(d.rank)].idle_from <= what.when)
    clock_.set(d.rank, what.when);
}

SHUNT_INLINE bool list_scheduler::start_forward(rank_state& r, choice const& what, ticks now) {
  rank_stage& d = *what.of;
  drop(d.first_word, what.place);
  --d.forwards;
  std::int32_t const c = cell_at(d, what.place);
  ticks const end = now + lasting(d.forward, c);
  begin(r, op_kind::forward, c, now, end);
  r.held += d.stash;
  ++d.stashed;
  ++d.in_flight;
  if (at(c).after != nowhere) {
    rank_stage& next = rank_stages_[static_cast<std::size_t>(at(c).rank_stage_after)];
    send(forward_on_the_way_, next.forwards_coming, next,
         {end + job_.transfer(d.rank, next.rank), at(c).after});
  } else {
    put(d, d.first_word + d.words, c);  // its own loss: available when the forward ends
    ++d.inputs;
  }
  return true;
}

SHUNT_INLINE bool list_scheduler::start_input(rank_state& r, choice const& what, ticks now) {
  rank_stage& d = *what.of;
  drop(d.first_word + d.words, what.place);
  --d.inputs;
  std::int32_t const c = cell_at(d, what.place);
  ticks const end = now + lasting(d.input, c);
  begin(r, split_ ? op_kind::backward_input : op_kind::backward, c, now, end);
  --d.in_flight;
  r.held -= d.early;
  if (split_)
    weights_[static_cast<std::size_t>(d.first + d.weights++)] = c;
  else
    --d.stashed;
  if (at(c).before != nowhere) {
    rank_stage& next = rank_stages_[static_cast<std::size_t>(at(c).rank_stage_before)];
    send(gradient_on_the_way_, next.gradients_coming, next,
         {end + job_.transfer(d.rank, next.rank), at(c).before});
  }
  return true;
}

}  // namespace shunt::detail
