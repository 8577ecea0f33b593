#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/lower/moe_iteration.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/microbatch_owners.hpp"
#include "shunt/train/detail/stream_memory.hpp"
#include "shunt/train/detail/token_kernels.hpp"
#include "shunt/train/training_device.hpp"

namespace shunt::detail {

/// Placement of experts and owners of micro-batches, on the host and as tables on a device.
template <training_device Device>
class expert_tables {
 public:
  /// A micro-batch of a rank, its `nth`.
  struct owned {
    std::int32_t microbatch = 0;
    std::int32_t nth = 0;
  };

  /// Nothing may be running that reads the tables.
  void set(Device& on, moe_shape const& shape, expert_placement placement,
           microbatch_owners owners) {
    placement_ = std::move(placement);
    owners_ = std::move(owners);
    live_ = owners_.live();
    part_rows_ = owners_.most() * part_tokens(shape, placement_);

    std::vector<std::int32_t> all;
    auto const begin = [&](std::size_t& at) { at = all.size(); };
    begin(first_slot_of_rank_);
    all.insert(all.end(), placement_.first_slot.begin(), placement_.first_slot.end());
    begin(first_slot_);
    for (rank_id const r : live_) all.push_back(placement_.first_slot[r.index()]);
    all.push_back(placement_.slots());
    begin(host_of_);
    for (std::int32_t peer = 0; peer < live(); ++peer)
      all.insert(all.end(), static_cast<std::size_t>(slots_of(peer)), peer);
    begin(first_owned_);
    std::vector<std::int32_t> carrying, gathered(static_cast<std::size_t>(owners_.microbatches()));
    for (std::int32_t peer = 0; peer < live(); ++peer) {
      all.push_back(static_cast<std::int32_t>(carrying.size()));
      for (auto const& c : owned_by(peer)) {
        carrying.push_back(c.microbatch);
        gathered[static_cast<std::size_t>(c.microbatch)] = peer * owners_.most() + c.nth;
      }
    }
    all.push_back(owners_.microbatches());
    begin(owned_);
    all.insert(all.end(), carrying.begin(), carrying.end());
    begin(gathered_);
    all.insert(all.end(), gathered.begin(), gathered.end());
    begin(expert_of_);
    for (expert_id const e : placement_.expert_of) all.push_back(e.value());
    auto const bytes = std::as_bytes(std::span(all));
    on.write(bytes, tables_.grow(on, bytes.size()));
  }

  [[nodiscard]] expert_placement const& placement() const { return placement_; }
  [[nodiscard]] std::int32_t live() const { return static_cast<std::int32_t>(live_.size()); }
  [[nodiscard]] std::int32_t microbatches() const { return owners_.microbatches(); }
  /// Returns a rank's position among the live ones.
  [[nodiscard]] std::int32_t peer_of(rank_id r) const {
    return static_cast<std::int32_t>(std::lower_bound(live_.begin(), live_.end(), r) -
                                     live_.begin());
  }
  [[nodiscard]] std::int32_t slots_of(std::int32_t peer) const {
    auto const r = live_[static_cast<std::size_t>(peer)].index();
    return placement_.first_slot[r + 1] - placement_.first_slot[r];
  }
  [[nodiscard]] std::vector<owned> owned_by(std::int32_t peer) const {
    std::vector<owned> all;
    for (auto const k : owners_.owned_by(live_[static_cast<std::size_t>(peer)]))
      all.push_back({k, static_cast<std::int32_t>(all.size())});
    return all;
  }

  [[nodiscard]] std::int32_t const* first_slot_of_rank() { return table(first_slot_of_rank_); }
  [[nodiscard]] routing_tables tables(layer_id l) {
    return {.microbatches = owners_.microbatches(),
            .experts = placement_.experts,
            .slots = placement_.slots(),
            .live = live(),
            .part_rows = part_rows_,
            .first_slot = table(first_slot_),
            .expert_of = table(expert_of_) + l.value() * placement_.slots(),
            .host_of = table(host_of_),
            .first_owned = table(first_owned_),
            .owned = table(owned_),
            .gathered_at = table(gathered_)};
  }

 private:
  [[nodiscard]] std::int32_t const* table(std::size_t at) {
    return reinterpret_cast<std::int32_t const*>(tables_.bytes().data()) + at;
  }

  expert_placement placement_{};
  microbatch_owners owners_{};
  std::vector<rank_id> live_{};
  std::int64_t part_rows_ = 0;
  grown_memory<Device> tables_{};
  std::size_t first_slot_of_rank_ = 0, first_slot_ = 0, host_of_ = 0, first_owned_ = 0, owned_ = 0,
              gathered_ = 0, expert_of_ = 0;
};

}  // namespace shunt::detail
