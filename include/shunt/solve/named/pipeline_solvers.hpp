#pragma once
/// Solvers of schedules by their names, for programs that choose one while they run. Every one is
/// compiled into a unit that includes this.
#include <array>
#include <string_view>

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
#include "shunt/solve/pipeline/v_half.hpp"
#include "shunt/solve/pipeline/v_min.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "shunt/solve/pipeline/zb_h2.hpp"
#include "shunt/solve/pipeline/zb_v.hpp"
#include "shunt/solve/pipeline/zero_bubble.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// A solver under its name, and the name of the layout that it is for.
struct named_pipeline_solver {
  std::string_view name;
  std::string_view layout;
  solution<pipeline_schedule> (*solve)(pipeline_job const&);
};

namespace detail {

template <class Solver>
constexpr named_pipeline_solver listed(std::string_view layout) {
  return {Solver::name, layout,
          [](pipeline_job const& job) { return shunt::solve(job, Solver{}); }};
}

}  // namespace detail

/// All of them but slipstream, which has settings of its own.
inline constexpr std::array pipeline_solvers{
    detail::listed<gpipe>("linear"),
    detail::listed<one_f_one_b>("linear"),
    detail::listed<zb_h1>("linear"),
    detail::listed<zb_h2>("linear"),
    detail::listed<zero_bubble>("linear"),
    detail::listed<interleaved_one_f_one_b>("looped"),
    detail::listed<interleaved_zero_bubble>("looped"),
    detail::listed<looped_bfs>("looped"),
    detail::listed<dual_pipe>("bidirectional"),
    detail::listed<chimera>("bidirectional"),
    detail::listed<dual_pipe_v>("v"),
    detail::listed<zb_v>("v"),
    detail::listed<v_half>("v"),
    detail::listed<v_min>("v"),
    detail::listed<hanayo>("wave"),
    detail::listed<branch_and_bound>("linear"),
};

}  // namespace shunt
