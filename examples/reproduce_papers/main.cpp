// Reproduces published throughputs under failures: the rules of Oobleck's artifact first, then all
// systems over the same traces with one cost model.
#include <algorithm>
#include <cstddef>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "artifact.hpp"
#include "cli.hpp"
#include "files.hpp"
#include "output_file.hpp"
#include "picture.hpp"
#include "policies.hpp"
#include "published.hpp"
#include "report_json.hpp"
#include "report_text.hpp"
#include "shunt/core/error.hpp"
#include "tables.hpp"
#include "validation.hpp"

namespace {

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
  example::argument_parser app{
      "Reproduces published throughputs of training under failures, and compares all "
      "systems over the same traces with one cost model.\n"};
  std::string folder = SHUNT_REPOSITORY "/tests/data/failures", availability, picture,
              drawn = "gcp", model = "medium";
  bool as_json = false;
  std::string redundancy{to_string(bamboo_rates::scheduled)};
  app.add_option("--traces", folder,
                 "folder of the artifact's traces: 6h.csv, 1h.csv, 30m.csv, "
                 "10m.csv, gcp.csv and p3.csv, rows time_ms,add|remove,node")
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
  app.add_option(
         "--bamboo", redundancy,
         "what redundancy costs Bamboo: scheduled, the redundant forwards of this library's "
         "plans; measured, the published share of the others' rate")
      ->one_of({std::string(to_string(bamboo_rates::scheduled)),
                std::string(to_string(bamboo_rates::measured_slowdown))})
      ->capture_default_str();
  app.footer("Throughput is relative to 1F1B without failures: a forward takes 1 tick, a backward "
             "2, a step none.\n"
             "JSON: artifact (system, model, traces, recorded, shipped, repaired, error), curves "
             "(mean, printed, fault_scaled, fit),\n"
             "templates, tables (a row for each model, trace and system: mean, seconds, done, lost "
             "by cause, to_oobleck), ratios (stops,\n"
             "published, salvaged, needed; -1: never).\n"
             "Exit status: 0; 1 where the artifact's rules miss its figures by more than 0.5 %; 2 "
             "for bad input.\n\n"
             "Example: reproduce_papers --svg throughput.svg --svg-trace p3");

  return example::guarded(app, argc, argv, [&] {
    findings found;
    auto const traces = read_traces(folder);
    std::vector<named_trace> curve;
    if (!availability.empty()) curve.push_back(read_availability(availability));
    std::vector<example::output_file> files;
    if (!picture.empty()) files.emplace_back("--svg", picture);

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

    if (!files.empty()) {
      auto const table =
          static_cast<std::size_t>(std::find(known.begin(), known.end(), model) - known.begin());
      auto const trace =
          static_cast<std::size_t>(std::find(names.begin(), names.end(), drawn) - names.begin());
      files.front().write(example::rendered(
          [&](std::ostream& out) { write_picture(out, found.tables[table], trace); }));
    }
    if (as_json)
      write_json(std::cout, found);
    else
      write_text(std::cout, found);
    bool const agrees = std::all_of(found.artifact.begin(), found.artifact.end(),
                                    [](artifact_check const& row) { return row.error() <= .005; });
    if (!agrees) std::cerr << "the artifact's rules miss its figures" << std::endl;
    return agrees ? 0 : 1;
  });
}
