#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/units.hpp"

namespace shunt::detail {

/// The state of one set of buffers. Numbers are instructions of its rank: the latest that did this
/// with the set, or -1.
struct buffer_set {
  std::int32_t used = -1;
  std::int32_t input_came = -1, gradient_came = -1;
  std::int32_t forward = -1, backward = -1;
  std::int32_t output_sent = -1, gradient_sent = -1;
  std::int32_t to_pass_on = 0;  ///< outputs made that are not yet sent or handed over
  bool in_use = false;
  ticks output_taken = 0;    ///< when the receiver needs the output sent last
  ticks gradient_taken = 0;  ///< when the receiver needs the gradient sent last
};

/// Allocator of the buffer sets of one rank. A micro-batch at a stage holds a set from its first
/// receive to its last operation. A set is free again when its outputs were also passed on.
///
/// Complexity: amortised O(1) for each call, but `take` passes over free sets with awaited outputs.
class buffer_sets {
 public:
  struct assignment {
    std::int32_t number = -1;
    bool added = false;  ///< the set is new, its buffers must be declared
  };

  /// `spare`: sets that the rank has beyond those that it needs at once. Below 0: none.
  constexpr explicit buffer_sets(std::int32_t spare)
      : spare_(static_cast<std::size_t>(std::max(spare, 0))) {}

  /// Forgets all sets, for the next rank.
  SHUNT_CONSTEXPR void clear();

  [[nodiscard]] constexpr std::size_t size() const { return sets_.size(); }
  [[nodiscard]] SHUNT_CONSTEXPR buffer_set& operator[](std::int32_t number);

  /// A set for a micro-batch at a stage that makes its output at `forward` and its gradient at
  /// `gradient` (below 0: never).
  ///
  /// Returns the set that was freed first among those with all sent outputs taken before these are
  /// made.
  /// Returns a new set where there is none, or where only the spare sets are free.
  [[nodiscard]] SHUNT_CONSTEXPR assignment take(ticks forward, ticks gradient);

  /// The last operation of the micro-batch that holds the set was placed.
  SHUNT_CONSTEXPR void retire(std::int32_t number);
  /// An output of the set was sent or handed over.
  SHUNT_CONSTEXPR void passed_on(std::int32_t number);

 private:
  SHUNT_CONSTEXPR void release(std::int32_t number);

  std::size_t spare_;
  std::vector<buffer_set> sets_{};
  std::vector<std::int32_t> free_{};  // from first_free_ on, in the order in which they were freed
  std::size_t first_free_ = 0;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/lower/detail/buffer_sets.ipp"
#endif
