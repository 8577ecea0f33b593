#pragma once
/// A solver's solution as JSON, for every plan that has a JSON form.
#include <nlohmann/json.hpp>

#include "shunt/core/solution.hpp"
#include "shunt/json/parts.hpp"
#include "shunt/json/reader.hpp"

namespace shunt {

/// {"plan": ..., "status": "feasible", "objective": 30, "lower_bound": 27, "reason": ""}
template <class Plan>
void to_json(nlohmann::json& j, solution<Plan> const& answer) {
  j = {{"plan", answer.plan},
       {"status", to_string(answer.status)},
       {"objective", json_number(answer.objective)},
       {"lower_bound", json_number(answer.lower_bound)},
       {"reason", answer.reason}};
}
template <read_in_parts Plan>
bool take_part(json_part const& part, solution<Plan>& answer) {
  return part.is_in("plan") && take_part(part.below(), answer.plan);
}
template <class Plan>
void read_rest(json_reader const& here, solution<Plan>& answer) {
  here.only({"plan", "status", "objective", "lower_bound", "reason"});
  if constexpr (read_in_parts<Plan>)
    read_rest(here["plan"], answer.plan);
  else
    read(here["plan"], answer.plan);
  answer.status = here["status"].name<status>(static_cast<int>(status::limit_reached) + 1);
  answer.objective = here["objective"].number();
  answer.lower_bound = here["lower_bound"].number();
  answer.reason = here["reason"].string();
}
template <class Plan>
void read(json_reader const& here, solution<Plan>& answer) {
  answer.plan = {};
  read_rest(here, answer);
}

}  // namespace shunt
