/// Trains a model of your own through a lost worker, on threads and then on processes, and shows
/// that the losses are the same bits as without a loss.
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/gloo/executor.hpp"
#include "shunt/json/report.hpp"
#include "shunt/launch/report_line.hpp"
#include "shunt/launch/run_directory.hpp"
#include "shunt/launch/worker_processes.hpp"
#include "shunt/train/pipeline_run.hpp"
#include "shunt/train/pipeline_work.hpp"

namespace {

// docs/training-your-model.md {
/// Convolutions, y = tanh(kernel * x) a stage, that learn to take the noise from a signal.
struct denoiser {
  static constexpr std::size_t taps = 5, points = 64;
  std::int32_t stages() const { return 3; }
  shunt::stage_sizes sizes(shunt::stage_id) const { return {taps, points, points}; }
  void initialise(shunt::stage_id s, std::span<float> kernel) const {
    for (std::size_t t = 0; t < taps; ++t) kernel[t] = 0.1F + 0.05F * float((t + s.index()) % 3);
  }
  double forward(shunt::forward_pass const& p) const {
    double loss = 0;
    for (std::size_t i = 0; i < points; ++i) {
      float sum = 0;
      for (std::size_t t = 0; t < taps; ++t) sum += p.parameters[t] * x(p, i + t);
      float const y = p.stash[i] = std::tanh(sum);
      if (!p.output.empty()) p.output[i] = y;
      loss += std::pow(double(y - clean(p, i)), 2) / points;
    }
    return loss;
  }
  void backward_input(shunt::backward_input_pass const& p) const {
    for (std::size_t i = 0; i < points; ++i) {  // y in the stash becomes the gradient of the sum
      float const y = p.stash[i], from_loss = 2 * (y - clean(p, i)) / points;
      p.stash[i] = (1 - y * y) * (p.output_gradient.empty() ? from_loss : p.output_gradient[i]);
    }
    for (std::size_t j = 0; j < p.input_gradient.size(); ++j) {
      float sum = 0;
      for (std::size_t t = 0; t < taps; ++t)
        if (j + 2 >= t && j + 2 - t < points) sum += p.parameters[t] * p.stash[j + 2 - t];
      p.input_gradient[j] = sum;
    }
  }
  void backward_weight(shunt::backward_weight_pass const& p) const {
    for (std::size_t t = 0; t < taps; ++t) {
      p.gradient[t] = 0;
      for (std::size_t i = 0; i < points; ++i) p.gradient[t] += p.stash[i] * x(p, i + t);
    }
  }
  static float clean(auto const& p, std::size_t i) {
    return std::sin(0.2F * float(i) + 0.7F * float(p.iteration + 3 * p.microbatch));
  }
  static float x(auto const& p, std::size_t i) {  // input at i - 2; of stage 0, noisy data
    if (i < 2 || i >= points + 2) return 0;
    return p.stage > 0 ? p.input[i - 2] : clean(p, i - 2) + 0.3F * std::sin(float(37 * i));
  }
};

shunt::pipeline_job const job{.pipelines = 3, .stages = 3, .microbatches = 4};
constexpr std::int64_t iterations = 40;
/// Trains through all losses of workers. `only`: the rank of this process.
std::vector<double> train(auto const& executor, std::optional<shunt::rank_id> only = {}) {
  shunt::pipeline_work work(denoiser{}, {.job = job, .iterations = iterations, .only = only});
  shunt::pipeline_run run(work);
  run(executor);
  return run.losses();
}

/// One process of many: trains as a rank, and reports the losses that it knows.
void work_as(shunt::rank_id rank, std::string const& place, shunt::failure_point const& kill) {
  std::signal(SIGPIPE, SIG_IGN);  // a peer that dies is an error, not the end
  auto const report = shunt::report_to(shunt::worker_processes::report_descriptor);
  auto const losses =
      train(shunt::gloo_executor({.directory = place}, job.ranks(), rank, {kill}), rank);
  for (std::size_t i = 0; i < losses.size(); ++i)
    if (!std::isnan(losses[i]))
      report(shunt::report_line("loss").with("of", i).with("is", losses[i]));
}

/// Starts a process a rank, copies of this program, and returns the losses that they report.
std::vector<double> train_on_processes(std::string const& kill) {
  std::vector<double> losses(iterations);
  shunt::run_directory const place("");
  shunt::worker_processes workers(shunt::worker_processes::this_program, {"", "--kill", kill});
  for (auto const r : shunt::ids<shunt::rank_id>(job.ranks()))
    workers.start(r, {"--rank", std::to_string(r.value()), "--meet", place.path()});
  while (auto const events = workers.listen(std::chrono::seconds(1)))
    for (auto const& e : *events)
      if (auto const report = shunt::json_report::of(e.line.value_or("")))
        losses.at(report->integer<std::size_t>("of")) = report->number("is");
  return losses;
}
// }

int program(int argc, char** argv) {
  std::string kill = "1:1@10", place;
  std::int32_t rank = -1;
  example::argument_parser app{
      "Trains a model of your own through a lost worker, on threads and then on processes.\n"
      "Exit status: 0 identical to a run without loss, 1 not, 2 bad input."};
  app.add_option("--kill", kill, "the worker that is lost: pipeline:stage@iteration")
      ->capture_default_str();
  app.add_option("--rank", rank)->group("");  // what this program tells its processes
  app.add_option("--meet", place)->group("");
  return example::guarded(app, argc, argv, [&] {
    auto const lost = example::parse_workers_at("kill", kill);
    if (lost.size() != 1) throw shunt::invalid_problem("kill", "one worker is lost");
    auto without = job;
    without.dead = {lost[0].who};
    example::naming_options({{"dead", "kill"}}, [&] { shunt::validate(without); });
    if (lost[0].iteration >= iterations)
      throw shunt::invalid_problem("kill", "iterations are 0.." + std::to_string(iterations - 1));
    shunt::failure_point const failure{job.rank_of(lost[0].who), lost[0].iteration, 10};
    if (rank >= 0) return work_as(rank, place, failure), 0;
    shunt::pipeline_work undisturbed(denoiser{}, {.job = job, .iterations = iterations});
    auto const all = shunt::train_without_failures(undisturbed, shunt::inline_executor{});
    auto const same = [&](char const* engine, std::vector<double> const& losses) {
      std::cout << "worker " << kill << " lost on " << engine << ": loss " << losses.front()
                << " to " << losses.back() << std::endl;
      return losses == all;
    };
    bool const identical = same("threads", train(shunt::thread_executor{.failures = {failure}})) &&
                           same("processes", train_on_processes(kill));
    std::cout << (identical ? "identical: " : "differ: ") << all.size() << " losses\n";
    return identical ? 0 : 1;
  });
}

}  // namespace

int main(int argc, char** argv) { return program(argc, argv); }
