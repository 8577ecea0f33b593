#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/device/product_shape.hpp"
#include "shunt/execute/stream_system.hpp"

namespace shunt {
namespace detail {

struct no_items {
  void operator()(std::int64_t) const {}
};

}  // namespace detail

/// A device for training. `d.each(stream, n, f, condition)` enqueues f(0) .. f(n - 1) in any order,
/// and nothing where the condition isn't null and its word is 0. All else takes place before the
/// call returns: `memory` is zeroed, `read` and `write` copy between host and device, `copy` within
/// the device, `settle` waits for all that was enqueued.
template <class D>
concept training_device =
    stream_system<typename D::system> &&
    requires(D& d, typename D::system::stream_ref on, std::int64_t n, std::int64_t const* condition,
             std::size_t size, std::span<std::byte const> from, std::span<std::byte> to) {
      { d.streams() } -> std::same_as<typename D::system&>;
      d.each(on, n, detail::no_items{}, condition);
      d.settle();
      { d.memory(size) } -> std::same_as<typename D::system::memory>;
      d.read(from, to);
      d.write(from, to);
      d.copy(from, to);
    };

/// A training_device that multiplies matrices of T. `d.multiply(stream, shape, a, b, c)` enqueues
/// c = op(a) op(b): the same bits from the same operands on every stream and at every time.
template <class D, class T = float>
concept matrix_device =
    training_device<D> &&
    requires(D& d, typename D::system::stream_ref on, product_shape const& shape, T const* in,
             T* out) { d.multiply(on, shape, in, in, out); };

}  // namespace shunt
