#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

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

}  // namespace shunt
