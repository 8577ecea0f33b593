#pragma once
/// The files that a run leaves: curves, heat maps and tables.
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "outcome.hpp"
#include "output_file.hpp"
#include "shunt/io/chart.hpp"
#include "shunt/io/drawing.hpp"
#include "shunt/io/heat_map.hpp"

namespace example {

/// Expert loads, one row for each iteration and layer: iteration, layer, tokens of each expert.
inline void write_trace(std::ostream& out, training_setup const& s, policy_run const& run) {
  out << "iteration,layer";
  for (std::int32_t e = 0; e < s.model.experts; ++e) out << ",e" << std::to_string(e);
  out << '\n';
  auto const experts = static_cast<std::size_t>(s.model.experts);
  for (std::size_t t = 0; t < run.records.size(); ++t)
    for (std::size_t l = 0; l < static_cast<std::size_t>(s.model.layers); ++l) {
      out << std::to_string(t) << ',' << std::to_string(l);
      for (std::size_t e = 0; e < experts; ++e)
        out << ',' << std::to_string(run.records[t].loads[l * experts + e]);
      out << '\n';
    }
}

namespace detail {

inline shunt::series line(policy_run const& run, std::vector<double> const& values) {
  shunt::series all{.name = run.name};
  for (std::size_t t = 0; t < values.size(); ++t)
    all.points.emplace_back(static_cast<double>(t), values[t]);
  return all;
}

inline shunt::heat_map loads_of(training_setup const& s, policy_run const& run,
                                std::int32_t layer) {
  shunt::heat_map map{.title = "Tokens routed to each expert of layer " + std::to_string(layer) +
                               ", " + run.name,
                      .x_label = "iteration",
                      .y_label = "expert",
                      .value_label = "share of the layer's tokens, %",
                      .columns = run.records.size()};
  for (std::int32_t e = 0; e < s.model.experts; ++e)
    for (auto const& r : run.records)
      map.values.push_back(
          100 *
          static_cast<double>(r.loads[static_cast<std::size_t>(layer * s.model.experts + e)]) /
          static_cast<double>(s.all_tokens()));
  return map;
}

}  // namespace detail

/// Into a folder: loss.svg, drops.svg, experts_<policy>_layer<l>.svg, iterations.csv.
/// Throws invalid_problem where they can't be written.
inline void write_files(output_folder const& folder, training_setup const& s,
                        std::vector<policy_run> const& runs) {
  shunt::line_chart loss{.title =
                             "Loss, mean of " + std::to_string(smoothing_window) + " iterations",
                         .x_label = "iteration",
                         .y_label = "cross-entropy, nats a byte"};
  shunt::line_chart drops{.title = "Tokens dropped over capacity",
                          .x_label = "iteration",
                          .y_label = "share of tokens, %",
                          .from_zero = true};
  std::ostringstream table;
  table << "policy,iteration,loss,smoothed_loss,dropped_percent,hottest_layer,hottest_expert,"
           "hottest_percent,"
           "gradient_bytes,weight_bytes\n";
  for (auto const& run : runs) {
    auto const smooth = smoothed_losses(run);
    std::vector<double> dropped;
    for (std::size_t t = 0; t < run.records.size(); ++t) {
      auto const& r = run.records[t];
      auto const hot = hottest(s, r);
      dropped.push_back(100 * dropped_share(s, r));
      table << run.name << ',' << std::to_string(t) << ',' << shunt::decimal(r.loss, 6) << ','
            << shunt::decimal(smooth[t], 6) << ',' << shunt::decimal(dropped[t], 3) << ','
            << std::to_string(hot.layer) << ',' << std::to_string(hot.expert) << ','
            << shunt::decimal(100 * hot.share, 3) << ',' << std::to_string(r.gradients.moved) << ','
            << std::to_string(r.weights.moved) << '\n';
    }
    loss.lines.push_back(detail::line(run, smooth));
    drops.lines.push_back(detail::line(run, dropped));
    for (std::int32_t l = 0; l < s.model.layers; ++l) {
      folder.file("experts_" + run.name + "_layer" + std::to_string(l) + ".svg",
                  [&](std::ostream& out) { write_svg(out, detail::loads_of(s, run, l)); });
    }
  }
  folder.text("iterations.csv", table.str());
  folder.file("loss.svg", [&](std::ostream& out) { write_svg(out, loss); });
  folder.file("drops.svg", [&](std::ostream& out) { write_svg(out, drops); });
}

}  // namespace example
