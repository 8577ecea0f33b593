#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "outcome.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/measure/moe_time.hpp"
#include "text.hpp"
#include "training.hpp"

namespace example {

/// Who hears of a run while it goes on: of every loss of ranks, and of each iteration with its
/// number.
struct listener {
  std::function<void(rank_loss const&)> lost{};
  std::function<void(std::int32_t, iteration_record const&)> trained{};

  void operator()(rank_loss const& l) const {
    if (lost) lost(l);
  }
  void operator()(std::int32_t t, iteration_record const& r) const {
    if (trained) trained(t, r);
  }
};

/// Trains all iterations. `say` is called with every loss and with each iteration's number and
/// record. Throws invalid_problem where a fault, which the executor knows, is to strike beyond the
/// end of a list.
template <class Run, class Executor, class Say>
void train(Run& run, Executor const& executor, std::int64_t iterations,
           std::vector<shunt::failure_point> const& failures, Say&& say) {
  std::size_t known = 0;
  for (std::int32_t t = 0; t < iterations; ++t) {
    for (shunt::failure_point const& f : failures)
      if (auto const length = run.iteration_program().ranks[f.rank].instructions.size();
          f.iteration == t && length > 0 && f.instruction > static_cast<std::int64_t>(length))
        throw shunt::invalid_problem("--kill-at", "rank " + std::to_string(f.rank.value()) +
                                                      " has " + std::to_string(length) +
                                                      " instructions in iteration " +
                                                      std::to_string(t));
    auto const record = run.iterate(executor);
    for (; known < run.losses().size(); ++known) say(run.losses()[known]);
    say(t, record);
  }
}

/// The work of a training under a policy. `for_work` is what it asks for beyond what moe_work does.
template <class Work = moe_work, class... ForWork>
Work work_for(training_setup const& setup, std::string const& name, text_bytes const& text,
              ForWork&... for_work) {
  auto const own = setup_for(setup, name);
  return Work(model_of(own, text), own, own.optimizer, for_work...);
}

/// Trains under a policy, all ranks in this process.
template <class Work = moe_work, class Executor, class... ForWork>
policy_run train_here(training_setup const& setup, std::string const& name, text_bytes const& text,
                      Executor const& executor, listener const& say, ForWork&... for_work) {
  policy_run all{.name = name};
  auto const start = std::chrono::steady_clock::now();
  auto work = work_for<Work>(setup, name, text, for_work...);
  shunt::moe_run run(work, policy_of(setup, name));
  train(run, executor, setup.iterations, executor.failures,
        listener{say.lost, [&](std::int32_t t, iteration_record const& r) {
                   all.records.push_back(r);
                   for (auto const l : shunt::ids<shunt::layer_id>(setup.model.layers))
                     all.tied_state =
                         std::max(all.tied_state, shunt::tied_state(run.placement(), l));
                   say(t, r);
                 }});
  all.parameters = run.parameters();
  all.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return all;
}

/// The same on one thread.
policy_run train_inline(training_setup const& setup, std::string const& name,
                        text_bytes const& text, std::vector<shunt::failure_point> failures = {},
                        listener const& say = {});

}  // namespace example
