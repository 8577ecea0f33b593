#pragma once
#include "shunt/measure/replay.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::string_view to_string(optimizer_place where) {
  switch (where) {
    case optimizer_place::decoupled: return "decoupled";
    case optimizer_place::tied: return "tied";
    case optimizer_place::at_home: return "at_home";
  }
  return "unknown";
}

SHUNT_CONSTEXPR replacement_traffic traffic(replay_result const& run, expert_traffic const& model,
                                            optimizer_place where) {
  replacement_traffic sum{.phase_bytes = model.gradient_volume() + model.weight_volume()};
  if (where == optimizer_place::at_home) {
    double const both = model.gradient_bytes + model.weight_bytes;
    sum.phase_bytes = run.copies * both;
    sum.phase_seconds =
        (model.experts / model.host_bandwidth + run.copies / model.network_bandwidth) * both /
        model.ranks;
    return sum;
  }
  if (where == optimizer_place::decoupled) {
    sum.phase_seconds =
        model.decoupled_time(model.gradient_bytes) + model.decoupled_time(model.weight_bytes);
    return sum;
  }
  double const instance = model.weight_bytes + model.state_bytes;
  sum.phase_seconds =
      model.static_time(model.gradient_bytes) + model.static_time(model.weight_bytes);
  sum.moved_bytes = run.moved_per_step * instance;
  sum.moved_seconds = run.most_received * instance / model.network_bandwidth;
  return sum;
}

}  // namespace shunt
