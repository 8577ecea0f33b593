#pragma once
#include <cmath>
#include <cstdint>
#include <optional>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/lower/gradient_norms.hpp"
#include "shunt/lower/validated_program.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// What is trained by pipeline_work, beside model and optimizer.
struct pipeline_training {
  pipeline_job job{};           ///< dead workers are those at the start
  std::int64_t iterations = 1;  ///< at most `most_iterations`
  /// Elements of gradients. int64: fixed point, the same bits under every plan. bfloat16, float16,
  /// float32, float64: the same bits from run to run as long as no rank is lost. Under other plans
  /// results differ by rounding.
  element gradient_type = element::int64;
  /// The most norm of a step's gradient over all stages. Larger gradients are scaled down to it;
  /// steps are validated.
  std::optional<double> clip{};
  /// A step stands only if the gradients of all stages are finite (lower/step_validation.hpp).
  /// Without, a stage whose gradient overflows or isn't finite leaves out its own step.
  bool validate = false;
  shunt::rollback rollback = rollback::kept_state;  ///< of a validated step
  /// The rank of this process, where each rank has one of its own. Losses then travel with the
  /// flags of the last stage: its ranks know the loss of an iteration that all have completed.
  std::optional<rank_id> only{};

  static constexpr std::int64_t most_iterations = 1'000'000;

  [[nodiscard]] bool validates() const { return validate || clip; }
};

/// Throws invalid_problem, naming the field, where the training is broken, or has more
/// micro-batches than fixed point can sum.
void validate(pipeline_training const& training);

/// What became of a validated step.
struct step_outcome {
  double norm = 0;        ///< of the gradient over all stages; what is not finite counts as 0
  bool left_out = false;  ///< a gradient of some stage was not finite
  bool clipped = false;
  bool taken_back = false;  ///< the stage had stepped before it knew

  bool operator==(step_outcome const&) const = default;
};

/// The first iteration whose step a rank left out, because a gradient overflowed.
struct step_overflow {
  rank_id rank{};
  std::int64_t iteration = 0;

  bool operator==(step_overflow const&) const = default;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/pipeline_training.ipp"
#endif
