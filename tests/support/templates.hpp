#pragma once
#include <cstdint>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "shunt/plan/pipeline_template.hpp"
#include "shunt/problem/template_problem.hpp"
#include "shunt/solve/pipeline/oobleck_templates.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests {

/// Layers of these forward and backward times.
inline template_problem template_case(std::vector<std::pair<double, double>> const& layers,
                                      std::int32_t nodes, std::int32_t gpus = 1,
                                      std::vector<double> const& all_reduce = {}) {
  template_problem problem{.layers = {}, .nodes = nodes, .gpus = gpus};
  for (auto const& [forward, backward] : layers)
    problem.layers.push_back({.forward = forward, .backward = backward, .all_reduce = all_reduce});
  return problem;
}

/// Layers of forward 1 and backward 2.
inline template_problem equal_layers(std::int32_t layers, std::int32_t nodes,
                                     std::int32_t gpus = 1) {
  return template_case(
      std::vector<std::pair<double, double>>(static_cast<std::size_t>(layers), {1, 2}), nodes,
      gpus);
}

/// "2: 81 [0-3)x1 [3-6)x1"
inline std::string shown(pipeline_template const& t) {
  std::ostringstream out;
  out << t.nodes << ": " << t.time;
  for (auto const& s : t.stages) out << " [" << s.first << '-' << s.end << ")x" << s.gpus;
  return out.str();
}

inline std::string shown(template_set const& set) {
  std::string all;
  for (auto const& t : set.templates) all += shown(t) + "\n";
  return all;
}

/// Templates of 8 equal layers on 1 .. 8 nodes of one GPU: vector B.
inline template_set const& templates_of_b() {
  static auto const set = oobleck_templates{}(equal_layers(8, 8)).plan;
  return set;
}

/// Layers of whole or fractional times, nodes and GPUs.
inline template_problem random_templates(random_cases& d, std::int32_t most_layers,
                                         std::int32_t most_nodes) {
  template_problem problem{.layers = {}, .nodes = d.roll(1, most_nodes), .gpus = 1 << d.roll(0, 2)};
  bool const equal = d.roll(0, 3) == 0, fractions = d.roll(0, 1) == 0, reduce = d.roll(0, 1) == 0;
  double const unit = fractions ? 0.1 : 1;
  template_layer layer;
  for (auto l = d.roll(1, most_layers); l > 0; --l) {
    if (problem.layers.empty() || !equal) {
      layer = {.forward = d.roll(1, 9) * unit, .backward = d.roll(1, 9) * unit};
      if (reduce)
        for (std::int32_t g = 2; g <= problem.gpus; g *= 2)
          layer.all_reduce.push_back(d.roll(0, 5) * unit);
    }
    problem.layers.push_back(layer);
  }
  return problem;
}

}  // namespace shunt::tests
