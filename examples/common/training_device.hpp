#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "product_shape.hpp"
#include "shunt/execute/stream_system.hpp"

namespace example {

/// Nothing, as a function object of items.
struct no_items {
  void operator()(std::int64_t) const {}
};

/// What the training of a model asks of a device, so that it is written and tested once: CUDA with
/// cuBLASLt is one model, streams on the host another. `each` and `multiply` enqueue on a stream
/// and return:
///
///     d.each(on, n, f, condition)         f(0) .. f(n - 1) in any order; nothing where the
///     condition isn't null and its word is 0 d.multiply(on, shape, a, b, c)      c = op(a) op(b),
///     the same bits from the same operands on every stream and at every time
///
/// All else happens before the call returns, after what `settle` has waited for: memory comes
/// zeroed, `read` and `write` copy between host and device, `copy` within the device.
template <class D>
concept training_device =
    shunt::stream_system<typename D::system> &&
    requires(D& d, typename D::system::stream_ref on, std::int64_t n, std::int64_t const* condition,
             product_shape const& shape, float const* in, float* out, std::size_t size,
             std::span<std::byte const> from, std::span<std::byte> to) {
      { d.streams() } -> std::same_as<typename D::system&>;
      d.each(on, n, no_items{}, condition);
      d.multiply(on, shape, in, in, out);
      d.settle();  // waits for all that was enqueued
      { d.memory(size) } -> std::same_as<typename D::system::memory>;
      d.read(from, to);
      d.write(from, to);
      d.copy(from, to);
    };

}  // namespace example
