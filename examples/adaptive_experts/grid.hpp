#pragma once
#include "shunt/core/host_device.hpp"

namespace example {

/// Rounding onto a grid 2^-Bits, so that products and sums of such numbers are exact in double
/// precision: then a sum doesn't depend on its order, and an expert's answer and gradient not on
/// how many replicas share its tokens.
///
/// Activations lie on 2^-18 within [-31, 31], weights on 2^-18 within [-32, 32], output gradients
/// on 2^-22 within [-2, 2]. A product of the first two is a multiple of 2^-36; 128 of them and a
/// bias add up to less than 2^17: 53 bits. A product of a weight and an output gradient is a
/// multiple of 2^-40 of at most 2^6; 128 of them stay within 2^13: 53 bits. All three kinds fit a
/// float's 24 bits, so that they travel as floats unchanged.
template <int Bits, int Limit>
struct grid {
  static constexpr double unit = 1.0 / (1LL << Bits);
  static constexpr double limit = Limit;

  /// The nearest multiple of `unit`, halves to even, kept within [-limit, limit].
  SHUNT_HD constexpr double operator()(double x) const {
    constexpr double shift =
        1.5 * (1LL << (52 - Bits));  // a double this large has no digits below the unit
    return ((x < -limit ? -limit : limit < x ? limit : x) + shift) - shift;
  }
};

using on_activation_grid = grid<18, 31>;
using on_weight_grid = grid<18, 32>;
using on_gradient_grid = grid<22, 2>;
inline constexpr on_activation_grid activation_grid{};
inline constexpr on_weight_grid weight_grid{};
inline constexpr on_gradient_grid gradient_grid{};
inline constexpr int products_per_sum = 128;  ///< the longest sum that these bounds allow

/// Gradients of weights are sums of products of an activation and an output gradient: multiples of
/// 2^-40, held as int64 as those of fixed_point.hpp are.
inline constexpr double weight_gradient_unit = activation_grid.unit * gradient_grid.unit;

}  // namespace example
