#pragma once
/// What kernels compute from a micro-batch's gradient to a stage's step: function objects of items.
/// The step itself is adam_step. Sums are cut into `lanes` parts, the same on every rank, whose
/// sums are added in their order.
#include <cmath>
#include <cstdint>

#include "shunt/core/host_device.hpp"
#include "shunt/device/adam_step.hpp"
#include "shunt/lower/gradient_norms.hpp"
#include "shunt/train/fixed_point.hpp"
#include "shunt/train/pipeline_training.hpp"

namespace shunt {

/// Results of a stage's steps on a device, and arguments of the step under way.
struct step_notes {
  static constexpr std::int64_t never = -1;
  std::int64_t steps = 0;         ///< made
  std::int64_t overflow = never;  ///< the first iteration whose step was left out
  std::int64_t has_stepped = 0;   ///< in the last step, before it was validated
  std::int64_t act = 0;           ///< whether the step is made
  adam_clock clock{};
  float scale = 1;  ///< gradients count so many times
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

/// Adds the number of values that don't fit to the flag. One item.
struct raise_flag {
  std::int64_t const* unfit = nullptr;
  std::int64_t* flag = nullptr;

  SHUNT_HD void operator()(std::int64_t) const { *flag += *unfit; }
};

/// A stage's part of the norms. One item.
struct note_norms {
  double const* squares = nullptr;
  std::int64_t const* flag = nullptr;
  gradient_norms* norms = nullptr;

  SHUNT_HD void operator()(std::int64_t) const {
    *norms = {static_cast<double>(*flag), *squares, 1};
  }
};

/// How norms decide on a step.
struct step_rule {
  double clip = 0;  ///< most norm of a step's gradient; 0: any
  adam_rule adam{};

  [[nodiscard]] SHUNT_HD double coefficient(gradient_norms const& v) const {
    return clip > 0 ? v.coefficient(clip) : 1;
  }
  /// Whether a step on these norms is the one that would be made without them.
  [[nodiscard]] SHUNT_HD bool stands(gradient_norms const& v) const {
    return v.finite() && coefficient(v) >= 1;
  }

  /// Orders the step of an iteration as the norms ask, or leaves it out.
  SHUNT_HD void order(step_notes& notes, step_outcome* steps, std::int64_t iteration,
                      gradient_norms const& v, bool taken_back) const {
    double const scale = coefficient(v);
    steps[iteration] = {std::sqrt(v.squares), !v.finite(), v.finite() && scale < 1, taken_back};
    order(notes, iteration, v.finite(), static_cast<float>(scale));
  }
  SHUNT_HD void order(step_notes& notes, std::int64_t iteration, bool act, float scale) const {
    notes.act = act ? 1 : 0;
    notes.scale = scale;
    notes.clock.update = iteration;
    adam_tick{.rule = adam, .clock = &notes.clock}(0);  // updates count from 1
  }
};

/// Puts the loss of a micro-batch among those of all iterations. One item.
struct note_loss {
  double const* loss = nullptr;
  std::int64_t const* iteration = nullptr;
  std::int64_t microbatch = 0, microbatches = 1;  ///< over all pipelines
  double* losses = nullptr;

  SHUNT_HD void operator()(std::int64_t) const {
    losses[*iteration * microbatches + microbatch] = *loss;
  }
};

/// Orders a step that is not validated: it is made where no gradient has overflowed. One item,
/// before adam_step.
struct decide_step {
  step_rule rule{};
  std::int64_t const* iteration = nullptr;
  std::int64_t const* flag = nullptr;
  step_notes* notes = nullptr;

  SHUNT_HD void operator()(std::int64_t) const {
    rule.order(*notes, *iteration, *flag == 0, 1);
    if (*flag != 0 && notes->overflow == step_notes::never) notes->overflow = *iteration;
    notes->steps = *iteration + 1;
  }
};

/// Orders a step on the norms so far. One item.
struct decide_validated_step {
  step_rule rule{};
  std::int64_t const* iteration = nullptr;
  gradient_norms const* norms = nullptr;
  std::int64_t stages = 1;
  step_record* record = nullptr;
  step_outcome* steps = nullptr;
  step_notes* notes = nullptr;

  SHUNT_HD void operator()(std::int64_t) const {
    gradient_norms const v = *norms;
    bool const stands = rule.stands(v);
    notes->has_stepped = stands ? 1 : 0;
    notes->act = 0;
    if (stands || v.stages == static_cast<double>(stages))
      rule.order(*notes, steps, *iteration, v, false);
    *record = {v, 1};
    notes->steps = *iteration + 1;
  }
};

/// Decides on the last step by the norms of all stages. One item.
struct check_step {
  step_rule rule{};
  gradient_norms const* norms = nullptr;
  step_record const* record = nullptr;
  std::int64_t* words = nullptr;  ///< redo, again

  SHUNT_HD void operator()(std::int64_t) const {
    bool const redo = !rule.stands(*norms);
    words[0] = redo ? 1 : 0;
    words[1] = redo && record->pending != 0 ? 1 : 0;
  }
};

/// Orders the step of the iteration before again, from the kept state, on the norms of all stages.
/// One item.
struct decide_redo_step {
  step_rule rule{};
  std::int64_t const* iteration = nullptr;
  gradient_norms const* norms = nullptr;
  step_record* record = nullptr;
  step_outcome* steps = nullptr;
  step_notes* notes = nullptr;

  SHUNT_HD void operator()(std::int64_t) const {
    record->pending = 0;
    rule.order(*notes, steps, *iteration - 1, *norms, notes->has_stepped != 0);
  }
};

}  // namespace shunt
