#pragma once
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "cli.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/branch_and_bound.hpp"
#include "shunt/solve/pipeline/chimera.hpp"
#include "shunt/solve/pipeline/dual_pipe.hpp"
#include "shunt/solve/pipeline/dual_pipe_v.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/hanayo.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"
#include "shunt/solve/pipeline/interleaved_zero_bubble.hpp"
#include "shunt/solve/pipeline/looped_bfs.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/v_half.hpp"
#include "shunt/solve/pipeline/v_min.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "shunt/solve/pipeline/zb_h2.hpp"
#include "shunt/solve/pipeline/zb_v.hpp"
#include "shunt/solve/pipeline/zero_bubble.hpp"

namespace plan_pipeline {

inline constexpr std::string_view bamboo_name = "bamboo";

using planned = shunt::solution<shunt::pipeline_schedule>;

/// A solver under its name, and the layout it is for, as --layout says it.
struct entry {
  std::string_view name;
  std::string_view layout;
  planned (*solve)(shunt::pipeline_job const&);
};

template <class Solver>
constexpr entry listed(std::string_view layout) {
  return {Solver::name, layout,
          [](shunt::pipeline_job const& job) { return shunt::solve(job, Solver{}); }};
}

/// All solvers that --solver knows, besides slipstream, which has options of its own.
inline constexpr std::array solvers{
    listed<shunt::gpipe>("linear"),
    listed<shunt::one_f_one_b>("linear"),
    listed<shunt::zb_h1>("linear"),
    listed<shunt::zb_h2>("linear"),
    listed<shunt::zero_bubble>("linear"),
    listed<shunt::interleaved_one_f_one_b>("looped"),
    listed<shunt::interleaved_zero_bubble>("looped"),
    listed<shunt::looped_bfs>("looped"),
    listed<shunt::dual_pipe>("bidirectional"),
    listed<shunt::chimera>("bidirectional"),
    listed<shunt::dual_pipe_v>("v"),
    listed<shunt::zb_v>("v"),
    listed<shunt::v_half>("v"),
    listed<shunt::v_min>("v"),
    listed<shunt::hanayo>("wave"),
    listed<shunt::branch_and_bound>("linear"),
};

inline std::vector<std::string> names() {
  auto all = example::names_of(solvers);
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
