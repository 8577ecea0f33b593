#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "language_model.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/train/optimizer.hpp"
#include "shunt/train/pipeline_model.hpp"
#include "shunt/train/pipeline_run.hpp"
#include "shunt/train/pipeline_training.hpp"
#include "shunt/train/pipeline_work.hpp"
#include "text.hpp"
#include "training_notes.hpp"

namespace example {

/// A language model and how it is trained.
struct language_training {
  language_model model{};  ///< model.stages = job.stages
  shunt::pipeline_job job{};
  std::int64_t iterations = 1;
  std::uint64_t seed = 1;  ///< of weights and samples
  shunt::adam optimizer{};
  std::optional<double> clip{};        ///< most norm of a step's gradient over all stages
  std::vector<bad_gradient> inject{};  ///< steps are then validated
  bool validate = false;               ///< steps, even where nothing is clipped or injected
  shunt::rollback rollback = shunt::rollback::kept_state;
  std::optional<shunt::rank_id> only{};  ///< the rank of this process, where each has its own
  std::chrono::nanoseconds unit{0};      ///< time of one tick of the job's costs: an operation that
                                         ///< computes faster waits for the rest
  shunt::element gradient_type = shunt::element::int64;

  [[nodiscard]] bool validates() const { return validate || clip || !inject.empty(); }
  /// What the library is told.
  [[nodiscard]] shunt::pipeline_training settings() const {
    return {.job = job,
            .iterations = iterations,
            .gradient_type = gradient_type,
            .clip = clip,
            .validate = validates(),
            .rollback = rollback,
            .only = only};
  }
};

/// Throws invalid_problem, naming the field, where a model can't be trained so.
inline language_training const& checked(language_training const& t) {
  shunt::validate(t.settings());
  validate(t.model);
  if (t.model.stages != t.job.stages)
    throw shunt::invalid_problem("stages", "the model and the job differ");
  for (std::size_t n = 0; n < t.inject.size(); ++n) {
    auto const& bad = t.inject[n];
    auto const refuse = [&](char const* what, std::int64_t value, std::int64_t count) {
      if (value < 0 || value >= count)
        throw shunt::invalid_problem("inject-nan[" + std::to_string(n) + "]",
                                     std::string(what) + " " + std::to_string(value) +
                                         " is not one of 0.." + std::to_string(count - 1));
    };
    refuse("stage", bad.stage.value(), t.job.stages);
    refuse("iteration", bad.iteration, t.iterations);
    refuse("micro-batch", bad.microbatch, t.job.total_microbatches());
  }
  return t;
}

/// The model and the text that it reads, as the library trains it. A micro-batch's samples depend
/// on (seed, iteration, micro-batch) alone. `bytes` must outlive it.
class language_model_on_text {
 public:
  /// Throws invalid_problem where the text is too short.
  language_model_on_text(language_training const& t, text_bytes const& bytes)
      : model_(t.model), text_(bytes, t.model.window(), t.seed), seed_(t.seed), inject_(t.inject) {}

  [[nodiscard]] std::int32_t stages() const { return model_.stages; }
  [[nodiscard]] shunt::stage_sizes sizes(shunt::stage_id s) const {
    return {.parameters = static_cast<std::int64_t>(model_.parameters(s)),
            .output = static_cast<std::int64_t>(model_.message()),
            .stash = static_cast<std::int64_t>(model_.stash(s))};
  }
  void initialise(shunt::stage_id s, std::span<float> parameters) const {
    model_.initialise(s, seed_, parameters);
  }
  double forward(shunt::forward_pass const& p) const {
    return model_.forward(p.stage, p.parameters, text_, p.iteration, p.microbatch, p.input, p.stash,
                          p.output);
  }
  void backward_input(shunt::backward_input_pass const& p) const {
    model_.backward_input(p.stage, p.parameters, p.output_gradient, p.stash, p.input_gradient);
  }
  void backward_weight(shunt::backward_weight_pass const& p) const {
    model_.backward_weight(p.stage, text_, p.iteration, p.microbatch, p.stash, p.gradient);
    if (std::find(inject_.begin(), inject_.end(),
                  bad_gradient{p.stage, p.iteration, p.microbatch}) != inject_.end())
      p.gradient[0] = std::numeric_limits<float>::quiet_NaN();
  }

