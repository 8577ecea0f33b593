#pragma once
#include "matrix.hpp"

namespace example {

/// The three matrix products that backpropagation needs, on row-major matrices of any kind. They
/// are compiled once, for each pair of types that Eigen multiplies costs a second.
template <class T>
using row_major = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using row_major_view = Eigen::Map<row_major<T> const>;

template <class Matrix>
[[nodiscard]] row_major_view<typename Matrix::Scalar> view(Matrix const& m) {
  static_assert(Matrix::IsRowMajor);
  return {m.data(), m.rows(), m.cols()};
}

namespace detail {

// in product.cpp, for float and double
template <class T>
[[nodiscard]] row_major<T> multiply(row_major_view<T> const& a, row_major_view<T> const& b);
template <class T>
[[nodiscard]] row_major<T> multiply_transposed(row_major_view<T> const& a,
                                               row_major_view<T> const& b);
template <class T>
[[nodiscard]] row_major<T> transposed_multiply(row_major_view<T> const& a,
                                               row_major_view<T> const& b);

}  // namespace detail

/// A B
template <class A, class B>
[[nodiscard]] auto product(A const& a, B const& b) {
  return detail::multiply<typename A::Scalar>(view(a), view(b));
}
/// A B^T
template <class A, class B>
[[nodiscard]] auto product_nt(A const& a, B const& b) {
  return detail::multiply_transposed<typename A::Scalar>(view(a), view(b));
}
/// A^T B
template <class A, class B>
[[nodiscard]] auto product_tn(A const& a, B const& b) {
  return detail::transposed_multiply<typename A::Scalar>(view(a), view(b));
}

}  // namespace example
