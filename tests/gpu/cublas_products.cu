// Products by cuBLASLt: what they are, and that they are the same bits on another stream, at
// another place and in a graph.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

#include "shunt/cuda/cublas_products.hpp"
#include "shunt/device/product_shape.hpp"
#include "support/device_array.hpp"

namespace {

using shunt::product_shape;
using shunt::tests::device_array;

class Products : public shunt::tests::on_gpu {};

template <class T>
std::vector<T> random_values(std::mt19937_64& random, std::int64_t n) {
  std::vector<T> all;
  for (std::int64_t i = 0; i < n; ++i)
    all.push_back(static_cast<T>(static_cast<double>(random() >> 11) * 0x1p-52 - 1));
  return all;
}

/// The product in long sums, and how far rounding may be from it.
template <class T>
void expect_product(product_shape const& s, std::vector<T> const& a, std::vector<T> const& b,
                    std::vector<T> const& c) {
  auto const at = [](std::vector<T> const& m, std::int64_t i) {
    return static_cast<long double>(m[static_cast<std::size_t>(i)]);
  };
  long double worst = 0;
  for (std::int64_t i = 0; i < s.rows; ++i)
    for (std::int64_t j = 0; j < s.columns; ++j) {
      long double sum = 0;
      for (std::int64_t k = 0; k < s.inner; ++k)
        sum += at(a, s.transpose_a ? k * s.rows + i : i * s.inner + k) *
               at(b, s.transpose_b ? j * s.inner + k : k * s.columns + j);
      worst = std::max(worst, std::abs(sum - at(c, i * s.columns + j)));
    }
  auto const unit = static_cast<long double>(std::numeric_limits<T>::epsilon());
  EXPECT_LE(worst, unit * static_cast<long double>(s.inner))
      << s.rows << " x " << s.inner << " x " << s.columns;
}

template <class T>
void expect_products(shunt::cuda_stream_ref stream) {
  shunt::cublas_products multiply;
  std::mt19937_64 random(5);
  for (product_shape s : {product_shape{32, 128, 32},
                          {32, 32, 256},
                          {1, 7, 5},
                          {33, 20, 17},
                          {128, 32, 128},
                          {500, 300, 64},
                          {4, 0, 3}})
    for (bool const ta : {false, true})
      for (bool const tb : {false, true}) {
        s.transpose_a = ta;
        s.transpose_b = tb;
        auto const a = random_values<T>(random, s.rows * s.inner),
                   b = random_values<T>(random, s.inner * s.columns);
        auto const size = static_cast<std::size_t>(s.rows * s.columns);
        device_array<T> const da(a), db(b), again_a(a), again_b(b), c(std::vector<T>(size, 7)),
            again(size);
        multiply(stream, s, da.data(), db.data(), c.data());
        shunt::cuda_stream other;
        multiply(other, s, again_a.data(), again_b.data(), again.data());
        other.synchronize();
        stream.synchronize();
        expect_product(s, a, b, c.values());
        EXPECT_EQ(again.values(), c.values());
      }
}

TEST_F(Products, OfFloats) { expect_products<float>(stream()); }
TEST_F(Products, OfDoubles) { expect_products<double>(stream()); }

TEST_F(Products, InAGraph) {
  shunt::cublas_products multiply;
  std::mt19937_64 random(7);
  product_shape const s{.rows = 48, .inner = 96, .columns = 80, .transpose_b = true};
  device_array<float> a(std::vector<float>(48 * 96)), b(random_values<float>(random, 96 * 80)),
      c(48 * 80), eager(48 * 80);
  launch_captured([&] { multiply(stream(), s, a.data(), b.data(), c.data()); },
                  [&](int) { a.set(random_values<float>(random, 48 * 96)); });
  multiply(stream(), s, a.data(), b.data(), eager.data());
  wait();
  EXPECT_EQ(c.values(), eager.values());
}

TEST_F(Products, RefuseOddPlaces) {
  shunt::cublas_products multiply;
  device_array<float> const m(64);
  EXPECT_THROW(multiply(stream(), {2, 2, 2}, m.data() + 1, m.data() + 8, m.data() + 16),
               std::invalid_argument);
}

}  // namespace
