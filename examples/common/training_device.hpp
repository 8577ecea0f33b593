#pragma once
#include <compare>
#include <cstdint>

#include "shunt/train/training_device.hpp"

namespace example {

/// What a matrix product C = op(A) op(B) looks like: C is rows x columns, op(A) rows x inner, op(B)
/// inner x columns. All three lie row-major without gaps; A is stored as inner x rows where it is
/// transposed, B as columns x inner. The three products of a layer y = x W, with x of rows x inner
/// and W of inner x columns:
///
///     forward   y  = x W       {rows, inner, columns}
///     dgrad     dx = dy W^T    {.rows = rows, .inner = columns, .columns = inner, .transpose_b =
///     true} wgrad     dW = x^T dy    {.rows = inner, .inner = rows, .columns = columns,
///     .transpose_a = true}
struct product_shape {
  std::int64_t rows = 0;
  std::int64_t inner = 0;
  std::int64_t columns = 0;
  bool transpose_a = false;
  bool transpose_b = false;
  auto operator<=>(product_shape const&) const = default;
  bool operator==(product_shape const&) const = default;
};

/// What the example models ask of a device beyond shunt::training_device: d.multiply(on, shape, a,
/// b, c) enqueues c = op(a) op(b), the same bits from the same operands on every stream and at
/// every time. CUDA with cuBLASLt is one model, streams on the host another.
template <class D>
concept training_device =
    shunt::training_device<D> &&
    requires(D& d, typename D::system::stream_ref on, product_shape const& shape, float const* in,
             float* out) { d.multiply(on, shape, in, in, out); };

}  // namespace example
