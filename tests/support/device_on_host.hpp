#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "shunt/device/product_shape.hpp"
#include "shunt/train/training_device.hpp"
#include "support/host_streams.hpp"

namespace shunt::tests {

/// A device on the host: streams that run in any order that events allow, items in an order drawn
/// by lot, and products with the sums of the textbook, which are not those of the host's model.
class device_on_host {
 public:
  using system = host_streams;
  using stream_ref = host_streams::stream_ref;

  explicit device_on_host(std::uint64_t seed, host_streams::temper t = host_streams::temper::random)
      : streams_(seed, t), random_cases_(seed + 1) {}

  [[nodiscard]] host_streams& streams() { return streams_; }
  void settle() { streams_.synchronize(); }
  [[nodiscard]] host_streams::memory memory(std::size_t size) { return streams_.make_memory(size); }
  void read(std::span<std::byte const> from, std::span<std::byte> to) {
    std::copy(from.begin(), from.end(), to.begin());
  }
  void write(std::span<std::byte const> from, std::span<std::byte> to) {
    std::copy(from.begin(), from.end(), to.begin());
  }
  void copy(std::span<std::byte const> from, std::span<std::byte> to) {
    std::copy(from.begin(), from.end(), to.begin());
  }

  template <class Items>
  void each(stream_ref on, std::int64_t n, Items const& f, std::int64_t const* condition) {
    std::int64_t const first = random_cases_.below(n);
    bool const backwards = random_cases_.coin();
    streams_.call(on, [=] {
      if (condition && *condition == 0) return;
      for (std::int64_t k = 0; k < n; ++k) {
        auto const i = (k + first) % n;
        f(backwards ? n - 1 - i : i);
      }
    });
  }

  void multiply(stream_ref on, product_shape const& s, float const* a, float const* b, float* c) {
    streams_.call(on, [=] {
      for (std::int64_t i = 0; i < s.rows; ++i)
        for (std::int64_t j = 0; j < s.columns; ++j) {
          float sum = 0;
          for (std::int64_t k = 0; k < s.inner; ++k)
            sum += (s.transpose_a ? a[k * s.rows + i] : a[i * s.inner + k]) *
                   (s.transpose_b ? b[j * s.inner + k] : b[k * s.columns + j]);
          c[i * s.columns + j] = sum;
        }
    });
  }

 private:
  host_streams streams_;
  random_choices random_cases_;
};

static_assert(matrix_device<device_on_host>);

}  // namespace shunt::tests
