#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"

namespace shunt {

/// One count for all pipelines, or one count per pipeline: `.microbatches = 6` or
/// `.microbatches = {6, 6, 4}`. Says in constant time how many are counted before a pipeline.
class per_pipeline {
 public:
  per_pipeline(std::floating_point auto every_pipeline) = delete;
  constexpr per_pipeline(std::int32_t every_pipeline) : one_(every_pipeline) {}
  SHUNT_CONSTEXPR per_pipeline(std::initializer_list<std::int32_t> counts);
  SHUNT_CONSTEXPR explicit per_pipeline(std::vector<std::int32_t> counts);

  [[nodiscard]] constexpr std::int32_t operator[](pipeline_id p) const {
    return single_ ? one_ : list_[p.index()];
  }
  [[nodiscard]] constexpr std::size_t size() const { return single_ ? 1 : list_.size(); }
  /// Returns the only count, or one count per pipeline.
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<std::int32_t> values() const;
  /// Returns the sum of the counts of pipelines 0 .. p - 1. The number of pipelines is a valid `p`:
  /// then this is the sum of all.
  [[nodiscard]] constexpr std::int64_t before(pipeline_id p) const {
    return single_ ? std::int64_t{one_} * p.value() : before_[p.index()];
  }
  /// Returns the largest count.
  /// Requires that there is one.
  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t most() const;
  /// Returns whether all counts are the same.
  [[nodiscard]] SHUNT_CONSTEXPR bool uniform() const;

  bool operator==(per_pipeline const&) const = default;

 private:
  // One count needs no memory: jobs are made and copied often.
  bool single_ = true;
  std::int32_t one_ = 0;
  std::vector<std::int32_t> list_{};
  std::vector<std::int64_t> before_{};  // sums of the first 0, 1, .. counts
};

/// Splits micro-batches over pipelines as evenly as can be; the first ones have more.
/// Requires a pipeline.
[[nodiscard]] std::vector<std::int32_t> even_shares(std::int32_t microbatches, std::size_t parts);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/per_pipeline.ipp"
#endif
