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

}  // namespace example
