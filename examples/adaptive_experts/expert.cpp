#include "expert.hpp"

#include <algorithm>
#include <cmath>

namespace example {

template <class T>
row_major<T> multiply(row_major_view<T> const& a, row_major_view<T> const& b) {
  row_major<T> c(a.rows(), b.cols());
  c.noalias() = a * b;
  return c;
}
template <class T>
row_major<T> multiply_transposed(row_major_view<T> const& a, row_major_view<T> const& b) {
  row_major<T> c(a.rows(), b.rows());
  c.noalias() = a * b.transpose();
  return c;
}
template <class T>
row_major<T> transposed_multiply(row_major_view<T> const& a, row_major_view<T> const& b) {
  row_major<T> c(a.cols(), b.cols());
  c.noalias() = a.transpose() * b;
  return c;
}

template row_major<float> multiply(row_major_view<float> const&, row_major_view<float> const&);
template row_major<float> multiply_transposed(row_major_view<float> const&,
                                              row_major_view<float> const&);
template row_major<float> transposed_multiply(row_major_view<float> const&,
                                              row_major_view<float> const&);

template row_major<double> multiply(row_major_view<double> const&, row_major_view<double> const&);
template row_major<double> multiply_transposed(row_major_view<double> const&,
                                               row_major_view<double> const&);
template row_major<double> transposed_multiply(row_major_view<double> const&,
                                               row_major_view<double> const&);

void expert_mlp::forward(std::span<float const> parameters, const_rows const& x, rows y) const {
  if (x.rows() == 0) return;
  parts const p(*this, parameters);
  matrix const inner = hidden_of(p, x);
  matrix answer = product_nt(inner, p.w2);
  answer.rowwise() += p.b2;
  y = answer.unaryExpr(activation_grid).cast<float>();
}

bool expert_mlp::backward(std::span<float const> parameters, const_rows const& x,
                          const_rows const& dy, rows dx, std::span<std::int64_t> gradient) const {
  if (x.rows() == 0) {
    std::fill(gradient.begin(), gradient.end(), 0);
    return true;
  }
  parts const p(*this, parameters);
  matrix const tokens = x.cast<double>(), above = dy.cast<double>();
  matrix const inner = hidden_of(p, x);
  matrix through = product(above, p.w2);
  through = (inner.array() > 0).select(through.unaryExpr(gradient_grid), 0.0);
  matrix const below = product(through, p.w1);
  dx = below.unaryExpr(gradient_grid).cast<float>();

  constexpr double most = 0x1p53 * weight_gradient_unit;
  bool exact = true;
  auto rest = gradient;
  auto const put = [&](matrix const& sums) {
    auto const target = rest.first(static_cast<std::size_t>(sums.size()));
    for (std::size_t i = 0; i < target.size(); ++i) {
      bool const fits = std::abs(sums.data()[i]) < most;  // false for a NaN
      target[i] = fits ? static_cast<std::int64_t>(sums.data()[i] / weight_gradient_unit) : 0;
      exact = exact && fits;
    }
    rest = rest.subspan(target.size());
  };
  put(product_tn(through, tokens));
  put(through.colwise().sum());
  put(product_tn(above, inner));
  put(above.colwise().sum());

  // by Cauchy and Schwarz no partial sum of products is beyond the product of the two columns'
  // norms
  auto const norm = [](matrix const& columns) {
    return std::sqrt(columns.colwise().squaredNorm().maxCoeff());
  };
  double const tokens_norm =
      std::max(norm(tokens), std::sqrt(static_cast<double>(x.rows())));  // biases: a column of ones
  double const inner_norm = std::max(norm(inner), std::sqrt(static_cast<double>(x.rows())));
  return exact && norm(through) * tokens_norm < most && norm(above) * inner_norm < most;
}

expert_mlp::matrix expert_mlp::hidden_of(parts const& p, const_rows const& x) const {
  matrix inner = product_nt(matrix(x.cast<double>()), p.w1);
  inner.rowwise() += p.b1;
  return inner.unaryExpr([](double v) { return activation_grid(std::max(v, 0.0)); });
}

}  // namespace example
