#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "cli.hpp"
#include "model.hpp"
#include "moe_system.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/lower/moe_iteration.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/flexmoe.hpp"
#include "shunt/solve/experts/incremental.hpp"
#include "shunt/solve/experts/source_capacity.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "shunt/train/interval_placer.hpp"
#include "shunt/train/moe_run.hpp"
#include "shunt/train/moe_training.hpp"
#include "shunt/train/moe_work.hpp"
#include "shunt/train/optimizer.hpp"
#include "shunt/train/random_placer.hpp"
#include "text.hpp"

namespace example {

using shunt::phase_bytes;
using iteration_record = shunt::moe_record;
using rank_loss = shunt::moe_loss;
using moe_work = shunt::moe_work<expert_language_model>;

}  // namespace example

extern template class shunt::moe_work<example::expert_language_model>;

namespace example {

/// A training run; the defaults are the set-up of SYMI's evaluation but for the size of the model.
struct training_setup : shunt::moe_training {
  moe_model model{.layers = 2};
  std::uint64_t seed = 1;
  shunt::adam optimizer{.rate = 5e-3F};
};

std::size_t parameter_count(training_setup const& s);

/// Throws invalid_problem where the text is shorter than a window.
expert_language_model model_of(training_setup const& s, text_bytes const& text);

/// Throws invalid_problem, naming the field, where a size is out of bounds or there are fewer slots
/// than experts.
void validate(training_setup const& s);

/// A placement policy, such as swift_moe or uniform.
using policy = std::function<shunt::solution<shunt::expert_placement>(shunt::expert_layers const&)>;

/// All policies that --policy knows; a new one is one line.
struct named_policy {
  std::string_view name;
  policy (*of)(training_setup const&);
};
template <class Solver>
policy solver_as_policy(training_setup const&) {
  return Solver{};
}
inline constexpr std::array policies{
    named_policy{"swift_moe", solver_as_policy<shunt::swift_moe>},
    named_policy{"uniform", solver_as_policy<shunt::uniform>},
    named_policy{"random",
                 [](training_setup const& s) { return policy(shunt::random_placer(s.seed)); }},
    named_policy{"eplb", solver_as_policy<shunt::eplb>},
    named_policy{"balanced", solver_as_policy<shunt::balanced>},
    named_policy{"incremental", solver_as_policy<shunt::incremental>},
    named_policy{"deepspeed", solver_as_policy<shunt::uniform>},
};

/// FlexMoE in every so many iterations: expands, shrinks and migrates until nothing gains, as far
/// as every slot may change once.
policy flexmoe_each(training_setup const& s, std::int64_t interval);

/// Throws invalid_problem, which names `field`, where there is no policy of this name.
void require_policy(std::string const& field, std::string_view name);

policy policy_of(training_setup const& s, std::string_view name);

/// A set-up as a policy has it: under deepspeed sources have the room, not slots.
training_setup setup_for(training_setup s, std::string_view name);

}  // namespace example
