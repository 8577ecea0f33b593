// Reproduces published figures. Throughputs under failures: the rules of Oobleck's artifact first,
// then all systems over the same traces with one cost model. Time to a loss of systems that train
// mixtures of experts, by training them.
#include <algorithm>
#include <cstddef>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "artifact.hpp"
#include "cli.hpp"
#include "findings.hpp"
#include "published.hpp"
#include "shunt/core/error.hpp"
#include "shunt/io/chart.hpp"
#include "shunt/launch/output_file.hpp"
#include "tables.hpp"

namespace {

using namespace example;
using namespace reproduce_papers;

using namespace reproduce_papers;

// Seconds of an iteration on 24 GPUs, which no paper prints: of GPT-3 350M and 6.7B.
constexpr double small_iteration = 40, large_iteration = 90;

void add_table(findings& found, steady_states const& at, published_costs const& costs,
               double iteration, std::vector<named_trace> const& traces) {
  found.tables.push_back(throughput(at, costs, iteration, traces));
  if (costs.model == models.back().model)
    found.ratios.emplace_back(found.tables.size() - 1, levers(found.tables.back(), traces));
}

}  // namespace

int main(int argc, char** argv) {
  argument_parser app{
      "Reproduces published throughputs of training under failures, and compares all systems over "
      "the same traces with one cost model;\n"
      "and trains the systems of SwiftMoE's evaluation to a loss, a few minutes on two cores.\n"};
  std::string folder = SHUNT_REPOSITORY "/tests/data/failures", availability, picture, loss,
              drawn = "gcp", model = "medium";
  bool as_json = false;
  moe_evaluation experts;
  experts.setup.iterations = 400;
  std::string redundancy{to_string(bamboo_rates::scheduled)};
  app.add_option("--traces", folder,
                 "folder of the artifact's traces: 6h.csv, 1h.csv, 30m.csv, 10m.csv, gcp.csv and "
                 "p3.csv, rows time_ms,add|remove,node")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_option("--availability", availability,
                 "a curve of live nodes, rows hours,nodes, for tables of 24 nodes besides, such as "
                 "the SlipStream authors' (slides of SOSP 2024, page 27)")
      ->type_name("FILE");
  app.add_flag("--json", as_json, "JSON instead of text");
  app.add_option("--svg", picture, "draws throughput over time on one trace, all systems")
      ->type_name("FILE");
  std::vector<std::string> names(trace_names.begin(), trace_names.end());
  app.add_option("--svg-trace", drawn, "the trace that --svg draws")
      ->one_of(names)
      ->capture_default_str();
  std::vector<std::string> known;
  for (auto const& m : models) known.emplace_back(m.model);
  app.add_option("--svg-model", model, "the model whose costs --svg draws")
      ->one_of(known)
      ->capture_default_str();
  app.add_option("--bamboo", redundancy,
                 "what redundancy costs Bamboo: scheduled, the redundant forwards of this "
                 "library's plans; measured, the published share of the others' rate")
      ->one_of({std::string(to_string(bamboo_rates::scheduled)),
                std::string(to_string(bamboo_rates::measured_slowdown))})
      ->capture_default_str();
  add_integer(app, "--seeds", experts.seeds,
              "trains the systems with mixtures of experts with so many seeds; 0: not at "
              "all, which leaves out the last section",
              0, 1000);
  add_integer(app, "--iterations", experts.setup.iterations, "of each of these trainings", 1,
              1'000'000);
  app.add_option("--text", experts.text, "to train on; default: plays by Shakespeare, 128 KiB")
      ->type_name("FILE");
  app.add_option("--svg-loss", loss, "draws loss over model time of these systems")
      ->type_name("FILE");
  app.footer("Throughput is relative to 1F1B without failures: a forward takes 1 tick, a backward "
             "2, a step none.\n"
             "JSON: artifact (system, model, traces, recorded, shipped, repaired, error), curves "
             "(mean, printed, fault_scaled, fit),\n"
             "templates, tables (a row for each model, trace and system: mean, seconds, done, lost "
             "by cause, to_oobleck), ratios (stops,\n"
             "published, salvaged, needed; -1: never), steady (system, and "
             "by microbatches steady, charged), experts (systems.json of adaptive_experts, "
             "and published figures).\n"
             "Exit status: 0; 1 where the artifact's rules miss its figures by more than 0.5 %; 2 "
             "for bad input.\n\n"
             "Example: reproduce_papers --svg throughput.svg --svg-trace p3 --svg-loss loss.svg");

  return guarded(app, argc, argv, [&] {
    findings found;
    auto const traces = read_traces(folder);
    std::vector<named_trace> curve;
    if (!availability.empty()) curve.push_back(read_availability(availability));
    std::optional<shunt::output_file> throughput_file, loss_file;
    if (!picture.empty()) throughput_file.emplace("--svg", picture);
    if (!loss.empty()) loss_file.emplace("--svg-loss", loss);
    refuse_if(loss_file && experts.seeds == 0, "--svg-loss", "needs trainings: not with --seeds 0");
    if (experts.seeds > 0) static_cast<void>(model_of(experts.setup, load_text(experts.text)));

    found.artifact = check_artifact(traces);
    auto falls_back = varuna_tables.front().table;
    falls_back.falls_back = true;
    for (auto const& t : traces)
      found.falling_back.push_back(artifact_varuna(t.trace, falls_back, true).mean());
    auto const rates = redundancy == to_string(bamboo_rates::scheduled)
                           ? bamboo_rates::scheduled
                           : bamboo_rates::measured_slowdown;
    steady_states const thirty(
        {.pipelines = 6, .stages = 5, .microbatches = 20, .layers = 40, .least = 5}, rates);
    for (auto const& costs : models) add_table(found, thirty, costs, costs.iteration, traces);
    if (!curve.empty())
      for (std::int32_t const microbatches : {12, 24}) {
        steady_states const of_24({.microbatches = microbatches}, rates);
        add_table(found, of_24, models.front(), small_iteration, curve);
        add_table(found, of_24, models.back(), large_iteration, curve);
      }

    found.steady = steady_over_counts(large_iteration);

    if (throughput_file) {
      auto const table =
          static_cast<std::size_t>(std::find(known.begin(), known.end(), model) - known.begin());
      auto const trace =
          static_cast<std::size_t>(std::find(names.begin(), names.end(), drawn) - names.begin());
      throughput_file->write(shunt::rendered(
          [&](std::ostream& out) { write_picture(out, found.tables[table], trace); }));
    }
    if (!as_json) write_text(std::cout, found);
    std::optional<system_table> systems;
    if (experts.seeds > 0) {
      if (!as_json) std::cout << '\n' << moe_heading << std::flush;
      systems = train_moe_systems(experts, [&](policy_run const& run) {
        if (!as_json) std::cout << described(experts.setup, run) << std::endl;
      });
    }
    if (as_json)
      write_json(std::cout, found, systems);
    else if (systems)
      write_moe_systems(std::cout, *systems);
    if (loss_file)
      loss_file->write(shunt::rendered(
          [&](std::ostream& out) { shunt::write_svg(out, systems->loss_over_time()); }));
    bool const agrees = std::all_of(found.artifact.begin(), found.artifact.end(),
                                    [](artifact_check const& row) { return row.error() <= .005; });
    if (!agrees) std::cerr << "the artifact's rules miss its figures" << std::endl;
    return agrees ? 0 : 1;
  });
}
