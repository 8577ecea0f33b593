#pragma once
#include <cstdint>
#include <limits>

#include "shunt/core/config.hpp"

namespace shunt {

/// SYMI's cost model of an MoE layer on N ranks, one rank per node. Sizes are in any unit of bytes,
/// bandwidths in that unit per second, times in seconds. An infinite `host_bandwidth` models an
/// optimizer in device memory (appendix A.5). X is G in the gradient phase and W in the weight
/// phase.
/// Reference: SYMI, arXiv 2504.19925, section 4 and appendix A.2.
struct expert_traffic {
  double ranks = 1;              ///< N
  double slots_per_rank = 1;     ///< s
  double experts = 1;            ///< E
  double gradient_bytes = 0;     ///< G, gradient of one instance
  double weight_bytes = 0;       ///< W, weights of one instance
  double state_bytes = 0;        ///< O, optimizer state of one expert
  double network_bandwidth = 1;  ///< BW_net, between nodes
  double host_bandwidth =
      std::numeric_limits<double>::infinity();  ///< BW_pci, between host and device

  /// Return D_G = s N G and D_W = s N W: the bytes that a phase moves over all ranks under any
  /// placement, each slot counted on its own.
  [[nodiscard]] SHUNT_CONSTEXPR double gradient_volume() const;
  [[nodiscard]] SHUNT_CONSTEXPR double weight_volume() const;

  /// Returns E O / N, the optimizer state on a rank, decoupled from the placement. All ranks
  /// together hold E O, as with static replication.
  [[nodiscard]] constexpr double state_per_rank() const { return experts * state_bytes / ranks; }

  /// Returns the seconds of a rank in the phase that moves X per slot if optimizer state is tied to
  /// s N / E static replicas of every expert: (E/N) X / BW_pci + ((s N - E) / N) X / BW_net.
  [[nodiscard]] SHUNT_CONSTEXPR double static_time(double x) const { return time(x, experts); }
  /// Returns the same if every expert's state is sharded over all ranks: (E/N) X / BW_pci + ((s N -
  /// s) / N) X / BW_net.
  [[nodiscard]] SHUNT_CONSTEXPR double decoupled_time(double x) const {
    return time(x, slots_per_rank);
  }

  /// Returns (T_decoupled - T_static) / T_static = (E - s) / (s N - E (1 - BW_net / BW_pci)), equal
  /// in both phases.
  [[nodiscard]] SHUNT_CONSTEXPR double overhead() const;

 private:
  [[nodiscard]] SHUNT_CONSTEXPR double time(double x, double kept) const;
};

/// Returns N (N - 1) / 2, the number of groups of two or more neighbouring ranks: all groups that
/// contiguous placements can need.
/// Reference: SYMI, section 4.2.
[[nodiscard]] SHUNT_CONSTEXPR std::int64_t interval_groups(std::int64_t ranks);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/symi_costs.ipp"
#endif
