#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/device/eplb_layers.hpp"
#include "shunt/device/swift_moe_layers.hpp"
#include "shunt/device/team.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt::tests::emulated_kernels {

/// Runs what a kernel runs for each layer, with poisoned shared memory of exactly the size asked
/// for.
template <class Layers>
void emulate(Layers const& kernel, std::int32_t layers, std::int32_t threads, std::uint32_t turn) {
  for (std::int32_t l = 0; l < layers; ++l) {
    std::vector<std::uint64_t> shared(static_cast<std::size_t>(kernel.shared_bytes() + 7) / 8,
                                      0xa5a5a5a5a5a5a5a5);
    kernel(emulated_team(threads, turn), l, reinterpret_cast<unsigned char*>(shared.data()));
  }
}

struct placed {
  std::vector<std::int32_t> expert_of, replicas;
};

inline placed swift_moe_on_device(shunt::expert_layers const& p, std::int32_t threads,
                                  std::uint32_t turn) {
  placed out{std::vector<std::int32_t>(static_cast<std::size_t>(p.layers * p.slots()), -1),
             std::vector<std::int32_t>(p.loads.size(), -1)};
  emulate(shunt::swift_moe_layers{p.loads.data(), p.experts, p.slots(), out.expert_of.data(),
                                  out.replicas.data()},
          p.layers, threads, turn);
  return out;
}

inline placed eplb_on_device(shunt::expert_layers const& p,
                             std::vector<std::int32_t> const& first_slot, std::int32_t threads,
                             std::uint32_t turn) {
  placed out{std::vector<std::int32_t>(static_cast<std::size_t>(p.layers * p.slots()), -1),
             std::vector<std::int32_t>(p.loads.size(), -1)};
  emulate(shunt::eplb_layers{p.loads.data(), p.experts, p.ranks(), p.slots(), first_slot.data(),
                             out.expert_of.data(), out.replicas.data(), p.groups, p.ranks_per_node},
          p.layers, threads, turn);
  return out;
}

inline std::vector<std::int32_t> counts_of(shunt::expert_placement const& plan) {
  std::vector<std::int32_t> counts;
  for (shunt::layer_id l : shunt::ids<shunt::layer_id>(plan.layers)) {
    std::vector<std::int32_t> row(static_cast<std::size_t>(plan.experts), 0);
    for (auto const e : plan.layer(l)) ++row[e.index()];
    counts.insert(counts.end(), row.begin(), row.end());
  }
  return counts;
}

inline constexpr std::int32_t team_sizes[] = {1, 8, 32, 256};

/// What the threads of rows_kernel do, one after the other.
template <class Rows>
void emulate_rows(Rows const& rows, std::int32_t count, std::int64_t threads = 5) {
  for (std::int32_t row = 0; row < count; ++row)
    for (std::int64_t t = 0; t < threads; ++t) rows(row, t, threads);
}

inline std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace shunt::tests::emulated_kernels
