#pragma once
/// Pipeline templates: for each number of nodes, stages with their layers and GPUs.
/// Reference: Jang et al., Oobleck: Resilient Distributed Training of Large Models Using Pipeline
/// Templates, SOSP 2023, section 4.1.
#include <cstdint>
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/plan/pipeline_template.hpp"
#include "shunt/problem/template_problem.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// What the time of a template is.
enum class template_cost : std::uint8_t {
  /// Oobleck's T (`published_time`) and its divide and conquer. It prefers a slowest stage far in
  /// front, stands for about twice as many micro-batches as there are stages, and is not monotone
  /// in the nodes: good to compare with the original, no measure of speed.
  published,
  /// The makespan of 1F1B on `microbatches_per_node` x nodes micro-batches. From the partitions of
  /// least sum of latencies, one for each bound on the slowest stage, and the published one, it
  /// takes that with the least makespan.
  simulated,
};

/// Plans templates for n_min .. N nodes. Numbers of nodes above the number of layers have none.
/// Objective: the time of the largest template; no bound is known.
/// Infeasible if memory needs more nodes than there are, n_min is above the number of layers, or
/// the GPUs of a node are no power of two.
/// Throws invalid_problem if the problem or the configuration is broken.
/// Complexity: published O(L^3 n^2 S^2) at worst, where bounds exclude next to nothing; seconds for
/// 128 layers on 32 nodes of 8 GPUs.
struct oobleck_templates {
  static constexpr std::string_view name = "oobleck_templates";

  template_cost cost = template_cost::published;
  /// A template of n nodes gets about n / N of the batch.
  std::int32_t microbatches_per_node = 4;

  [[nodiscard]] solution<template_set> operator()(template_problem const& problem) const;
};
static_assert(solver_for<oobleck_templates, template_problem>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/oobleck_templates.ipp"
#endif
