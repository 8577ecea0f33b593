#include <fstream>
#include <iostream>

#include <shunt/shunt.hpp>

int main() {
  shunt::pipeline_job const job{
      .pipelines = 3, .stages = 4, .microbatches = 6, .costs = {.step = 3}, .dead = {{1, 2}}};

  auto const answer = shunt::solve(job, shunt::slipstream{});  // a plan, its status and its bound
  std::cout << to_string(answer.status) << ": period " << answer.objective << ", no plan is below "
            << answer.lower_bound << "\n";

  for (auto const& violation : shunt::check(job, answer.plan))  // none
    std::cout << to_string(violation) << "\n";

  auto const program = shunt::lower(job, answer.plan);  // one list of instructions per rank
  auto const outcome = shunt::simulated_executor{shunt::job_costs{job}}.run(program);
  std::ofstream picture("schedule.svg");
  shunt::write_svg(picture, job, outcome.timeline);  // the row of the dead rank is grey

  auto const custom =
      shunt::one_f_one_b{} | shunt::reroute{} | shunt::split_backward{} | shunt::stagger_step{};
  std::cout << custom.name << ": period " << custom(job).objective << "\n";

  shunt::expert_layers const layers{
      .experts = 4, .loads = {700, 200, 60, 40}, .slots_per_rank = {2, 2, 2, 2}};
  auto const where = shunt::solve(layers, shunt::swift_moe{});
  for (auto const expert : where.plan.layer(0)) std::cout << expert.value() << " ";
  std::cout << "\n";
}
