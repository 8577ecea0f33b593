#include "product.hpp"

namespace example::detail {

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

}  // namespace example::detail
