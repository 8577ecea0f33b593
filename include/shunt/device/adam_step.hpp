#pragma once
#include <cmath>
#include <cstdint>

#include "shunt/core/host_device.hpp"
#include "shunt/device/row_copies.hpp"

namespace shunt {

/// The optimizer's step of a rank's shards: Adam (Kingma and Ba, arXiv 1412.6980, Algorithm 1),
/// element by element, with the state kept so that the step can be taken back to the bit.
///
///     m <- beta1 m + (1 - beta1) g        v <- beta2 v + (1 - beta2) g^2
///     w <- w - rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
///
/// Every operation is rounded on its own, nothing is contracted, so that a GPU and a host (compiled
/// without contraction) give the same bits. What changes from update to update stands in device
/// memory (the clock, the scale, the condition): a captured graph can be launched again and again.
struct adam_rule {
  float rate = 1e-3F;
  float beta1 = 0.9F;
  float beta2 = 0.999F;
  float epsilon = 1e-8F;
};

/// Parameters and moments of a number of elements; arrays aligned to 16 bytes.
struct adam_state {
  float* weights = nullptr;
  float* first = nullptr;
  float* second = nullptr;
};

/// Which update is next made, counted from 1, and what follows from it. Starts as it stands here.
struct adam_clock {
  std::int64_t update = 0;
  float correct1 = 0;  ///< 1 / (1 - beta1^update)
  float correct2 = 0;  ///< 1 / (1 - beta2^update)
};

namespace detail {

SHUNT_HD inline float product(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);  // never contracted
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
SHUNT_HD inline float root(float a) {
#if defined(__CUDA_ARCH__)
  return __fsqrt_rn(a);
#else
  return std::sqrt(a);
#endif
}

/// base^n by squaring: the same operations everywhere, which pow() doesn't promise.
SHUNT_HD inline double power(double base, std::int64_t n) {
  double result = 1;
  for (; n > 0; n /= 2) {
#if defined(__CUDA_ARCH__)
    if (n % 2 == 1) result = __dmul_rn(result, base);
    base = __dmul_rn(base, base);
#else
    if (n % 2 == 1) result *= base;
    base *= base;
#endif
  }
  return result;
}

}  // namespace detail

/// Moves the clock by one update, or back after a step that was taken back. One item.
struct adam_tick {
  adam_rule rule{};
  adam_clock* clock = nullptr;
  std::int64_t by = 1;
  std::int64_t const* condition = nullptr;  ///< does nothing where this is 0; nullptr: always acts

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

/// The step itself, after the clock's tick. Gradient is float, or int64 for fixed point. An item is
/// four elements; `items()` of them.
template <class Gradient>
struct adam_step {
  adam_rule rule{};
  std::int64_t elements = 0;
  adam_state state{};
  Gradient const* gradient = nullptr;  ///< sums; aligned to 16 bytes
  double unit = 1;                     ///< a gradient is its sum over this: 2^fraction bits x terms
  adam_clock const* clock = nullptr;
  float const* scale = nullptr;  ///< gradients count so many times (clipping); nullptr: once
  adam_state kept{};             ///< gets the state as it was; null pointers: nothing is kept
  float* sent =
      nullptr;  ///< gets the new weights once more, for the weight scatter; nullptr: not wanted
  std::int64_t const* condition = nullptr;  ///< does nothing where this is 0; nullptr: always acts

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

  /// One element alone, the condition left aside: for arrays that aren't aligned to 16 bytes.
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
    auto g = static_cast<float>(static_cast<double>(sum) / unit);
    if (scale != nullptr) g = product(*scale, g);
    m = product(rule.beta1, m) + product(1 - rule.beta1, g);
    v = product(rule.beta2, v) + product(product(1 - rule.beta2, g), g);
    float const change = product(rule.rate, product(m, clock->correct1));
    w -= detail::quotient(change, detail::root(product(v, clock->correct2)) + rule.epsilon);
  }
};

/// Takes a step back: what was kept becomes the state. Four elements an item; tick the clock by -1
/// under the same condition.
struct adam_rollback {
  std::int64_t elements = 0;
  adam_state kept{};
  adam_state state{};
  float* sent = nullptr;                    ///< as in the step
  std::int64_t const* condition = nullptr;  ///< does nothing where this is 0; nullptr: always acts

  [[nodiscard]] constexpr std::int64_t items() const { return (elements + 3) / 4; }

  SHUNT_HD void operator()(std::int64_t item) const {
    if (condition != nullptr && *condition == 0) return;
    std::int64_t const first = 4 * item;
    back(kept.first, state.first, first);
    back(kept.second, state.second, first);
    back(kept.weights, state.weights, first);
    if (sent != nullptr) back(kept.weights, sent, first);
  }

 private:
  SHUNT_HD void back(float const* from, float* to, std::int64_t first) const {
    if (first + 4 <= elements)
      *reinterpret_cast<detail::vector_of<float>*>(to + first) =
          *reinterpret_cast<detail::vector_of<float> const*>(from + first);
    else
      for (std::int64_t i = first; i < elements; ++i) to[i] = from[i];
  }
};

}  // namespace shunt
