#pragma once
/// Adam on a rank's shards, with a rollback to the bit.
/// See docs/device-code.md.
/// Reference: Kingma and Ba, arXiv 1412.6980, Algorithm 1.
#include <cmath>
#include <cstdint>

#include "shunt/core/host_device.hpp"
#include "shunt/device/row_copies.hpp"

namespace shunt {

/// Hyperparameters of Adam. For gradient g, moments m and v, weights w and the t-th update:
///
///     m <- beta1 m + (1 - beta1) g        v <- beta2 v + (1 - beta2) g^2
///     w <- w - rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
///
/// Every operation is rounded on its own and none is contracted.
/// A GPU and a host (compiled without contraction) therefore compute the same bits.
struct adam_rule {
  float rate = 1e-3F;
  float beta1 = 0.9F;
  float beta2 = 0.999F;
  float epsilon = 1e-8F;
};

/// Parameters and moments, one entry an element. Arrays are aligned to 16 bytes.
struct adam_state {
  float* weights = nullptr;
  float* first = nullptr;
  float* second = nullptr;
};

/// Number of the update in progress, from 1 (0 before the first), and its bias corrections. Lies in
/// device memory.
struct adam_clock {
  std::int64_t update = 0;
  float correct1 = 0;  ///< 1 / (1 - beta1^update)
  float correct2 = 0;  ///< 1 / (1 - beta2^update)
};

namespace detail {

SHUNT_HD inline float product(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);  // is never contracted
#else
  return a * b;
#endif
}
SHUNT_HD inline float quotient(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fdiv_rn(a, b);
#else
  return a / b;
#endif
}
SHUNT_HD inline double product(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}
SHUNT_HD inline float root(float a) {
#if defined(__CUDA_ARCH__)
  return __fsqrt_rn(a);
#else
  return std::sqrt(a);
#endif
}

/// Returns base^n by squaring. Uses the same operations on host and device, which pow() does not
/// promise.
SHUNT_HD inline double power(double base, std::int64_t n) {
  double result = 1;
  for (; n > 0; n /= 2) {
    if (n % 2 == 1) result = product(result, base);
    base = product(base, base);
  }
  return result;
}

}  // namespace detail

/// The divisor of sums in fixed point: 2^fraction bits x number of terms.
/// Requires 2^-1000 < value < 2^1000.
struct gradient_unit {
  double value = 1, inverse = 1;

  SHUNT_HD constexpr gradient_unit(double of = 1) : value(of), inverse(1 / of) {}

  /// Returns float(sum / value), with the bits of that division but, nearly always, by a product.
  /// The product is less than 8 steps of a double away from the quotient, and both give the same
  /// float unless a midpoint of two floats, whose 29 lowest bits are 1 and zeros, is as near.
  [[nodiscard]] SHUNT_HD float mean(double sum) const {
    double const about = detail::product(sum, inverse);
    auto const low = __builtin_bit_cast(std::uint64_t, about) & 0x1fffffff;
    bool const is_small = about < 0x1p-126 && about > -0x1p-126 && sum != 0;  // midpoints differ
    if (low - 0x0ffffff8 <= 0x10 || is_small) return static_cast<float>(sum / value);
    return static_cast<float>(about);
  }
};

/// Advances the clock by `by` updates; by -1 after a step that was rolled back. One item.
struct adam_tick {
  adam_rule rule{};
  adam_clock* clock = nullptr;
  std::int64_t by = 1;
  std::int64_t const* condition = nullptr;  ///< 0: does nothing; nullptr: always acts

  SHUNT_HD void operator()(std::int64_t) const {
    if (condition != nullptr && *condition == 0) return;
    std::int64_t const t = clock->update += by;
    if (t < 1) return;
    clock->correct1 =
        static_cast<float>(1 / (1 - detail::power(static_cast<double>(rule.beta1), t)));
    clock->correct2 =
        static_cast<float>(1 / (1 - detail::power(static_cast<double>(rule.beta2), t)));
  }
};

