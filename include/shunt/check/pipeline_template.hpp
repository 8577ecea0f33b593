#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/plan/pipeline_template.hpp"
#include "shunt/problem/template_problem.hpp"

namespace shunt {

/// One error in a template. `index` counts its stages.
struct template_violation {
  enum class kind : std::uint8_t {
    nodes,   ///< of a template: not above those of the one before, or more than the problem has
    layers,  ///< a stage begins elsewhere than the one before ends, or is empty; or the last ends
    gpus,    ///< of a stage: no power of two, or not within one half of a half ... of a node
    count,   ///< GPUs of all stages together
    time,    ///< not what the stages take
  };
  kind what{};
  std::int32_t nodes = 0;
  std::int64_t index = 0;
  double found = 0;
  double wanted = 0;

  bool operator==(template_violation const&) const = default;
};

/// Returns one line that names the place, the error and the numbers.
[[nodiscard]] std::string to_string(template_violation const& v);

/// Checks templates: their stages cover the layers in order, take all GPUs of their nodes, and none
/// spans nodes. Times are those of Oobleck's formula, or of a 1F1B where they are for a number of
/// micro-batches, up to one part in 10^9.
/// Returns all errors. Empty: the plan is valid.
[[nodiscard]] std::vector<template_violation> check(template_problem const& problem,
                                                    template_set const& plan);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/pipeline_template.ipp"
#endif
