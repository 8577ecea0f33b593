#pragma once
#include "shunt/problem/worker_losses.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <string>
#include <tuple>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt::detail {

using cost_lists = std::array<std::pair<per_stage stage_costs::*, ticks rank_ticks::*>, 4>;
inline constexpr cost_lists costs_by_kind{
    {{&stage_costs::forward, &rank_ticks::forward},
     {&stage_costs::backward_input, &rank_ticks::backward_input},
     {&stage_costs::backward_weight, &rank_ticks::backward_weight},
     {&stage_costs::step, &rank_ticks::step}}};

/// Returns normal x own / base, rounded to the nearest number. A base of 0 says nothing of a pace.
SHUNT_INLINE ticks at_pace(ticks normal, ticks own, ticks base) {
  if (base == 0 || own == base) return normal;
  auto const common = std::gcd(own, base);
  own /= common;
  base /= common;
  if (auto const product = checked_multiply(normal, own)) {
    auto const whole = *product / base, rest = *product % base;
    return whole + (rest >= base - rest ? 1 : 0);
  }
  auto const all =
      static_cast<double>(normal) * (static_cast<double>(own) / static_cast<double>(base));
  return static_cast<ticks>(std::min(all, 4e18));
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE rank_costs::rank_costs(worker_losses const& losses)
    : stages_(static_cast<std::size_t>(losses.job.stages)), table_(stages_) {
  auto const& job = losses.job;
  auto const by_worker = [&](per_stage const& list) { return list.size() > stages_; };
  for (auto const& [list, ticks_of] : detail::costs_by_kind) {
    auto const& costs = job.costs.*list;
    for (stage_id const s : ids<stage_id>(job.stages)) {
      auto& least = table_[s.index()].*ticks_of = costs[s];
      if (by_worker(costs))
        for (pipeline_id const p : ids<pipeline_id>(job.pipelines))
          least = std::min(least, costs.of(p, s, job.stages));
      if (losses.normal) least = (*losses.normal.*list)[s];
    }
  }
  if (!losses.normal && !by_worker(job.costs.forward) && !by_worker(job.costs.backward_input) &&
      !by_worker(job.costs.backward_weight) && !by_worker(job.costs.step))
    return;
  auto const ranks = static_cast<std::size_t>(job.ranks());
  table_.resize((ranks + 1) * stages_);
  std::vector<char> held(table_.size(), 0);
  for (auto const& [list, ticks_of] : detail::costs_by_kind) {
    auto const& costs = job.costs.*list;
    std::fill(held.begin(), held.end(), char{0});
    std::vector<ticks> own(ranks, 0), base(ranks, 0);
    for (pipeline_id const p : ids<pipeline_id>(job.pipelines))
      for (stage_id const s : ids<stage_id>(job.stages)) {
        rank_id const r = job.rank_of({p, s});
        auto const cell = (r.index() + 1) * stages_ + s.index();
        if (std::exchange(held[cell], char{1})) continue;
        own[r.index()] += table_[cell].*ticks_of = costs.of(p, s, job.stages);
        base[r.index()] += normal(s).*ticks_of;
      }
    ticks const least = ticks_of == &rank_ticks::forward || ticks_of == &rank_ticks::backward_input;
    for (std::size_t r = 0; r < ranks; ++r)
      for (std::size_t s = 0; s < stages_; ++s)
        if (auto const cell = (r + 1) * stages_ + s; !held[cell])
          table_[cell].*ticks_of =
              std::max(least, detail::at_pace(table_[s].*ticks_of, own[r], base[r]));
  }
}

}  // namespace shunt

