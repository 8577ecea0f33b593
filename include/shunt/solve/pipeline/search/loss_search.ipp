#pragma once
#include "shunt/solve/pipeline/search/loss_search.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <tuple>

#include "shunt/core/config.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/solve/pipeline/normalize_failures.hpp"
#include "shunt/solve/pipeline/search/column_plans.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"

namespace shunt::detail {

SHUNT_INLINE loss_search::loss_search(worker_losses const& losses, std::int64_t effort,
                                      std::int32_t candidates)
    : effort_(effort),
      candidates_(candidates),
      from_(losses),
      borders_(borders_of(losses.job)),
      merged_(merged(losses.job, borders_)) {}

SHUNT_INLINE void loss_search::spread(loss_plan& plan) const {
  auto const& job = from_.losses.job;
  auto& made = plan.job;
  if (made.stages == job.stages) return;
  std::vector<rank_id> layout;
  for (pipeline_id const p : ids<pipeline_id>(made.pipelines))
    for (std::int32_t k = 0; k < made.stages; ++k)
      layout.insert(layout.end(), static_cast<std::size_t>(end_of(k) - first_of(k)),
                    made.rank_of({p, k}));
  for (auto& list : plan.schedule.order) {
    std::vector<operation> all;
    for (operation const& o : list)
      append_spread(all, o, first_of(o.stage.value()), end_of(o.stage.value()));
    list = std::move(all);
  }
  made.layout = stage_layout::custom(std::move(layout));
  made.stages = job.stages;
  made.stash = job.stash;
  made.costs = job.costs;
}

SHUNT_INLINE void loss_search::set_costs(pipeline_job& job, std::vector<rank_id> const& players,
                                         merged_borders const& borders) const {
  if (!from_.costs.by_rank()) return;
  std::vector<rank_id> workers;
  for (pipeline_id const p : ids<pipeline_id>(job.pipelines))
    for (stage_id const s : ids<stage_id>(job.stages))
      workers.push_back(players[job.rank_of({p, s}).index()]);
  job.costs = from_.costs_of(workers, borders);
}

SHUNT_INLINE loss_draft loss_search::planned(pipeline_job const& job,
                                             std::vector<rank_id> const& played) {
  loss_draft d;
  auto answer = slipstream{.effort = effort_ / 6}(job);
  if (!answer.has_plan()) {
    d.reason = answer.reason;
    return d;
  }
  auto& made = d.plan.job = job;
  made.dead.clear();
  d.plan.schedule = std::move(answer.plan);
  std::vector<rank_id> number(played.size(), -1);
  std::vector<std::int64_t> limits;  // of the ranks that stay
  for (rank_id const r : ids<rank_id>(played.size())) {
    if (played[r.index()] < 0) continue;
    number[r.index()] = rank_id(d.plan.members.size());
    d.plan.members.push_back(played[r.index()]);
    if (job.memory.rule == stash_cap::kind::one_f_one_b) limits.push_back(*job.stash_limit(r));
  }
  if (!job.dead.empty()) {
    std::vector<rank_id> layout;
    for (pipeline_id const p : ids<pipeline_id>(job.pipelines))
      for (stage_id const s : ids<stage_id>(job.stages)) {
        rank_id r = job.rank_of({p, s});
        for (std::int32_t by = 1; number[r.index()] < 0; ++by)  // a live peer
          r = job.rank_of({(p.value() + by) % job.pipelines, s});
        layout.push_back(number[r.index()]);
      }
    made.layout = stage_layout::custom(std::move(layout));
    indexed<rank_id, std::vector<operation>> order(d.plan.members.size());
    for (rank_id const r : ids<rank_id>(played.size()))
      if (number[r.index()] >= 0) order[number[r.index()]] = std::move(d.plan.schedule.order[r]);
    d.plan.schedule.order = std::move(order);
    if (job.memory.rule == stash_cap::kind::one_f_one_b)
      made.memory = stash_cap::per_rank(std::move(limits));
  }
  // caps and links are those of the ranks, not of their parts
  if (from_.losses.job.memory.rule == stash_cap::kind::per_rank)
    made.memory = from_.caps_of(d.plan.members);
  made.transfer = from_.links_of(d.plan.members);
  spread(d.plan);
  merged_borders every(static_cast<std::size_t>(made.stages) + 1);
  std::iota(every.begin(), every.end(), 0);
  set_costs(made, d.plan.members, every);
  d.period =
      job.transfer.alike() ? static_cast<ticks>(answer.objective) : period(made, d.plan.schedule);
  return d;
}

SHUNT_INLINE std::vector<rank_id> loss_search::own_parts() const {
  std::vector<rank_id> played(static_cast<std::size_t>(merged_.ranks()), -1);
  for (rank_id const r : from_.live)
    if (r.value() < merged_.ranks()) played[r.index()] = r;
  return played;
}

SHUNT_INLINE loss_draft loss_search::rerouted() { return planned(merged_, own_parts()); }

SHUNT_INLINE loss_draft loss_search::normalized(std::int32_t joining) {
  auto const& job = merged_;
  loss_draft d;
  auto const answer = normalize_failures{.joining = joining}(job);
  if (!answer.has_plan()) {
    d.reason = answer.reason;
    return d;
  }
  if (answer.plan.changes.empty()) {
    d.reason = "the failures are spread already";
    return d;
  }
  auto played = own_parts();
  std::int32_t spare = job.ranks();
  for (auto const& change : answer.plan.changes) {
    played[change.to.index()] = change.from ? *change.from : rank_id(spare++);
    if (change.from) played[change.from->index()] = -1;
  }
  auto now = job;
  now.dead = answer.plan.dead;
  auto players = played;  // whose caps the parts have
  for (rank_id const r : ids<rank_id>(players.size()))
    if (players[r.index()] < 0) players[r.index()] = r;
  now.memory = from_.caps_of(players);
  set_costs(now, players, borders_);
  return planned(now, played);
}

SHUNT_INLINE loss_draft loss_search::dropped() {
  auto const& job = merged_;
  loss_draft d;
  std::vector<rank_id> number(static_cast<std::size_t>(job.ranks()), -1), played, layout;
  std::vector<char> alive(number.size(), 0);
  for (rank_id const r : from_.live)
    if (r.value() < job.ranks()) alive[r.index()] = 1;
  std::int32_t whole = 0;
  for (pipeline_id const p : ids<pipeline_id>(job.pipelines)) {
    std::vector<rank_id> ranks;
    for (stage_id const s : ids<stage_id>(job.stages)) ranks.push_back(job.rank_of({p, s}));
    if (!std::all_of(ranks.begin(), ranks.end(), [&](rank_id r) { return alive[r.index()]; }))
      continue;
    ++whole;
    for (rank_id const r : ranks) {
      if (number[r.index()] < 0) {
        number[r.index()] = rank_id(played.size());
        played.push_back(r);
      }
      layout.push_back(number[r.index()]);
    }
  }
  if (whole == 0 || whole == job.pipelines) {
    d.reason = whole == 0 ? "every pipeline has lost a rank" : "no pipeline has lost a rank";
    return d;
  }
  if (job.total_microbatches() < whole) {
    d.reason = text("fewer micro-batches than the ") + text::of(whole) + " whole pipelines";
    return d;
  }
  auto now = job;
  now.dead.clear();
  now.pipelines = whole;
  now.microbatches =
      per_pipeline(even_shares(job.total_microbatches(), static_cast<std::size_t>(whole)));
  now.layout = stage_layout::custom(std::move(layout));
  set_costs(now, played, borders_);
  now.memory = from_.caps_of(played);
  now.transfer = from_.links_of(played);
  return planned(now, played);
}

SHUNT_INLINE void loss_search::add_copies(loss_plan& plan) const {
  auto const& job = from_.losses.job;
  auto const after = from_.held_under(plan);
  auto const node = [&](rank_id r) {
    return job.transfer.ranks_per_node == 0 ? 0 : r.value() / job.transfer.ranks_per_node;
  };
  std::vector<byte_count> sent(static_cast<std::size_t>(job.ranks()), 0);
  for (stage_id const s : ids<stage_id>(job.stages)) {
    std::map<rank_id, std::vector<rank_id>> copies;
    std::vector<rank_id> holders;
    for (rank_id const r : from_.live)
      if (from_.held.has(r, s)) holders.push_back(r);
    for (rank_id const to : from_.live) {
      if (!after.has(to, s) || from_.held.has(to, s)) continue;
      auto const from =
          *std::min_element(holders.begin(), holders.end(), [&](rank_id a, rank_id b) {
            return std::tuple(node(a) != node(to), sent[a.index()], a) <
                   std::tuple(node(b) != node(to), sent[b.index()], b);
          });
      sent[from.index()] += std::max<byte_count>(1, from_.losses.state[s]);
      copies[from].push_back(to);
    }
    for (auto& [from, to] : copies)
      plan.copies.push_back({.layer = s.value(), .from = from, .to = std::move(to)});
  }
}

SHUNT_INLINE priced_move loss_search::priced(loss_move what, loss_draft const& d) const {
  priced_move move{.what = what, .period = d.period, .reason = d.reason};
  if (!move.has_plan()) return move;
  auto const& change = from_.losses.change;
  auto const per_node = from_.losses.job.transfer.ranks_per_node;
  std::map<rank_id, std::pair<double, double>> busy;  // ticks that a rank sends, and receives
  for (auto const& c : d.plan.copies)
    for (rank_id const to : c.to) {
      auto const bytes = from_.losses.state[c.layer.value()];
      move.moved += bytes;
      bool const within = per_node == 0 || c.from.value() / per_node == to.value() / per_node;
      double const rate = within ? change.within_node : change.between_nodes;
      if (rate == 0) continue;
      busy[c.from].first += static_cast<double>(bytes) / rate;
      busy[to].second += static_cast<double>(bytes) / rate;
    }
  double longest = 0;
  for (auto const& [rank, both] : busy) longest = std::max({longest, both.first, both.second});
  move.switching = change.every + (d.plan.copies.empty() ? 0 : change.moving) +
                   static_cast<ticks>(std::ceil(std::min(longest, 4e18)));
  auto const within = static_cast<double>(from_.losses.until_next),
             switching = static_cast<double>(move.switching),
             period = static_cast<double>(d.period);
  move.price = within == 0          ? period
               : switching < within ? period * within / (within - switching)
                                    : std::numeric_limits<double>::infinity();
  return move;
}

SHUNT_INLINE std::optional<loss_plan> loss_search::search() {
  std::optional<loss_plan> best;
  std::pair<double, ticks> lowest{};
  auto const consider = [&](loss_move what, loss_draft d) {
    if (d.period > 0 && from_.losses.state_limit > 0) {
      auto const after = from_.held_under(d.plan);
      for (rank_id const r : d.plan.members) {
        byte_count bytes = 0;
        for (stage_id const s : ids<stage_id>(from_.losses.job.stages))
          if (after.has(r, s)) bytes += from_.losses.state[s];
        if (bytes <= from_.losses.state_limit) continue;
        d = {};
        d.reason = text("rank ") + text::of(r.value()) + " would hold " + text::of(bytes) +
                   " bytes of states, the limit is " + text::of(from_.losses.state_limit);
        break;
      }
    }
    if (d.period > 0) add_copies(d.plan);
    auto const move = priced(what, d);
    prices_.push_back(move);
    if (!move.has_plan()) return;
    std::pair const cost(move.price, move.switching);
    if (best && cost >= lowest) return;
    lowest = cost;
    best = std::move(d.plan);
    best->move = what;
  };
  consider(loss_move::reroute, rerouted());
  consider(loss_move::normalize, normalized(0));
  if (auto const joining =
          std::min(from_.losses.spares, static_cast<std::int32_t>(from_.losses.job.dead.size()));
      joining > 0)
    consider(loss_move::take_spares, normalized(joining));
  else
    prices_.push_back(
        {.what = loss_move::take_spares,
         .reason = from_.losses.spares > 0 ? "no rank is dead" : "there is no spare"});
  consider(loss_move::drop, dropped());
  column_plans blocks(from_, effort_, candidates_);
  consider(loss_move::repartition, blocks.best(true));
  consider(loss_move::joint, blocks.best(false));
  if (best) best->moves = prices_;
  return best;
}

}  // namespace shunt::detail
