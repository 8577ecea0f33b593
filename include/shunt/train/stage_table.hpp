#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/program/program.hpp"
#include "shunt/train/pipeline_model.hpp"
#include "shunt/train/pipeline_training.hpp"

namespace shunt {

/// The sizes of a model's stages, as the works that train it use them.
struct stage_table {
  std::vector<stage_sizes> sizes{};  ///< by stage

  /// Throws invalid_problem where the training is broken, the model has other stages than the job,
  /// or a size is negative or above 2^48.
  template <class Model>
  [[nodiscard]] static stage_table of(Model const& model, pipeline_training const& training) {
    validate(training);
    auto const stages = static_cast<std::int32_t>(model.stages());
    if (stages != training.job.stages)
      throw invalid_problem("stages", "the job has " + std::to_string(training.job.stages) +
                                          ", the model has " + std::to_string(stages));
    stage_table table;
    for (stage_id const s : ids<stage_id>(stages)) table.add(s, model.sizes(s));
    table.sizes.back().output = 0;
    return table;
  }
  void add(stage_id s, stage_sizes const& of);

  /// Floats that arrive at a stage: its input.
  [[nodiscard]] std::int64_t input(stage_id s) const {
    return s > 0 ? sizes[s.index() - 1].output : 0;
  }
  /// Returns the sizes to lower programs with, for an optimizer of so many moments. A state has
  /// room for each array of it to start at a multiple of the buffers' alignment.
  [[nodiscard]] pipeline_tensors tensors(pipeline_training const& training,
                                         std::int64_t moments) const;
  /// Returns the buffers that outlive every program: states and their kept copies.
  [[nodiscard]] program persistent_buffers(pipeline_training const& training,
                                           std::int64_t moments) const;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/stage_table.ipp"
#endif
