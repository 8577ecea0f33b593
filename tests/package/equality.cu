// Two of each value type are compared, so that a comparison which nvcc loses shows when this
// program is linked.
#include "shunt/plan.hpp"
#include "shunt/problem.hpp"
#include "shunt/program.hpp"

template <class... Values>
bool equal_to_themselves() {
  return ((Values{} == Values{} && !(Values{} != Values{})) && ...);
}

template <class... Values>
bool never_below_themselves() {
  return (!(Values{} < Values{}) && ...);
}

int main() {
  bool const good =
      equal_to_themselves<shunt::rank_id, shunt::operation,  // core
                          shunt::cluster, shunt::expert_layers, shunt::optimizer_state,
                          shunt::pipeline_job,  // problem
                          shunt::expert_placement, shunt::pipeline_schedule, shunt::shard_map,
                          shunt::timetable,    // plan
                          shunt::token_split,  //
                          shunt::instruction, shunt::outcome, shunt::program,
                          shunt::timeline>() &&  // program
      never_below_themselves<shunt::rank_id, shunt::operation, shunt::worker, shunt::progress>();
  return good ? 0 : 1;
}
