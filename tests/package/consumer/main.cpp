#include <shunt/shunt.hpp>

int main() {
  auto const job = shunt::pipeline_job{
      .pipelines = 3, .stages = 4, .microbatches = 6, .dead = {{.pipeline = 1, .stage = 2}}};
  auto const answer = shunt::solve(job, shunt::slipstream{});
  return answer.has_plan() && shunt::check(job, answer.plan).empty() ? 0 : 1;
}
