#pragma once
/// Trainings of dense_model, and what they come to.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/train/pipeline_run.hpp"
#include "shunt/train/pipeline_training.hpp"
#include "shunt/train/pipeline_work.hpp"
#include "support/dense_model.hpp"

namespace shunt::tests {

using dense_work = pipeline_work<dense_model>;

inline dense_work dense_work_of(pipeline_training const& t) {
  return {dense_model{.count = t.job.stages}, t};
}

inline pipeline_training dense_training(std::int32_t pipelines, std::int32_t stages,
                                        std::int32_t microbatches, std::int64_t iterations = 4) {
  return {.job = {.pipelines = pipelines,
                  .stages = stages,
                  .microbatches = microbatches,
                  .costs = {1, 1, 1, 3}},
          .iterations = iterations};
}

/// Losses by iteration, then parameters by stage.
struct trained_bits {
  std::vector<double> losses{};
  std::vector<std::vector<float>> parameters{};
  bool operator==(trained_bits const&) const = default;
  friend void PrintTo(trained_bits const& t, std::ostream* out) {
    *out << "losses " << testing::PrintToString(t.losses) << ", parameters "
         << testing::PrintToString(t.parameters);
  }
};

/// Returns the parameters of each stage, which all ranks that hold it have alike, but for these,
/// ascending.
template <class Work>
std::vector<std::vector<float>> parameters_of(Work& work, std::span<rank_id const> without = {}) {
  auto const& job = work.training().job;
  std::vector<std::vector<float>> all(static_cast<std::size_t>(job.stages));
  for (rank_id const r : ids<rank_id>(job.ranks())) {
    if (std::binary_search(without.begin(), without.end(), r)) continue;
    for (stage_id const s : work.held_by(r)) {
      auto const own = work.parameters(r, s);
      std::vector<float> values(own.begin(), own.end());
      auto& first = all[s.index()];
      EXPECT_TRUE(first.empty() || values == first) << "holders of stage " << s << " differ";
      first = std::move(values);
    }
  }
  return all;
}

/// The same training under 1F1B, without dead ranks.
inline trained_bits undisturbed(pipeline_training const& t) {
  auto work = dense_work_of(t);
  auto losses = train_without_failures(work, inline_executor{});
  return {std::move(losses), parameters_of(work)};
}

}  // namespace shunt::tests
