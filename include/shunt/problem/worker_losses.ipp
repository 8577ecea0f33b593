#pragma once
#include "shunt/problem/worker_losses.hpp"

#include <cmath>
#include <cstddef>
#include <string>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"

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
}

}  // namespace shunt