/// One update of all elements, after the clock's tick. An item is four elements. `Gradient` is
/// float, or int64 for fixed point.
template <class Gradient>
struct adam_step {
  adam_rule rule{};
  std::int64_t elements = 0;
  adam_state state{};
  Gradient const* gradient = nullptr;  ///< sums; aligned to 16 bytes
  gradient_unit unit{};                ///< divisor of a sum
  adam_clock const* clock = nullptr;
  float const* scale = nullptr;  ///< factor of all gradients (clipping); nullptr: 1
  adam_state kept{};  ///< receives the state before the update; null pointers: nothing is kept
  /// Receives the new weights as well, for the weight scatter; nullptr: not wanted.
  float* sent = nullptr;
  std::int64_t const* condition = nullptr;  ///< 0: does nothing; nullptr: always acts

  [[nodiscard]] constexpr std::int64_t items() const { return (elements + 3) / 4; }

  SHUNT_HD void operator()(std::int64_t item) const {
    if (condition != nullptr && *condition == 0) return;
    std::int64_t const first = 4 * item;
    using floats = detail::vector_of<float>;
    struct alignas(16) gradients {
      Gradient at[4];
    };
    if (first + 4 <= elements) {
      auto const g = *reinterpret_cast<gradients const*>(gradient + first);
      auto w = *reinterpret_cast<floats const*>(state.weights + first);
      auto m = *reinterpret_cast<floats const*>(state.first + first);
      auto v = *reinterpret_cast<floats const*>(state.second + first);
      if (kept.weights != nullptr) {
        *reinterpret_cast<floats*>(kept.weights + first) = w;
        *reinterpret_cast<floats*>(kept.first + first) = m;
        *reinterpret_cast<floats*>(kept.second + first) = v;
      }
      for (int k = 0; k < 4; ++k) update(g.at[k], w.at[k], m.at[k], v.at[k]);
      *reinterpret_cast<floats*>(state.weights + first) = w;
      *reinterpret_cast<floats*>(state.first + first) = m;
      *reinterpret_cast<floats*>(state.second + first) = v;
      if (sent != nullptr) *reinterpret_cast<floats*>(sent + first) = w;
      return;
    }
    for (std::int64_t i = first; i < elements; ++i) element(i);
  }

  /// Updates one element and ignores the condition. For arrays that are not aligned to 16 bytes.
  SHUNT_HD void element(std::int64_t i) const {
    if (kept.weights != nullptr) {
      kept.weights[i] = state.weights[i];
      kept.first[i] = state.first[i];
      kept.second[i] = state.second[i];
    }
    update(gradient[i], state.weights[i], state.first[i], state.second[i]);
    if (sent != nullptr) sent[i] = state.weights[i];
  }

 private:
  SHUNT_HD void update(Gradient sum, float& w, float& m, float& v) const {
    using detail::product;
    float g = unit.mean(static_cast<double>(sum));
    if (scale != nullptr) g = product(*scale, g);
    m = product(rule.beta1, m) + product(1 - rule.beta1, g);
    v = product(rule.beta2, v) + product(product(1 - rule.beta2, g), g);
    float const change = product(rule.rate, product(m, clock->correct1));
    w -= detail::quotient(change, detail::root(product(v, clock->correct2)) + rule.epsilon);
  }
};

/// Rolls a step back: the kept state becomes the state. An item is four elements. The clock must be
/// ticked by -1 under the same condition.
struct adam_rollback {
  std::int64_t elements = 0;
  adam_state kept{};
  adam_state state{};
  float* sent = nullptr;                    ///< as in adam_step
  std::int64_t const* condition = nullptr;  ///< 0: does nothing; nullptr: always acts

  [[nodiscard]] constexpr std::int64_t items() const { return (elements + 3) / 4; }

  SHUNT_HD void operator()(std::int64_t item) const {
    if (condition != nullptr && *condition == 0) return;
    std::int64_t const first = 4 * item;
    using floats = detail::vector_of<float>;
    auto const back = [&]<class Vector>(Vector, std::int64_t i) {
      auto const w = *reinterpret_cast<Vector const*>(kept.weights + i);
      auto const m = *reinterpret_cast<Vector const*>(kept.first + i);
      auto const v = *reinterpret_cast<Vector const*>(kept.second + i);
      *reinterpret_cast<Vector*>(state.weights + i) = w;
      *reinterpret_cast<Vector*>(state.first + i) = m;
      *reinterpret_cast<Vector*>(state.second + i) = v;
      if (sent != nullptr) *reinterpret_cast<Vector*>(sent + i) = w;
    };
    if (first + 4 <= elements) return back(floats{}, first);
    for (std::int64_t i = first; i < elements; ++i) back(float{}, i);
  }
};

}  // namespace shunt
