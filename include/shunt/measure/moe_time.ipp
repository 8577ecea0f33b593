#pragma once
#include "shunt/measure/moe_time.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/expert_hosts.hpp"

namespace shunt {
namespace detail {

SHUNT_CONSTEXPR void require_above_zero(char const* field, double value) {
  if (!(value > 0) || value > std::numeric_limits<double>::max())
    throw invalid_problem(field, "must be above 0 and finite, is " + std::to_string(value));
}

}  // namespace detail

SHUNT_CONSTEXPR moe_times moe_time_model::operator()(moe_layer_work const& work,
                                                     optimizer_place where) const {
  bool const tied = where == optimizer_place::tied;
  double const kept = sizes.experts / sizes.ranks / sizes.host_bandwidth;
  auto const counted = [&](double between, double x) {
    return kept * x + between * x / (sizes.ranks * sizes.network_bandwidth);
  };
  auto const formula = [&](double x) {
    return tied ? sizes.static_time(x) : sizes.decoupled_time(x);
  };
  return {.compute = fixed_seconds + token_seconds * work.computed,
          .exchange = 4 * work.exchanged * token_bytes / sizes.network_bandwidth,
          .gradient = counted(work.gradients, sizes.gradient_bytes),
          .weights = counted(work.weights, sizes.weight_bytes),
          .migrate = tied ? second_copy_bytes(work.received) / sizes.network_bandwidth : 0,
          .gradient_formula = formula(sizes.gradient_bytes),
          .weights_formula = formula(sizes.weight_bytes)};
}

SHUNT_CONSTEXPR double ordinary_seconds(expert_traffic const& sizes, moe_calibration const& by) {
  return sizes.slots_per_rank * (sizes.weight_bytes + sizes.state_bytes) / sizes.network_bandwidth /
         (by.replacement_ratio - 1);
}

SHUNT_CONSTEXPR moe_time_model calibrated(expert_traffic const& sizes, double token_bytes,
                                          moe_calibration const& by) {
  detail::require_above_zero("ranks", sizes.ranks);
  detail::require_above_zero("slots_per_rank", sizes.slots_per_rank);
  detail::require_above_zero("experts", sizes.experts);
  detail::require_above_zero("gradient_bytes", sizes.gradient_bytes);
  detail::require_above_zero("weight_bytes", sizes.weight_bytes);
  detail::require_above_zero("state_bytes", sizes.state_bytes);
  detail::require_above_zero("network_bandwidth", sizes.network_bandwidth);
  if (!(sizes.host_bandwidth > 0))
    throw invalid_problem("host_bandwidth",
                          "must be above 0, is " + std::to_string(sizes.host_bandwidth));
  detail::require_above_zero("token_bytes", token_bytes);
  detail::require_above_zero("tokens", by.tokens);
  if (!(by.replacement_ratio > 1) || by.replacement_ratio > std::numeric_limits<double>::max())
    throw invalid_problem("replacement_ratio",
                          "must be above 1 and finite, is " + std::to_string(by.replacement_ratio));
  if (!(by.token_share >= 0 && by.token_share <= 1))
    throw invalid_problem("token_share",
                          "must be from 0 to 1, is " + std::to_string(by.token_share));
  moe_time_model model{.sizes = sizes, .token_bytes = token_bytes};
  double const sent = by.tokens * (sizes.ranks - 1) / sizes.ranks;
  auto const rest = model({.exchanged = sent}, optimizer_place::tied).total_by_formula();
  double const free = ordinary_seconds(sizes, by) - rest;
  if (!(free >= 0))
    throw invalid_problem("replacement_ratio", "phases and exchange take " + std::to_string(rest) +
                                                   " s, an ordinary iteration " +
                                                   std::to_string(ordinary_seconds(sizes, by)) +
                                                   " s");
  model.token_seconds = by.token_share * free / by.tokens;
  model.fixed_seconds = (1 - by.token_share) * free;
  return model;
}

SHUNT_CONSTEXPR double padded_exchange(double experts, double slots_per_rank, double room) {
  double const ranks_of_group = std::max(1.0, experts / slots_per_rank);
  return (1 - 1 / ranks_of_group) * experts * room;
}

SHUNT_CONSTEXPR double tied_state(expert_placement const& placement, layer_id layer) {
  auto const hosts = hosts_of(placement, layer);
  indexed<rank_id, double> held(static_cast<std::size_t>(placement.ranks()));
  double most = 0;
  for (auto const& all : hosts)
    for (expert_host const& h : all) {
      held[h.rank] += 1 / static_cast<double>(all.size());
      most = std::max(most, held[h.rank]);
    }
  return most;
}

}  // namespace shunt
