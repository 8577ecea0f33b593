/// Trains a byte-level language model on D x S workers, lets workers fall silent in the middle of
/// iterations, and shows that the losses are the same bits as without failures.
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli.hpp"
#include "compare_schedules.hpp"
#include "comparison.hpp"
#include "engines.hpp"
#include "failure_points.hpp"
#include "language_training.hpp"
#include "options.hpp"
#include "output_file.hpp"
#include "parameters.hpp"
#include "pictures.hpp"
#include "policies.hpp"
#include "run_in_process.hpp"
#include "shunt/core/error.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/train/pipeline_run.hpp"
#include "text.hpp"

namespace {

using namespace example;

// Calls `run` with the engine that is asked for.
template <class Run>
shunt::recovery_report on_engine(options const& o, std::vector<shunt::failure_point> failures,
                                 Run const& run) {
  if (o.in_order) return run(shunt::inline_executor{.failures = std::move(failures)});
  return run(shunt::thread_executor{.failures = std::move(failures),
                                    .timeout = o.timeout.value_or(std::chrono::milliseconds(50))});
}

template <class Run>
int conclude_run(options const& o, text_bytes const& bytes, std::optional<output_folder> const& out,
                 Run& run, shunt::recovery_report const& report) {
  std::optional<training_result> undisturbed;
  if (out || report.stopped.empty()) undisturbed = train_undisturbed(o.training, bytes);
  if (out) write_files(*out, o, run, report, undisturbed->losses);
  return conclude(std::cout, result_of(run, report, o), o.training,
                  [&] { return expected_of(*undisturbed); });
}

int train(options const& o) {
  auto const bytes = load_text(o.text);
  std::optional<output_folder> out;
  if (!o.out.empty()) out.emplace("out", o.out);
  language_work work(o.training, bytes);
  if (o.policy != "slipstream") {
    shunt::pipeline_run run(work, policy_of(o));
    auto const report = on_engine(o, failures_under_policy(o, run), [&](auto const& executor) {
      return run_under_policy(run, o, executor);
    });
    return conclude_run(o, bytes, out, run, report);
  }
  shunt::pipeline_run run(work, shunt::slipstream{.split = o.split, .stagger = o.stagger});
  if (o.salvage) run.salvage();
  auto const report = on_engine(o, failures_of(o, run), [&](auto const& executor) {
    return run_in_process(run, o, executor);
  });
  return conclude_run(o, bytes, out, run, report);
}

int program(int argc, char** argv) {
  options o;
  auto& t = o.training;
  std::string kills, joins, injected, costs[4] = {"1", "1", "1", "3"};
  std::int32_t kill_at = -1;
  double op_ms = 0, clip = 0;
  std::int64_t timeout = 0;
  std::string engine = "threads", gradients = "int64";
  worker_order order;
  bool no_split = false, no_stagger = false, memory_1f1b = false;

  argument_parser app{
      "Trains a byte-level language model on a grid of workers through failures, and "
      "compares its losses bit by bit with a run\n"
      "without failures. Exit status: 0 identical, 1 not, 2 bad input (also kills that "
      "leave a stage without a worker, and an engine that\n"
      "is not there).\n\n"
      "Example: train_through_failures --kill 1:2@5,0:1@6 --join 1:2@8 --op-ms 5"};
  app.capture_defaults();
  app.add_option("--pipelines", t.job.pipelines, "data-parallel pipelines D")->group("Job");
  app.add_option("--stages", t.job.stages, "stages S of each")->group("Job");
  add_counts(app, "--microbatches", t.job.microbatches,
             "micro-batches M of each pipeline in an iteration; one value, or one a pipeline")
      ->group("Job");
  app.add_option("--iterations", t.iterations, "iterations to train")->group("Job");
  app.add_flag("--no-split", no_split, "keep backward passes fused")->group("Job");
  app.add_flag("--no-stagger", no_stagger, "all stages step together")->group("Job");
  app.add_flag("--memory-1f1b", memory_1f1b, "stage s stashes at most S - s micro-batches")
      ->group("Job");

  app.add_option("--text", o.text, "file to train on (default: plays by Shakespeare, 128 KiB)")
      ->group("Model");
  app.add_option("--seed", t.seed, "of weights and samples")->group("Model");
  app.add_option("--context", t.model.context, "bytes that a prediction sees")->group("Model");
  app.add_option("--width", t.model.width, "of the activations between stages")->group("Model");
  app.add_option("--hidden", t.model.hidden, "width inside a block")->group("Model");
  app.add_option("--batch", t.model.batch, "predicted bytes of a micro-batch")->group("Model");
  app.add_option("--lr", t.optimizer.rate, "Adam's step size")->group("Model");
  app.add_option(
         "--gradients", gradients,
         "elements of gradients in memory and in messages: int64 (exact, the same bits under "
         "every plan), float32, float16 or bfloat16")
      ->group("Model");

  auto* const clipped = app.add_option(
      "--clip", clip,
      "most norm of a step's gradient over all stages; steps are validated (0: any norm)");
  clipped->group("Model");

  app.add_option("--inject-nan", injected,
                 "gradients that are no numbers: stage@iteration,... or "
                 "stage@iteration:micro-batch,..., counted over all pipelines; "
                 "steps are validated")
      ->group("Failures");
  app.add_option("--kill", kills, "workers that fall silent: pipeline:stage@iteration,...")
      ->group("Failures");
  app.add_option("--kill-at", kill_at,
                 "instruction of its list at which a worker falls silent (-1: in the middle)")
      ->group("Failures");
  app.add_option("--policy", o.policy,
                 "what the live workers do after a loss: slipstream re-routes micro-batches to "
                 "peers; oobleck forms pipelines of other lengths, a stage being a layer; drop "
                 "leaves out the pipelines that were hit; regroup forms as many whole pipelines "
                 "as it can and goes back to a checkpoint; bamboo lets the worker of the stage "
                 "before go on for a lost one, whose state it has. All but slipstream run 1F1B, "
                 "not on --engine cuda")
      ->group("Failures");
  auto* const checkpoints =
      app.add_option("--checkpoint-every", o.checkpoint_every,
                     "iterations from one checkpoint to the next (with --policy regroup)");
  checkpoints->group("Failures");
  auto* const bamboo_rules = app.add_option(
      "--bamboo-rules", o.bamboo_rules,
      "when pipelines are formed anew after a loss that is not fatal: simulator, by the rules of "
      "Bamboo's simulator, or coordinator, by those that it ships (with --policy bamboo)");
  bamboo_rules->group("Failures");
  app.add_flag("--salvage", o.salvage,
               "after a loss keep the backward passes that survive it, and do again only what is "
               "missing of the iteration")
      ->group("Failures");
  app.add_option("--join", joins,
                 "workers that come back before an iteration: pipeline:stage@iteration,...")
      ->group("Failures");
  app.add_option("--timeout", timeout,
                 "milliseconds of silence after which a worker is given up (0: 50 of a thread, "
                 "2000 of a process)")
      ->group("Failures");
  add_integer(
      app, "--sweep", o.sweep,
      "runs, in each of which other processes are killed at other moments (with --engine gloo)", 0)
      ->group("Failures");

  app.add_option("--engine", engine,
                 "threads; inline: all workers in turn on one thread; gloo: a process each; cuda: "
                 "streams of one GPU, which all workers "
                 "share; cuda-graphs: the same, every iteration one "
                 "graph. Processes are started by this program, or by a launcher that says by "
                 "environment variables which of them this one is "
                 "(RANK and WORLD_SIZE, or those of Open MPI, PMI or Slurm)")
      ->group("Engine");
  add_process_options(app, o.process, order);
  app.add_flag("--joins", order.joins)->group("");

  app.add_option("--op-ms", op_ms,
                 "milliseconds that one unit of cost takes (0: operations take what they take)")
      ->group("Time");
  app.add_option("--forward", costs[0], "cost of a forward, in units; one value or one a stage")
      ->group("Time");
  app.add_option("--backward-input", costs[1], "cost of the gradient of a stage's input")
      ->group("Time");
  app.add_option("--backward-weight", costs[2], "cost of the gradient of a stage's parameters")
      ->group("Time");
  app.add_option("--step", costs[3], "cost of the optimizer's step")->group("Time");
  app.add_flag("--compare-schedules", o.compare_schedules,
               "measure the periods of 1F1B without failures, and without the workers of --kill "
               "re-routed, + split, + staggered")
      ->group("Time");

  app.add_option("--out", o.out,
                 "folder for charts, tables, a trace and a page that shows them (made where it is "
                 "not there)")
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
      if (!(clip >= 0 && clip <= 1e30))
        throw shunt::invalid_problem("clip", "must be between 0 and 1e30");
      t.validate = true;
      if (clip > 0) t.clip = clip;
    }
    t.gradient_type = parse_gradients(gradients);
    if (kill_at < -1)
      throw shunt::invalid_problem("kill-at", "must be at least -1, is " + std::to_string(kill_at));
    if (kill_at >= 0) o.kill_at = kill_at;
    if (!(op_ms >= 0 && op_ms <= 60'000))
      throw shunt::invalid_problem("op-ms", "must be between 0 and 60000");
    t.unit = std::chrono::nanoseconds(std::llround(op_ms * 1e6));
    if (timeout < 0 || timeout > 60'000)
      throw shunt::invalid_problem("timeout", "must be between 0 and 60000");
    if (timeout > 0) o.timeout = o.process.silence = std::chrono::milliseconds(timeout);
    if (engine != "threads" && engine != "inline" && engine != "gloo" && engine != "cuda" &&
        engine != "cuda-graphs")
      throw shunt::invalid_problem(
          "engine", example::quoted(engine) + " is not threads, inline, gloo, cuda or cuda-graphs");
    o.in_order = engine == "inline";
    o.processes = engine == "gloo";
    o.cuda = engine == "cuda" || engine == "cuda-graphs";
    o.graphs = engine == "cuda-graphs";
    if (o.process.workers != 0 && o.process.workers != t.job.ranks())
      throw shunt::invalid_problem("workers", "is " + std::to_string(o.process.workers) + ", " +
                                                  std::to_string(t.job.pipelines) +
                                                  " pipelines of " + std::to_string(t.job.stages) +
                                                  " stages need " + std::to_string(t.job.ranks()));
    if (!(t.optimizer.rate > 0 && t.optimizer.rate <= 1))
      throw shunt::invalid_problem("lr", "must be above 0 and at most 1");
    validate(o);
    if (o.policy != "slipstream") {
      static_cast<void>(shunt::start_under(policy_of(o), t.job));
      refuse_with_policy(o);
    }
    if (o.checkpoint_every < 1)
      throw shunt::invalid_problem("checkpoint-every",
                                   "must be at least 1, is " + std::to_string(o.checkpoint_every));
    if (checkpoints->count() > 0 && o.policy != "regroup")
      throw shunt::invalid_problem("checkpoint-every", "needs --policy regroup");
    if (bamboo_rules->count() > 0 && o.policy != "bamboo")
      throw shunt::invalid_problem("bamboo-rules", "needs --policy bamboo");
    if (o.processes) {
      if (!o.out.empty())
        throw shunt::invalid_problem(
            "out", "needs --engine threads: processes know nothing of each other's times");
      if (o.compare_schedules)
        throw shunt::invalid_problem("compare-schedules", "needs --engine threads");
      if (order.rank >= 0) return work_for_others(o, order);
      command_line const started_as(argv, argv + argc);
      return o.sweep > 0 ? sweep_with_processes(o, started_as)
                         : train_with_processes(o, started_as);
    }
    if (o.sweep > 0)
      throw shunt::invalid_problem(
          "sweep", "needs --engine gloo: only processes can be killed at any moment");
    if (o.cuda && o.compare_schedules)
      throw shunt::invalid_problem("compare-schedules", "needs --engine threads");
    if (o.cuda && o.salvage)
      throw shunt::invalid_problem("salvage", "needs --engine threads or gloo");
    if (o.cuda) return train_on_cuda(o);
    if (!o.compare_schedules) return train(o);
    if (t.unit.count() == 0)
      throw shunt::invalid_problem("op-ms", "must be above 0 to compare schedules, 10 for example");
    auto const bytes = load_text(o.text);
    std::optional<output_folder> out;
    if (!o.out.empty()) out.emplace("out", o.out);
    auto const variants = compare_schedules(o, bytes);
    if (out) write_files(*out, o, variants);
    return print(std::cout, variants, t.unit) ? 0 : 1;
  });
}

}  // namespace

int main(int argc, char** argv) { return program(argc, argv); }
