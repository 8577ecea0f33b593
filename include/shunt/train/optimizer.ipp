#pragma once
#include "shunt/train/optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace shunt {

SHUNT_INLINE void adam::operator()(std::span<float> parameters, std::span<float> state,
                                   std::span<float const> gradient, std::int64_t update) const {
  auto const corrected = [&](float beta) {
    return static_cast<float>(
        1 / (1 - std::pow(static_cast<double>(beta), static_cast<double>(update))));
  };
  float const correct1 = corrected(beta1), correct2 = corrected(beta2);
  auto const first = state.first(parameters.size()), second = state.subspan(parameters.size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    float const g = gradient[i];
    first[i] = beta1 * first[i] + (1 - beta1) * g;
    second[i] = beta2 * second[i] + (1 - beta2) * g * g;
    parameters[i] -= rate * (first[i] * correct1) / (std::sqrt(second[i] * correct2) + epsilon);
  }
}

SHUNT_INLINE void adam::revert(std::span<float> parameters, std::span<float> state,
                               std::span<float const> gradient, std::int64_t update) const {
  double const b1 = static_cast<double>(beta1), b2 = static_cast<double>(beta2);
  double const correct1 = 1 / (1 - std::pow(b1, static_cast<double>(update))),
               correct2 = 1 / (1 - std::pow(b2, static_cast<double>(update)));
  auto const first = state.first(parameters.size()), second = state.subspan(parameters.size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    double const g = static_cast<double>(gradient[i]), m = static_cast<double>(first[i]),
                 v = static_cast<double>(second[i]);
    double const made = static_cast<double>(rate) * m * correct1 /
                        (std::sqrt(v * correct2) + static_cast<double>(epsilon));
    parameters[i] = static_cast<float>(static_cast<double>(parameters[i]) + made);
    first[i] = static_cast<float>((m - static_cast<double>(1 - beta1) * g) / b1);
    second[i] =
        static_cast<float>(std::max(0.0, (v - static_cast<double>(1 - beta2) * g * g) / b2));
  }
}

SHUNT_INLINE void sgd::operator()(std::span<float> parameters, std::span<float> state,
                                  std::span<float const> gradient, std::int64_t) const {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    state[i] = momentum * state[i] + gradient[i];
    parameters[i] -= rate * state[i];
  }
}

}  // namespace shunt