 private:
  language_model model_;
  sampler text_;
  std::uint64_t seed_;
  std::vector<bad_gradient> inject_;
};

/// The work of such a training, whose operations may take a time of their own.
class language_work : public shunt::pipeline_work<language_model_on_text> {
 public:
  language_work(language_training const& t, text_bytes const& bytes)
      : pipeline_work({checked(t), bytes}, t.settings(), t.optimizer),
        unit_(t.unit),
        spent_(static_cast<std::size_t>(t.job.ranks())) {}

  using shunt::pipeline_work<language_model_on_text>::parameters;
  /// The parameters of a worker.
  [[nodiscard]] std::span<float const> parameters(shunt::rank_id r) {
    return parameters(r, training().job.worker_of(r).stage);
  }

  void operator()(shunt::rank_id r, shunt::task const& t) {
    auto const start = clock::now();
    pipeline_work::operator()(r, t);
    auto const whole = cost_of(t.op) * unit_;
    if (whole.count() == 0) return;
    auto& spent = spent_[r.index()][t.op.kind];
    spent.computing += clock::now() - start;
    spent.whole += whole;
    std::this_thread::sleep_until(start + whole);
  }
  /// Real computation over the time that operations are to take, of the worker and kind of
  /// operation where it is largest, over everything run so far; 0 where operations don't wait.
  [[nodiscard]] double computing_share() const {
    double largest = 0;
    for (auto const& kinds : spent_)
      for (auto const& [kind, spent] : kinds)
        largest = std::max(largest, static_cast<double>(spent.computing.count()) /
                                        static_cast<double>(spent.whole.count()));
    return largest;
  }

 private:
  using clock = std::chrono::steady_clock;
  struct time_spent {
    std::chrono::nanoseconds computing{0}, whole{0};
  };

  [[nodiscard]] shunt::ticks cost_of(shunt::operation const& op) const {
    auto const& costs = training().job.costs;
    switch (op.kind) {
      case shunt::op_kind::forward: return costs.forward[op.stage];
      case shunt::op_kind::backward_input: return costs.backward_input[op.stage];
      case shunt::op_kind::backward_weight: return costs.backward_weight[op.stage];
      case shunt::op_kind::backward:
        return costs.backward_input[op.stage] + costs.backward_weight[op.stage];
      case shunt::op_kind::step:
      case shunt::op_kind::redo_step: return costs.step[op.stage];
      default: return 0;
    }
  }

  std::chrono::nanoseconds unit_;
  std::vector<std::map<shunt::op_kind, time_spent>> spent_;  // by rank, each of its own thread
};

static_assert(shunt::restorable_work<language_work>);

/// What training comes to.
struct training_result {
  std::vector<double> losses{};                  ///< by iteration
  std::vector<std::vector<float>> parameters{};  ///< by stage
};

/// The same training without failures, under another schedule, on the executor that is given.
template <class Work, class Executor>
[[nodiscard]] training_result train_undisturbed(Work& work, Executor const& executor) {
  training_result all{.losses = shunt::train_without_failures(work, executor)};
  auto const& job = work.training().job;
  for (shunt::stage_id const s : shunt::ids<shunt::stage_id>(job.stages)) {
    auto const values = work.parameters(job.rank_of({0, s}));
    all.parameters.emplace_back(values.begin(), values.end());
  }
  return all;
}

/// On one thread of the host, with exact gradients.
[[nodiscard]] inline training_result train_undisturbed(language_training training,
                                                       text_bytes const& bytes) {
  training.unit = std::chrono::nanoseconds{0};
  training.gradient_type = shunt::element::int64;
  language_work work(training, bytes);
  return train_undisturbed(work, shunt::inline_executor{});
}

}  // namespace example
