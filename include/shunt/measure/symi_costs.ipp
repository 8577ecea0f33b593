#pragma once
#include "shunt/measure/symi_costs.hpp"

namespace shunt {

SHUNT_CONSTEXPR double expert_traffic::gradient_volume() const {
  return slots_per_rank * ranks * gradient_bytes;
}

SHUNT_CONSTEXPR double expert_traffic::weight_volume() const {
  return slots_per_rank * ranks * weight_bytes;
}

SHUNT_CONSTEXPR double expert_traffic::overhead() const {
  return (experts - slots_per_rank) /
         (slots_per_rank * ranks - experts * (1 - network_bandwidth / host_bandwidth));
}

SHUNT_CONSTEXPR double expert_traffic::time(double x, double kept) const {
  return experts / ranks * x / host_bandwidth +
         (slots_per_rank * ranks - kept) / ranks * x / network_bandwidth;
}

SHUNT_CONSTEXPR std::int64_t interval_groups(std::int64_t ranks) { return ranks * (ranks - 1) / 2; }

}  // namespace shunt
