// Trains a byte-level language model with mixture-of-experts layers on the same data under several
// policies: experts placed anew in every iteration (swift_moe), static replicas (uniform), or
// anywhere (random). Ranks may fall silent on the way. All ranks live in this process, or each in
// one of its own; what passes between them passes by programs.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "cli.hpp"
#include "comparison.hpp"
#include "engines.hpp"
#include "options.hpp"
#include "policy_training.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/launch/output_file.hpp"
#include "systems.hpp"
#include "text.hpp"

namespace {

using namespace example;

/// All ranks in this process: on threads, on one thread, or on the streams of a GPU.
int train_in_one_process(options const& o) {
  auto const text = load_text(o.text);
  output_files files(o);
  bool const on_gpu = o.engine == "cuda" || o.engine == "cuda-graphs";
  auto const trained = [&](std::string const& name, listener const& say) {
    if (on_gpu) return train_on_gpu(o, name, text, o.failures, say);
    if (o.engine == "inline") return train_inline(o.setup, name, text, o.failures, say);
    return train_here(
        o.setup, name, text,
        shunt::thread_executor{.failures = o.failures,
                               .timeout = o.timeout.value_or(std::chrono::milliseconds(50))},
        say);
  };
  std::vector<policy_run> runs;
  for (auto const& name : o.policies) {
    progress_printer const say{o.setup, name};
    runs.push_back(trained(name, {say, say}));
  }
  bool near_host = true;
  auto beginning = o.setup;
  beginning.iterations = std::min(beginning.iterations, iterations_compared);
  for (auto const& run : runs)
    if (on_gpu)
      near_host = near(run, train_inline(beginning, run.name, text, o.failures)) && near_host;
  int const status = conclude(o, files, std::move(runs), !o.failures.empty(), [&] {
    return on_gpu ? train_on_gpu(o, o.policies.front(), text, {}, {})
                  : train_inline(o.setup, o.policies.front(), text);
  });
  return near_host ? status : 1;
}

/// Every policy with every seed, and what they come to as systems. Runs on the host take a thread
/// each, for all engines there give the same bits.
int compare_systems(options const& o) {
  auto const text = load_text(o.text);
  output_files const files(o);
  static_cast<void>(time_model_of(o.setup));  // refuses sizes that it has no times for
  auto const say = [&](policy_run const& run) {
    std::cout << described(o.setup, run) << std::endl;
  };
  auto const train_on_device = [&](training_setup const& setup, std::string const& name) {
    auto own = o;
    own.setup = setup;
    return train_on_gpu(own, name, text, {}, listener{});
  };
  bool const on_gpu = o.engine == "cuda" || o.engine == "cuda-graphs";
  auto const runs = on_gpu ? train_systems(o.setup, o.policies, o.seeds, 1, train_on_device, say)
                           : train_on_host(o.setup, o.policies, o.seeds, text, say);
  system_table const table(o.setup, o.policies, runs, o.target_loss);
  table.print(std::cout);
  table.print_reductions(std::cout);
  files.write(o.setup, {runs.begin(), runs.begin() + std::ssize(o.policies)});  // of the first seed
  files.write("systems.json", table.json().dump(2) + "\n");
  files.write("loss_over_time.svg",
              shunt::rendered([&](std::ostream& out) { write_svg(out, table.loss_over_time()); }));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  argument_parser app{"Trains a byte-level language model with mixture-of-experts layers, experts "
                      "placed anew in every iteration (swift_moe) or static\n"
                      "(uniform), and compares loss, dropped tokens and bytes moved. The defaults "
                      "are the set-up of SwiftMoE's evaluation.\n"};
  options o;
  auto& setup = o.setup;
  worker_order order;
  std::string policy = "both", factor = "1.0", collection = "direct", shards = "uniform", killed,
              target;
  std::int32_t copies = 2, kill_at = -1;
  std::int64_t timeout = 0;
  bool deduplicate = true;
  add_integer(app, "--iterations", setup.iterations, "iterations of each policy", 1, 1'000'000);
  app.add_option("--policy", policy,
                 "how experts are placed: swift_moe, uniform, random, eplb, balanced, incremental, "
                 "several of these, or both (of the first two).\ndeepspeed: uniform, and every "
                 "source has room of its own; flexmoe-K: FlexMoE in every K-th iteration")
      ->type_name("NAME,...")
      ->capture_default_str();
  add_integer(app, "--ranks", setup.ranks, "ranks, N", 1, 256);
  add_integer(app, "--slots,--slots-per-rank", setup.slots_per_rank,
              "slots of each rank in each layer, s", 1, 4096);
  add_integer(app, "--experts", setup.model.experts, "experts of each layer, E", 1, 4096);
  add_integer(app, "--layers", setup.model.layers, "mixture-of-experts layers", 1, 64);
  add_integer(app, "--tokens", setup.tokens, "tokens (bytes predicted) of a rank in an iteration",
              1, 65536);
  auto* const capacity =
      app.add_option("--capacity-factor", factor,
                     "a slot takes this times tokens / slots; tokens beyond are dropped")
          ->type_name("X")
          ->capture_default_str();
  app.add_flag("--dropless", o.dropless,
               "slots take whatever comes: all runs must then have the same losses and parameters, "
               "bit by bit");
  app.add_option(
         "--shards", shards,
         "who keeps the optimizer's state: uniform, or mirrored: each shard on several ranks")
      ->one_of({"uniform", "mirrored"})
      ->capture_default_str();
  add_integer(app, "--copies", copies, "ranks that keep each mirrored shard", 1, 256);
  app.add_option(
         "--kill", killed,
         "ranks that fall silent (processes by SIGKILL); training goes on without them, and is "
         "compared with a run that loses nobody (dropless unless --capacity-factor is given)")
      ->type_name("RANK@ITERATION,...");
  add_integer(app, "--kill-at", kill_at,
              "instruction of its list at which a rank falls silent (-1: amid the backward pass)",
              -1);
  add_integer(app, "--timeout", timeout,
              "milliseconds of silence after which a rank is given up (0: 50 of a thread, 2000 of "
              "a process)",
              0, 60'000);
  add_integer(app, "--context", setup.model.context, "bytes that a prediction sees", 1, 256);
  add_integer(app, "--embedding", setup.model.embedding, "numbers that embed a byte", 1, 256);
  add_integer(app, "--width", setup.model.expert.width, "numbers of a token between layers", 1,
              products_per_sum);
  add_integer(app, "--hidden", setup.model.expert.hidden, "numbers inside an expert", 1,
              products_per_sum);
  add_integer(app, "--seed", setup.seed, "of parameters and of the order of the text", 0,
              std::numeric_limits<std::int64_t>::max());
  add_integer(app, "--seeds", o.seeds,
              "compare the policies as systems: train each with so many seeds from --seed on, and "
              "print iterations to a loss, drops and model time",
              1, 1000)
      ->default_str("");
  app.add_option("--target-loss", target,
                 "loss of that comparison (one seed unless --seeds says more), as mean of 10 "
                 "iterations; default: the one that the slowest run reaches")
      ->type_name("X");
  app.add_option("--text", o.text, "file to train on; default: plays by Shakespeare, 128 KiB")
      ->type_name("FILE");
  app.add_option("--engine", o.engine,
                 "threads: one thread a rank; inline: all ranks on one thread; cuda: all ranks on "
                 "the streams of one GPU, losses compared with the host's; cuda-graphs: the same, "
                 "each program captured as a graph; gloo: a process a rank. Processes are started "
                 "by this program, or by a launcher that says by environment variables which of "
                 "them this one is (RANK and WORLD_SIZE, or those of Open MPI, PMI or Slurm)")
      ->one_of({"threads", "inline", "gloo", "cuda", "cuda-graphs"})
      ->capture_default_str();
  add_process_options(app, o.process, order);
  app.add_option("--worker-policy", order.policy)
      ->group("");  // what this program tells processes that it starts itself
  app.add_option("--collection", collection,
                 "direct: parts of gradients go straight to the owners; reduce_then_gather: "
                 "all-reduce first")
      ->one_of({"direct", "reduce_then_gather"})
      ->capture_default_str();
  app.add_flag("--dedup,!--no-dedup", deduplicate,
               "replicas that share a rank share messages (default: yes)");
  app.add_option(
         "--trace", o.trace,
         "write the expert loads as CSV (iteration,layer,e0,...), of swift_moe where both run")
      ->type_name("FILE");
  app.add_option("--out", o.out,
                 "write loss.svg, drops.svg, experts_*.svg and iterations.csv into this folder; "
                 "with --seeds those of the first, systems.json and loss_over_time.svg")
      ->type_name("DIR");
  app.footer("Exit status: 0; 1 where the bytes moved are not what the formulas say, or runs "
             "differ that should not; 2 for bad input, also where\n"
             "optimizer state is lost with a rank, or there is no GPU.\n\n"
             "Examples: adaptive_experts --iterations 200 --capacity-factor 1.25 --out pictures "
             "--trace loads.csv\n"
             "          adaptive_experts --iterations 20 --dropless --policy random,uniform\n"
             "          adaptive_experts --iterations 20 --policy swift_moe --shards mirrored "
             "--kill 3@5,9@12\n"
             "          adaptive_experts --iterations 20 --policy swift_moe --shards mirrored "
             "--kill 3@5 --engine gloo\n"
             "          adaptive_experts --iterations 400 --seeds 5 --policy "
             "swift_moe,deepspeed,flexmoe-10,flexmoe-50,flexmoe-100");

  return guarded(app, argc, argv, [&] {
    setup.capacity = parse_factor(factor);
    refuse_if(o.dropless && capacity->count() > 0, "--dropless",
              "leaves --capacity-factor nothing to say");
    setup.copies = shards == "mirrored" ? copies : 1;
    setup.collection.form = collection == "direct" ? shunt::collection_form::direct
                                                   : shunt::collection_form::reduce_then_gather;
    setup.collection.deduplicate = setup.scatter.deduplicate = deduplicate;
    validate(setup);
    o.policies = parse_policies(policy);
    o.failures = parse_kills(setup, killed, kill_at < 0 ? 1 + 10 * setup.model.layers : kill_at);
    require_survivors(setup, o.failures);
    if (o.dropless || (!o.failures.empty() && capacity->count() == 0)) setup.capacity.reset();
    if (timeout > 0) o.timeout = o.process.silence = std::chrono::milliseconds(timeout);
    refuse_if(o.process.workers != 0 && o.process.workers != setup.ranks, "--workers",
              "is " + std::to_string(o.process.workers) + ", there are " +
                  std::to_string(setup.ranks) + " ranks");
    o.target_loss = parse_loss(target);
    if (o.target_loss && o.seeds == 0) o.seeds = 1;
    if (o.seeds > 0) {
      require_comparable(o);
      return compare_systems(o);
    }
    if (o.engine != "gloo") return train_in_one_process(o);
    return order.rank >= 0 ? work_for_others(o, order)
                           : train_with_processes(o, command_line(argv, argv + argc));
  });
}
