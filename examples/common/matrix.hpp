#pragma once
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include <Eigen/Core>

#include "shunt/train/aligned_bytes.hpp"

namespace example {

/// A row-major matrix that lies in a buffer, at a multiple of 64 bytes: products of one shape then
/// give the same bits wherever they run. `T` is `float` or `float const`.
using stored_matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using matrix_in =
    Eigen::Map<std::conditional_t<std::is_const_v<T>, stored_matrix const, stored_matrix>,
               Eigen::Aligned64>;

/// Deals a run of floats out to matrices, one after the other, each on a multiple of 64 bytes. Over
/// no memory it only counts.
template <class T>
class span_splitter {
 public:
  span_splitter() = default;
  explicit span_splitter(std::span<T> floats) : begin_(floats.data()), size_(floats.size()) {}

  matrix_in<T> matrix(std::int64_t rows, std::int64_t columns) {
    auto const at = used_;
    used_ += static_cast<std::size_t>(
                 shunt::aligned(rows * columns * static_cast<std::int64_t>(sizeof(float)))) /
             sizeof(float);
    assert(!begin_ || used_ <= size_);
    return matrix_in<T>(begin_ ? begin_ + at : nullptr, rows, columns);
  }
  /// Floats dealt so far, the gaps between matrices included.
  std::size_t used() const { return used_; }

 private:
  T* begin_ = nullptr;
  std::size_t size_ = 0;
  std::size_t used_ = 0;
};

}  // namespace example
