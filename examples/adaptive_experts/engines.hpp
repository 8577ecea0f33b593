#pragma once
/// The engines of this program that not every build has.
#include <cstdint>
#include <string>
#include <vector>

#include "outcome.hpp"
#include "train.hpp"

namespace example {

/// Trains on the streams of a GPU, all ranks on one, or with a graph for each program. `faults` and `say` as in `train`.
/// Throws invalid_problem where this build has no CUDA or the machine no GPU that can be used.
policy_run train_on_gpu(training_setup const& setup, std::string const& name, text_bytes const& text,
                        std::vector<shunt::fault> const& faults, listener const& say, bool graphs);

/// Over how many iterations losses are compared with the host's, and the largest relative difference that rounding explains. Outside of the
/// experts, whose arithmetic is exact, a device sums in another order than the host. That shows in the eighth digit of a loss until a token's two
/// best experts are so close that it goes to the other one; then loads, placements and drops may part, too (4e-4 where products were
/// sums in ascending order on the host, after 55 iterations with 1,024 tokens each).
inline constexpr std::int32_t iterations_compared = 50;
inline constexpr double loss_tolerance = 1e-2;

}  // namespace example
