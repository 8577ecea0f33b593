// Trains a byte-level language model with mixture-of-experts layers twice on the same data: with experts placed anew in every iteration
// (swift_moe) and with static replicas (uniform). All ranks live in this process; what passes between them passes by programs.
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
#include "files.hpp"
#include "outcome.hpp"
#include "shunt/execute/inline.hpp"
#include "shunt/execute/threads.hpp"
#include "shunt/io/drawing.hpp"
#include "text.hpp"
#include "training.hpp"

namespace {

using example::policy_run;
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

template <class Executor>
policy_run train(training_setup const& setup, std::string const& name, example::text_bytes const& text, Executor executor) {
  policy_run run{.name = name};
  auto const start = std::chrono::steady_clock::now();
  example::policy const place = name == "uniform" ? example::policy(shunt::uniform{}) : example::policy(shunt::swift_moe{});
  example::moe_training<Executor> training(setup, place, text, std::move(executor));
  for (std::int32_t t = 0; t < setup.iterations; ++t) {
    run.records.push_back(training());
    auto const& r = run.records.back();
    auto const hot = example::hottest(setup, r);
    std::cout << name << " iteration " << t << " loss " << digits(r.loss) << " dropped " << percent(example::dropped_share(setup, r))
              << " hottest expert " << hot.expert << " of layer " << hot.layer << " with " << percent(hot.share) << std::endl;
  }
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return run;
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
    print_bytes(run, "gradients", "sNG", example::total(run, &example::iteration_record::gradients));
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
    std::cout << runs[0].name << " drops " << percent(std::abs(1 - drops[0] / drops[1])) << (drops[0] > drops[1] ? " more" : " fewer") << " tokens than " << runs[1].name << '\n';
  return sound;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Trains a byte-level language model with mixture-of-experts layers, experts placed anew in every iteration (swift_moe) or static\n"
      "(uniform), and compares loss, dropped tokens and bytes moved. The defaults are the set-up of SwiftMoE's evaluation.\n"};
  training_setup setup;
  std::string policy = "both", engine = "threads", text_file, trace_file, out, factor = "1.0", collection = "direct";
  bool deduplicate = true;
  example::add_integer(app, "--iterations", setup.iterations, "iterations of each policy", 1, 1'000'000);
  app.add_option("--policy", policy, "how experts are placed")
      ->check(CLI::IsMember({"swift_moe", "uniform", "both"}))
      ->capture_default_str();
  example::add_integer(app, "--ranks", setup.ranks, "ranks, N", 1, 256);
  example::add_integer(app, "--slots,--slots-per-rank", setup.slots_per_rank, "slots of each rank in each layer, s", 1, 4096);
  example::add_integer(app, "--experts", setup.model.experts, "experts of each layer, E", 1, 4096);
  example::add_integer(app, "--layers", setup.model.layers, "mixture-of-experts layers", 1, 64);
  example::add_integer(app, "--tokens", setup.tokens, "tokens (bytes predicted) of a rank in an iteration", 1, 65536);
  app.add_option("--capacity-factor", factor, "a slot takes this times tokens / slots; tokens beyond are dropped")
      ->type_name("X")
      ->capture_default_str();
  example::add_integer(app, "--context", setup.model.context, "bytes that a prediction sees", 1, 256);
  example::add_integer(app, "--embedding", setup.model.embedding, "numbers that embed a byte", 1, 256);
  example::add_integer(app, "--width", setup.model.expert.width, "numbers of a token between layers", 1, example::products_per_sum);
  example::add_integer(app, "--hidden", setup.model.expert.hidden, "numbers inside an expert", 1, example::products_per_sum);
  example::add_integer(app, "--seed", setup.seed, "of parameters and of the order of the text", 0,
                       std::numeric_limits<std::int64_t>::max());
  app.add_option("--text", text_file, "file to train on; default: the sources of this project")->type_name("FILE");
  app.add_option("--engine", engine, "threads: one thread a rank; inline: all ranks on one thread")
      ->check(CLI::IsMember({"threads", "inline"}))
      ->capture_default_str();
  app.add_option("--collection", collection, "direct: parts of gradients go straight to the owners; reduce_then_gather: all-reduce first")
      ->check(CLI::IsMember({"direct", "reduce_then_gather"}))
      ->capture_default_str();
  app.add_flag("--dedup,!--no-dedup", deduplicate, "replicas that share a rank share messages (default: yes)");
  app.add_option("--trace", trace_file, "write the expert loads as CSV (iteration,layer,e0,...), of swift_moe where both run")
      ->type_name("FILE");
  app.add_option("--out", out, "write loss.svg, drops.svg, experts_*.svg and iterations.csv into this folder")->type_name("DIR");
  app.footer(
      "Exit status: 0; 1 where the bytes moved are not what the formulas say; 2 for bad input.\n\n"
      "Example: adaptive_experts --iterations 200 --capacity-factor 1.25 --out pictures --trace loads.csv");

  return example::guarded(app, argc, argv, [&] {
    setup.capacity = parse_factor(factor);
    setup.collection.form = collection == "direct" ? shunt::collection_form::direct : shunt::collection_form::reduce_then_gather;
    setup.collection.deduplicate = setup.scatter.deduplicate = deduplicate;
    example::validate(setup);
    auto const text = example::load_text(text_file);
    std::ofstream trace;  // files that can't be written are found before the training
    if (!trace_file.empty()) trace = example::file_for("--trace", trace_file);
    if (!out.empty()) example::make_folder("--out", out);
    std::vector<policy_run> runs;
    for (std::string const name : {"swift_moe", "uniform"})
      if (policy == name || policy == "both")
        runs.push_back(engine == "threads" ? train(setup, name, text, shunt::threads{})
                                           : train(setup, name, text, shunt::inline_executor{}));
    if (trace.is_open()) example::write_trace(trace, setup, runs.front());
    if (!out.empty()) example::write_files(out, setup, runs);
    return summarise(setup, runs) ? 0 : 1;
  });
}
