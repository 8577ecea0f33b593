#pragma once
#include "shunt/solve/pipeline/search/fastest_template.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/measure/template_times.hpp"

namespace shunt::detail {

/// The partition of least sum of latencies, then of the fastest slowest stage, under a bound.
class bounded_partition {
 public:
  explicit bounded_partition(template_problem const& problem) : layers_(problem.layers.size()) {
    for (std::int32_t g = 1; g <= problem.gpus; g *= 2) {
      auto& one = latency_.emplace_back(layers_ * (layers_ + 1), 0);
      for (std::size_t a = 0; a < layers_; ++a)
        for (std::size_t b = a + 1; b <= layers_; ++b)
          one[at(a, b)] =
              time_of_stage(problem, static_cast<std::int32_t>(a), static_cast<std::int32_t>(b), g)
                  .latency();
    }
  }

  /// Returns what all layers take at least: one after the other, and on all GPUs of a node.
  [[nodiscard]] double least_sum() const { return least(false); }
  [[nodiscard]] double least_work() const { return least(true); }

  /// Returns the stages for `nodes` nodes, each faster than `bound`; empty where there are none.
  [[nodiscard]] std::vector<template_stage> find(std::int32_t nodes, double bound);

 private:
  /// Sum and slowest; `cut` is the first layer of the right half, 0 for one stage.
  struct part {
    double sum = std::numeric_limits<double>::infinity();
    double slowest = 0;
    std::size_t cut = 0;

    [[nodiscard]] bool better(part const& other) const {
      return sum < other.sum || (sum == other.sum && slowest < other.slowest);
    }
  };

  [[nodiscard]] std::size_t at(std::size_t a, std::size_t b) const { return a * (layers_ + 1) + b; }
  [[nodiscard]] static part joined(part const& x, part const& y, std::size_t cut) {
    return {x.sum + y.sum, std::max(x.slowest, y.slowest), cut};
  }
  [[nodiscard]] double least(bool shared) const;
  void fill(double bound);
  void stages_of(std::size_t level, std::size_t a, std::size_t b,
                 std::vector<template_stage>& out) const;

  std::size_t layers_;
  std::vector<std::vector<double>> latency_;  ///< by log2 of the GPUs, by layers
  std::vector<std::vector<part>> parts_;      ///< the same
};

SHUNT_INLINE double bounded_partition::least(bool shared) const {
  double all = 0;
  for (std::size_t l = 0; l < layers_; ++l) {
    double best = std::numeric_limits<double>::infinity();
    for (std::size_t level = 0; level < latency_.size(); ++level) {
      auto const parts = static_cast<double>(std::int64_t{1} << (latency_.size() - 1 - level));
      best = std::min(best, latency_[level][at(l, l + 1)] / (shared ? parts : 1));
    }
    all += best;
  }
  return all;
}

SHUNT_INLINE void bounded_partition::fill(double bound) {
  parts_.assign(latency_.size(), std::vector<part>(layers_ * (layers_ + 1)));
  for (std::size_t level = 0; level < latency_.size(); ++level)
    for (std::size_t a = 0; a < layers_; ++a)
      for (std::size_t b = a + 1; b <= layers_; ++b) {
        part& best = parts_[level][at(a, b)];
        if (double const one = latency_[level][at(a, b)]; one < bound) best = {one, one, 0};
        for (std::size_t k = a + 1; level > 0 && k < b; ++k) {
          part const& left = parts_[level - 1][at(a, k)];
          if (left.sum > best.sum) continue;
          if (auto const both = joined(left, parts_[level - 1][at(k, b)], k); both.better(best))
            best = both;
        }
      }
}

SHUNT_INLINE std::vector<template_stage> bounded_partition::find(std::int32_t nodes, double bound) {
  fill(bound);
  auto const& node = parts_.back();
  std::vector<std::vector<part>> first;  // layers 0 .. b-1 on one node, two nodes ...
  first.emplace_back(node.begin(), node.begin() + static_cast<std::ptrdiff_t>(layers_) + 1);
  for (std::int32_t n = 1; n < nodes; ++n) {
    std::vector<part> next(layers_ + 1);
    for (std::size_t b = static_cast<std::size_t>(n) + 1; b <= layers_; ++b)
      for (std::size_t k = static_cast<std::size_t>(n); k < b; ++k)
        if (auto const both = joined(first.back()[k], node[at(k, b)], k); both.better(next[b]))
          next[b] = both;
    first.push_back(std::move(next));
  }
  std::vector<template_stage> stages;
  if (first.back()[layers_].sum == std::numeric_limits<double>::infinity()) return stages;
  std::vector<std::size_t> ends{layers_};
  for (auto n = first.size() - 1; n > 0; --n) ends.push_back(first[n][ends.back()].cut);
  std::size_t begin = 0;
  for (auto end = ends.rbegin(); end != ends.rend(); begin = *end++)
    stages_of(latency_.size() - 1, begin, *end, stages);
  return stages;
}

SHUNT_INLINE void bounded_partition::stages_of(std::size_t level, std::size_t a, std::size_t b,
                                               std::vector<template_stage>& out) const {
  if (auto const cut = parts_[level][at(a, b)].cut; cut > 0) {
    stages_of(level - 1, a, cut, out);
    stages_of(level - 1, cut, b, out);
  } else {
    out.push_back(
        {static_cast<std::int32_t>(a), static_cast<std::int32_t>(b), std::int32_t{1} << level});
  }
}

SHUNT_INLINE pipeline_template fastest_template(template_problem const& problem,
                                                pipeline_template start,
                                                std::int64_t microbatches) {
  double sum = 0, slowest = 0;
  auto const measured = [&](std::vector<template_stage> const& stages) {
    auto const times = stage_times(problem, stages);
    sum = slowest = 0;
    for (auto const& t : times) sum += t.latency(), slowest = std::max(slowest, t.latency());
    return one_f_one_b_makespan(times, microbatches);
  };
  start.microbatches = microbatches;
  start.time = measured(start.stages);
  bounded_partition partition(problem);
  // sum + others x slowest: what 1F1B takes, roughly
  auto const others = static_cast<double>(microbatches - 1);
  double roughly = sum + others * slowest;
  double const share = partition.least_work() / start.nodes;
  double bound = std::numeric_limits<double>::infinity();
  if (others > 0) bound = (roughly - partition.least_sum()) / others * (1 + 1e-9);
  while (true) {
    auto stages = partition.find(start.nodes, bound);
    if (stages.empty()) return start;
    double const time = measured(stages);
    if (time < start.time) start.stages = std::move(stages), start.time = time;
    roughly = std::min(roughly, sum + others * slowest);
    if (sum + others * share > roughly * (1 + 1e-9)) return start;
    bound = slowest;
  }
}

}  // namespace shunt::detail
