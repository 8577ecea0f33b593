#pragma once
/// --layers: which layers form a stage, with the plan of the stages.
#include <array>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "cli.hpp"
#include "shunt/core/error.hpp"
#include "shunt/io/layer_csv.hpp"
#include "shunt/plan/layer_partition.hpp"
#include "shunt/problem/layer_job.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace plan_pipeline {

/// What the layers of --layers become.
struct layer_plan {
  shunt::layer_job job{};
  std::vector<shunt::layer_range> stages{};
};

/// Returns the problem of a file and the options. Throws invalid_problem, which names them.
[[nodiscard]] inline shunt::layer_job layer_problem(std::string const& file, std::int32_t ranks,
                                                    shunt::pipeline_job const& options,
                                                    std::string const& memory) {
  if (options.microbatches.size() > 1)
    throw shunt::invalid_problem("--microbatches", "is one value with --layers");
  if (options.transfer.within_node != options.transfer.between_nodes ||
      options.transfer.ranks_per_node != 0)
    throw shunt::invalid_problem("--ranks-per-node", "can't be together with --layers");
  shunt::layer_job job{.layers = shunt::read_layer_csv_file(file),
                       .ranks = ranks,
                       .microbatches = options.microbatches[0],
                       .pipelines = options.pipelines,
                       .transfer = options.transfer.within_node};
  if (memory != "none") job.memory = example::parse_size("--memory", memory, 1);
  return job;
}

/// Writes a line a stage: its rank in the pipeline, its layers and its ticks.
inline void write_stages(std::ostream& out, layer_plan const& plan,
                         shunt::pipeline_job const& made) {
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    auto const [first, end] = plan.stages[s];
    auto const at = static_cast<std::int32_t>(s);
    auto const name = [&](std::int32_t l) {
      auto const& own = plan.job.layers[static_cast<std::size_t>(l)].name;
      return own.empty() ? std::to_string(l) : own;
    };
    out << "stage " << s << " on rank " << made.rank_of({0, at}).value() << ": layers " << first
        << ".." << end - 1 << " (" << name(first);
    if (end - first > 1) out << " .. " << name(end - 1);
    out << "), " << made.costs.microbatch(at) << " ticks a micro-batch\n";
  }
}

inline constexpr std::array options_of_layers = std::to_array<example::option_of_field>({
    {"layers", "--layers"},
    {"ranks", "--ranks"},
    {"pipelines", "--pipelines"},
    {"microbatches", "--microbatches"},
    {"transfer", "--comm"},
    {"memory", "--memory"},
});

}  // namespace plan_pipeline
