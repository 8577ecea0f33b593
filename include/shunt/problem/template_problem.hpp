#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/units.hpp"

namespace shunt {

/// A layer of the model, as a planner of pipeline templates sees it. Times are in one unit of the
/// caller's choice. They are no ticks, for a stage on several GPUs takes fractions of them.
struct template_layer {
  double forward = 1;   ///< of a micro-batch on one GPU
  double backward = 2;  ///< the same, fused
  byte_count parameters = 0;
  byte_count activations = 0;
  /// All-reduce within a node after a forward or a backward, on 2, 4, 8 ... GPUs. Empty: no cost.
  std::vector<double> all_reduce{};

  bool operator==(template_layer const&) const = default;
};

/// L layers for pipelines of n_min .. N nodes. A stage holds consecutive layers and does not span
/// nodes.
struct template_problem {
  std::vector<template_layer> layers{};
  std::int32_t nodes = 1;    ///< N, of the largest template
  std::int32_t gpus = 1;     ///< of a node
  byte_count memory = 0;     ///< of a GPU; 0: no limit
  std::int32_t minimum = 1;  ///< nodes of the smallest template, where memory doesn't ask for more

  bool operator==(template_problem const&) const = default;
};

/// Throws invalid_problem, which names field and value, where there is no layer, a size is below 1,
/// a forward or backward is not above 0, another time or byte count is below 0, a number is not
/// finite or above 1e100, or a layer's list of all-reduces leaves out a number of GPUs.
void validate(template_problem const& problem);

/// Returns n_min: at least `minimum`, at least 1, and enough nodes to hold six times the parameters
/// (with gradients and optimizer state) and the largest layer's activations.
/// Throws invalid_problem where the bytes exceed 63 bits.
/// Requires a valid problem.
[[nodiscard]] std::int64_t least_nodes(template_problem const& problem);

/// Forward and backward of one stage, for one micro-batch.
struct stage_time {
  double forward = 0;
  double backward = 0;

  [[nodiscard]] constexpr double latency() const { return forward + backward; }
  bool operator==(stage_time const&) const = default;
};

/// Returns the times of layers first .. end-1 as one stage on `gpus` GPUs: each layer's time
/// divided by them, plus its all-reduce in both directions. Requires a valid problem, first < end,
/// and a power of two.
[[nodiscard]] stage_time time_of_stage(template_problem const& problem, std::int32_t first,
                                       std::int32_t end, std::int32_t gpus);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/template_problem.ipp"
#endif
