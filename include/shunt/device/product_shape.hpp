#pragma once
#include <compare>
#include <cstdint>

namespace shunt {

/// What a matrix product C = op(A) op(B) looks like: C is rows x columns, op(A) rows x inner, op(B)
/// inner x columns. All three lie row-major without gaps. A is stored as inner x rows where it is
/// transposed, B as columns x inner. The three products of a layer y = x W, with x of rows x inner
/// and W of inner x columns:
///
/// | product | is | shape |
/// |---|---|---|
/// | forward | y = x W | {rows, inner, columns} |
/// | gradient of x | dx = dy W^T | {rows, columns, inner, .transpose_b = true} |
/// | gradient of W | dW = x^T dy | {inner, rows, columns, .transpose_a = true} |
struct product_shape {
  std::int64_t rows = 0;
  std::int64_t inner = 0;
  std::int64_t columns = 0;
  bool transpose_a = false;
  bool transpose_b = false;

  auto operator<=>(product_shape const&) const = default;
  bool operator==(product_shape const&) const = default;
};

}  // namespace shunt
