#pragma once
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "cli.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/solve/named/pipeline_solvers.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"

namespace plan_pipeline {

inline constexpr std::string_view bamboo_name = "bamboo";

using planned = shunt::solution<shunt::pipeline_schedule>;

/// All solvers that --solver knows.
inline std::vector<std::string> names() {
  auto all = example::names_of(shunt::pipeline_solvers);
  all.emplace_back(shunt::slipstream::name);
  all.emplace_back(bamboo_name);
  return all;
}

/// Fields of a job and the options that set them.
inline constexpr std::array options_of_fields = std::to_array<example::option_of_field>({
    {"pipelines", "--pipelines"},
    {"stages", "--stages"},
    {"microbatches", "--microbatches"},
    {"layout", "--layout"},
    {"costs.forward", "--forward"},
    {"costs.backward_input", "--backward-input"},
    {"costs.backward_weight", "--backward-weight"},
    {"costs.step", "--step"},
    {"costs.overlap_gain", "--overlap-gain"},
    {"transfer", "--comm"},
    {"transfer.ranks_per_node", "--ranks-per-node"},
    {"stash.forward", "--stash"},
    {"stash.backward_input", "--stash-input"},
    {"memory", "--memory"},
    {"dead", "--dead"},
    {"lengths", "--lengths"},
    {"slow", "--slow"},
    {"lockstep", "--failed-at"},
});

}  // namespace plan_pipeline
