#pragma once
/// The divide and conquer of Oobleck (section 4.1.2): the state (S stages, layers [a, b), n nodes)
/// is cut at a layer k into left and right, nodes and stages with it, and keeps the cut of least
/// T. A node is cut into halves of its GPUs. Sub-plans are chosen by their own T, so the result is
/// not the least T of all partitions. Cuts that a lower bound excludes are not looked at; the
/// answer is that of the full recursion, ties included: the first k, then nodes, then stages.
/// Ranges of equal layers in equal order share their plans.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/plan/pipeline_template.hpp"
#include "shunt/problem/template_problem.hpp"

namespace shunt::detail {

class template_search {
 public:
  /// Requires a valid problem that outlives the search, with a power of two as `gpus`.
  explicit template_search(template_problem const& problem);

  /// Returns the template of n nodes with the least T over all numbers of stages; nothing where
  /// the nodes are more than the layers.
  [[nodiscard]] std::optional<pipeline_template> best(std::int32_t nodes);

 private:
  static constexpr double none = -1;  ///< latency of a state without a plan
  static constexpr double slack = 1 + 1e-9;
  static constexpr std::int32_t most_extra = 24;       ///< extra stages of tabled bounds
  static constexpr std::size_t most_tabled = 1 << 25;  ///< entries of them

  /// Layers [first, end) on `nodes` nodes; where that is one, on `gpus` of its GPUs.
  struct state {
    std::int32_t stages = 1, first = 0, end = 0, nodes = 1, gpus = 1;
  };

  /// What the left side gets.
  struct cut {
    std::int16_t layers = 0, nodes = 0, stages = 0;

    [[nodiscard]] bool before(cut const& other) const;
  };

  /// The plan of a state: t1, t3, latency and index of the slowest stage.
  struct cell {
    double t1 = 0, t3 = 0, latency = -2;  ///< -2: not solved yet
    std::int16_t slowest = 0;
    cut where{};
  };

  struct choice {
    double time;
    cell plan;
    bool found = false;
  };

  /// What the two sides of a cut cost at least, in cumulated form over the layers.
  struct bounds {
    std::vector<double> once;    ///< each layer once, on any number of GPUs: part of t1
    std::vector<double> shared;  ///< each layer's time on all GPUs of a node
  };

  [[nodiscard]] cell const& solve(state const& s);
  [[nodiscard]] cell solved(state const& s, double limit);
  void cut_node(state const& s, choice& best);
  void cut_nodes(state const& s, choice& best);
  void consider(state const& s, cut const& where, choice& best);

  /// Returns what the slowest stage of layers [first, end) on so many nodes, with `extra` more
  /// stages than nodes, takes at least.
  [[nodiscard]] double fastest(std::int32_t extra, std::int32_t nodes, std::int32_t first,
                               std::int32_t end);
  /// Returns the same for one node.
  [[nodiscard]] double node_time(std::int32_t extra, std::size_t first, std::size_t end) const;
  /// Returns the same for all ranges of layers, from the best division of the layers and of the
  /// extra stages over the nodes; empty where it would be too large.
  [[nodiscard]] std::vector<double> const& table(std::int32_t extra, std::int32_t nodes);
  [[nodiscard]] static state left_of(state const& s, cut const& where);
  [[nodiscard]] static state right_of(state const& s, cut const& where);
  /// Returns whether no plan of the right side gives a T of at most `time` with this left side.
  [[nodiscard]] bool excluded(state const& s, cell const& left, state const& to_left,
                              state const& to_right, double time);
  /// Returns a bound on the slowest stage's latency, and a little more, where T is at most `time`
  /// and t1 at least `once`.
  [[nodiscard]] double slowest_within(double time, double once, std::int32_t stages) const;
  [[nodiscard]] double time_of(state const& s, cell const& c) const;
  /// Adds the latencies of a plan's stages in their order.
  void add_latencies(state const& s, cell const& c, double& sum);
  void stages_of(state const& s, cell const& c, std::vector<template_stage>& out);
  [[nodiscard]] cell& at(state const& s);
  /// Finds, for each range of layers, the first one with equal layers.
  void find_equal_ranges();
  /// Returns the bounds for a state whose stages are `extra` more than its nodes.
  [[nodiscard]] bounds const& bounds_of(std::int32_t extra) const { return bounds_[extra > 0]; }

  /// By first layer, by number of layers.
  template <class T>
  using by_range = std::vector<std::vector<T>>;
  using plane = by_range<cell>;

  template_problem const& problem_;
  std::int32_t layers_;
  bool exact_;                      ///< sums of times are the same in any order
  by_range<std::int16_t> equal_{};  ///< the first layer of the first equal range
  double fuzz_ = 0;                 ///< more than rounding makes of differences of the bounds
  /// What an extra stage adds at most to a node's throughput, as a part of that of one stage.
  double gain_ = 0;
  std::array<bounds, 2> bounds_;
  std::vector<std::vector<std::vector<double>>> tables_;  ///< by nodes, by extra stages
  std::size_t tables_made_ = 0;
  std::vector<std::vector<plane>> planes_;  ///< by GPUs (halves) or nodes, by stages
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/template_search.ipp"
#endif
