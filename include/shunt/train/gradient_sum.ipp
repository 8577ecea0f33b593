#pragma once
#include "shunt/train/gradient_sum.hpp"

#include <cmath>
#include <cstring>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/float16.hpp"
#include "shunt/train/fixed_point.hpp"

namespace shunt {
namespace detail {

// What a term becomes in a sum, and a mean of it.
template <class T>
struct gradient_element {
  [[nodiscard]] static bool fits(float value) { return std::isfinite(value); }
  [[nodiscard]] static T added(T sum, float value) {
    if constexpr (sizeof(T) == 8)
      return sum + static_cast<T>(value);
    else
      return static_cast<T>(static_cast<float>(sum) + value);
  }
  [[nodiscard]] static float mean(T sum, std::int64_t terms) {
    if constexpr (sizeof(T) == 8)
      return static_cast<float>(sum / static_cast<T>(terms));
    else
      return static_cast<float>(sum) / static_cast<float>(terms);
  }
};

template <>
struct gradient_element<std::int64_t> {
  [[nodiscard]] static bool fits(float value) { return fixed_point::fits(value); }
  [[nodiscard]] static std::int64_t added(std::int64_t sum, float value) {
    return sum + fixed_point::rounded(value);
  }
  [[nodiscard]] static float mean(std::int64_t sum, std::int64_t terms) {
    return fixed_point::mean(sum, terms);
  }
};

template <class Run>
auto with_gradient_element(element type, Run const& run) {
  switch (type) {
    case element::int64: return run(std::int64_t{});
    case element::float32: return run(float{});
    case element::float64: return run(double{});
    case element::bfloat16: return run(bfloat16{});
    case element::float16: return run(float16{});
    default:
      throw invalid_problem("gradient_type",
                            std::string(to_string(type)) + " elements can't hold gradients");
  }
}

}  // namespace detail

SHUNT_INLINE std::int64_t add_gradient(element type, std::span<float const> gradient,
                                       std::span<std::byte> sum) {
  return detail::with_gradient_element(type, [&]<class T>(T) {
    using of = detail::gradient_element<T>;
    std::int64_t bad = 0;
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      T value;
      std::memcpy(&value, sum.data() + i * sizeof(T), sizeof(T));
      bad += of::fits(gradient[i]) ? 0 : 1;
      value = of::added(value, gradient[i]);
      std::memcpy(sum.data() + i * sizeof(T), &value, sizeof(T));
    }
    return bad;
  });
}

SHUNT_INLINE std::int64_t mean_gradient(element type, std::span<std::byte const> sum,
                                        std::int64_t terms, std::span<float> mean) {
  return detail::with_gradient_element(type, [&]<class T>(T) {
    std::int64_t bad = 0;
    for (std::size_t i = 0; i < mean.size(); ++i) {
      T value;
      std::memcpy(&value, sum.data() + i * sizeof(T), sizeof(T));
      mean[i] = detail::gradient_element<T>::mean(value, terms);
      bad += std::isfinite(mean[i]) ? 0 : 1;
    }
    return bad;
  });
}

}  // namespace shunt
