#pragma once
#include <cmath>
#include <cstdint>

#include "shunt/core/host_device.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// What is asked of the gradients of all stages before a step may stand. Shares of stages add up,
/// element by element, in the order of the stages, so that every run decides on the same bits. All
/// zero: of no step.
struct step_verdict {
  double not_finite = 0;  ///< values that overflowed, or were infinite or no number
  double squares = 0;     ///< sum of the gradients' squares
  double stages = 0;      ///< whose shares are in

  static constexpr byte_count bytes = 3 * size_of(element::float64);

  /// Whether any step may be made. As shares are added this only ever turns false.
  [[nodiscard]] SHUNT_HD bool finite() const { return not_finite == 0 && std::isfinite(squares); }
  /// What gradients are multiplied with so that their norm is at most `most_norm`; 1 where it
  /// already is. As shares are added this only ever falls. The 1e-6 is that of the usual
  /// implementations (PyTorch's clip_grad_norm_, Megatron-LM).
  [[nodiscard]] SHUNT_HD double coefficient(double most_norm) const {
    double const c = most_norm / (std::sqrt(squares) + 1e-6);
    return c < 1 ? c : 1;
  }
  bool operator==(step_verdict const&) const = default;
};

/// What a stage remembers of its last step, behind its state and kept like it.
struct step_record {
  step_verdict verdict{};    ///< that the step was made by; the whole one at the last stage
  std::int64_t pending = 0;  ///< 1 until the step was repeated

  static constexpr byte_count bytes = step_verdict::bytes + size_of(element::int64);
  bool operator==(step_record const&) const = default;
};

static_assert(sizeof(step_verdict) == step_verdict::bytes &&
              sizeof(step_record) == step_record::bytes);

}  // namespace shunt
