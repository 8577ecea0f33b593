#include "language_training.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "cli.hpp"

template class shunt::pipeline_work<example::language_model_on_text>;

namespace example {

language_training const& checked(language_training const& t) {
  shunt::validate(t.settings());
  validate(t.model);
  refuse_if(t.model.stages != t.job.stages, "stages", "the model and the job differ");
  for (std::size_t n = 0; n < t.inject.size(); ++n) {
    auto const& bad = t.inject[n];
    auto const refuse = [&](char const* what, std::int64_t value, std::int64_t count) {
      refuse_if(value < 0 || value >= count, "inject-nan[" + std::to_string(n) + "]",
                std::string(what) + " " + std::to_string(value) + " is not one of 0.." +
                    std::to_string(count - 1));
    };
    refuse("stage", bad.stage.value(), t.job.stages);
    refuse("iteration", bad.iteration, t.iterations);
    refuse("micro-batch", bad.microbatch, t.job.total_microbatches());
  }
  return t;
}

undisturbed_training train_undisturbed(language_training training, text_bytes const& bytes) {
  training.unit = std::chrono::nanoseconds{0};
  training.gradient_type = shunt::element::int64;
  language_work work(training, bytes);
  return train_undisturbed(work, shunt::inline_executor{});
}

language_model_on_text::language_model_on_text(language_training const& t, text_bytes const& bytes)
    : model_(t.model), text_(bytes, t.model.window(), t.seed), seed_(t.seed), inject_(t.inject) {}

shunt::stage_sizes language_model_on_text::sizes(shunt::stage_id s) const {
  return {.parameters = static_cast<std::int64_t>(model_.parameters(s)),
          .output = static_cast<std::int64_t>(model_.message()),
          .stash = static_cast<std::int64_t>(model_.stash(s))};
}

void language_model_on_text::backward_weight(shunt::backward_weight_pass const& p) const {
  model_.backward_weight(p, text_);
  if (std::find(inject_.begin(), inject_.end(), bad_gradient{p.stage, p.iteration, p.microbatch}) !=
      inject_.end())
    p.gradient[0] = std::numeric_limits<float>::quiet_NaN();
}

language_work::language_work(language_training const& t, text_bytes const& bytes)
    : paced_work(shunt::job_costs(t.job), t.unit, t.job.ranks(),
                 language_model_on_text(checked(t), bytes), t.settings(), t.optimizer) {}

}  // namespace example
