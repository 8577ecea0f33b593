#pragma once
/// Times of a pipeline template: Oobleck's published formula, and the makespan of its 1F1B.
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/plan/pipeline_template.hpp"
#include "shunt/problem/template_problem.hpp"

namespace shunt {

/// Returns the times of the stages of a template, for one micro-batch.
/// Requires a valid problem and stages within its layers.
[[nodiscard]] std::vector<stage_time> stage_times(template_problem const& problem,
                                                  std::span<template_stage const> stages);

/// Returns T = t1 + t2 + t3 of Oobleck: t1 all stages once, t2 = (2 S + k + 1) times the slowest
/// stage k (the last of several), t3 the stages k .. S-1 once. A single stage has t2 = 2 times it.
/// Requires at least one stage.
[[nodiscard]] double published_time(std::span<stage_time const> stages);

/// Returns the end of the last backward of `microbatches` under 1F1B without transfer times. Stage
/// s of S holds at most S - s micro-batches.
/// Requires at least one stage.
/// Complexity: O(S (S + microbatches)).
[[nodiscard]] double one_f_one_b_makespan(std::span<stage_time const> stages,
                                          std::int64_t microbatches);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/template_times.ipp"
#endif
