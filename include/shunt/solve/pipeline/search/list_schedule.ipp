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
  operations_ = static_cast<std::int64_t>(job.cells() * (split ? 3 : 2));
  auto cells = make_desks(routes(job, rule, turn), rule);
  lay_out();
  place_cells(std::move(cells));
  spans_.resize(stage_groups_.all.size());
}

SHUNT_INLINE void list_scheduler::run(stage_policies const& policies) {
  left_ = operations_;
  std::fill(bits_.begin(), bits_.end(), 0);
  for (auto& s : spans_) s = {std::numeric_limits<ticks>::max(), 0};
  clock_.clear();
  for (auto& d : rank_stages_) prepare(d, policies[d.stage]);
  // ranks of one moment take turns by number, which patience can tell, or as they lie
  bool const patient = std::any_of(policies.begin(), policies.end(), [](stage_policy const& p) {
    return p.patience != stage_policy::wait::never;
  });
  for (std::size_t k = 0; k < ranks_.size(); ++k) {
    rank_state& r = ranks_[k];
    r.player = patient ? r.rank.value() : static_cast<std::int32_t>(k);
    played_[static_cast<std::size_t>(r.player)] = static_cast<std::int32_t>(k);
    prepare(r);
  }
  // An operation wakes other ranks later than now: only a backward_weight may take no time.
  for (std::int32_t next = clock_.winner(); clock_[next] != winner_tree::never;) {
    ticks const now = clock_[next];
    rank_state& r = ranks_[static_cast<std::size_t>(played_[static_cast<std::size_t>(next)])];
    arrive(r, now);
    while (r.idle_from <= now && start_something(r, now)) continue;
    clock_.set(next, r.idle_from > now ? (r.done == r.all ? winner_tree::never : r.idle_from)
                                       : next_arrival(r));
    next = clock_.winner_after(next, now);
  }
  for (rank_state const& r : ranks_) {
    if (r.done == 0) continue;
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
  for (rank_state const& from : ranks_) {
    if (from.all == 0) continue;
    auto const* const desks = rank_stages_.data() + from.first_rank_stage;
    auto const& held = stage_groups_.all[static_cast<std::size_t>(from.stage_group)].stages;
    auto& list = plan.order[from.rank];
    list.reserve(static_cast<std::size_t>(from.done) + held.size());
    for (std::int32_t i = 0; i < from.done; ++i) {
      started const& what = done_[from.at[i]];
      rank_stage const& d = desks[what.desk];
      auto const& of = owners_[d.at[what.place]];
      list.push_back({static_cast<op_kind>(what.kind), of.pipeline, d.stage, of.microbatch});
    }
  }
  append_steps(stage_groups_, plan);
  return plan;
}

SHUNT_INLINE std::vector<list_scheduler::rerouted_cell> list_scheduler::make_desks(routes const& to,
                                                                                   routing rule) {
  auto const stages = static_cast<std::size_t>(job_.stages);
  // desks with and without cells, by rank and place of the stage in the group
  std::vector<rank_id> by_group;
  for (rank_id r : ids<rank_id>(job_.ranks())) by_group.push_back(r);
  std::sort(by_group.begin(), by_group.end(), [&](rank_id a, rank_id b) {
    return std::pair(stage_groups_.of[a], a) < std::pair(stage_groups_.of[b], b);
  });
  played_.resize(by_group.size());
  std::vector<std::size_t> first_desk(by_group.size()), first_cell;
  auto const held = [&](rank_id r) -> auto const& {
    return stage_groups_.all[static_cast<std::size_t>(stage_groups_.of[r])].stages;
  };
  std::size_t desks = 0;
  for (rank_id const r : by_group) {
    first_desk[r.index()] = desks;
    desks += held(r).size();
  }
  std::vector<std::size_t> desk_of;  // by worker
  for (pipeline_id p : ids<pipeline_id>(job_.pipelines))
    for (stage_id s : ids<stage_id>(job_.stages)) {
      rank_id const r = job_.rank_of({p, s});
      auto const at = std::lower_bound(held(r).begin(), held(r).end(), s) - held(r).begin();
      desk_of.push_back(first_desk[r.index()] + static_cast<std::size_t>(at));
    }
  auto const each_cell = [&](auto const& visit) {
    for (stage_id s : ids<stage_id>(job_.stages))
      for (microbatch_id m : ids<microbatch_id>(job_.microbatches.most()))
        for (pipeline_id p : ids<pipeline_id>(job_.pipelines)) {
          if (m >= job_.microbatches[p]) continue;
          pipeline_id const host = to.host(p, s, m);
          visit(desk_of[host.index() * stages + s.index()],
                rerouted_cell{m, p,
                              rule == routing::pooled
                                  ? p.value()
                                  : (p.value() - host.value() + job_.pipelines) % job_.pipelines});
        }
  };
  first_cell.assign(desks + 1, 0);
  each_cell([&](std::size_t desk, rerouted_cell const&) { ++first_cell[desk + 1]; });
  for (std::size_t d = 0; d < desks; ++d) first_cell[d + 1] += first_cell[d];
  std::vector<rerouted_cell> cells(job_.cells());
  auto next = first_cell;
  each_cell([&](std::size_t desk, rerouted_cell const& c) { cells[next[desk]++] = c; });

  std::int32_t next_word = 0;
  auto const& c = job_.costs;
  for (rank_id const r : by_group) {
    rank_state rank{.rank = r,
                    .first_rank_stage = static_cast<std::int32_t>(rank_stages_.size()),
                    .stage_group = stage_groups_.of[r]};
    if (auto const cap = job_.stash_limit(r)) rank.cap = *cap;
    for (std::size_t i = 0; i < held(r).size(); ++i) {
      std::size_t const desk = first_desk[r.index()] + i;
      if (first_cell[desk] == first_cell[desk + 1]) continue;
      stage_id const s = held(r)[i];
      ticks const weight = job_.cost_on(c.backward_weight, r, s);
      rank_stage d{.rank = r,
                   .state = static_cast<std::int32_t>(ranks_.size()),
                   .stage = s,
                   .cells = static_cast<std::int32_t>(first_cell[desk + 1] - first_cell[desk]),
                   .first_word = next_word};
      d.words = (d.cells + 63) / 64;
      d.stash = job_.stash.forward[s];
      d.early = split_ ? job_.stash.backward_input[s] : d.stash;
      d.forward = job_.cost_on(c.forward, r, s);
      d.input = job_.cost_on(c.backward_input, r, s) + (split_ ? 0 : weight);
      d.weight = weight;
      rank.all += d.cells * (split_ ? 3 : 2);
      next_word += 2 * d.words;
      rank_stages_.push_back(d);
    }
    rank.rank_stages = static_cast<std::int32_t>(rank_stages_.size()) - rank.first_rank_stage;
    std::int64_t room = 0;
    for (std::int32_t i = rank.rank_stages; i-- > 0;) {
      auto& d = rank_stages_[static_cast<std::size_t>(rank.first_rank_stage + i)];
      d.room = room += d.stash;
    }
    ranks_.push_back(rank);
  }
  bits_.resize(static_cast<std::size_t>(next_word));
  return cells;
}

SHUNT_INLINE void list_scheduler::lay_out() {
  std::vector<grouped_list> of_ranks, of_desks;
  for (rank_state const& r : ranks_) of_ranks.push_back({r.stage_group, r.all});
  for (rank_stage const& d : rank_stages_) of_desks.push_back({stage_groups_.of[d.rank], d.cells});
  side_by_side const operations(of_ranks, stage_groups_.all.size()),
      cells(of_desks, stage_groups_.all.size());
  for (std::size_t r = 0; r < ranks_.size(); ++r) ranks_[r].at = operations.columns[r];
  for (std::size_t d = 0; d < rank_stages_.size(); ++d) rank_stages_[d].at = cells.columns[d];
  done_.resize(operations.entries);
  for (auto* table : {&before_, &after_}) table->resize(cells.entries);
  owners_.resize(cells.entries);
  if (!alike_) lengths_.resize(cells.entries);
  for (auto* list : {&forward_on_the_way_, &gradient_on_the_way_}) list->resize(cells.entries);
  weights_.resize(cells.entries);
}

SHUNT_INLINE void list_scheduler::place_cells(std::vector<rerouted_cell> cells) {
  std::vector<cell> cell_of(job_.cells());  // by the job's cells
  auto list = cells.begin();
  for (std::size_t desk = 0; desk < rank_stages_.size(); ++desk) {
    rank_stage const& d = rank_stages_[desk];
    auto const end = list + d.cells;
    // re-routed ones first: the own pipeline takes the last turn
    auto const place_all = [&](std::int32_t last_turn) {
      auto const sooner = [&](rerouted_cell const& a, rerouted_cell const& b) {
        auto const turn = [&](rerouted_cell const& g) {
          return (g.turn + last_turn) % job_.pipelines;
        };
        return std::pair(a.microbatch, turn(a)) < std::pair(b.microbatch, turn(b));
      };
      if (!std::is_sorted(list, end, sooner)) std::sort(list, end, sooner);
    };
    auto const own_cell = [&](rerouted_cell const& g) -> cell& {
      return cell_of[job_.cell(g.pipeline, d.stage, g.microbatch)];
    };
    place_all(0);
    for (std::int32_t place = 0; place < d.cells; ++place) {
      rerouted_cell const& g = list[place];
      owners_[d.at[place]] = {.pipeline = g.pipeline, .microbatch = g.microbatch};
      if (!alike_) lengths_[d.at[place]] = job_.length_of(g.pipeline, g.microbatch);
      own_cell(g) = {static_cast<std::int32_t>(desk), place};
    }
    place_all(job_.pipelines - 1);
    for (std::int32_t place = 0; place < d.cells; ++place) {
      std::int32_t const own = own_cell(list[place]).place;
      owners_[d.at[own]].rerouted_first = place;
      owners_[d.at[place]].at_rerouted_first = own;
    }
    list = end;
  }
  auto const index = [&](cell const& c) {
    return rank_stages_[static_cast<std::size_t>(c.rank_stage)].at[c.place];
  };
  for (pipeline_id p : ids<pipeline_id>(job_.pipelines)) {
    auto const next_stage = static_cast<std::size_t>(job_.microbatches[p]);
    auto const first = cell_of.begin() + static_cast<std::ptrdiff_t>(job_.cell(p, 0, 0)),
               last = first + static_cast<std::ptrdiff_t>(
                                  next_stage * static_cast<std::size_t>(job_.stages - 1));
    for (auto here = first; here != last; ++here) {
      cell const& next = here[static_cast<std::ptrdiff_t>(next_stage)];
      after_[index(*here)] = next;
      before_[index(next)] = *here;
    }
  }
}

SHUNT_INLINE void list_scheduler::prepare(rank_stage& d, stage_policy const& policy) {
  d.policy = policy;
  d.in_flight = d.stashed = d.forwards = d.inputs = d.forwards_coming = d.gradients_coming =
      d.weights = d.weighed = 0;
  if (d.stage > 0) return;
  for (std::int32_t place = 0; place < d.cells; ++place) put(d, d.first_word, place);
  d.forwards = d.cells;
}

SHUNT_INLINE void list_scheduler::prepare(rank_state& r) {
  r.held = 0;
  r.done = 0;
  r.idle_from = 0;
  for (std::int32_t i = 0; i < r.rank_stages; ++i)
    r.idle_from = std::max(
        r.idle_from, rank_stages_[static_cast<std::size_t>(r.first_rank_stage + i)].policy.start);
  if (r.rank_stages > 0) clock_.set(r.player, r.idle_from);
}

SHUNT_INLINE list_scheduler::rank_stage* list_scheduler::rank_stages_of(rank_state const& r) {
  return rank_stages_.data() + r.first_rank_stage;
}

SHUNT_INLINE void list_scheduler::put(rank_stage const& d, std::int32_t word, std::int32_t place) {
  auto const bit = static_cast<std::uint32_t>(
      d.policy.rerouted_first ? owners_[d.at[place]].rerouted_first : place);
  bits_[static_cast<std::size_t>(word) + bit / 64] |= std::uint64_t{1} << bit % 64;
}

SHUNT_INLINE std::int32_t list_scheduler::lowest(std::int32_t word) const {
  auto w = static_cast<std::size_t>(word);
  while (bits_[w] == 0) ++w;
  return static_cast<std::int32_t>(w - static_cast<std::size_t>(word)) * 64 +
         std::countr_zero(bits_[w]);
}

SHUNT_INLINE void list_scheduler::drop(std::int32_t word, std::int32_t bit) {
  auto& bits = bits_[static_cast<std::size_t>(word) + static_cast<std::size_t>(bit) / 64];
  bits &= bits - 1;
}

SHUNT_INLINE std::int32_t list_scheduler::place_of(rank_stage const& d, std::int32_t bit) const {
  return d.policy.rerouted_first ? owners_[d.at[bit]].at_rerouted_first : bit;
}

SHUNT_INLINE void list_scheduler::arrive(rank_state const& r, ticks now) {
  auto const take = [&](rank_stage& d, std::vector<arrival>& all, std::int32_t& coming,
                        std::int32_t word, std::int32_t& there) {
    for (std::int32_t i = 0; i < coming;) {
      arrival& next = all[d.at[i]];
      if (next.when > now) {
        ++i;
        continue;
      }
      put(d, word, next.place);
      ++there;
      next = all[d.at[--coming]];
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
  for (std::int32_t i = 0; i < coming; ++i) least = std::min(least, all[d.at[i]].when);
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
    std::int32_t const bit = lowest(word);
    if (r.rank_stages == 1) {
      best = {&d, bit, 0};
      return;
    }
    std::int64_t const turn =
        std::int64_t{owners_[d.at[place_of(d, bit)]].microbatch.value()} + d.policy.lag;
    if (best.of == nullptr || turn < best.turn) best = {&d, bit, turn};
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
        gradient_within(
            r, now, lasting(forward.of->forward, *forward.of, place_of(*forward.of, forward.bit))))
      return false;
    return start_forward(r, forward, now);
  }
  if (weight == nullptr) return false;
  std::int32_t const next = weights_[weight->at[weight->weighed]];
  ticks const length = lasting(weight->weight, *weight, next);
  if (weight->policy.patience == stage_policy::wait::weight && gradient_within(r, now, length))
    return false;
  ++weight->weighed;
  begin(r, op_kind::backward_weight, *weight, next, now, now + length);
  r.held -= weight->stash - weight->early;
  --weight->stashed;
  return true;
}

SHUNT_INLINE void list_scheduler::begin(rank_state& r, op_kind kind, rank_stage const& d,
                                        std::int32_t place, ticks now, ticks end) {
  if (r.done == 0) r.began = now;
  auto const desk = static_cast<std::uint32_t>(&d - rank_stages_of(r));
  done_[r.at[r.done++]] = {place, static_cast<std::uint32_t>(kind) & 3U, desk & 0x3fffffffU};
  --left_;
  r.idle_from = end;
}

SHUNT_INLINE void list_scheduler::send(std::vector<arrival>& all, std::int32_t& coming,
                                       rank_stage const& d, arrival what) {
  all[d.at[coming++]] = what;
  rank_state const& r = ranks_[static_cast<std::size_t>(d.state)];
  if (what.when < clock_[r.player] && r.idle_from <= what.when) clock_.set(r.player, what.when);
}

SHUNT_INLINE bool list_scheduler::start_forward(rank_state& r, choice const& what, ticks now) {
  rank_stage& d = *what.of;
  drop(d.first_word, what.bit);
  --d.forwards;
  std::int32_t const place = place_of(d, what.bit);
  ticks const end = now + lasting(d.forward, d, place);
  begin(r, op_kind::forward, d, place, now, end);
  r.held += d.stash;
  ++d.stashed;
  ++d.in_flight;
  if (d.stage.value() + 1 < job_.stages) {
    cell const to = after_[d.at[place]];
    rank_stage& next = rank_stages_[static_cast<std::size_t>(to.rank_stage)];
    send(forward_on_the_way_, next.forwards_coming, next,
         {end + job_.transfer(d.rank, next.rank), to.place});
  } else {
    put(d, d.first_word + d.words, place);  // its own loss: available when the forward ends
    ++d.inputs;
  }
  return true;
}

SHUNT_INLINE bool list_scheduler::start_input(rank_state& r, choice const& what, ticks now) {
  rank_stage& d = *what.of;
  drop(d.first_word + d.words, what.bit);
  --d.inputs;
  std::int32_t const place = place_of(d, what.bit);
  ticks const end = now + lasting(d.input, d, place);
  begin(r, split_ ? op_kind::backward_input : op_kind::backward, d, place, now, end);
  --d.in_flight;
  r.held -= d.early;
  if (split_)
    weights_[d.at[d.weights++]] = place;
  else
    --d.stashed;
  if (d.stage > 0) {
    cell const to = before_[d.at[place]];
    rank_stage& next = rank_stages_[static_cast<std::size_t>(to.rank_stage)];
    send(gradient_on_the_way_, next.gradients_coming, next,
         {end + job_.transfer(d.rank, next.rank), to.place});
  }
  return true;
}

}  // namespace shunt::detail
