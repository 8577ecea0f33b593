#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/train/stream_pipeline_model.hpp"
#include "shunt/train/training_device.hpp"
#include "support/dense_model.hpp"
#include "support/host_streams.hpp"

namespace shunt::tests {

/// The least training device: streams on the host.
class least_device {
 public:
  using system = host_streams;
  using stream_ref = host_streams::stream_ref;

  explicit least_device(std::uint64_t seed) : streams_(seed, host_streams::temper::random) {}

  [[nodiscard]] host_streams& streams() { return streams_; }
  template <class Items>
  void each(stream_ref on, std::int64_t n, Items const& f, std::int64_t const* condition) {
    streams_.call(on, [=] {
      if (condition && *condition == 0) return;
      for (std::int64_t i = 0; i < n; ++i) f(i);
    });
  }
  void settle() { streams_.synchronize(); }
  [[nodiscard]] host_streams::memory memory(std::size_t size) { return streams_.make_memory(size); }
  void read(std::span<std::byte const> from, std::span<std::byte> to) { copy(from, to); }
  void write(std::span<std::byte const> from, std::span<std::byte> to) { copy(from, to); }
  void copy(std::span<std::byte const> from, std::span<std::byte> to) {
    std::copy(from.begin(), from.end(), to.begin());
  }

 private:
  host_streams streams_;
};
static_assert(training_device<least_device>);

/// dense_model as a model on streams: an operation is one item.
struct dense_on_streams {
  dense_model host;

  [[nodiscard]] std::int32_t stages() const { return host.stages(); }
  [[nodiscard]] stage_sizes sizes(stage_id s) const { return host.sizes(s); }
  [[nodiscard]] std::size_t scratch_bytes() const { return 0; }
  void initialise(stage_id s, std::span<float> parameters) const { host.initialise(s, parameters); }
  void forward(stream_place<least_device> const& on, stream_forward_pass const& p,
               double* loss) const {
    enqueue(on, [=, m = host](std::int64_t) {
      double const found = m.forward(
          {p.stage, *p.iteration, p.microbatch, p.parameters, p.input, p.output, p.stash});
      if (loss) *loss = found;
    });
  }
  void backward_input(stream_place<least_device> const& on,
                      stream_backward_input_pass const& p) const {
    enqueue(on, [=, m = host](std::int64_t) {
      m.backward_input({p.stage, *p.iteration, p.microbatch, p.parameters, p.input, p.stash,
                        p.output_gradient, p.input_gradient});
    });
  }
  void backward_weight(stream_place<least_device> const& on,
                       stream_backward_weight_pass const& p) const {
    enqueue(on, [=, m = host](std::int64_t) {
      m.backward_weight({p.stage, *p.iteration, p.microbatch, p.parameters, p.input, p.stash,
                         p.output_gradient, p.gradient});
    });
  }
  static void enqueue(stream_place<least_device> const& on, auto const& operation) {
    on.device.each(on.on, 1, operation, on.condition);
  }
};
static_assert(stream_pipeline_model<dense_on_streams, least_device>);

}  // namespace shunt::tests
