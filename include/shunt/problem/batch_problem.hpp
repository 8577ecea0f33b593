#pragma once
#include <cstdint>
#include <vector>

#include "shunt/problem/template_problem.hpp"

namespace shunt {

/// Pipelines of one template.
struct template_use {
  std::int32_t count = 1;  ///< x, pipelines of this template
  double time = 0;         ///< T of the template
  std::vector<stage_time> stages{};

  bool operator==(template_use const&) const = default;
};

/// B micro-batches of an iteration for pipelines of several templates.
struct batch_problem {
  std::vector<template_use> templates{};
  std::int64_t batch = 1;

  bool operator==(batch_problem const&) const = default;
};

/// Throws invalid_problem, which names field and value, where there is no template, one has no
/// stage, a count or the batch is below 1, the batch is above 2^24, or a time is not above 0 and
/// finite.
void validate(batch_problem const& problem);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/batch_problem.ipp"
#endif
