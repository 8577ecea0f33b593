#pragma once
#include <cstdint>

#include "../grid.hpp"
#include "shunt/core/host_device.hpp"
#include "shunt/device/adam_step.hpp"

namespace example::moe {

/// The optimizer's clock as the iteration says it, which the step notes beside what it keeps. One
/// item.
struct begin_step {
  shunt::adam_rule rule{};
  std::int64_t const* iteration = nullptr;
  shunt::adam_clock* clock = nullptr;
  std::int64_t* kept = nullptr;

  SHUNT_HD void operator()(std::int64_t i) const {
    clock->update = *iteration;
    shunt::adam_tick{.rule = rule, .clock = clock}(i);
    *kept = *iteration;
  }
};

/// Adam, an item an element: shards begin anywhere.
struct step_element {
  shunt::adam_step<std::int64_t> step{};

  SHUNT_HD void operator()(std::int64_t i) const { step.element(i); }
};

/// Masters become weights on their grid. An item is an element.
struct round_weights {
  float const* masters = nullptr;
  float* weights = nullptr;

  SHUNT_HD void operator()(std::int64_t i) const {
    weights[i] = static_cast<float>(on_weight_grid{}(static_cast<double>(masters[i])));
  }
};

}  // namespace example::moe
