// Trains a byte-level language model with mixture-of-experts layers on the same data under several policies: experts placed anew in every
// iteration (swift_moe), static replicas (uniform), or anywhere (random). Ranks may fall silent on the way. All ranks live in this
// process; what passes between them passes by programs.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "cli.hpp"
#include "engines.hpp"
#include "files.hpp"
#include "outcome.hpp"
#include "shunt/execute/inline.hpp"
#include "shunt/execute/threads.hpp"
#include "shunt/io/drawing.hpp"
#include "text.hpp"
#include "train.hpp"
#include "training.hpp"

namespace {

using example::policy_run;
using example::train;
using example::training_setup;
using shunt::decimal;

/// All digits of a number: it reads back as the same bits.
std::string digits(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::string percent(double share) { return decimal(100 * share, 1) + " %"; }

/// "1", "1.25": digits with at most six behind the point.
shunt::capacity_factor parse_factor(std::string const& text) {
  std::string_view const all = text;
  auto const point = all.find('.');
  auto const fraction = point == std::string_view::npos ? std::string_view{} : all.substr(point + 1);
  std::string const plain = std::string(all.substr(0, point)) + std::string(fraction);
  bool const sound =
      !plain.empty() && plain.find_first_not_of("0123456789") == std::string::npos && fraction.size() <= 6 && plain.size() <= 9;
  if (!sound) throw shunt::invalid_problem("--capacity-factor", example::quoted(text) + " is not a number such as 1 or 1.25");
  shunt::capacity_factor factor{.numerator = example::parse_integer("--capacity-factor", plain)};
  for (std::size_t i = 0; i < fraction.size(); ++i) factor.denominator *= 10;
  if (factor.numerator == 0) throw shunt::invalid_problem("--capacity-factor", "must be above 0, is " + text);
  return factor;
}

struct kill {
  shunt::rank_id rank{};
  std::int64_t iteration = 0;
};

/// "3@5,7@9": rank 3 in iteration 5 and rank 7 in iteration 9, each rank once.
std::vector<kill> parse_kills(training_setup const& setup, std::string const& text) {
  std::vector<kill> kills;
  for (auto const item : example::items_of(text)) {
    auto const name = "--kill[" + std::to_string(kills.size()) + "]";
    auto const at = item.find('@');
    if (at == std::string_view::npos) throw shunt::invalid_problem(name, example::quoted(item) + " is not rank@iteration");
    kill const k{example::parse_integer(name + " (rank)", item.substr(0, at), 0, setup.ranks - 1),
                 example::parse_integer(name + " (iteration)", item.substr(at + 1), 0, setup.iterations - 1)};
    for (kill const& other : kills)
      if (other.rank == k.rank) throw shunt::invalid_problem(name, "names rank " + std::to_string(k.rank.value()) + " twice");
    kills.push_back(k);
  }
  return kills;
}

std::vector<std::string> parse_policies(std::string const& text) {
  std::vector<std::string> names;
  std::string_view const all = text == "both" ? std::string_view("swift_moe,uniform") : text;
  for (auto const item : example::items_of(all)) {
    if (item != "swift_moe" && item != "uniform" && item != "random")
      throw shunt::invalid_problem("--policy", example::quoted(item) + " is not swift_moe, uniform, random or both");
    names.emplace_back(item);
  }
  if (names.empty()) throw shunt::invalid_problem("--policy", "is empty");
  return names;
}

std::string milliseconds(shunt::ticks nanoseconds) { return decimal(static_cast<double>(nanoseconds) * 1e-6, 2) + " ms"; }

void print(example::rank_loss const& l) {
  std::cout << "recovery from rank";
  for (std::size_t i = 0; i < l.ranks.size(); ++i) std::cout << (i > 0 ? ", " : " ") << l.ranks[i].value();
  std::cout << " in iteration " << l.iteration << ": detect " << milliseconds(l.detect) << ", agree " << milliseconds(l.agree)
            << ", re-plan " << milliseconds(l.plan) << ", restore " << milliseconds(l.restore) << " (" << l.steps_undone
            << " steps undone, " << l.state_bytes << " bytes of optimizer state copied), redo " << milliseconds(l.redo) << " ("
            << l.instructions_lost << " instructions lost)" << std::endl;
}

/// What a run prints as it goes.
example::listener spoken(training_setup const& setup, std::string const& name) {
  return {.lost = [](example::rank_loss const& l) { print(l); },
          .trained = [&](std::int32_t t, example::iteration_record const& r) {
            auto const hot = example::hottest(setup, r);
            std::cout << name << " iteration " << t << " loss " << digits(r.loss) << " dropped " << percent(example::dropped_share(setup, r))
                      << " hottest expert " << hot.expert << " of layer " << hot.layer << " with " << percent(hot.share) << std::endl;
          }};
}

/// Are the first losses of a device as near to the host's as they should be?
bool near(policy_run const& found, policy_run const& host) {
  auto const worst = example::largest_difference(found, host);
  bool const good = worst.relative <= example::loss_tolerance;
  std::cout << (good ? "near" : "too far from") << " the host's losses: " << found.name << " at most " << digits(worst.relative)
            << " of a loss away in the first " << host.records.size() << " iterations, in iteration " << worst.iteration << "; "
            << digits(example::loss_tolerance) << " allowed\n";
  return good;
}

/// Where nothing was dropped, losses and parameters don't depend on where experts were, nor on who was lost.
bool compare(std::vector<policy_run> const& runs) {
  for (auto const& run : runs)
    if (example::drops_tokens(run)) {
      std::cout << "not compared: " << run.name << " dropped tokens, and then bits depend on where experts are\n";
      return true;
    }
  for (std::size_t i = 1; i < runs.size(); ++i)
    if (auto const found = example::difference(runs[0], runs[i])) {
      std::cout << *found << '\n';
      return false;
    }
  std::cout << "identical: " << runs[0].records.size() << " losses and " << runs[0].parameters.size() << " parameters of " << runs[0].name;
  for (std::size_t i = 1; i < runs.size(); ++i) std::cout << (i + 1 < runs.size() ? ", " : " and ") << runs[i].name;
  std::cout << '\n';
  return true;
}

void print_bytes(policy_run const& run, char const* phase, char const* formula, example::phase_bytes const& sum) {
  auto const iterations = static_cast<shunt::byte_count>(run.records.size());
  auto const each = [&](shunt::byte_count bytes) { return decimal(static_cast<double>(bytes) / static_cast<double>(iterations), 0); };
  std::cout << "  " << phase << " formula " << formula << " " << each(sum.formula) << ", counted " << each(sum.counted)
            << "; between ranks " << each(sum.plain) << ", de-duplicated " << each(sum.deduplicated) << ", this run "
            << each(sum.moved) << '\n';
}

/// What the runs show; the answer says whether bytes are as the formulas say.
bool summarise(training_setup const& setup, std::vector<policy_run> const& runs) {
  bool sound = true;
  std::size_t skewed = 0;
  bool always_skewed = true;
  for (auto const& run : runs) {
    auto const from = example::skewed_from(setup, run);
    always_skewed = always_skewed && from;
    skewed = std::max(skewed, from.value_or(0));
  }
  if (!always_skewed) skewed = 0;
  if (always_skewed)
    std::cout << "\nRouting is skewed (an expert of every layer has twice the mean load) from iteration " << skewed
              << " on; drops are means from there on.\n";
  else
    std::cout << "\nRouting never became skewed; drops are means over the whole run.\n";
  double const target = smoothed_losses(runs.back()).back();
  std::vector<double> drops;
  for (auto const& run : runs) {
    drops.push_back(example::dropped_share(setup, run, skewed));
    auto const needed = example::iterations_to(run, target);
    auto const iterations = static_cast<double>(run.records.size());
    std::cout << run.name << ": dropped " << percent(drops.back()) << ", loss " << decimal(example::smoothed_losses(run).back(), 4)
              << " at the end (mean of " << example::smoothing_window << "), at most " << decimal(target, 4) << " after "
              << (needed ? std::to_string(*needed) : "more than " + std::to_string(run.records.size())) << " iterations; "
              << decimal(run.seconds / iterations, 3) << " s an iteration\n";
    std::cout << "  bytes of an iteration, all ranks and layers:\n";
    print_bytes(run, "gradients", setup.copies > 1 ? "sNG a copy" : "sNG", example::total(run, &example::iteration_record::gradients));
    print_bytes(run, "weights  ", "sNW", example::total(run, &example::iteration_record::weights));
    std::int64_t misfits = 0;
    for (auto const& r : run.records) misfits += r.misfits;
    if (misfits > 0) std::cout << "  warning: " << misfits << " values did not fit fixed point: sums may not be exact\n";
    if (!example::bytes_hold(run)) {
      sound = false;
      std::cout << "  differ: bytes are not what the formulas say\n";
    }
  }
  if (runs.size() == 2 && drops.back() > 0)
    std::cout << runs[0].name << " drops " << percent(std::abs(1 - drops[0] / drops[1])) << (drops[0] > drops[1] ? " more" : " fewer")
              << " tokens than " << runs[1].name << '\n';
  return sound;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Trains a byte-level language model with mixture-of-experts layers, experts placed anew in every iteration (swift_moe) or static\n"
      "(uniform), and compares loss, dropped tokens and bytes moved. The defaults are the set-up of SwiftMoE's evaluation.\n"};
  training_setup setup;
  std::string policy = "both", engine = "threads", text_file, trace_file, out, factor = "1.0", collection = "direct";
  std::string shards = "uniform", killed;
  std::int32_t copies = 2, kill_at = -1;
  std::int64_t timeout = 50;
  bool deduplicate = true, dropless = false;
  example::add_integer(app, "--iterations", setup.iterations, "iterations of each policy", 1, 1'000'000);
  app.add_option("--policy", policy, "how experts are placed: swift_moe, uniform, random, several of these, or both (of the first two)")
      ->type_name("NAME,...")
      ->capture_default_str();
  example::add_integer(app, "--ranks", setup.ranks, "ranks, N", 1, 256);
  example::add_integer(app, "--slots,--slots-per-rank", setup.slots_per_rank, "slots of each rank in each layer, s", 1, 4096);
  example::add_integer(app, "--experts", setup.model.experts, "experts of each layer, E", 1, 4096);
  example::add_integer(app, "--layers", setup.model.layers, "mixture-of-experts layers", 1, 64);
  example::add_integer(app, "--tokens", setup.tokens, "tokens (bytes predicted) of a rank in an iteration", 1, 65536);
  auto* const capacity = app.add_option("--capacity-factor", factor, "a slot takes this times tokens / slots; tokens beyond are dropped")
                             ->type_name("X")
                             ->capture_default_str();
  app.add_flag("--dropless", dropless, "slots take whatever comes: all runs must then have the same losses and parameters, bit by bit");
  app.add_option("--shards", shards, "who keeps the optimizer's state: uniform, or mirrored: each shard on several ranks")
      ->check(CLI::IsMember({"uniform", "mirrored"}))
      ->capture_default_str();
  example::add_integer(app, "--copies", copies, "ranks that keep each mirrored shard", 1, 256);
  app.add_option("--kill", killed,
                 "ranks that fall silent; training goes on without them, and is compared with a run that loses nobody "
                 "(dropless unless --capacity-factor is given)")
      ->type_name("RANK@ITERATION,...");
  example::add_integer(app, "--kill-at", kill_at, "instruction of its list at which a rank falls silent (-1: amid the backward pass)", -1);
  example::add_integer(app, "--timeout", timeout, "milliseconds of silence after which a rank is given up", 1, 60'000);
  example::add_integer(app, "--context", setup.model.context, "bytes that a prediction sees", 1, 256);
  example::add_integer(app, "--embedding", setup.model.embedding, "numbers that embed a byte", 1, 256);
  example::add_integer(app, "--width", setup.model.expert.width, "numbers of a token between layers", 1, example::products_per_sum);
  example::add_integer(app, "--hidden", setup.model.expert.hidden, "numbers inside an expert", 1, example::products_per_sum);
  example::add_integer(app, "--seed", setup.seed, "of parameters and of the order of the text", 0,
                       std::numeric_limits<std::int64_t>::max());
  app.add_option("--text", text_file, "file to train on; default: the sources of this project")->type_name("FILE");
  app.add_option("--engine", engine,
                 "threads: one thread a rank; inline: all ranks on one thread; cuda: all ranks on the streams of one GPU, losses compared with "
                 "the host's; cuda-graphs: the same, each program captured as a graph")
      ->check(CLI::IsMember({"threads", "inline", "cuda", "cuda-graphs"}))
      ->capture_default_str();
  app.add_option("--collection", collection, "direct: parts of gradients go straight to the owners; reduce_then_gather: all-reduce first")
      ->check(CLI::IsMember({"direct", "reduce_then_gather"}))
      ->capture_default_str();
  app.add_flag("--dedup,!--no-dedup", deduplicate, "replicas that share a rank share messages (default: yes)");
  app.add_option("--trace", trace_file, "write the expert loads as CSV (iteration,layer,e0,...), of swift_moe where both run")
      ->type_name("FILE");
  app.add_option("--out", out, "write loss.svg, drops.svg, experts_*.svg and iterations.csv into this folder")->type_name("DIR");
  app.footer(
      "Exit status: 0; 1 where the bytes moved are not what the formulas say, or runs differ that should not; 2 for bad input, also where\n"
      "optimizer state is lost with a rank, or there is no GPU.\n\n"
      "Examples: adaptive_experts --iterations 200 --capacity-factor 1.25 --out pictures --trace loads.csv\n"
      "          adaptive_experts --iterations 20 --dropless --policy random,uniform\n"
      "          adaptive_experts --iterations 20 --policy swift_moe --shards mirrored --kill 3@5,9@12");

  return example::guarded(app, argc, argv, [&] {
    setup.capacity = parse_factor(factor);
    if (dropless && capacity->count() > 0) throw shunt::invalid_problem("--dropless", "leaves --capacity-factor nothing to say");
    setup.copies = shards == "mirrored" ? copies : 1;
    setup.collection.form = collection == "direct" ? shunt::collection_form::direct : shunt::collection_form::reduce_then_gather;
    setup.collection.deduplicate = setup.scatter.deduplicate = deduplicate;
    example::validate(setup);
    auto const names = parse_policies(policy);
    auto const kills = parse_kills(setup, killed);
    if (dropless || (!kills.empty() && capacity->count() == 0)) setup.capacity.reset();
    std::vector<shunt::fault> faults;
    for (kill const& k : kills) faults.push_back({k.rank, k.iteration, kill_at < 0 ? 1 + 10 * setup.model.layers : kill_at});
    auto const text = example::load_text(text_file);
    std::ofstream trace;  // files that can't be written are found before the training
    if (!trace_file.empty()) trace = example::file_for("--trace", trace_file);
    if (!out.empty()) example::make_folder("--out", out);
    bool const on_gpu = engine == "cuda" || engine == "cuda-graphs";
    auto const trained = [&](std::string const& name, std::vector<shunt::fault> const& struck, example::listener const& say) {
      if (on_gpu) return example::train_on_gpu(setup, name, text, struck, say, engine == "cuda-graphs");
      return engine == "threads"
                 ? train(setup, name, text, shunt::threads{.faults = struck, .timeout = std::chrono::milliseconds(timeout)}, say)
                 : train(setup, name, text, shunt::inline_executor{.faults = struck}, say);
    };
    std::vector<policy_run> runs;
    for (auto const& name : names) runs.push_back(trained(name, faults, spoken(setup, name)));
    if (trace.is_open()) example::write_trace(trace, setup, runs.front());
    if (!out.empty()) example::write_files(out, setup, runs);
    bool sound = summarise(setup, runs);
    auto beginning = setup;
    beginning.iterations = std::min(setup.iterations, example::iterations_compared);
    for (auto const& run : runs)
      if (on_gpu) sound = near(run, train(beginning, run.name, text, shunt::inline_executor{.faults = faults}, {})) && sound;
    if (!kills.empty()) {
      runs.push_back(trained(names.front(), {}, {}));
      runs.back().name = names.front() + " without losses";
    }
    if (runs.size() > 1 && (dropless || !kills.empty())) sound = compare(runs) && sound;
    return sound ? 0 : 1;
  });
}
