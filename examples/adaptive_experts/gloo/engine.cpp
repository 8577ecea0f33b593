// --engine gloo, where there is Gloo.
#include <algorithm>
#include <bit>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../comparison.hpp"
#include "../engines.hpp"
#include "shunt/gloo.hpp"
#include "shunt/launch.hpp"
#include "shunt/train/gathered_parameters.hpp"
#include "worker_processes.hpp"

namespace example {

namespace {

iteration_record record_of(moe_model const& m, shunt::json_report const& r) {
  auto record = r.object<iteration_record>();
  auto const layers = static_cast<std::size_t>(m.layers);
  for (auto const* list :
       {&record.dropped, &record.fullest, &record.exchanged, &record.hosted, &record.received})
    if (list->size() != layers ||
        record.loads.size() != layers * static_cast<std::size_t>(m.experts))
      throw std::runtime_error("a record of an iteration is for another model");
  return record;
}

/// What the processes of a run say, put together, and said on as they go: all of them know the
/// same, each with times of its own.
class report_merger final : public run_account<rank_loss> {
 public:
  report_merger(training_setup const& setup, std::string const& name)
      : setup_(setup), say_{setup, run_.name}, parameters_(parameter_count(setup)) {
    run_.name = name;
  }

  /// Iterations that some rank runs at least.
  std::int64_t begun() const { return static_cast<std::int64_t>(run_.records.size()); }
  /// Whether ranks were lost on the way.
  bool disturbed() const { return !gone_.empty(); }

  /// After the last word; prints what losses took. Throws runtime_error where nobody came to the
  /// end, or where some parameters are known to nobody who is left.
  policy_run result() && {
    require_end("no rank is left");
    for (auto const& l : losses()) print(l);
    run_.parameters = std::move(parameters_).whole();
    return std::move(run_);
  }

 private:
  /// Throws runtime_error and logic_error where processes disagree.
  void hear(shunt::rank_id from, shunt::json_report const& r) override {
    auto const& what = r.what();
    if (what == "gone") {
      auto const lost = r.list<shunt::rank_id>("ranks");
      if (gone_.insert(lost).second)
        std::cout << "rank " << describe(lost) << " fell silent in iteration "
                  << r.integer("iteration") << std::endl;
    } else if (what == "record") {
      auto record = record_of(setup_.model, r);
      auto const t = r.integer<std::size_t>("iteration");
      if (t < run_.records.size() && record != run_.records[t])
        throw std::runtime_error("rank " + std::to_string(from.value()) +
                                 " has another iteration " + std::to_string(t) +
                                 " than the ranks before it");
      if (t != run_.records.size()) return;
      run_.records.push_back(std::move(record));
      say_(static_cast<std::int32_t>(t), run_.records.back());
    } else if (what == "parameters") {
      std::vector<float> values;
      for (auto const bits : r.list<std::uint32_t>("bits"))
        values.push_back(std::bit_cast<float>(bits));
      parameters_.add(from, r.integer<std::size_t>("first"), values);
    } else if (what == "end") {
      run_.seconds = std::max(run_.seconds, r.number("seconds"));
    }
  }

  training_setup const& setup_;
  policy_run run_{};
  progress_printer const say_;
  shunt::gathered_parameters parameters_;
  std::set<std::vector<shunt::rank_id>> gone_{};
};

/// Trains as one rank under a policy. Says what goes wrong last, and throws it. `dead` is who is
/// gone, ascending, also then.
void work_as(worker_address const& at, options const& o, std::string const& name,
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
                                   [&] { shunt::kill_this_process(say, at.waits); });
  auto work = work_for(setup, name, text);
  shunt::moe_run run(work, policy_of(setup, name));
  run.on_loss = on_loss;
  train(run, ranks, setup.iterations, o.failures,
        listener{[&](rank_loss const& l) { say(shunt::report_of("loss", l)); },
                 [&](std::int32_t t, iteration_record const& r) {
                   say(shunt::report_of("record", r).with("iteration", t));
                 }});
  run.parameters_of(at.self, [&](std::size_t first, std::span<float const> values) {
    std::vector<std::uint32_t> bits;
    for (float const v : values) bits.push_back(std::bit_cast<std::uint32_t>(v));
    say(report_line("parameters").with("first", first).with("bits", bits));
  });
  say(report_line("end").with(
      "seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()));
} catch (std::exception const& error) {
  shunt::report_and_rethrow(say, error);
}

/// With processes of this program's own, others under each policy.
int train_with_own(options const& o, command_line const& started_as) {
  auto const text = load_text(o.text);
  output_files files(o);
  bool disturbed = !o.failures.empty() || o.dropless;
  std::vector<policy_run> runs;
  for (auto const& name : o.policies) {
    report_merger merger(o.setup, name);
    own_place const place(o.process, text);
    shunt::supervised_workers workers(
        shunt::worker_processes::this_program, started_as, merger,
        place.watched([](shunt::rank_id r) { return "rank " + std::to_string(r.value()); }));
    for (shunt::rank_id const r : shunt::ids<shunt::rank_id>(o.setup.ranks)) {
      auto const process = workers.start(r, place.order(r, {"--worker-policy", name}));
      std::cout << "rank " << r.value() << " is process " << process << std::endl;
    }
    workers.watch();
    disturbed = disturbed || merger.disturbed();
    runs.push_back(std::move(merger).result());
  }
  return conclude(o, files, std::move(runs), disturbed,
                  [&] { return train_inline(o.setup, o.policies.front(), text); });
}

/// As the rank that a launcher made this process. The lowest that is left speaks for all.
int train_launched(shunt::launched_process const& as, options const& o) {
  auto const ranks = o.setup.ranks;
  as.require_size(ranks, "there are " + std::to_string(ranks) + " ranks");
  refuse_if(o.policies.size() > 1, "--policy", "a launcher's processes train under one: name one");
  refuse_if(launched_to_join(), "SHUNT_JOIN", "is set, and no rank comes back");
  auto const text = load_text(o.text);
  output_files files(o);
  report_merger merger(o.setup, o.policies.front());
  {
    launched const here(as, o.process, false);
    std::vector<shunt::rank_id> dead;
    try {
      here.worker([&](shunt::report_sink const& say) {
        work_as(here.at, o, o.policies.front(), say, dead);
      });
    } catch (shunt::invalid_problem const&) {  // all say so; what they did until then is told, too
      if (here.worker.speaks(dead)) here.read(ranks, dead, merger);
      throw;
    }
    if (!here.worker.speaks(dead)) return 0;
    here.read(ranks, dead, merger);
  }
  bool const disturbed = o.dropless || merger.disturbed();
  std::vector<policy_run> runs;
  runs.push_back(std::move(merger).result());
  return conclude(o, files, std::move(runs), disturbed,
                  [&] { return train_inline(o.setup, o.policies.front(), text); });
}

}  // namespace

int train_with_processes(options const& o, command_line const& started_as) {
  if (o.process.workers == 0)
    if (auto const as = shunt::launched_process_of_environment()) return train_launched(*as, o);
  return train_with_own(o, started_as);
}

int work_for_others(options const& o, worker_order const& order) {
  auto own = o;
  own.text = order.text;
  return work_for_starter([&](shunt::report_sink const& say) {
    std::vector<shunt::rank_id> dead;
    work_as({.gloo = o.process.gloo(order.place), .self = order.rank, .waits = true}, own,
            order.policy, say, dead);
  });
}

}  // namespace example
