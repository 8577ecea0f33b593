#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "language_model.hpp"
#include "model_kernels.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/simulate/cost_model.hpp"
#include "shunt/train/optimizer.hpp"
#include "shunt/train/paced_work.hpp"
#include "shunt/train/pipeline_model.hpp"
#include "shunt/train/pipeline_run.hpp"
#include "shunt/train/pipeline_training.hpp"
#include "shunt/train/pipeline_work.hpp"
#include "shunt/train/undisturbed.hpp"
#include "text.hpp"

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

  bool validates() const { return validate || clip || !inject.empty(); }
  /// What the library is told.
  shunt::pipeline_training settings() const {
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
language_training const& checked(language_training const& t);

/// The model and the text that it reads, as the library trains it. A micro-batch's samples depend
/// on (seed, iteration, micro-batch) alone. `bytes` must outlive it.
class language_model_on_text {
 public:
  /// Throws invalid_problem where the text is too short.
  language_model_on_text(language_training const& t, text_bytes const& bytes);

  std::int32_t stages() const { return model_.stages; }
  shunt::stage_sizes sizes(shunt::stage_id s) const;
  void initialise(shunt::stage_id s, std::span<float> parameters) const {
    model_.initialise(s, seed_, parameters);
  }
  double forward(shunt::forward_pass const& p) const { return model_.forward(p, text_); }
  void backward_input(shunt::backward_input_pass const& p) const { model_.backward_input(p); }
  void backward_weight(shunt::backward_weight_pass const& p) const;

 private:
  language_model model_;
  text_sampler text_;
  std::uint64_t seed_;
  std::vector<bad_gradient> inject_;
};

}  // namespace example

extern template class shunt::pipeline_work<example::language_model_on_text>;

namespace example {

/// The work of such a training, whose operations may take a time of their own.
class language_work
    : public shunt::paced_work<shunt::pipeline_work<language_model_on_text>, shunt::job_costs> {
 public:
  language_work(language_training const& t, text_bytes const& bytes);

  using paced_work::parameters;
  /// The parameters of a worker.
  std::span<float const> parameters(shunt::rank_id r) {
    return parameters(r, training().job.worker_of(r).stage);
  }
};

static_assert(shunt::restorable_work<language_work>);

using shunt::train_undisturbed, shunt::undisturbed_training;

/// On one thread of the host, with exact gradients.
undisturbed_training train_undisturbed(language_training training, text_bytes const& bytes);

}  // namespace example
