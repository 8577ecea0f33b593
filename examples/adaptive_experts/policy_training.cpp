#include "policy_training.hpp"

#include "shunt/execute/inline_executor.hpp"

namespace example {

policy_run train_inline(training_setup const& setup, std::string const& name,
                        text_bytes const& text, std::vector<shunt::failure_point> failures,
                        listener const& say) {
  return train_here(setup, name, text, shunt::inline_executor{.failures = std::move(failures)},
                    say);
}

}  // namespace example
