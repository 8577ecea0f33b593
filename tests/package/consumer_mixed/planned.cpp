#include "planned.hpp"

#include <shunt/shunt.hpp>

#ifdef SHUNT_COMPILED
#error "this unit is to be header-only"
#endif

shunt::pipeline_schedule planned(shunt::pipeline_job const& job) {
  return shunt::solve(job, shunt::slipstream{}).plan;
}
