#pragma once
#include <cstdint>

#include "shunt/core/id.hpp"

namespace example {

/// A gradient that is made not a number: of one micro-batch, counted over all pipelines, at one
/// stage.
struct bad_gradient {
  shunt::stage_id stage{};
  std::int64_t iteration = 0;
  std::int64_t microbatch = 0;
  bool operator==(bad_gradient const&) const = default;
};

/// What became of a worker's step, where steps are validated.
struct validated_step {
  double norm = 0;        ///< of the gradient, over all stages; what is not finite counts as 0
  bool left_out = false;  ///< somewhere the gradient was not finite
  bool clipped = false;
  bool taken_back = false;  ///< the worker had stepped before it knew
  bool operator==(validated_step const&) const = default;
};

}  // namespace example
