#pragma once
#include <cstdint>

#include "product_shape.hpp"
#include "shunt/train/training_device.hpp"

namespace example {

/// What the example models ask of a device beyond shunt::training_device: d.multiply(on, shape, a,
/// b, c) enqueues c = op(a) op(b), the same bits from the same operands on every stream and at
/// every time. CUDA with cuBLASLt is one model, streams on the host another.
template <class D>
concept training_device =
    shunt::training_device<D> &&
    requires(D& d, typename D::system::stream_ref on, product_shape const& shape, float const* in,
             float* out) { d.multiply(on, shape, in, in, out); };

}  // namespace example
