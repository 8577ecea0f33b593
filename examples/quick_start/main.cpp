#include <fstream>
#include <iostream>

#include <shunt/shunt.hpp>

int main() {
  auto const job = shunt::pipeline_job{
      .pipelines = 3,
      .stages = 4,
      .microbatches = 6,
      .costs = {.forward = 1, .backward_input = 1, .backward_weight = 1, .step = 3},
      .dead = {{.pipeline = 1, .stage = 2}}};

  auto const answer = shunt::solve(job, shunt::slipstream{});  // a plan and what is known of it
  std::cout << to_string(answer.status) << ": period " << answer.objective << ", no plan is below "
            << answer.lower_bound << "\n";

  for (auto const& violation :
       shunt::check(job, answer.plan))  // none: the judge shares no code with the solver
    std::cout << to_string(violation) << "\n";

  auto const program =
      shunt::lower(job, answer.plan);  // one list of instructions a rank: what every executor runs
  auto const outcome = shunt::simulated_executor{shunt::job_costs{job}}.run(
      program);  // or thread_executor{}.run(program, work)
  std::ofstream picture("schedule.svg");
  shunt::write_svg(picture, outcome.timeline);

  auto const custom =
      shunt::one_f_one_b{} | shunt::reroute{} | shunt::split_backward{} | shunt::stagger_step{};
  std::cout << custom.name << ": period " << custom(job).objective << "\n";

  auto const layers = shunt::expert_layers{
      .experts = 4, .loads = {700, 200, 60, 40}, .slots_per_rank = {2, 2, 2, 2}};
  auto const where = shunt::solve(layers, shunt::swift_moe{});
  for (auto const expert : where.plan.layer(0))
    std::cout << expert.value() << " ";  // 0 0 0 0 0 1 2 3
  std::cout << "\n";
}
