/// Trains a byte-level language model on D x S workers, lets workers fall silent in the middle of
/// iterations, and shows that the losses are the same bits as without failures.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <optional>
#include <string>

#include "cli.hpp"
#include "comparison.hpp"
#include "engines.hpp"
#include "language_training.hpp"
#include "options.hpp"
#include "pictures.hpp"
#include "runs.hpp"
#include "shunt/launch/output_file.hpp"
#include "shunt/shunt.hpp"
#include "shunt/train.hpp"
#include "slow.hpp"
#include "text.hpp"

namespace {

using namespace example;

int train(options const& o) {
  auto const bytes = load_text(o.text);
  auto const out = shunt::optional_folder("out", o.out);
  slow_language_work work(o.training, bytes);
  return with_run(o, work, {}, [&](auto& run, auto const& failures) {
    auto const on = [&](auto const& executor) { return run_in_process(run, o, executor); };
    auto const silence = o.timeout.value_or(std::chrono::milliseconds(50));
    auto const record = o.engine == "inline"
                            ? on(shunt::inline_executor{.failures = failures})
                            : on(shunt::thread_executor{.failures = failures, .timeout = silence});
    auto const& report = record.report;
    std::optional<undisturbed_training> undisturbed;
    if (out || report.stopped.empty()) undisturbed = train_undisturbed(o.training, bytes);
    if (out) write_files(*out, o, run, record, undisturbed->losses);
    auto const result = result_of(run, report, o);
    print_periods(std::cout, o, result);
    return conclude(std::cout, result, o.training, [&] { return *undisturbed; });
  });
}

int program(int argc, char** argv) {
  options o;
  auto& t = o.training;
  std::string kills, joins, slow, injected, costs[4] = {"1", "1", "1", "3"};
  std::int32_t kill_at = -1;
  double op_ms = 0, clip = 0;
  std::int64_t timeout = 0;
  std::string gradients = "int64";
  worker_order order;
  bool no_split = false, no_stagger = false, memory_1f1b = false;

  argument_parser app{"Trains a byte-level language model on a grid of workers through failures, "
                      "and compares its losses bit by bit with a run\n"
                      "without failures. Exit status: 0 identical, 1 not, 2 bad input (also kills "
                      "that leave a stage without a worker, and an engine that\n"
                      "is not there).\n\n"
                      "Example: train_through_failures --kill 1:2@5,0:1@6 --join 1:2@8 --op-ms 5"};
  app.capture_defaults();
  app.group("Job");
  app.add_option("--pipelines", t.job.pipelines, "data-parallel pipelines D");
  app.add_option("--stages", t.job.stages, "stages S of each");
  add_counts(app, "--microbatches", t.job.microbatches,
             "micro-batches M of each pipeline in an iteration; one value, or one a pipeline");
  app.add_option("--iterations", t.iterations, "iterations to train");
  app.add_flag("--no-split", no_split, "keep backward passes fused");
  app.add_flag("--no-stagger", no_stagger, "all stages step together");
  app.add_flag("--memory-1f1b", memory_1f1b, "stage s stashes at most S - s micro-batches");

  app.group("Model");
  app.add_option("--text", o.text, "file to train on (default: plays by Shakespeare, 128 KiB)");
  app.add_option("--seed", t.seed, "of weights and samples");
  app.add_option("--context", t.model.context, "bytes that a prediction sees");
  app.add_option("--width", t.model.width, "of the activations between stages");
  app.add_option("--hidden", t.model.hidden, "width inside a block");
  app.add_option("--batch", t.model.batch, "predicted bytes of a micro-batch");
  app.add_option("--lr", t.optimizer.rate, "Adam's step size");
  app.add_option("--gradients", gradients,
                 "elements of gradients in memory and in messages: int64 (exact, the same bits "
                 "under every plan), float32, float16 or bfloat16");

  auto* const clipped = app.add_option(
      "--clip", clip,
      "most norm of a step's gradient over all stages; steps are validated (0: any norm)");

  app.group("Failures");
  app.add_option(
      "--inject-nan", injected,
      "gradients that are no numbers: stage@iteration,... or stage@iteration:micro-batch,..., "
      "counted over all pipelines; steps are validated");
  app.add_option("--kill", kills, "workers that fall silent: pipeline:stage@iteration,...");
  app.add_option("--kill-at", kill_at,
                 "instruction of its list at which a worker falls silent (-1: in the middle)");
  app.add_option(
      "--policy", o.policy,
      "what the live workers do after a loss: slipstream re-routes micro-batches to peers; best "
      "takes the best plan of re-routing, moving layers, both, and fewer pipelines, a stage being "
      "a layer; oobleck "
      "forms pipelines of other lengths, a stage being a layer; drop leaves out the pipelines that "
      "were hit; regroup forms as many whole pipelines as it can and goes back to a checkpoint; "
      "bamboo lets the worker of the stage before go on for a lost one, whose state it has. The "
      "last four run 1F1B; none but slipstream runs on --engine cuda");
  auto* const checkpoints =
      app.add_option("--checkpoint-every", o.checkpoint_every,
                     "iterations from one checkpoint to the next (with --policy regroup)");
  auto* const bamboo_rules = app.add_option(
      "--bamboo-rules", o.bamboo_rules,
      "when pipelines are formed anew after a loss that is not fatal: simulator, by the rules of "
      "Bamboo's simulator, or coordinator, by those that it ships (with --policy bamboo)");
  app.add_flag("--salvage", o.salvage,
               "after a loss keep the backward passes that survive it, and do again only what is "
               "missing of the iteration");
  app.add_option("--join", joins,
                 "workers that come back before an iteration: pipeline:stage@iteration,...");
  app.add_option(
      "--slow", slow,
      "workers whose forwards and backwards take so many times as long from an iteration "
      "on, 1 for as long as before: pipeline:stagexfactor@iteration,... The run finds "
      "them by its own times and plans around them");
  app.add_option("--timeout", timeout,
                 "milliseconds of silence after which a worker is given up (0: 50 of a thread, "
                 "2000 of a process)");
  add_integer(
      app, "--sweep", o.sweep,
      "runs, in each of which other processes are killed at other moments (with --engine gloo)", 0);

  app.group("Engine");
  app.add_option(
      "--engine", o.engine,
      "threads; inline: all workers in turn on one thread; gloo: a process each; cuda: streams of "
      "one GPU, which all workers share; cuda-graphs: the same, every iteration one graph. "
      "Processes are started by this program, or by a launcher that says by environment variables "
      "which of them this one is (RANK and WORLD_SIZE, or those of Open MPI, PMI or Slurm)");
  add_process_options(app, o.process, order);
  app.add_flag("--joins", order.joins)->group("");

  app.group("Time");
  auto const* const unit = app.add_option("--op-ms", op_ms,
                                          "milliseconds that one unit of cost takes (0: operations "
                                          "take what they take; 5 with --slow)");
  app.add_option("--forward", costs[0], "cost of a forward, in units; one value or one a stage");
  app.add_option("--backward-input", costs[1], "cost of the gradient of a stage's input");
  app.add_option("--backward-weight", costs[2], "cost of the gradient of a stage's parameters");
  app.add_option("--step", costs[3], "cost of the optimizer's step");
  app.add_flag("--compare-schedules", o.compare_schedules,
               "measure the periods of 1F1B without failures, and without the workers of --kill "
               "re-routed, + split, + staggered");

  app.group("Files");
  app.add_option(
      "--out", o.out,
      "folder for charts, tables, a trace and a page that shows them (made where it is not there)");

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
    o.slow = parse_slow(slow);
    t.inject = parse_bad_gradients("inject-nan", injected);
    if (clipped->count() > 0) {
      refuse_if(!(clip >= 0 && clip <= 1e30), "clip", "must be between 0 and 1e30");
      t.validate = true;
      if (clip > 0) t.clip = clip;
    }
    t.gradient_type = parse_gradients(gradients);
    refuse_if(kill_at < -1, "kill-at", "must be at least -1, is " + std::to_string(kill_at));
    if (kill_at >= 0) o.kill_at = kill_at;
    if (!o.slow.empty() && unit->count() == 0) op_ms = 5;
    refuse_if(!(op_ms >= 0 && op_ms <= 60'000), "op-ms", "must be between 0 and 60000");
    t.unit = std::chrono::nanoseconds(std::llround(op_ms * 1e6));
    refuse_if(timeout < 0 || timeout > 60'000, "timeout", "must be between 0 and 60000");
    if (timeout > 0) o.timeout = o.process.silence = std::chrono::milliseconds(timeout);
    auto const engines = {"threads", "inline", "gloo", "cuda", "cuda-graphs"};
    refuse_if(std::find(engines.begin(), engines.end(), o.engine) == engines.end(), "engine",
              quoted_text(o.engine) + " is not threads, inline, gloo, cuda or cuda-graphs");
    refuse_if(o.process.workers != 0 && o.process.workers != t.job.ranks(), "workers",
              "is " + std::to_string(o.process.workers) + ", " + std::to_string(t.job.pipelines) +
                  " pipelines of " + std::to_string(t.job.stages) + " stages need " +
                  std::to_string(t.job.ranks()));
    refuse_if(!(t.optimizer.rate > 0 && t.optimizer.rate <= 1), "lr",
              "must be above 0 and at most 1");
    validate(o);
    if (o.policy != "slipstream") {
      static_cast<void>(shunt::start_under(policy_of(o), t.job));
      refuse_with_policy(o);
    }
    refuse_if(o.checkpoint_every < 1, "checkpoint-every",
              "must be at least 1, is " + std::to_string(o.checkpoint_every));
    refuse_if(checkpoints->count() > 0 && o.policy != "regroup", "checkpoint-every",
              "needs --policy regroup");
    refuse_if(bamboo_rules->count() > 0 && o.policy != "bamboo", "bamboo-rules",
              "needs --policy bamboo");
    if (o.engine == "gloo") {
      refuse_if(!o.out.empty(), "out",
                "needs --engine threads: processes know nothing of each other's times");
      refuse_if(o.compare_schedules, "compare-schedules", "needs --engine threads");
      if (order.rank >= 0) return work_for_others(o, order);
      command_line const started_as(argv, argv + argc);
      return o.sweep > 0 ? sweep_with_processes(o, started_as)
                         : train_with_processes(o, started_as);
    }
    refuse_if(o.sweep > 0, "sweep",
              "needs --engine gloo: only processes can be killed at any moment");
    refuse_if(o.cuda() && o.compare_schedules, "compare-schedules", "needs --engine threads");
    refuse_if(o.cuda() && o.salvage, "salvage", "needs --engine threads or gloo");
    if (o.cuda()) return train_on_cuda(o);
    if (!o.compare_schedules) return train(o);
    refuse_if(t.unit.count() == 0, "op-ms", "must be above 0 to compare schedules, 10 for example");
    auto const bytes = load_text(o.text);
    auto const out = shunt::optional_folder("out", o.out);
    auto const variants = compare_schedules(o, bytes);
    if (out) write_files(*out, o, variants);
    return print(std::cout, variants, t.unit) ? 0 : 1;
  });
}

}  // namespace

int main(int argc, char** argv) { return program(argc, argv); }
