#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "aligned_bytes.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/program/program.hpp"

namespace example {

/// The buffers of every rank, or of the only one whose process this is, and copies of what steps
/// have changed, so that one step can be taken back to the bit. Ranks don't touch each other's:
/// what concerns one may run beside what concerns another.
class work_memory {
 public:
  explicit work_memory(std::size_t ranks, std::optional<shunt::rank_id> only = {})
      : only_(only), buffers_(ranks), before_step_(ranks) {}

  /// Whether this rank has memory here.
  [[nodiscard]] bool has(shunt::rank_id r) const { return !only_ || r == *only_; }

  /// Empty where the rank has none here.
  [[nodiscard]] aligned_bytes& operator()(shunt::rank_id r, shunt::buffer_id b) {
    return has(r) ? buffers_[r.index()][b.index()] : none_;
  }

  /// Makes every buffer that a program names as large as it says. What lay in it stays as far as it
  /// fits.
  void fit(shunt::program const& sizes) {
    for (shunt::rank_id r : shunt::ids<shunt::rank_id>(sizes.ranks.size())) {
      if (!has(r)) continue;
      auto const& wanted = sizes.ranks[r].buffers;
      auto& mine = buffers_[r.index()];
      if (mine.size() < wanted.size()) mine.resize(wanted.size());
      for (shunt::buffer_id b : shunt::ids<shunt::buffer_id>(wanted.size()))
        if (wanted[b].size > 0) mine[b.index()].resize(static_cast<std::size_t>(wanted[b].size));
    }
  }

  /// What a lost rank had is gone: nothing of it is a number any more.
  void forget(shunt::rank_id r) {
    for (auto& bytes : buffers_[r.index()]) std::fill(bytes.begin(), bytes.end(), std::byte{0xFF});
  }

  /// Keeps what a buffer holds before the step of an iteration changes it.
  void keep(shunt::rank_id r, shunt::buffer_id b, std::int64_t iteration) {
    auto& all = before_step_[r.index()];
    auto at =
        std::find_if(all.begin(), all.end(), [b](kept_buffer const& k) { return k.buffer == b; });
    if (at == all.end()) at = all.insert(at, {.buffer = b});
    at->iteration = iteration;
    at->bytes = (*this)(r, b);
  }

  /// Takes a rank's step of this iteration back, as far as it has come.
  void restore(shunt::rank_id r, std::int64_t iteration) {
    for (auto const& kept : before_step_[r.index()])
      if (kept.iteration == iteration) (*this)(r, kept.buffer) = kept.bytes;
    before_step_[r.index()].clear();
  }

 private:
  struct kept_buffer {
    shunt::buffer_id buffer{};
    std::int64_t iteration = 0;
    aligned_bytes bytes{};
  };

  std::optional<shunt::rank_id> only_;
  aligned_bytes none_{};
  std::vector<std::vector<aligned_bytes>> buffers_;    // by rank and number
  std::vector<std::vector<kept_buffer>> before_step_;  // by rank
};

}  // namespace example
