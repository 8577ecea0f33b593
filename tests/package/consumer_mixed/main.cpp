#include "planned.hpp"

#include <shunt/shunt.hpp>

#ifndef SHUNT_COMPILED
#error "this unit is to use the compiled library"
#endif

int main() {
  auto const job = shunt::pipeline_job{
      .pipelines = 3, .stages = 4, .microbatches = 6, .dead = {{.pipeline = 1, .stage = 2}}};
  auto const plan = planned(job);
  bool const same = plan == shunt::solve(job, shunt::slipstream{}).plan;
  return same && shunt::check(job, plan).empty() ? 0 : 1;
}
