#pragma once
#include <cstdint>
#include <span>

#include "grid.hpp"
#include "matrix.hpp"

namespace example {

/// The three matrix products that backpropagation needs, on row-major matrices of any kind. They
/// are compiled once, for each pair of types that Eigen multiplies costs a second.
template <class T>
using row_major = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using row_major_view = Eigen::Map<row_major<T> const>;

template <class Matrix>
row_major_view<typename Matrix::Scalar> view(Matrix const& m) {
  static_assert(Matrix::IsRowMajor);
  return {m.data(), m.rows(), m.cols()};
}

// in expert.cpp, for float and double
template <class T>
row_major<T> multiply(row_major_view<T> const& a, row_major_view<T> const& b);
template <class T>
row_major<T> multiply_transposed(row_major_view<T> const& a, row_major_view<T> const& b);
template <class T>
row_major<T> transposed_multiply(row_major_view<T> const& a, row_major_view<T> const& b);

/// A B
template <class A, class B>
auto product(A const& a, B const& b) {
  return multiply<typename A::Scalar>(view(a), view(b));
}
/// A B^T
template <class A, class B>
auto product_nt(A const& a, B const& b) {
  return multiply_transposed<typename A::Scalar>(view(a), view(b));
}
/// A^T B
template <class A, class B>
auto product_tn(A const& a, B const& b) {
  return transposed_multiply<typename A::Scalar>(view(a), view(b));
}

/// An expert: y = W2 relu(W1 x + b1) + b2 with x and y of `width` numbers, in exact arithmetic on
/// the grids of grid.hpp. Parameters lie one after another: W1 (hidden x width, row by row), b1
/// (hidden), W2 (width x hidden), b2 (width).
struct expert_mlp {
  std::int32_t width = 1;  ///< at most products_per_sum, and so is `hidden`
  std::int32_t hidden = 1;

  std::int64_t elements() const { return 2LL * width * hidden + hidden + width; }

  using matrix = row_major<double>;
  using rows = Eigen::Map<row_major<float>>;
  using const_rows = row_major_view<float>;

  /// Answers to the tokens x (tokens x width), on the activation grid.
  void forward(std::span<float const> parameters, const_rows const& x, rows y) const;

  /// Gradients of the loss with respect to the tokens (dx, on the gradient grid) and, in units of
  /// weight_gradient_unit, to the parameters (overwritten), given those with respect to the answers
  /// (dy, on the gradient grid). False where the parameters' gradient may be beyond exact
  /// arithmetic; what surely is counts as 0.
  bool backward(std::span<float const> parameters, const_rows const& x, const_rows const& dy,
                rows dx, std::span<std::int64_t> gradient) const;

 private:
  struct parts {
    matrix w1, w2;
    Eigen::RowVectorXd b1, b2;
    parts(expert_mlp const& m, std::span<float const> parameters) {
      auto const* at = parameters.data();
      auto const take = [&](std::int32_t rows, std::int32_t columns) {
        const_rows const block(at, rows, columns);
        at += std::int64_t{rows} * columns;
        return matrix(block.cast<double>());
      };
      w1 = take(m.hidden, m.width);
      b1 = take(1, m.hidden);
      w2 = take(m.width, m.hidden);
      b2 = take(1, m.width);
    }
  };

  matrix hidden_of(parts const& p, const_rows const& x) const;
};

}  // namespace example
