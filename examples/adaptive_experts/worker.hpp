#pragma once
/// One rank as a process of its own, over Gloo: trains through whatever happens to the others, and
/// says how it goes.
#include <algorithm>
#include <bit>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include "options.hpp"
#include "policy_training.hpp"
#include "report_merger.hpp"
#include "shunt/gloo/executor.hpp"
#include "shunt/launch/report_line.hpp"
#include "text.hpp"
#include "training.hpp"
#include "worker_reports.hpp"

namespace example {

/// Trains as one rank under a policy. Says what goes wrong last, and throws it. `dead` is who is
/// gone, ascending, also then.
inline void work_as(worker_address const& at, options const& o, std::string const& name,
                    shunt::report_sink const& say, std::vector<shunt::rank_id>& dead) try {
  using shunt::report_line;
  std::signal(SIGPIPE, SIG_IGN);
  auto setup = o.setup;
  setup.only = at.self;
  auto const text = load_text(o.text);
  auto const start = std::chrono::steady_clock::now();
  auto const on_loss = [&](std::span<shunt::rank_id const> lost, std::int64_t iteration) {
    say(report_line("gone").with("iteration", iteration).with("ranks", lost));
    dead.insert(dead.end(), lost.begin(), lost.end());
    std::sort(dead.begin(), dead.end());
  };
  shunt::gloo_executor const ranks(at.gloo, setup.ranks, at.self, o.failures,
                                   [&] { kill_self(at, say); });
  moe_training<shunt::gloo_executor> training(setup_for(setup, name), policy_of(setup, name), text,
                                              ranks, on_loss);
  train(training, setup.iterations, o.failures,
        listener{[&](rank_loss const& l) { say(report_of(l)); },
                 [&](std::int32_t t, iteration_record const& r) { say(report_of(t, r)); }});
  training.parameters_of(at.self, [&](std::size_t first, std::span<float const> values) {
    std::vector<std::uint32_t> bits;
    for (float const v : values) bits.push_back(std::bit_cast<std::uint32_t>(v));
    say(report_line("parameters").with("first", first).with("bits", bits));
  });
  say(report_line("end").with(
      "seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()));
} catch (std::exception const& error) {
  report_and_rethrow(say, error);
}

}  // namespace example
