// Any problem through every solver: it is refused with a field, or answered with a plan that the
// judge accepts and that is no better than its bound, or with a reason.
#include <cstddef>
#include <cstdint>
#include <string>

#include "bytes.hpp"
#include "problems.hpp"
#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_violation.hpp"
#include "shunt/check/placement.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/solve.hpp"

namespace {

using namespace shunt;
using tests::fuzz::require;

template <class Solver>
void plan(pipeline_job const& job, Solver const& solver) {
  std::string const name(Solver::name);
  solution<pipeline_schedule> answer;
  try {
    answer = solver(job);
  } catch (invalid_problem const&) {  // a layout that it is not for
    return;
  }
  require(answer.has_plan() == answer.reason.empty(), name + ": a plan or a reason");
  if (!answer.has_plan()) return;
  auto const broken = check(job, answer.plan);
  require(broken.empty(), name + ": the judge accepts it",
          broken.empty() ? "" : to_string(broken.front()));
  require(answer.objective >= answer.lower_bound, name + ": no plan beats its bound");
  require(answer.objective == static_cast<double>(period(job, answer.plan)),
          name + ": the objective is the period");
}

template <class Solver, class... Before>
void place(expert_layers const& layers, Solver const& solver, Before const&... before) {
  std::string const name(Solver::name);
  solution<expert_placement> answer;
  try {
    answer = solver(layers, before...);
  } catch (invalid_problem const&) {
    return;
  }
  if (!answer.has_plan()) return require(!answer.reason.empty(), name + ": a plan or a reason");
  auto const broken = check(layers, answer.plan);
  require(broken.empty(), name + ": the judge accepts it",
          broken.empty() ? "" : to_string(broken.front()));
}

void run(tests::fuzz::bytes& in) {
  if (in.flip()) {
    auto const job = tests::fuzz::any_job(in);
    validate(job);
    plan(job, gpipe{});
    plan(job, one_f_one_b{});
    plan(job, zb_h1{});
    plan(job, zb_h2{.effort = 300});
    plan(job, zb_v{.effort = 300});
    plan(job, v_half{.effort = 300});
    plan(job, v_min{.effort = 300});
    plan(job, zero_bubble{.effort = 300});
    plan(job, slipstream{.effort = 300});
    plan(job, interleaved_one_f_one_b{});
    plan(job, interleaved_zero_bubble{});
    plan(job, looped_bfs{});
    plan(job, hanayo{});
    plan(job, chimera{});
    plan(job, dual_pipe{});
    plan(job, dual_pipe_v{});
    return;
  }
  auto const layers = tests::fuzz::any_layers(in);
  validate(layers);
  place(layers, uniform{});
  place(layers, swift_moe{});
  place(layers, eplb{});
  place(layers, balanced{.effort = 300});
  place(layers, lazarus{});
  place(layers, flexmoe{});
  auto some = uniform{}(layers).plan;
  place(layers, near_sources{}, some);
  place(layers, keep_ranks{}, some);
  for (auto& e : some.expert_of)
    if (in.roll(0, 7) == 0) e = in.roll(-1, layers.experts);
  if (in.roll(0, 7) == 0) some.first_slot.push_back(some.first_slot.back() + in.roll(0, 2));
  place(layers, near_sources{}, some);
  place(layers, keep_ranks{}, some);
  place(layers, incremental{});
  place(layers, elastic{.moves = 3, .effort = 500});
  place(layers, spilled_groups{});
  place(layers, shadow{});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return tests::fuzz::one_input(data, size, run);
}
