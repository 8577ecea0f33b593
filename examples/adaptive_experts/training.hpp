#pragma once
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>

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

/// Another placement each time it is asked: every expert somewhere, the other slots at random, all
/// shuffled.
class random_placement {
 public:
  explicit random_placement(std::uint64_t seed) : random_(seed) {}

  shunt::solution<shunt::expert_placement> operator()(shunt::expert_layers const& p) {
    shunt::solution<shunt::expert_placement> answer =
        shunt::uniform{}(p);  // for its slots, and for what it refuses
    for (shunt::layer_id l : shunt::ids<shunt::layer_id>(answer.plan.layers)) {
      auto const slots = answer.plan.layer(l);
      for (std::size_t k = 0; k < slots.size(); ++k)
        slots[k] = k < static_cast<std::size_t>(p.experts) ? k : below(p.experts);
      for (std::size_t k = slots.size(); k > 1; --k) std::swap(slots[k - 1], slots[below(k)]);
    }
    return answer;
  }

 private:
  std::size_t below(std::integral auto bound) {
    return static_cast<std::size_t>(random_() % static_cast<std::uint64_t>(bound));
  }

  std::mt19937_64 random_;
};

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
                 [](training_setup const& s) { return policy(random_placement(s.seed)); }},
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

/// A training with all that it needs but the text, iteration by iteration. Work: moe_work, or one
/// that does the same on a device; `for_work` is what it asks for beyond what moe_work does.
template <class Work>
struct owned_work {
  Work owned;
};
template <class Executor, class Work = moe_work>
class moe_training : owned_work<Work>, public shunt::moe_run<Work, policy> {
 public:
  using loss_notice = std::function<void(std::span<shunt::rank_id const>, std::int64_t)>;

  /// Throws invalid_problem where there is no placement, or fewer ranks than copies.
  template <class... ForWork>
  moe_training(training_setup const& s, policy place, text_bytes const& text, Executor executor,
               loss_notice notice = {}, ForWork&&... for_work)
      : owned_work<Work>{Work(model_of(s, text), s, s.optimizer,
                              std::forward<ForWork>(for_work)...)},
        shunt::moe_run<Work, policy>(this->owned, std::move(place)),
        executor_(std::move(executor)) {
    if (notice) this->on_loss = std::move(notice);
  }

  iteration_record operator()() { return this->iterate(executor_); }

 private:
  Executor executor_;
};

}  // namespace example
