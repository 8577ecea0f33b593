#pragma once
#include "shunt/train/pipeline_training.hpp"

#include <string>

#include "shunt/core/error.hpp"
#include "shunt/train/fixed_point.hpp"

namespace shunt {

SHUNT_INLINE void validate(pipeline_training const& t) {
  validate(t.job);
  if (t.clip && !(*t.clip > 0 && std::isfinite(*t.clip)))
    throw invalid_problem("clip", "must be a number above 0");
  if (t.iterations < 1 || t.iterations > pipeline_training::most_iterations)
    throw invalid_problem("iterations", "must be between 1 and " +
                                            std::to_string(pipeline_training::most_iterations) +
                                            ", is " + std::to_string(t.iterations));
  if (t.gradient_type == element::bytes || t.gradient_type == element::int32)
    throw invalid_problem("gradient_type", std::string(to_string(t.gradient_type)) +
                                               " elements can't hold gradients");
  if (t.gradient_type == element::int64 && t.job.total_microbatches() > fixed_point::most_terms)
    throw invalid_problem("microbatches", "at most " + std::to_string(fixed_point::most_terms) +
                                              " in all pipelines fit the gradient's fixed point");
  if (t.only && (t.only->value() < 0 || t.only->value() >= t.job.ranks()))
    throw invalid_problem("only", "rank " + std::to_string(t.only->value()) + " is not one of 0.." +
                                      std::to_string(t.job.ranks() - 1));
}

}  // namespace shunt
