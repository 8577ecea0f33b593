#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"
#include "shunt/train/aligned_bytes.hpp"

namespace shunt {

/// The buffers of all ranks in host memory, or of the one rank whose process this is, and copies of
/// what steps have changed. Calls for different ranks may come from different threads at once.
class host_memory {
 public:
  /// `only`: the rank of this process. Other ranks then have no memory here.
  explicit host_memory(std::size_t ranks, std::optional<rank_id> only = {});

  /// Whether a rank has memory here.
  [[nodiscard]] bool has(rank_id r) const { return !only_ || r == *only_; }

  /// Returns a buffer. It is empty where the rank has none here, or has none of this number yet.
  [[nodiscard]] aligned_bytes& operator()(rank_id r, buffer_id b);
  [[nodiscard]] std::span<std::byte> operator()(rank_id r, region const& at);

  /// Gives every buffer that a program declares the declared size. Content stays as far as it fits.
  void fit(program const& sizes);
  /// Enlarges every buffer that a program declares larger than it is. Content stays.
  void grow(program const& sizes);

  /// Overwrites all that a rank had by bytes that are no numbers.
  void forget(rank_id r);

  /// Copies a buffer before the step of an iteration changes it.
  void keep(rank_id r, buffer_id b, std::int64_t iteration);
  /// Copies back what was kept of a rank in this iteration, and forgets all copies of the rank.
  void restore(rank_id r, std::int64_t iteration);

 private:
  struct kept_buffer {
    buffer_id buffer{};
    std::int64_t iteration = 0;
    aligned_bytes bytes{};
  };
  template <class Size>
  void resize(program const& sizes, Size const& wanted);

  std::optional<rank_id> only_;
  aligned_bytes none_{};
  std::vector<std::vector<aligned_bytes>> buffers_;  // by rank and number
  std::vector<std::vector<kept_buffer>> kept_;       // by rank
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/host_memory.ipp"
#endif
