#pragma once
#include <cmath>
#include <cstdint>

#include "shunt/core/host_device.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Gradient norms of one or more stages, which decide whether a step stands. Parts of stages are
/// added element by element in the order of the stages, so that every run decides on the same bits.
/// All zero: there was no step.
struct gradient_norms {
  double not_finite = 0;  ///< values that overflowed, were infinite or not a number
  double squares = 0;     ///< sum of the gradients' squares
  double stages = 0;      ///< number of stages in the sum

  static constexpr byte_count bytes = 3 * size_of(element::float64);

  /// Whether a step may be made. Adding stages only ever turns it false.
  // std::isfinite may be <math.h>'s, which is a function of the host alone.
  [[nodiscard]] SHUNT_HD bool finite() const { return not_finite == 0 && squares - squares == 0; }
  /// Returns the factor that reduces the gradients' norm to at most `most_norm`, or 1 where it
  /// already is. Adding stages only ever reduces it. The 1e-6 is that of PyTorch's clip_grad_norm_
  /// and of Megatron-LM.
  [[nodiscard]] SHUNT_HD double coefficient(double most_norm) const {
    double const c = most_norm / (std::sqrt(squares) + 1e-6);
    return c < 1 ? c : 1;
  }
  bool operator==(gradient_norms const&) const = default;
};

/// Record of a stage's last step. It follows the state in its buffer and is kept with it.
struct step_record {
  gradient_norms norms{};    ///< the norms that the step used; complete at the last stage
  std::int64_t pending = 0;  ///< 1 until the step was repeated

  static constexpr byte_count bytes = gradient_norms::bytes + size_of(element::int64);
  bool operator==(step_record const&) const = default;
};

static_assert(sizeof(gradient_norms) == gradient_norms::bytes &&
              sizeof(step_record) == step_record::bytes);

}  // namespace shunt
