#pragma once
#include <cmath>
#include <cstdint>

#include "fixed_point.hpp"
#include "shunt/core/host_device.hpp"
#include "shunt/core/id.hpp"
#include "shunt/device/adam_step.hpp"
#include "shunt/lower/gradient_norms.hpp"
#include "training_notes.hpp"

/// What the kernels compute from a micro-batch's gradient to a worker's step: function objects of
/// items, as in model_kernels.hpp. The step itself is the library's adam_step. Sums are cut into
/// `lanes` parts, the same on every worker, whose sums are added in their order.
namespace example {

/// What a worker's steps leave behind, and what the step under way goes by.
struct worker_notes {
  static constexpr std::int64_t never = -1;
  std::int64_t steps = 0;         ///< made
  std::int64_t overflow = never;  ///< the first iteration whose step was left out
  std::int64_t has_stepped = 0;   ///< in the last step, before it was validated
  std::int64_t act = 0;           ///< whether the step is made
  shunt::adam_clock clock{};
  float scale = 1;  ///< gradients count so many times
};

/// Makes a gradient not a number where it was asked for. One item.
struct inject_bad_gradient {
  bad_gradient const* bad = nullptr;
  std::int64_t count = 0;
  shunt::stage_id stage{};
  std::int64_t const* iteration = nullptr;
  std::int64_t microbatch = 0;
  float* gradient = nullptr;

  SHUNT_HD void operator()(std::int64_t) const {
    for (std::int64_t n = 0; n < count; ++n)
      if (bad[n].stage == stage && bad[n].iteration == *iteration &&
          bad[n].microbatch == microbatch)
        gradient[0] = NAN;
  }
};

/// A micro-batch's gradient, rounded once to fixed point, is added to the sums. An item is a lane,
/// which counts what doesn't fit.
struct accumulate_gradient {
  float const* gradient = nullptr;
  std::int64_t size = 0, lanes = 1;
  std::int64_t* sums = nullptr;
  std::int64_t* unfit = nullptr;  ///< by lane

  SHUNT_HD void operator()(std::int64_t lane) const {
    std::int64_t bad = 0;
    for (std::int64_t i = lane; i < size; i += lanes) {
      bad += fixed_point::fits(gradient[i]) ? 0 : 1;
      sums[i] += fixed_point::rounded(gradient[i]);
    }
    unfit[lane] = bad;
  }
};

/// The squares of a mean gradient. An item is a lane.
struct square_gradient {
  std::int64_t const* sums = nullptr;
  std::int64_t size = 0, lanes = 1, terms = 1;
  double* squares = nullptr;  ///< by lane

  SHUNT_HD void operator()(std::int64_t lane) const {
    double sum = 0;
    for (std::int64_t i = lane; i < size; i += lanes) {
      auto const g = static_cast<double>(fixed_point::mean(sums[i], terms));
      sum += g * g;
    }
    squares[lane] = sum;
  }
};

/// Sums of `each` neighbours. An item is a sum.
template <class T>
struct sum_neighbours {
  T const* from = nullptr;
  std::int64_t each = 1;
  T* to = nullptr;

  SHUNT_HD void operator()(std::int64_t item) const {
    T sum = 0;
    for (std::int64_t i = item * each; i < (item + 1) * each; ++i) sum += from[i];
    to[item] = sum;
  }
};

/// Values that don't fit are counted in the flag. One item.
struct raise_flag {
  std::int64_t const* unfit = nullptr;
  std::int64_t* flag = nullptr;

  SHUNT_HD void operator()(std::int64_t) const { *flag += *unfit; }
};

/// A stage's share of the verdict on a step. One item.
struct share_norms {
  double const* squares = nullptr;
  std::int64_t const* flag = nullptr;
  shunt::gradient_norms* share = nullptr;

  SHUNT_HD void operator()(std::int64_t) const {
    *share = {static_cast<double>(*flag), *squares, 1};
  }
};

/// What verdicts are read by.
struct step_rule {
  double clip = 0;  ///< most norm of a step's gradient; 0: any
  shunt::adam_rule adam{};

  [[nodiscard]] SHUNT_HD double coefficient(shunt::gradient_norms const& v) const {
    return clip > 0 ? v.coefficient(clip) : 1;
  }
  /// Whether a step under this verdict is the one that would be made without.
  [[nodiscard]] SHUNT_HD bool stands(shunt::gradient_norms const& v) const {
    return v.finite() && coefficient(v) >= 1;
  }

  /// The step of an iteration is made as the verdict asks, or left out.
  SHUNT_HD void order(worker_notes& notes, validated_step* steps, std::int64_t iteration,
                      shunt::gradient_norms const& v, bool taken_back) const {
    double const scale = coefficient(v);
    steps[iteration] = {std::sqrt(v.squares), !v.finite(), v.finite() && scale < 1, taken_back};
    order(notes, iteration, v.finite(), static_cast<float>(scale));
  }
  SHUNT_HD void order(worker_notes& notes, std::int64_t iteration, bool act, float scale) const {
    notes.act = act ? 1 : 0;
    notes.scale = scale;
    notes.clock.update = iteration;
    shunt::adam_tick{.rule = adam, .clock = &notes.clock}(0);  // updates count from 1
  }
};

/// Whether a step is made that nobody validates: where no gradient has overflowed. One item, before
/// adam_step.
struct decide_step {
  step_rule rule{};
  std::int64_t const* iteration = nullptr;
  std::int64_t const* flag = nullptr;
  worker_notes* notes = nullptr;

  SHUNT_HD void operator()(std::int64_t) const {
    rule.order(*notes, *iteration, *flag == 0, 1);
    if (*flag != 0 && notes->overflow == worker_notes::never) notes->overflow = *iteration;
    notes->steps = *iteration + 1;
  }
};

/// The same by the verdict so far. One item.
struct decide_validated_step {
  step_rule rule{};
  std::int64_t const* iteration = nullptr;
  shunt::gradient_norms const* norms = nullptr;
  std::int64_t stages = 1;
  shunt::step_record* record = nullptr;
  validated_step* steps = nullptr;
  worker_notes* notes = nullptr;

  SHUNT_HD void operator()(std::int64_t) const {
    shunt::gradient_norms const v = *norms;
    bool const stands = rule.stands(v);
    notes->has_stepped = stands ? 1 : 0;
    notes->act = 0;
    if (stands || v.stages == static_cast<double>(stages))
      rule.order(*notes, steps, *iteration, v, false);
    *record = {v, 1};
    notes->steps = *iteration + 1;
  }
};

/// What the whole verdict means for the step before: to be computed again, to be taken back. One
/// item.
struct check_step {
  step_rule rule{};
  shunt::gradient_norms const* norms = nullptr;
  shunt::step_record const* record = nullptr;
  std::int64_t* words = nullptr;  ///< redo, again

  SHUNT_HD void operator()(std::int64_t) const {
    bool const redo = !rule.stands(*norms);
    words[0] = redo ? 1 : 0;
    words[1] = redo && record->pending != 0 ? 1 : 0;
  }
};

/// The step of the iteration before is made once more, from the kept state, by the whole verdict.
/// One item.
struct decide_redo_step {
  step_rule rule{};
  std::int64_t const* iteration = nullptr;
  shunt::gradient_norms const* norms = nullptr;
  shunt::step_record* record = nullptr;
  validated_step* steps = nullptr;
  worker_notes* notes = nullptr;

  SHUNT_HD void operator()(std::int64_t) const {
    record->pending = 0;
    rule.order(*notes, steps, *iteration - 1, *norms, notes->has_stepped != 0);
  }
};

}  // namespace example
