#pragma once
/// Trainings small enough to be run by the hundred, and what they come to.
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "language_training.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/train/pipeline_run.hpp"
#include "shunt/train/planned_iteration.hpp"

namespace example::tests::small_training {

inline text_bytes const& some_text() {
  static text_bytes const bytes = [] {
    text_bytes all;
    for (int i = 0; i < 400; ++i)
      for (char const c : "for (auto i : ids(" + std::to_string(i * i) + ")) sum += i;\n")
        all.push_back(static_cast<std::uint8_t>(c));
    return all;
  }();
  return bytes;
}

inline language_training small(std::int32_t pipelines, std::int32_t stages,
                               std::int32_t microbatches, std::int64_t iterations = 3) {
  return {
      .model =
          {.stages = stages, .context = 3, .embedding = 4, .width = 8, .hidden = 12, .batch = 4},
      .job = {.pipelines = pipelines,
              .stages = stages,
              .microbatches = microbatches,
              .costs = {1, 1, 1, 3}},
      .iterations = iterations,
      .optimizer = {.rate = 1e-2F}};
}

[[nodiscard]] inline shunt::iteration_form form_of(language_training const& c) {
  return c.validates() ? shunt::iteration_form::validated : shunt::iteration_form::plain;
}

/// A run with a work of its own.
template <class Work>
struct owned_work {
  Work owned;
};
template <class Work>
class run_of : private owned_work<Work>, public shunt::pipeline_run<Work> {
 public:
  template <class... More>
  run_of(language_training const& c, shunt::slipstream const& solver, text_bytes const& text,
         More&... more)
      : owned_work<Work>{Work(c, text, more...)},
        shunt::pipeline_run<Work>(owned_work<Work>::owned, solver) {}
};

/// Losses and final parameters of every stage.
struct trained {
  std::vector<double> losses{};
  std::vector<std::vector<float>> parameters{};
  bool operator==(trained const&) const = default;
};

template <class Work>
trained result_of(language_training const& c, Work& work, shunt::pipeline_job const& job) {
  trained all;
  for (std::int64_t i = 0; i < c.iterations; ++i) all.losses.push_back(work.loss(i));
  for (shunt::stage_id s : shunt::ids<shunt::stage_id>(c.job.stages))
    for (auto const p : job.live_peers(s)) {
      auto const values = work.parameters(c.job.rank_of({p, s}));
      std::vector<float> copy(values.begin(), values.end());
      if (all.parameters.size() > s.index())
        EXPECT_EQ(copy, all.parameters[s.index()]) << "peers of stage " << s.value() << " differ";
      else
        all.parameters.push_back(std::move(copy));
    }
  return all;
}

/// Sizes, a limit on the norm that some steps exceed, and gradients that are not finite.
inline language_training unsteady(std::mt19937_64& engine, std::int64_t iterations) {
  auto const below = [&](std::uint64_t n) { return static_cast<std::int32_t>(engine() % n); };
  auto const pipelines = 1 + below(3), stages = 1 + below(4), microbatches = 1 + below(4);
  auto c = small(pipelines, stages, microbatches, iterations);
  c.seed = engine();
  c.clip = 1 + 0.1 * below(10);
  for (int n = below(3); n > 0; --n)
    c.inject.push_back({below(static_cast<std::uint64_t>(c.job.stages)),
                        below(static_cast<std::uint64_t>(iterations)),
                        below(static_cast<std::uint64_t>(c.job.total_microbatches()))});
  for (shunt::stage_id s : shunt::ids<shunt::stage_id>(c.job.stages))
    if (c.job.pipelines > 1 && below(3) == 0)
      c.job.dead.push_back({below(static_cast<std::uint64_t>(c.job.pipelines)), s});
  return c;
}

struct step_counts {
  int left_out = 0, clipped = 0, taken_back = 0;
  bool operator==(step_counts const&) const = default;
};

template <class Work>
void count_steps(Work& work, language_training const& c, step_counts& counts) {
  for (shunt::rank_id r : shunt::ids<shunt::rank_id>(c.job.ranks()))
    for (std::int64_t i = 0; i < c.iterations; ++i) {
      auto const& s = work.step_of(r, i);
      counts.left_out += s.left_out;
      counts.clipped += s.clipped;
      counts.taken_back += s.taken_back;
    }
}

}  // namespace example::tests::small_training