namespace shunt::detail {

SHUNT_INLINE void validate_costs(worker_losses const& losses) {
  auto const& job = losses.job;
  if (losses.normal)
    for (auto const& [name, list, least] :
         {std::tuple("forward", &losses.normal->forward, ticks{1}),
          std::tuple("backward_input", &losses.normal->backward_input, ticks{1}),
          std::tuple("backward_weight", &losses.normal->backward_weight, ticks{0}),
          std::tuple("step", &losses.normal->step, ticks{0})}) {
      auto const field = std::string("normal.") + name;
      if (list->size() != 1 && list->size() != static_cast<std::size_t>(job.stages))
        throw invalid_problem(field, "has " + std::to_string(list->size()) + " values for " +
                                         std::to_string(job.stages) + " stages");
      for (ticks const t : list->values())
        if (t < least)
          throw invalid_problem(field, "must be at least " + std::to_string(least) + ", is " +
                                           std::to_string(t));
    }
  rank_costs const costs(losses);
  if (!costs.by_rank()) return;
  std::int64_t lengths = job.total_microbatches(), all = 0;
  if (!job.lengths.empty())
    lengths = std::accumulate(job.lengths.begin(), job.lengths.end(), std::int64_t{0});
  for (stage_id const s : ids<stage_id>(job.stages)) {
    rank_ticks most = costs.normal(s);
    for (rank_id const r : ids<rank_id>(job.ranks()))
      for (auto const& [list, ticks_of] : costs_by_kind)
        most.*ticks_of = std::max(most.*ticks_of, costs.on(r, s).*ticks_of);
    for (auto const& [list, ticks_of] : costs_by_kind) {
      auto const times = ticks_of == &rank_ticks::step ? 1 : lengths;
      auto const product = checked_multiply(most.*ticks_of, times);
      auto const sum = product ? checked_add(all, *product) : product;
      if (!sum || *sum >= std::int64_t{1} << 61)
        throw invalid_problem("costs", "are " + std::to_string(most.*ticks_of) + " at stage " +
                                           std::to_string(s.value()) +
                                           " on a slow rank: the times add up beyond 61 bits");
      all = *sum;
    }
  }
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE void validate(worker_losses const& losses) {
  validate(losses.job);
  auto const at_least_0 = [](std::string const& field, std::int64_t value) {
    if (value < 0) throw invalid_problem(field, "must be at least 0, is " + std::to_string(value));
  };
  at_least_0("spares", losses.spares);
  if (losses.spares > 0 && !losses.job.transfer.matrix.empty())
    throw invalid_problem("transfer", "is a matrix of " + std::to_string(losses.job.ranks()) +
                                          " ranks, without the " + std::to_string(losses.spares) +
                                          " spares");
  auto const bytes = losses.state.values();
  if (bytes.size() != 1 && bytes.size() != static_cast<std::size_t>(losses.job.stages))
    throw invalid_problem("state", "has " + std::to_string(bytes.size()) + " values for " +
                                       std::to_string(losses.job.stages) + " stages");
  std::int64_t all = 0;
  for (std::size_t s = 0; s < bytes.size(); ++s) {
    auto const field = bytes.size() == 1 ? "state" : "state[" + std::to_string(s) + "]";
    at_least_0(field, bytes[s]);
    auto const times = bytes.size() == 1 ? losses.job.workers() : losses.job.pipelines;
    auto const product = checked_multiply(bytes[s], times);
    auto const sum = product ? checked_add(all, *product) : product;
    if (!sum || *sum > std::int64_t{1} << 52)
      throw invalid_problem(field, "is " + std::to_string(bytes[s]) +
                                       ": all states add up beyond 52 bits");
    all = *sum;
  }
  at_least_0("state_limit", losses.state_limit);
  at_least_0("change.every", losses.change.every);
  at_least_0("change.moving", losses.change.moving);
  at_least_0("until_next", losses.until_next);
  auto const rate = [](char const* field, double value) {
    if (!std::isfinite(value) || value < 0)
      throw invalid_problem(field, "must be at least 0, is " + std::to_string(value));
  };
  rate("change.within_node", losses.change.within_node);
  rate("change.between_nodes", losses.change.between_nodes);
  detail::validate_costs(losses);
}

}  // namespace shunt
