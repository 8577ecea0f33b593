#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/program/program.hpp"

namespace shunt {

/// Order of a rank's instructions: which ones have certainly ended when another starts, by lanes
/// and by `after`. Members of one batch are unordered among themselves.
/// Complexity: O(instructions x lanes) time and memory; constant for one lane without batches.
class lane_order {
 public:
  explicit lane_order(rank_program const& own);

  /// Whether all instructions are ordered as in the list.
  [[nodiscard]] bool total() const { return total_; }
  [[nodiscard]] std::size_t lanes() const { return lanes_; }
  [[nodiscard]] std::size_t lane(std::int32_t n) const;
  /// Whether a has ended when b starts.
  /// Requires a < b.
  [[nodiscard]] bool before(std::int32_t a, std::int32_t b) const;

 private:
  void merge(std::size_t n, std::int32_t from);
  void know(std::size_t n, std::int32_t ended);

  std::size_t lanes_ = 0;
  bool total_ = true;
  std::vector<std::size_t> lane_{};
  // By instruction and lane: the last instruction of that lane that has certainly ended before.
  std::vector<std::int32_t> ended_{};
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/program_order.ipp"
#endif
