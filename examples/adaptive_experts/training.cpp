#include "training.hpp"

#include "policy_training.hpp"
#include "shunt/execute/inline_executor.hpp"

template class shunt::moe_work<example::expert_language_model>;

namespace example {

std::size_t parameter_count(training_setup const& s) {
  return static_cast<std::size_t>(dense_count(s.model) +
                                  s.model.layers * s.model.experts * s.model.expert.elements());
}

expert_language_model model_of(training_setup const& s, text_bytes const& text) {
  return {s.model, text_sampler(text, static_cast<std::size_t>(s.model.context) + 1, s.seed),
          s.seed};
}

void validate(training_setup const& s) {
  auto const within = [](char const* field, std::int64_t value, std::int64_t least,
                         std::int64_t most) {
    refuse_if(value < least, field,
              "must be at least " + std::to_string(least) + ", is " + std::to_string(value));
    refuse_if(value > most, field,
              "must be at most " + std::to_string(most) + ", is " + std::to_string(value));
  };
  within("context", s.model.context, 1, 256);
  within("embedding", s.model.embedding, 1, 256);
  within("width", s.model.expert.width, 1, products_per_sum);
  within("hidden", s.model.expert.hidden, 1, products_per_sum);
  within("layers", s.model.layers, 1, 64);
  within("experts", s.model.experts, 1, 4096);
  within("ranks", s.ranks, 1, 256);
  within("slots", s.slots_per_rank, 1, 4096);
  within("tokens", s.tokens, 1, 65536);
  within("iterations", s.iterations, 1, 1'000'000);
  within("copies", s.copies, 1, s.ranks);
  refuse_if(s.slots() < s.model.experts, "slots",
            std::to_string(s.slots()) + " slots for " + std::to_string(s.model.experts) +
                " experts");
}

policy flexmoe_each(training_setup const& s, std::int64_t interval) {
  return shunt::interval_placer(shunt::flexmoe{.steps = s.slots()}, interval);
}

void require_policy(std::string const& field, std::string_view name) {
  std::string all;
  for (auto const& p : policies) {
    if (p.name == name) return;
    all += std::string(p.name) + ", ";
  }
  refuse_if(!flexmoe_interval(field, name), field,
            quoted_text(name) + " is not one of " + all + "flexmoe-ITERATIONS, both");
}

policy policy_of(training_setup const& s, std::string_view name) {
  require_policy("--policy", name);
  for (auto const& p : policies)
    if (p.name == name) return p.of(s);
  return flexmoe_each(s, *flexmoe_interval("--policy", name));
}

training_setup setup_for(training_setup s, std::string_view name) {
  if (name == "deepspeed" && s.capacity)
    s.sources = shunt::source_capacity{.factor = *s.capacity, .seed = s.seed};
  return s;
}

policy_run train_inline(training_setup const& setup, std::string const& name,
                        text_bytes const& text, std::vector<shunt::failure_point> failures,
                        listener const& say) {
  return train_here(setup, name, text, shunt::inline_executor{.failures = std::move(failures)},
                    say);
}

}  // namespace example
