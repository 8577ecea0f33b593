#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/device/adam_step.hpp"
#include "shunt/device/split_layers.hpp"
#include "shunt/execute/stream_work.hpp"
#include "shunt/lower/moe_iteration.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/microbatch_owners.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/program/program.hpp"
#include "shunt/train/aligned_bytes.hpp"
#include "shunt/train/detail/expert_tables.hpp"
#include "shunt/train/detail/kept_tokens.hpp"
#include "shunt/train/detail/stream_memory.hpp"
#include "shunt/train/detail/token_kernels.hpp"
#include "shunt/train/fixed_point.hpp"
#include "shunt/train/moe_training.hpp"
#include "shunt/train/moe_work.hpp"
#include "shunt/train/optimizer.hpp"
#include "shunt/train/stream_moe_model.hpp"

namespace shunt {

/// The moe_work of a model on the streams of one device, which all ranks share: the same programs,
/// buffers and rules. Every operation is a sequence of kernels with the same shapes on every rank,
/// and reads the iteration and the numbers of tokens on the device. So losses are the same bits
/// under every placement and through any loss of ranks, on the same device.
///
/// A rank computes on one lane, for its operations share scratch memory. All members but `buffer`
/// and the operations wait for the device where they have to, and must not be called while
/// something is enqueued or captured.
template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
class stream_moe_work {
 public:
  using stream_ref = typename Device::system::stream_ref;
  static constexpr std::int32_t state_planes = static_cast<std::int32_t>(1 + adam::moments);

  /// Throws invalid_problem where moe_work does, where ranks are processes, or gradients are not
  /// int64.
  stream_moe_work(Device& device, Model model, moe_training training, adam const& optimizer = {});

  // as of moe_work

  [[nodiscard]] moe_training const& training() const { return training_; }
  [[nodiscard]] Model const& model() const { return model_; }
  [[nodiscard]] moe_sizes const& sizes() const { return sizes_; }
  [[nodiscard]] moe_shape const& shape() const { return shape_; }
  [[nodiscard]] shard_map const& shards() const { return shards_; }
  void operator()(rank_id r, stream_task const& t, stream_ref on);
  [[nodiscard]] std::span<std::byte> buffer(rank_id r, buffer_id b) { return memory_(r, b); }
  void restore(rank_id r, std::int64_t iteration);
  [[nodiscard]] bool has(rank_id) const { return true; }
  void fit(program const& sizes) { memory_.fit(sizes); }
  void forget(rank_id r) { memory_.forget(r); }
  void place(expert_placement placement);
  void set_owners(microbatch_owners owners) { shape_.owners = std::move(owners); }
  void adopt(shard_map shards);
  /// Returns what a buffer holds, on the host.
  template <class T>
  [[nodiscard]] std::vector<T> values(rank_id r, buffer_id b) {
    return memory_.template values<T>(r, b);
  }
  [[nodiscard]] double loss(rank_id r) {
    auto const sum = values<std::int64_t>(r, buffers::sums)[static_cast<std::size_t>(dense())];
    return static_cast<double>(sum) / (fixed_point::one * static_cast<double>(training_.ranks));
  }
  [[nodiscard]] std::int64_t misfits(rank_id r) {
    return values<std::int64_t>(r, buffers::sums).back();
  }

 private:
  using buffers = moe_buffers;
  using tables = detail::expert_tables<Device>;
  using owned = typename tables::owned;
  using kept_tokens = detail::kept_tokens;
  static constexpr std::int64_t lanes = 4096;  // of a dense gradient's sum

  // What a rank computes with, within an operation. Over no memory it only counts.
  struct scratch {
    scratch() = default;
    scratch(moe_sizes const& sizes, moe_shape const& shape, std::int64_t slots, std::byte* at);

    std::size_t bytes = 0;
    float* gradient = nullptr;  // dense
    double* loss = nullptr;
    std::int64_t *unfit = nullptr, *counts = nullptr, *dropped = nullptr, *row = nullptr,
                 *start = nullptr, *end = nullptr;
    std::int32_t *rest = nullptr, *hosted = nullptr, *hosted_end = nullptr;
    adam_clock* clock = nullptr;
  };

  // One task: the buffers that it names, its stream and condition.
  struct access {
    stream_moe_work& work;
    rank_id rank;
    stream_task const& of;
    moe_stream_place<Device> at;
    scratch own;

    template <class T>
    [[nodiscard]] std::span<T const> read(buffer_id b) const {
      return as<T>(named(of.reads, b));
    }
    template <class T>
    [[nodiscard]] std::span<T> write(buffer_id b) const {
      return as<T>(named(of.writes, b));
    }
    [[nodiscard]] std::span<std::byte> named(std::span<region const> regions, buffer_id b) const;
    void fill(std::span<std::byte> bytes) const {
      at.device.streams().fill(at.on, bytes, of.condition);
    }
  };

  [[nodiscard]] static std::vector<buffer_id> stepped(std::int32_t layers);
  // The most tokens that a slot has.
  [[nodiscard]] std::int64_t most() const {
    return std::min(shape_.slot_capacity, training_.all_tokens());
  }
  [[nodiscard]] std::int64_t dense() const { return sizes_.dense; }
  [[nodiscard]] std::vector<owned> owned_by(access const& on) const {
    return tables_.owned_by(tables_.peer_of(on.rank));
  }
  [[nodiscard]] std::span<float const> parameters(access const& on) const {
    return on.template read<float>(buffers::dense).first(static_cast<std::size_t>(dense()));
  }
  [[nodiscard]] std::span<float> gradient(access const& on) const {
    return {on.own.gradient, static_cast<std::size_t>(dense())};
  }
  template <class T>
  [[nodiscard]] std::span<T> hidden_of(std::span<T> all, owned const& c) const;
  [[nodiscard]] kept_tokens kept_of(access const& on, layer_id l, owned const& c) const;
  void weights_of_masters(rank_id r, layer_id l);
  void add_dense(access const& on);
  void count_bytes(access const& on, layer_id l, std::int64_t const* shares, bool to_slots);
  // Calls each(slot, expert, rows) for the rank's slots.
  template <class Each>
  void for_slots(access const& on, layer_id l, std::int64_t const* shares, Each const& each);

  void route(access const& on, layer_id l);
  void dispatch(access const& on, layer_id l);
  void expert_forward(access const& on, layer_id l);
  void combine(access const& on, layer_id l);
  void combine_backward(access const& on, layer_id l);
  void expert_backward(access const& on, layer_id l);
  void dispatch_backward(access const& on, layer_id l);
  void step(access const& on, layer_id l);
  // Steps on `count` parameters and the moments behind them.
  void step_on(access const& on, buffer_id b, std::int64_t count, std::int64_t const* gradient,
               std::int64_t terms);

  Device& device_;
  Model const model_;
  moe_training const training_;
  adam_rule const rule_;
  moe_sizes sizes_{};
  moe_shape shape_{};
  shard_map shards_{};
  typename Device::system::stream stream_;
  detail::stream_memory<Device> memory_;
  tables tables_{};
  std::vector<detail::grown_memory<Device>> scratch_, model_scratch_;  // by rank
};

}  // namespace shunt

#include "shunt/train/stream_moe_work.ipp"
