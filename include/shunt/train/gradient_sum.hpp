#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/core/config.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Sums of gradients in the elements that a job sends (`pipeline_tensors::gradient_type`): int64 is
/// fixed_point, exact in any order; bfloat16, float16, float32 and float64 round after every term.
/// Sizes: as many gradients as elements in the sum.

/// Adds a gradient to a sum.
/// Returns the number of values that don't fit fixed point or are not finite. The former count as 0
/// in the sum.
/// Throws invalid_problem for another type.
std::int64_t add_gradient(element type, std::span<float const> gradient, std::span<std::byte> sum);

/// Computes the mean of `terms` gradients from their sum.
/// Returns the number of means that are not finite.
/// Throws invalid_problem for another type.
std::int64_t mean_gradient(element type, std::span<std::byte const> sum, std::int64_t terms,
                           std::span<float> mean);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/gradient_sum.ipp"
#endif
