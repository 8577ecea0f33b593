#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "outcome.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "training.hpp"

namespace example {

/// Who hears of a run while it goes on: of every loss of ranks, and of each iteration with its number.
struct listener {
  std::function<void(rank_loss const&)> lost{};
  std::function<void(std::int32_t, iteration_record const&)> trained{};
};

/// swift_moe, uniform or random.
inline policy policy_of(training_setup const& setup, std::string const& name) {
  if (name == "uniform") return shunt::uniform{};
  if (name == "random") return random_placement(setup.seed);
  return shunt::swift_moe{};
}

/// Trains under a policy, with the executor's faults. `for_work` is what the work asks for beyond what moe_work does.
template <class Work = moe_work, class Executor, class... ForWork>
policy_run train(training_setup const& setup, std::string const& name, text_bytes const& text, Executor executor, listener const& say,
                 ForWork&... for_work) {
  policy_run run{.name = name};
  auto const faults = executor.faults;
  auto const start = std::chrono::steady_clock::now();
  moe_training<Executor, Work> training(setup, policy_of(setup, name), text, std::move(executor), for_work...);
  std::size_t known = 0;
  for (std::int32_t t = 0; t < setup.iterations; ++t) {
    for (shunt::fault const& f : faults)
      if (auto const length = training.iteration_program().ranks[f.rank].instructions.size();
          f.iteration == t && length > 0 && f.instruction > static_cast<std::int64_t>(length))
        throw shunt::invalid_problem("--kill-at", "rank " + std::to_string(f.rank.value()) + " has " + std::to_string(length) +
                                                      " instructions in iteration " + std::to_string(t));
    run.records.push_back(training());
    for (; known < training.losses().size(); ++known)
      if (say.lost) say.lost(training.losses()[known]);
    if (say.trained) say.trained(t, run.records.back());
  }
  run.parameters = training.parameters();
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return run;
}

}  // namespace example
