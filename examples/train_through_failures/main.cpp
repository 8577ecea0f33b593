/// Trains a byte-level language model on D x S workers, lets workers fall silent in the middle of iterations, and shows that the losses
/// are the same bits as without failures.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "cli.hpp"
#include "compare_schedules.hpp"
#include "options.hpp"
#include "pictures.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/threads.hpp"
#include "text.hpp"
#include "training_run.hpp"

namespace {

using namespace example;

std::string milliseconds(shunt::ticks nanoseconds) { return format("%.2f ms", static_cast<double>(nanoseconds) * 1e-6); }

/// How far training is, redrawn in place on a terminal and nowhere else.
class progress_bar {
 public:
  explicit progress_bar(std::int64_t total) : total_(total) {}
  ~progress_bar() { clear(); }
  void clear() const {
    if (on_) std::cerr << "\r\033[K" << std::flush;
  }
  void draw(std::int64_t done) const {
    if (!on_) return;
    constexpr std::int64_t width = 40;
    auto const filled = static_cast<std::size_t>(done * width / total_);
    std::cerr << "\r[" << std::string(filled, '=') << std::string(width - filled, ' ') << "] " << done << "/" << total_ << std::flush;
  }

 private:
  std::int64_t total_;
  bool on_ = isatty(STDERR_FILENO) == 1;
};

void print(shunt::pipeline_job const& job, shunt::recovery_report const& report) {
  for (auto const& l : report.losses)
    std::cout << "recovery from " << describe(job, l.ranks) << " in iteration " << l.iteration << ": detect " << milliseconds(l.detect)
              << ", agree " << milliseconds(l.agree) << ", restore " << milliseconds(l.restore) << " (" << l.steps_undone
              << " steps undone), re-plan " << milliseconds(l.replan) << ", redo " << milliseconds(l.redo) << " (" << l.instructions_lost
              << " instructions lost)\n";
}

/// Where each kill strikes: in the middle of the worker's list under the plan that its iteration begins with, or as asked.
std::vector<shunt::fault> faults(options const& o, training_run& run) {
  auto const& job = o.training.job;
  std::vector<shunt::fault> all;
  for (auto const& k : o.kills) {
    std::vector<shunt::rank_id> dead;
    for (auto const w : dead_in(o, k.iteration, false)) dead.push_back(job.rank_of(w));
    std::sort(dead.begin(), dead.end());
    auto const length = static_cast<std::int32_t>(run.plan_without(dead).program->ranks[job.rank_of(k.who)].instructions.size());
    if (o.kill_at.value_or(0) > length)
      throw shunt::invalid_problem("kill-at", "worker " + shunt::describe(k.who) + " has " + std::to_string(length) +
                                                  " instructions in iteration " + std::to_string(k.iteration));
    all.push_back({job.rank_of(k.who), k.iteration, o.kill_at.value_or(length / 2)});
  }
  return all;
}

/// One line for every step before `until` that was left out or clipped, and who had to take it back; `next` is the first not yet said.
void print_steps(training_run& run, options const& o, std::int64_t& next, std::int64_t until) {
  if (!run.work().validates()) return;
  for (; next < until; ++next) {
    pipeline_training::validated_step seen;
    int taken_back = 0;
    for (shunt::rank_id const r : shunt::ids<shunt::rank_id>(o.training.job.ranks())) {
      auto const& mine = run.work().step_of(r, next);
      if (mine.left_out || mine.clipped) seen = mine;
      taken_back += mine.taken_back;
    }
    if (!seen.left_out && !seen.clipped) continue;
    std::cout << format("step of iteration %lld: ", static_cast<long long>(next))
              << (seen.left_out ? std::string("left out, a gradient was not finite")
                                : format("gradients clipped, their norm was %.6g", seen.norm))
              << format("; %d workers had stepped and rolled back", taken_back) << std::endl;
  }
}

/// Says whether the workers that are alive hold the parameters of the undisturbed run.
bool compare_parameters(training_run& run, shunt::recovery_report const& report, shunt::pipeline_job const& job,
                        std::vector<std::vector<float>> const& undisturbed) {
  for (shunt::rank_id const r : shunt::ids<shunt::rank_id>(job.ranks())) {
    if (std::binary_search(report.dead.begin(), report.dead.end(), r)) continue;
    auto const mine = run.work().parameters(r);
    auto const& other = undisturbed[job.worker_of(r).stage.index()];
    if (std::memcmp(mine.data(), other.data(), mine.size_bytes()) == 0) continue;
    std::cout << "parameters differ: those of worker " << shunt::describe(job.worker_of(r)) << "\n";
    return false;
  }
  std::cout << "parameters identical: all workers of " << undisturbed.size() << " stages\n";
  return true;
}

/// Says whether two runs have the same losses; the last line of the program.
bool compare(std::vector<trained_iteration> const& run, std::vector<double> const& undisturbed) {
  for (std::size_t i = 0; i < undisturbed.size(); ++i) {
    if (i >= run.size()) {
      std::cout << format("differ: %zu of %zu iterations were trained\n", run.size(), undisturbed.size());
      return false;
    }
    if (run[i].loss != undisturbed[i]) {  // a NaN differs too
      std::cout << format("differ: iteration %zu has loss %.17g, %.17g without failures\n", i, run[i].loss, undisturbed[i]);
      return false;
    }
  }
  std::cout << format("identical: %zu losses\n", undisturbed.size());
  return true;
}

int train(options const& o) {
  auto const bytes = load_text(o.text);
  std::optional<out_folder> out;
  if (!o.out.empty()) out.emplace(o.out);
  auto const& job = o.training.job;
  double const unit_ms = std::chrono::duration<double, std::milli>(o.training.unit).count();
  auto const period = [&](shunt::ticks t) {
    return unit_ms > 0 ? format("%.1f ms", static_cast<double>(t) * unit_ms) : format("%lld units", static_cast<long long>(t));
  };

  training_run run(o.training, {.split = o.split, .stagger = o.stagger}, bytes);
  progress_bar const bar(o.training.iterations);
  std::vector<shunt::worker> dead;
  std::int64_t steps_said = 0;
  run.on_plan = [&](planned const& plan, std::int64_t iteration) {
    bar.clear();
    for (auto const w : plan.job.dead)
      if (std::find(dead.begin(), dead.end(), w) == dead.end())
        std::cout << "worker " << shunt::describe(w) << " fell silent: iteration " << iteration << " is done again without it\n";
    for (auto const w : dead)
      if (plan.job.alive(w)) std::cout << "worker " << shunt::describe(w) << " joins with a copy of a peer's state\n";
    dead = plan.job.dead;
    std::cout << format("plan for %d of %d workers: period %s", job.ranks() - static_cast<std::int32_t>(dead.size()), job.ranks(),
                        period(plan.period).c_str())
              << std::endl;
  };
  run.on_iteration = [&](trained_iteration const& i) {
    bar.clear();
    std::cout << format("iteration %lld loss %.17g live %d planned %s measured %s", static_cast<long long>(i.iteration), i.loss, i.live,
                        period(i.planned).c_str(), i.measured_ms ? format("%.1f ms", *i.measured_ms).c_str() : "-")
              << std::endl;
    print_steps(run, o, steps_said, i.iteration);
    bar.draw(i.iteration + 1);
  };
  std::vector<shunt::join> joins;
  for (auto const& j : o.joins) joins.push_back({job.rank_of(j.who), j.iteration});
  auto const report = run(shunt::threads{.faults = faults(o, run), .timeout = o.timeout}, joins);
  bar.clear();
  if (report.stopped.empty()) print_steps(run, o, steps_said, o.training.iterations);
  print(job, report);
  if (auto const share = run.work().computing_share(); share > 0.04)
    std::cout << format("warning: real computation takes %.1f %% of the time of operations, more than 4 %%; raise --op-ms\n", 100 * share);
  if (auto const bad = run.work().first_overflow())
    std::cout << "warning: a gradient of worker " << shunt::describe(job.worker_of(bad->rank)) << " in iteration " << bad->iteration
              << " was not finite or beyond 64, and its step was left out; lower --lr\n";
  if (!report.stopped.empty()) std::cout << "stopped: " << report.stopped << "\n";
  auto const undisturbed = train_undisturbed(o.training, bytes);
  if (out) write_files(*out, o, run, report, undisturbed.losses);
  bool const same = report.stopped.empty() && compare_parameters(run, report, job, undisturbed.parameters);
  return compare(run.iterations(), undisturbed.losses) && same ? 0 : 1;
}

int program(int argc, char** argv) {
  options o;
  auto& t = o.training;
  std::string kills, joins, injected, costs[4] = {"1", "1", "1", "3"};
  std::int32_t kill_at = -1;
  double op_ms = 0, clip = 0;
  std::int64_t timeout = o.timeout.count();
  bool no_split = false, no_stagger = false, memory_1f1b = false;

  CLI::App app{"Trains a byte-level language model on a grid of workers through failures, and compares its losses bit by bit with a run\n"
               "without failures. Exit status: 0 identical, 1 not, 2 bad input (also kills that leave a stage without a worker).\n\n"
               "Example: train_through_failures --kill 1:2@5,0:1@6 --join 1:2@8 --op-ms 5"};
  app.option_defaults()->always_capture_default();
  app.add_option("--pipelines", t.job.pipelines, "data-parallel pipelines D")->group("Job");
  app.add_option("--stages", t.job.stages, "stages S of each")->group("Job");
  app.add_option("--microbatches", t.job.microbatches, "micro-batches M of each pipeline in an iteration")->group("Job");
  app.add_option("--iterations", t.iterations, "iterations to train")->group("Job");
  app.add_flag("--no-split", no_split, "keep backward passes fused")->group("Job");
  app.add_flag("--no-stagger", no_stagger, "all stages step together")->group("Job");
  app.add_flag("--memory-1f1b", memory_1f1b, "stage s stashes at most S - s micro-batches")->group("Job");

  app.add_option("--text", o.text, "file to train on (default: the headers and pages of this project)")->group("Model");
  app.add_option("--seed", t.seed, "of weights and samples")->group("Model");
  app.add_option("--context", t.model.context, "bytes that a prediction sees")->group("Model");
  app.add_option("--width", t.model.width, "of the activations between stages")->group("Model");
  app.add_option("--hidden", t.model.hidden, "width inside a block")->group("Model");
  app.add_option("--batch", t.model.batch, "predicted bytes of a micro-batch")->group("Model");
  app.add_option("--lr", t.optimizer.rate, "Adam's step size")->group("Model");

  auto* const clipped = app.add_option("--clip", clip, "most norm of a step's gradient over all stages; steps are validated (0: any norm)");
  clipped->group("Model");

  app.add_option("--inject-nan", injected,
                 "gradients that are no numbers: stage@iteration,... or stage@iteration:micro-batch,..., counted over all pipelines; "
                 "steps are validated")
      ->group("Failures");
  app.add_option("--kill", kills, "workers that fall silent: pipeline:stage@iteration,...")->group("Failures");
  app.add_option("--kill-at", kill_at, "instruction of its list at which a worker falls silent (-1: in the middle)")->group("Failures");
  app.add_option("--join", joins, "workers that come back before an iteration: pipeline:stage@iteration,...")->group("Failures");
  app.add_option("--timeout", timeout, "milliseconds of silence after which a worker is given up")->group("Failures");

  app.add_option("--op-ms", op_ms, "milliseconds that one unit of cost takes (0: operations take what they take)")->group("Time");
  app.add_option("--forward", costs[0], "cost of a forward, in units; one value or one a stage")->group("Time");
  app.add_option("--backward-input", costs[1], "cost of the gradient of a stage's input")->group("Time");
  app.add_option("--backward-weight", costs[2], "cost of the gradient of a stage's parameters")->group("Time");
  app.add_option("--step", costs[3], "cost of the optimizer's step")->group("Time");
  app.add_flag("--compare-schedules", o.compare_schedules,
               "measure the periods of 1F1B without failures, and without the workers of --kill re-routed, + split, + staggered")
      ->group("Time");

  app.add_option("--out", o.out, "folder for charts, tables, a trace and a page that shows them (made where it is not there)")
      ->group("Files");

  return guarded(app, argc, argv, [&]() -> int {
    t.model.stages = t.job.stages;
    t.job.costs = {.forward = shunt::per_stage(parse_integers("forward", costs[0])),
                   .backward_input = shunt::per_stage(parse_integers("backward-input", costs[1])),
                   .backward_weight = shunt::per_stage(parse_integers("backward-weight", costs[2])),
                   .step = shunt::per_stage(parse_integers("step", costs[3]))};
    if (memory_1f1b) t.job.memory = shunt::stash_cap::one_f_one_b();
    o.split = !no_split;
    o.stagger = !no_stagger;
    o.kills = parse_workers_at("kill", kills);
    o.joins = parse_workers_at("join", joins);
    t.inject = parse_bad_gradients("inject-nan", injected);
    if (clipped->count() > 0) {
      if (!(clip >= 0 && clip <= 1e30)) throw shunt::invalid_problem("clip", "must be between 0 and 1e30");
      t.validate = true;
      if (clip > 0) t.clip = clip;
    }
    if (kill_at < -1) throw shunt::invalid_problem("kill-at", "must be at least -1, is " + std::to_string(kill_at));
    if (kill_at >= 0) o.kill_at = kill_at;
    if (!(op_ms >= 0 && op_ms <= 60'000)) throw shunt::invalid_problem("op-ms", "must be between 0 and 60000");
    t.unit = std::chrono::nanoseconds(std::llround(op_ms * 1e6));
    if (timeout < 1 || timeout > 60'000) throw shunt::invalid_problem("timeout", "must be between 1 and 60000");
    o.timeout = std::chrono::milliseconds(timeout);
    if (!(t.optimizer.rate > 0 && t.optimizer.rate <= 1)) throw shunt::invalid_problem("lr", "must be above 0 and at most 1");
    validate(o);
    if (!o.compare_schedules) return train(o);
    if (t.unit.count() == 0) throw shunt::invalid_problem("op-ms", "must be above 0 to compare schedules, 10 for example");
    auto const bytes = load_text(o.text);
    std::optional<out_folder> out;
    if (!o.out.empty()) out.emplace(o.out);
    auto const variants = compare_schedules(o, bytes);
    if (out) write_files(*out, o, variants);
    return print(std::cout, variants, t.unit) ? 0 : 1;
  });
}

}  // namespace

int main(int argc, char** argv) { return program(argc, argv); }
