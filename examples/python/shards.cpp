// Of shunt_planner._core what experts train with: shards of the optimizer's state, the split of
// tokens over slots, and the programs that move weights, gradients and state.
#include <pybind11/numpy.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "shunt/check/placement.hpp"
#include "shunt/check/shard_map.hpp"
#include "shunt/json/experts.hpp"
#include "shunt/lower/gradient_collection.hpp"
#include "shunt/lower/shard_recovery.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/solve/experts/capacity_split.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "shunt/solve/shards/restore_shards.hpp"
#include "values.hpp"

namespace planner {
namespace {

using shunt::expert_placement, shunt::invalid_problem, shunt::optimizer_state, shunt::shard_map;

/// The state that a map is of. Throws invalid_problem unless the map is sound.
optimizer_state state_of(shard_map const& map, std::int32_t ranks) {
  optimizer_state const state{.experts = static_cast<std::int32_t>(map.shards.size()),
                              .ranks = ranks,
                              .elements = map.elements};
  shunt::validate(state);
  for (auto const& broken : shunt::check(state, map))
    throw invalid_problem("shards", to_string(broken));
  return state;
}

/// Throws invalid_problem unless every slot of the placement holds an expert.
void validate(expert_placement const& plan) {
  shunt::expert_layers problem{.layers = plan.layers, .experts = plan.experts};
  problem.loads.assign(
      static_cast<std::size_t>(plan.layers) * static_cast<std::size_t>(plan.experts), 0);
  problem.slots_per_rank.clear();
  for (std::size_t r = 0; r + 1 < plan.first_slot.size(); ++r)
    problem.slots_per_rank.push_back(plan.first_slot[r + 1] - plan.first_slot[r]);
  for (auto const& broken : shunt::check(problem, plan))
    throw invalid_problem("placement", to_string(broken));
}

/// Lowers one phase of an iteration on the placement.
template <class Phase>
shunt::program lowered(expert_placement const& plan, shard_map const& map, Phase const& how) {
  py::gil_scoped_release const others_run;
  validate(plan);
  return shunt::lower(state_of(map, plan.ranks()), plan, map, how);
}

template <class Plan>
Plan plan_of(char const* field, shunt::solution<Plan> answer) {
  if (!answer.has_plan()) throw invalid_problem(field, std::string(answer.reason));
  return std::move(answer.plan);
}

}  // namespace

void bind_shards(py::module_& m) {
  bind_value<shard_map>(m, "ShardMap", {{"elements", nullptr}, {"shards", nullptr}})
      .def("__repr__", [](shard_map const& map) {
        return "<ShardMap: " + std::to_string(map.shards.size()) + " experts of " +
               std::to_string(map.elements) + " elements>";
      });
  m.def("cut_shards",
        [](std::int32_t experts, std::int32_t ranks, std::int64_t elements, std::int32_t copies) {
          optimizer_state const state{.experts = experts, .ranks = ranks, .elements = elements};
          return plan_of("copies", shunt::mirrored_shards{.copies = copies}(state));
        });
  m.def("restore_shards", [](shard_map const& map, std::int32_t ranks,
                             std::vector<std::int32_t> const& dead, std::int32_t planes) {
    auto state = state_of(map, ranks);
    shunt::lost_ranks lost{.state = state};
    for (auto const r : dead) lost.dead.emplace_back(r);
    auto to = plan_of("dead", shunt::restore_shards{.map = map}(lost));
    state.state_bytes = 4 * planes;
    auto program = shunt::lower(state, map, to, {.planes = planes});
    return py::make_tuple(std::move(to.map), std::move(program));
  });
  m.def("scatter_weights", [](expert_placement const& next, shard_map const& map) {
    return lowered(next, map, shunt::weight_scatter{});
  });
  m.def("collect_gradients", [](expert_placement const& plan, shard_map const& map) {
    return lowered(plan, map, shunt::gradient_collection{});
  });
  m.def("split_tokens", [](py::array const& counts, expert_placement const& plan,
                           std::int32_t layer, std::optional<std::int64_t> capacity) {
    validate(plan);
    if (layer < 0 || layer >= plan.layers)
      throw invalid_problem("layer", "must be below " + std::to_string(plan.layers) + ", is " +
                                         std::to_string(layer));
    require_shape("counts", counts, {plan.ranks(), plan.experts});
    rows<std::int64_t> const whole(counts);
    auto split = plan_of("counts", shunt::capacity_split{}(shunt::routed(
                                       plan, layer, {whole.data(), whole.data() + whole.size()},
                                       capacity.value_or(shunt::dropless))));
    auto const array = [&](std::vector<std::int64_t> const& of, std::int32_t columns) {
      return array_of({split.sources, columns}, of.data());
    };
    return py::make_tuple(array(split.tokens, split.slots), array(split.dropped, split.experts));
  });
}

}  // namespace planner
