#pragma once
#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "json_lines.hpp"
#include "shunt/io/drawing.hpp"
#include "shunt/measure/replay.hpp"
#include "shunt/measure/traffic.hpp"
#include "solvers.hpp"

namespace place_experts {

/// A policy over a series.
struct policy_row {
  std::string policy;
  shunt::optimizer_place state{};
  shunt::replay_result run{};
  shunt::replacement_traffic traffic{};    ///< with state where its paper keeps it
  shunt::replacement_traffic decoupled{};  ///< with state sharded over all ranks
};

/// All policies, or one, on a series. eplb stands there twice: placed once, and anew every time.
[[nodiscard]] inline std::vector<policy_row> replay_all(shunt::load_series const& series, shunt::replay_options const& options,
                                                        std::string const& only, settings const& set, predictor const& predict,
                                                        shunt::expert_traffic const& model) {
  std::vector<policy_row> rows;
  auto const add = [&](std::string name, solver const& s, shunt::replay_options const& o) {
    auto const policy = [&](shunt::expert_layers const& layers) { return s.solve(layers, set); };
    policy_row row{.policy = std::move(name), .state = s.state, .run = shunt::replay(series, policy, predict.predict, o)};
    row.traffic = shunt::traffic(row.run, model, s.state);
    row.decoupled = shunt::traffic(row.run, model, shunt::optimizer_place::decoupled);
    rows.push_back(std::move(row));
  };
  for (auto const& s : solvers) {
    if (only.empty() ? !s.replayed : s.name != only) continue;
    if (only.empty() && s.name == shunt::eplb::name) {
      auto once = options;
      once.every = 0;
      add("eplb, once", s, once);
    }
    add(std::string(s.name), s, options);
  }
  return rows;
}

inline void write_text(std::ostream& out, std::vector<policy_row> const& rows, shunt::load_series const& series,
                       shunt::replay_options const& options, predictor const& predict) {
  auto const number = [](double value, int digits) { return shunt::decimal(value, digits); };
  out << series.windows() << " windows (iterations " << series.iteration(0) << " to " << series.iteration(series.windows() - 1) << ") of "
      << series.layers << " layers x " << series.experts << " experts; placed anew "
      << (options.every == 0 ? std::string("once") : "every " + std::to_string(options.every) + " windows") << ", expecting the "
      << predict.name << " loads\n\n"
      << std::left << std::setw(18) << "policy" << std::right << std::setw(9) << "fitted" << std::setw(9) << "next" << std::setw(9)
      << "worst" << std::setw(9) << "exact" << std::setw(9) << "moves" << std::setw(9) << "drops" << '\n';
  for (auto const& r : rows)
    out << std::left << std::setw(18) << r.policy << std::right << std::setw(9) << number(r.run.fitted, 4) << std::setw(9)
        << number(r.run.next_window, 4) << std::setw(9) << number(r.run.worst_next, 4) << std::setw(9) << number(r.run.exact_next, 4)
        << std::setw(9) << number(r.run.moved, 2) << std::setw(8) << number(100 * r.run.drop_rate, 2) << "%\n";
  out << "\nfitted, next, worst: largest rank load over the mean on the window known, on the next one, and the worst layer of that; exact: "
         "next,\n"
         "where tokens are split over replicas as well as they can be, not evenly;\n"
         "moves: experts newly received, a layer and re-placement; drops: tokens beyond capacity.\n\n"
         "traffic of a layer and step, by the formulas of SYMI: gradients and weights, and what re-placement adds\n"
      << std::left << std::setw(18) << "policy" << std::setw(12) << "state" << std::right << std::setw(12) << "phases MB" << std::setw(12)
      << "moved MB" << std::setw(12) << "phases ms" << std::setw(12) << "moved ms" << std::setw(12) << "all ms" << '\n';
  auto const traffic_row = [&](std::string const& policy, std::string_view state, shunt::replacement_traffic const& t) {
    out << std::left << std::setw(18) << policy << std::setw(12) << state << std::right << std::setw(12) << number(t.phase_bytes / 1e6, 1)
        << std::setw(12) << number(t.moved_bytes / 1e6, 1) << std::setw(12) << number(1e3 * t.phase_seconds, 3) << std::setw(12)
        << number(1e3 * t.moved_seconds, 3) << std::setw(12) << number(1e3 * t.seconds(), 3) << '\n';
  };
  for (auto const& r : rows) traffic_row(r.policy, to_string(r.state), r.traffic);
  if (!rows.empty()) traffic_row("any of them", "decoupled", rows[0].decoupled);
  out << "\nhow far each predictor is off on this series, as a share of the tokens:";
  for (auto const& p : predictors) out << ' ' << p.name << ' ' << number(100 * p.error(series), 2) << '%';
  out << '\n';
}

inline void write_json(std::ostream& out, std::vector<policy_row> const& rows, shunt::load_series const& series,
                       shunt::replay_options const& options, predictor const& predict) {
  nlohmann::ordered_json all{{"windows", series.windows()}, {"layers", series.layers}, {"experts", series.experts},
                             {"every", options.every},      {"predict", predict.name}, {"policies", nlohmann::ordered_json::array()}};
  for (auto const& r : rows)
    all["policies"].push_back({{"policy", r.policy},
                               {"fitted", r.run.fitted},
                               {"next_window", r.run.next_window},
                               {"worst_next", r.run.worst_next},
                               {"exact_next", r.run.exact_next},
                               {"moved", r.run.moved},
                               {"drop_rate", r.run.drop_rate},
                               {"state", to_string(r.state)},
                               {"phase_bytes", r.traffic.phase_bytes},
                               {"moved_bytes", r.traffic.moved_bytes},
                               {"phase_seconds", r.traffic.phase_seconds},
                               {"moved_seconds", r.traffic.moved_seconds}});
  auto errors = nlohmann::ordered_json::object();
  for (auto const& p : predictors) errors[std::string(p.name)] = p.error(series);
  all["prediction_errors"] = errors;
  example::print_json(out, all);
}

inline void write_csv(std::ostream& out, std::vector<policy_row> const& rows) {
  out << "policy,fitted,next_window,worst_next,exact_next,moved,drop_rate,state,phase_bytes,moved_bytes,phase_seconds,moved_seconds\n";
  for (auto const& r : rows)
    out << (r.policy == "eplb, once" ? "eplb_once" : r.policy) << ',' << shunt::decimal(r.run.fitted, 6) << ','
        << shunt::decimal(r.run.next_window, 6) << ',' << shunt::decimal(r.run.worst_next, 6) << ',' << shunt::decimal(r.run.exact_next, 6)
        << ',' << shunt::decimal(r.run.moved, 4) << ',' << shunt::decimal(r.run.drop_rate, 6) << ',' << to_string(r.state) << ','
        << shunt::decimal(r.traffic.phase_bytes, 0) << ',' << shunt::decimal(r.traffic.moved_bytes, 0) << ','
        << shunt::decimal(r.traffic.phase_seconds, 9) << ',' << shunt::decimal(r.traffic.moved_seconds, 9) << '\n';
}

}  // namespace place_experts
