#pragma once
#include "shunt/solve/pipeline/search/partition_search.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/solve/pipeline/improve_order.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"
#include "shunt/solve/pipeline/search/dealt_stages.hpp"
#include "shunt/solve/pipeline/search/fed_order.hpp"

namespace shunt::detail {

/// The recipes that make the first orders of a cut, the ones that are best most often first.
SHUNT_INLINE std::vector<recipe> const& first_recipes() {
  using r = recipe;
  static std::vector<recipe> const all{
      {},
      {r::true_costs, r::way_thrice, r::last, r::unlimited, 0},
      {r::true_costs, r::way_and_half, r::last, r::unlimited, 2},
      {r::true_costs, r::way_thrice, r::with_input, r::unlimited, 2},
      {r::true_costs, r::half_block_back, r::last, r::fill, 2},
      {r::true_costs, r::way_thrice, r::one_later, r::unlimited, 1},
      {r::true_costs, r::inputs, r::last, r::fill, 1},
      {r::light_weights, r::way_thrice, r::with_input, r::unlimited, 2},
      {r::equal_costs, r::shortest_block, r::last, r::by_block, 4, r::until_weight},
      {r::true_costs, r::inputs, r::last, r::fit_half, 1},
      {r::equal_costs, r::way_thrice, r::two_later, r::unlimited, 1}};
  return all;
}

SHUNT_INLINE partition_search::partition_search(layer_job const& job, ticks bound,
                                                std::int64_t effort, std::stop_token stop)
    : job_(job), bound_(bound), left_(effort), effort_(effort), stop_(std::move(stop)) {}

SHUNT_INLINE std::int64_t partition_search::operations(candidate const& c) const {
  return std::int64_t{3} * job_.microbatches * static_cast<std::int64_t>(c.borders.size() - 1);
}

SHUNT_INLINE void partition_search::add(stage_layout const& layout, std::int32_t stages,
                                        std::size_t most, std::int64_t effort) {
  layouts_.emplace_back(job_, layout, stages);
  auto const tried = std::max<std::int64_t>(200, effort / 4);
  left_ -= std::min(left_ / 2, 4 * tried);
  for (auto& [value, borders] : layouts_.back().best(most, tried))
    all_.push_back({.shape = layouts_.size() - 1,
                    .layout = layout,
                    .borders = std::move(borders),
                    .bound = std::max(bound_, value.makespan)});
}

SHUNT_INLINE void partition_search::improve_cuts(std::size_t most, std::int64_t effort) {
  std::vector<std::size_t> firsts;  // the best cut of each layout
  std::vector<char> met(layouts_.size(), 0);
  for (std::size_t i = 0; i < all_.size() && firsts.size() < 3; ++i)
    if (!std::exchange(met[all_[i].shape], 1)) firsts.push_back(i);
  for (std::size_t const i : firsts) {
    auto const shape = all_[i].shape;
    if (all_[i].bound <= bound_) return;
    auto const steps = effort / 4 / static_cast<std::int64_t>(firsts.size());
    left_ -= std::min(left_ / 2, 4 * steps);
    for (auto& cut : layouts_[shape].best_from(all_[i].borders, most, steps))
      if (std::none_of(all_.begin(), all_.end(), [&](candidate const& c) {
            return c.shape == shape && c.borders == cut.second;
          }))
        all_.push_back({.shape = shape,
                        .layout = layouts_[shape].layout(),
                        .borders = std::move(cut.second),
                        .bound = std::max(bound_, cut.first.makespan)});
  }
}

SHUNT_INLINE void partition_search::keep(candidate const& c, ticks makespan, pipeline_job job,
                                         pipeline_schedule schedule) {
  if (makespan >= best_) return;
  best_ = makespan;
  plan_ = {ranges_of(c.borders), std::move(job), std::move(schedule)};
}

SHUNT_INLINE void partition_search::order(candidate& c, std::int64_t runs,
                                          std::vector<recipe> const& known) {
  auto const made = pipeline_job_of(job_, ranges_of(c.borders), c.layout);
  c.spent += runs;
  if (!made.memory.limits.empty() &&
      *std::min_element(made.memory.limits.begin(), made.memory.limits.end()) < 1)
    return;
  std::int64_t const effort = runs * operations(c);
  left_ -= effort;
  zero_bubble_search search(made, false, c.bound, effort);
  if (search.chain().too_small() >= 0) return;
  search.search(known);
  if (search.sequence().empty()) return;
  if (search.best() < c.found) {
    c.found = search.best();
    c.favourite = search.favourite();
    search.evaluate(search.sequence());  // leaves its times in the chain
    c.idle.clear();
    for (std::size_t r = 0; r < static_cast<std::size_t>(job_.ranks); ++r)
      c.idle.push_back(search.chain().idle(r) * (search.best() / search.chain().makespan()));
  }
  if (search.best() < best_)
    keep(c, search.best(), made, search.chain().schedule(search.sequence(), false));
}

SHUNT_INLINE void partition_search::even_interleaved() {
  for (std::size_t shape = 0; shape < layouts_.size(); ++shape) {
    if (layouts_[shape].layout().form() == stage_layout::shape::wave) continue;
    candidate c{
        .shape = shape, .layout = layouts_[shape].layout(), .borders = layouts_[shape].even()};
    auto const value = layouts_[shape].value_of(c.borders);
    if (value.excess > 0 || value.makespan >= best_) continue;
    auto made = pipeline_job_of(job_, ranges_of(c.borders), layouts_[shape].layout());
    auto schedule = interleaved_one_f_one_b{}.order(made);
    if (job_.memory > 0) {
      auto const peaks = stash_peak(made, schedule);
      bool over = false;
      for (rank_id r : ids<rank_id>(made.ranks())) over = over || peaks[r] > *made.stash_limit(r);
      if (over) continue;
    }
    auto const takes = makespan(made, schedule);
    keep(c, takes, std::move(made), std::move(schedule));
  }
}

SHUNT_INLINE void partition_search::rebalance(candidate c) {
  auto& cuts = layouts_[c.shape];
  auto idle = c.idle;
  for (int round = 0; round < 8 && !finished() && left_ > effort_ / 8; ++round) {
    cuts.expect(idle);
    auto const steps = effort_ / 200;
    left_ -= steps;
    auto near = cuts.best_from(c.borders, 1, steps);
    cuts.expect({});
    if (near.empty()) return;
    candidate next{.shape = c.shape, .layout = c.layout, .borders = std::move(near[0].second)};
    next.bound = std::max(bound_, cuts.value_of(next.borders).makespan);
    order(next, 2, {c.favourite, first_recipes()[0]});
    if (next.idle.empty()) return;
    for (std::size_t r = 0; r < idle.size(); ++r) idle[r] = (idle[r] + next.idle[r]) / 2;
    if (next.found < c.found) c = std::move(next);
  }
}

SHUNT_INLINE void partition_search::deal(std::int32_t chunks) {
  auto const most =
      std::min(static_cast<std::int64_t>(job_.layers.size()), std::int64_t{6} * job_.ranks);
  if (2'000 * job_.microbatches * most < effort_)
    deal_brief(chunks);
  else
    deal_long(chunks);
}

SHUNT_INLINE void partition_search::deal_brief(std::int32_t chunks) {
  using r = recipe;
  static constexpr recipe rules[] = {
      {}, {r::true_costs, r::way_twice}, {r::true_costs, r::way_thrice}, {r::true_costs, r::way}};
  auto const until = effort_ / 8;
  for (std::int32_t const many : {5, 4}) {
    if (chunks < many) continue;
    dealt_stages stages(job_, many * job_.ranks, chunks);
    if (!stages.complete()) continue;
    auto idle = stages.starts();
    ticks least = nothing;
    recipe favourite;
    auto const end = many == 5 ? until + (left_ - until) / 2 : until;
    for (int round = 0; round < 30 && !finished() && left_ > end; ++round) {
      left_ -= effort_ / 500;
      stages.balance(idle, effort_ / 50);
      candidate c{.layout = stages.layout(), .borders = stages.now().borders, .bound = bound_};
      if (round == 0)
        for (recipe const& rule : rules) order(c, 1, {rule});
      else
        order(c, 1, {favourite});
      if (c.idle.empty()) break;
      for (std::size_t n = 0; n < idle.size(); ++n)
        idle[n] = round == 0 ? c.idle[n] : (idle[n] + c.idle[n]) / 2;
      if (c.found < least) least = c.found, favourite = c.favourite;
    }
  }
}

SHUNT_INLINE void partition_search::deal_long(std::int32_t chunks) {
  auto const until = effort_ / 8;
  ticks start = 0;  // ranks idle hardly after this time
  for (auto const& l : job_.layers) start += l.forward + l.backward_input;
  start += start / 3 + 4 * job_.transfer * job_.ranks;
  for (std::int32_t const many : {6, 4}) {
    if (chunks < many) continue;
    dealt_stages stages(job_, many * job_.ranks, chunks);
    if (!stages.complete()) continue;
    auto const end = many == 6 ? until + (left_ - until) / 10 : until;
    auto const moves =
        std::min(effort_ / 160, 32 * static_cast<std::int64_t>(stages.now().rank_of.size()));
    auto const improve = [&](std::vector<ticks> const& more, std::int64_t times) {
      left_ -= 2 * times * moves;
      stages.improve(more, 2, times * moves);
    };
    std::vector<ticks> more(static_cast<std::size_t>(job_.ranks), 0);
    improve(more, 4);
    ticks least = nothing;
    auto best = stages.now();
    for (int round = 0; round < 40 && !finished() && left_ > end; ++round) {
      candidate c{.layout = stages.layout(), .borders = stages.now().borders, .bound = bound_};
      auto made = pipeline_job_of(job_, ranges_of(c.borders), c.layout);
      fed_order fed(made);
      fed.run(start);
      left_ -= static_cast<std::int64_t>(fed.sequence().size());
      auto const idle = fed.idle(), work = stages.work(), expected = stages.expected_idle();
      ticks last = 0;
      for (std::size_t n = 0; n < work.size(); ++n) {
        last = std::max(last, work[n] + idle[n]);
        ticks const seen = idle[n] - 2 * expected[n];
        more[n] = round == 0 ? seen : (7 * more[n] + 3 * seen) / 10;
      }
      if (last < least) {
        least = last;
        best = stages.now();
        fed.run();
        zero_bubble_search search(made, false, bound_, operations(c));
        left_ -= search.chain().operations();
        search.evaluate(fed.sequence());
        if (search.best() < best_)
          keep(c, search.best(), made, search.chain().schedule(search.sequence(), false));
      }
      if (round % 5 == 4) stages.restore(best);
      improve(more, 1);
    }
  }
}

SHUNT_INLINE void partition_search::move_borders(candidate c) {
  auto const inner = c.borders.size() - 1;
  for (bool moved = true; moved && !finished();) {
    moved = false;
    std::vector<std::pair<cut_value, stage_borders>> near;
    for (std::size_t first = 1; first < inner && !finished(); ++first) {
      left_ -= 1 + static_cast<std::int64_t>(inner) / 8;
      for (std::size_t end = first + 1; end <= std::min(inner, first + 4); ++end)
        for (std::int32_t const by : {1, -1}) {
          auto to = c.borders;
          if (by > 0 ? to[end - 1] + 1 >= to[end] : to[first] - 1 <= to[first - 1]) continue;
          for (std::size_t b = first; b < end; ++b) to[b] += by;
          auto const value = layouts_[c.shape].value_of(to);
          if (value.excess == 0 && value.makespan < best_) near.emplace_back(value, std::move(to));
        }
    }
    std::sort(near.begin(), near.end());
    for (auto& [value, to] : near) {
      if (finished() || value.makespan >= best_) break;
      candidate next{.shape = c.shape,
                     .layout = c.layout,
                     .borders = std::move(to),
                     .bound = std::max(bound_, value.makespan)};
      ticks const before = best_;
      order(next, 3, {c.favourite, first_recipes()[0]});
      if (best_ == before) continue;
      c = std::move(next);
      moved = true;
      break;
    }
  }
}

SHUNT_INLINE void partition_search::polish() {
  if (finished() || best_ == nothing) return;
  auto const improve = [&](pipeline_job const& made, pipeline_schedule const& schedule,
                           std::int64_t effort) {
    left_ -= effort;
    return improve_order{.effort = effort}(made, schedule);
  };
  auto const better = improve(plan_.job, plan_.schedule, left_ / 4);
  if (better.has_plan() && better.objective < static_cast<double>(best_)) {
    best_ = static_cast<ticks>(better.objective);
    plan_.schedule = better.plan;
  }
  auto const many = std::min<std::size_t>(12, all_.size());
  for (std::size_t i = 0; i < many && !finished(); ++i) {
    auto const& c = all_[i];
    if (c.bound >= best_ || c.found == nothing || left_ < 20 * operations(c)) continue;
    auto made = pipeline_job_of(job_, ranges_of(c.borders), c.layout);
    zero_bubble_search search(made, false, c.bound, 2 * operations(c));
    search.search({c.favourite});
    auto other = improve(made, search.chain().schedule(search.sequence(), false),
                         left_ / static_cast<std::int64_t>(many - i) / 2);
    if (other.has_plan() && other.objective < static_cast<double>(best_))
      keep(c, static_cast<ticks>(other.objective), std::move(made), std::move(other.plan));
  }
}

SHUNT_INLINE void partition_search::search(std::int32_t chunks, bool waves, bool dealt) {
  auto const layers = static_cast<std::int32_t>(job_.layers.size());
  std::int32_t const most = job_.ranks == 1 ? 1 : std::min(chunks, layers / job_.ranks);
  std::int64_t const share = effort_ / 12 / std::max(1, 2 * most - 1);
  // Where orders are short, more cuts are ordered: the bound tells cuts apart less well there.
  auto const a_cut = std::int64_t{40} * 3 * job_.microbatches * job_.ranks * std::min(most, 2);
  auto const kept = static_cast<std::size_t>(std::clamp<std::int64_t>(effort_ / a_cut, 24, 200));
  add(stage_layout::linear(), job_.ranks, kept, share);
  for (std::int32_t v = 2; v <= most; ++v) {
    if (waves) add(stage_layout::wave(v), v * job_.ranks, kept, share);
    add(stage_layout::looped(v), v * job_.ranks, kept, share);
  }
  auto const rank_all = [&] {
    std::sort(all_.begin(), all_.end(), [](candidate const& a, candidate const& b) {
      return std::tie(a.found, a.bound, a.shape, a.borders) <
             std::tie(b.found, b.bound, b.shape, b.borders);
    });
    std::erase_if(all_, [&](candidate const& c) { return c.bound >= best_; });
  };
  if (!all_.empty()) order(all_.front(), 2, first_recipes());
  if (dealt && job_.memory == 0) deal(chunks);
  rank_all();
  improve_cuts(kept, effort_ / 4);
  rank_all();
  // The best cut of each layout, then all by halving their number and doubling the runs.
  std::vector<char> met(layouts_.size(), 0);
  for (auto& c : all_) {
    if (best_ != nothing && (finished() || left_ < effort_ / 2)) break;
    if (met[c.shape] || c.bound >= best_) continue;
    met[c.shape] = 1;
    order(c, 2, first_recipes());
  }
  rank_all();
  for (std::size_t i = 0; i < std::min<std::size_t>(4, all_.size()) && !finished(); ++i)
    if (all_[i].found != nothing) rebalance(all_[i]);
  std::int64_t runs = 4;
  for (std::size_t many = all_.size(); many > 0 && !finished(); many /= 2, runs *= 2) {
    for (std::size_t i = 0; i < std::min(many, all_.size()) && !finished(); ++i) {
      if (all_[i].bound >= best_ || left_ < effort_ / 4) continue;
      order(all_[i], runs, first_recipes());
    }
    rank_all();
  }
  for (std::size_t i = 0; i < std::min<std::size_t>(2, all_.size()) && !finished(); ++i)
    move_borders(all_[i]);
  even_interleaved();
  polish();
}

SHUNT_INLINE layer_partition partition_search::plan() const { return plan_; }

}  // namespace shunt::detail
