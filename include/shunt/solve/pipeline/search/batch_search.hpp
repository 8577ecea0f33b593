#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/problem/batch_problem.hpp"

namespace shunt::detail {

/// Returns whether there are numbers >= 1 whose sum, each times its template's count, is the batch.
[[nodiscard]] bool batch_is_representable(batch_problem const& problem);

/// The published objective: least squares of T n / S about their mean over the templates.
class squares_search {
 public:
  /// Requires a valid problem that outlives the search and is representable.
  explicit squares_search(batch_problem const& problem);

  /// Returns micro-batches by template.
  [[nodiscard]] std::vector<std::int64_t> find();
  [[nodiscard]] double objective() const { return best_; }

 private:
  void descend(std::size_t k, std::int64_t left, double mean, double squares);
  void set_box(double radius);

  batch_problem const& problem_;
  std::vector<double> weight_;              ///< T / S
  std::vector<std::int64_t> low_, high_;    ///< the box that is searched
  std::vector<std::int64_t> least_, most_;  ///< micro-batches of the templates k .. K-1
  std::vector<std::int64_t> divisor_;       ///< of the counts of the templates k .. K-1
  std::vector<std::int64_t> now_, found_;
  double limit_ = 0, best_ = 0;
  bool whole_ = false;  ///< the box has all numbers
};

/// 1F1B makespans of templates, each computed once.
class makespan_table {
 public:
  /// Requires a valid problem that outlives the table.
  explicit makespan_table(std::vector<template_use> const& templates)
      : templates_(templates), known_(templates.size()) {}

  [[nodiscard]] double of(std::size_t k, std::int64_t microbatches);
  /// Returns the most micro-batches, up to `most`, of a pipeline that ends by `time`; 0: none.
  [[nodiscard]] std::int64_t within(std::size_t k, double time, std::int64_t most);

 private:
  std::vector<template_use> const& templates_;
  std::vector<std::map<std::int64_t, double>> known_;
};

/// Returns micro-batches by template and pipeline with the least longest makespan. Pipelines of
/// the longest makespan give back what is over, the last of them first.
/// Requires at least one micro-batch for each pipeline.
[[nodiscard]] std::vector<std::vector<std::int64_t>> fastest_split(batch_problem const& problem,
                                                                   makespan_table& times);

/// The same with equal numbers for all pipelines of a template.
/// Requires a representable batch.
[[nodiscard]] std::vector<std::int64_t> fastest_alike(batch_problem const& problem,
                                                      makespan_table& times);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/batch_search.ipp"
#endif
