#pragma once
/// Optimizers on flat arrays of float. They work element by element in one order, so that the same
/// state and gradient give the same bits on every rank.
#include <concepts>
#include <cstdint>
#include <span>

#include "shunt/core/config.hpp"

namespace shunt {

/// An optimizer. `o(parameters, state, gradient, update)` changes parameters and state by the mean
/// gradient. `state` holds `O::moments` floats per parameter, 0 at first: the first moment of all
/// parameters, then the second. `update` counts from 1.
template <class O>
concept optimizer = std::move_constructible<O> &&
                    requires(O const& o, std::span<float> parameters, std::span<float> state,
                             std::span<float const> gradient, std::int64_t update) {
                      { O::moments } -> std::convertible_to<std::int64_t>;
                      o(parameters, state, gradient, update);
                    };

/// An optimizer that can revert update `update` by the inverse of its formulas.
template <class O>
concept invertible_optimizer =
    optimizer<O> && requires(O const& o, std::span<float> parameters, std::span<float> state,
                             std::span<float const> gradient, std::int64_t update) {
      o.revert(parameters, state, gradient, update);
    };

/// Adam.
/// Reference: Kingma and Ba (arXiv 1412.6980), Algorithm 1.
struct adam {
  float rate = 3e-3F;
  float beta1 = 0.9F;  ///< decay of the mean of gradients
  /// Decay of the mean of squares. Below the paper's 0.999, for short runs.
  float beta2 = 0.99F;
  float epsilon = 1e-8F;

  static constexpr std::int64_t moments = 2;

  void operator()(std::span<float> parameters, std::span<float> state,
                  std::span<float const> gradient, std::int64_t update) const;

  /// Reverts an update, up to rounding: parameters of size 1 come back within `revert_error` x rate
  /// (measured: 2e-5 x rate). What is trained from there on differs more, for a quotient of two
  /// small means is sensitive.
  void revert(std::span<float> parameters, std::span<float> state, std::span<float const> gradient,
              std::int64_t update) const;
  static constexpr double revert_error = 1e-3;
};

/// Stochastic gradient descent with momentum.
struct sgd {
  float rate = 0.1F;
  float momentum = 0.9F;

  static constexpr std::int64_t moments = 1;

  void operator()(std::span<float> parameters, std::span<float> state,
                  std::span<float const> gradient, std::int64_t update) const;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/optimizer.ipp"
#endif
