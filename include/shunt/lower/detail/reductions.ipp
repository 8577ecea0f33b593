#pragma once
#include "shunt/lower/detail/reductions.hpp"

#include <algorithm>
#include <cstddef>

#include "shunt/lower/detail/instruction_waits.hpp"
#include "shunt/lower/operands.hpp"
#include "shunt/plan/pipeline_actions.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR gradient_reductions::gradient_reductions(pipeline_job const& job,
                                                         bool staggered_step,
                                                         std::vector<std::int32_t> const& finished,
                                                         surviving_gradients const* kept,
                                                         held_stages const* shadows, element type,
                                                         program_builder& builder)
    : staggered_step_(staggered_step),
      finished_(finished),
      kept_(kept),
      gradient_type_(type),
      builder_(builder) {
  holders_.resize(static_cast<std::size_t>(job.stages));
  group_of_stage_.resize(holders_.size(), group_id{none});
  std::vector<std::uint8_t> dead(static_cast<std::size_t>(job.ranks()), 0);
  for (worker const& w : job.dead) dead[job.rank_of(w).index()] = 1;
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (stage_id s : ids<stage_id>(job.stages))
      if (rank_id const r = job.rank_of({p, s}); dead[r.index()] == 0) holders_[s].push_back(r);
  if (shadows)
    for (rank_id const r : ids<rank_id>(job.ranks()))
      for (stage_id const s : (*shadows)[r.index()])
        if (dead[r.index()] == 0) holders_[s].push_back(r);
  for (auto& h : holders_) {
    std::sort(h.begin(), h.end());
    h.erase(std::unique(h.begin(), h.end()), h.end());
  }
  for (rank_id r : ids<rank_id>(job.ranks()))
    if (dead[r.index()] == 0) live_.push_back(r);
}

SHUNT_CONSTEXPR void gradient_reductions::declare(rank_id r, stage_regions const& of) {
  builder_.buffer(r, of.gradient().buffer, of.gradient().size + (kept_ ? of.reduced().size : 0),
                  kept_ != nullptr);
  builder_.buffer(r, of.flag().buffer, both_flags(of).size + (kept_ ? of.reduced_flag().size : 0),
                  kept_ != nullptr);
}

SHUNT_CONSTEXPR void gradient_reductions::open(rank_id r, std::vector<held_stage>& held,
                                               compute_tail& tail) {
  stepping_ = false;
  for (held_stage& h : held) tail.last = h.last = open_gradient(r, h.of, tail.last);
}

SHUNT_CONSTEXPR void gradient_reductions::reduce_early(rank_id r, held_stage& h,
                                                       compute_tail const& tail) {
  h.reduced = true;
  h.reduction = reduce(r, h, tail);
}

SHUNT_CONSTEXPR void gradient_reductions::step(rank_id r, std::vector<held_stage>& held,
                                               held_stage& own, operation const& step,
                                               compute_tail& tail) {
  auto const order = [&](held_stage const* h) { return finished_[h->of.stage.index()]; };
  std::vector<held_stage*> due;
  for (held_stage& h : held)
    if (!h.reduced && (!staggered_step_ || order(&h) <= order(&own))) due.push_back(&h);
  std::sort(due.begin(), due.end(), [&](auto* a, auto* b) { return order(a) < order(b); });
  for (held_stage* h : due) reduce_early(r, *h, tail);
  bool const wait_for_all = !staggered_step_ && live_.size() > 1;
  if (wait_for_all && !stepping_) reduce_flag_of_all(r, held.front().of, tail);
  std::int32_t reduced = wait_for_all ? all_ : own.reduction;
  if (reduced == none) reduced = tail.beside;
  auto const emit = [&](placing const& at) {
    if (!stepping_)
      for (held_stage const& h : held) builder_.copy(r, h.of.state(), h.of.kept(), at);
    step_operands const on{summed_gradient(own.of), summed_flag(own.of), own.of.state()};
    builder_.compute(r, step, on.reads(), on.writes(), at);
  };
  reduced == none ? emit({}) : emit({.after = {reduced}});
  stepping_ = true;
  tail = {.last = builder_.size(r) - 1};
}

SHUNT_CONSTEXPR region gradient_reductions::both_flags(stage_regions const& of) {
  return {of.flag().buffer, 0, of.flag().size + of.flag_of_all().size};
}

SHUNT_CONSTEXPR region gradient_reductions::summed_gradient(stage_regions const& of) const {
  return kept_ ? of.reduced() : of.gradient();
}

SHUNT_CONSTEXPR region gradient_reductions::summed_flag(stage_regions const& of) const {
  return kept_ ? of.reduced_flag() : of.flag();
}

SHUNT_CONSTEXPR std::int32_t gradient_reductions::open_gradient(rank_id r, stage_regions const& of,
                                                                std::int32_t last) {
  auto const survived = [&](surviving_gradient const& k) {
    return k.rank == r && k.stage == of.stage;
  };
  if (kept_)
    if (auto const k = std::find_if(kept_->begin(), kept_->end(), survived); k != kept_->end()) {
      if (!k->reduced) return last;
      builder_.copy(r, of.reduced(), of.gradient());
      return builder_.copy(r, of.reduced_flag(), of.flag());
    }
  builder_.fill(r, of.gradient());
  return builder_.fill(r, both_flags(of));
}

SHUNT_CONSTEXPR std::int32_t gradient_reductions::reduce(rank_id r, held_stage const& h,
                                                         compute_tail const& tail) {
  auto const& holders = holders_[h.of.stage];
  instruction_waits after;
  after.add(h.last);
  after.add(h.last_beside);
  after.add(tail.beside);  // a step right after a pair waits for both operations through this
  auto const beside_computing = [&](auto&& emit) {
    return after.place(pipeline_lanes::reductions, emit);
  };
  std::int32_t last = none;
  if (kept_) {
    beside_computing(
        [&](placing const& at) { return builder_.copy(r, h.of.gradient(), h.of.reduced(), at); });
    last = beside_computing(
        [&](placing const& at) { return builder_.copy(r, h.of.flag(), h.of.reduced_flag(), at); });
  }
  if (holders.size() < 2) return last;
  auto const g = group(group_of_stage_[h.of.stage], holders);
  beside_computing([&](placing const& at) {
    return builder_.all_reduce(r, g, gradient_type_, reduction::sum, summed_gradient(h.of), at);
  });
  return beside_computing([&](placing const& at) {
    return builder_.all_reduce(r, g, element::int64, reduction::sum, summed_flag(h.of), at);
  });
}

SHUNT_CONSTEXPR void gradient_reductions::reduce_flag_of_all(rank_id r, stage_regions const& of,
                                                             compute_tail const& tail) {
  instruction_waits after;
  after.add(tail.last);
  after.add(tail.beside);
  after.place(pipeline_lanes::reductions, [&](placing const& at) {
    region flag = summed_flag(of);
    flag.size = of.flag_of_all().size;  // without the sums
    return builder_.copy(r, flag, of.flag_of_all(), at);
  });
  all_ = builder_.all_reduce(r, group(all_group_, live_), element::int64, reduction::max,
                             of.flag_of_all(), {.lane = pipeline_lanes::reductions});
}

SHUNT_CONSTEXPR group_id gradient_reductions::group(group_id& known,
                                                    std::vector<rank_id> const& members) {
  if (known == none) known = builder_.group(members);
  return known;
}

}  // namespace shunt::detail
