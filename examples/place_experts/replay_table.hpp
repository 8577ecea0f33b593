#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "answers.hpp"
#include "moe_system.hpp"
#include "shunt/json/print.hpp"
#include "shunt/shunt.hpp"

namespace place_experts {

using namespace example;
using shunt::fixed;

/// A policy over a series.
struct policy_row {
  std::string policy;
  shunt::optimizer_place state{};
  std::int32_t every = 1;  ///< windows from one placement to the next; 0: placed once
  shunt::replay_result run{};
  shunt::replacement_traffic traffic{};    ///< with state where its paper keeps it
  shunt::replacement_traffic decoupled{};  ///< with state sharded over all ranks
};

/// How policies are replayed.
struct replay_setting {
  shunt::load_series const& series;
  shunt::replay_options options{};
  shunt::named_predictor const& predict;
  shunt::expert_traffic model{};

  policy_row operator()(std::string name, shunt::named_expert_solver const& s, settings const& how,
                        std::int32_t every) const {
    auto own = options;
    own.every = every;
    auto const policy = [&](shunt::expert_layers const& layers) { return solve(layers, s, how); };
    policy_row row{.policy = std::move(name),
                   .state = s.state,
                   .every = every,
                   .run = shunt::replay(series, policy, predict.predict, own)};
    row.traffic = shunt::traffic(row.run, model, s.state);
    row.decoupled = shunt::traffic(row.run, model, shunt::optimizer_place::decoupled);
    return row;
  }
};

/// Systems on a series, each placing as often as it does.
inline std::vector<policy_row> replay_systems(replay_setting const& replayed,
                                              std::vector<moe_system> const& systems,
                                              settings set) {
  std::vector<policy_row> rows;
  set.every_slot = true;
  for (auto const& system : systems)
    rows.push_back(replayed(system.name, shunt::expert_solver_named("--policy", system.solver), set,
                            system.every));
  return rows;
}

/// All policies, or one, on a series. eplb stands there three times: placed once, anew every time,
/// and with its rows matched to the ranks; incremental twice, unless a budget is asked for.
inline std::vector<policy_row> replay_all(replay_setting const& replayed, std::string const& only,
                                          settings const& set) {
  std::vector<policy_row> rows;
  auto const& options = replayed.options;
  bool const grouped = options.groups > 0 && options.ranks_per_node > 0;
  for (auto const& s : shunt::expert_solvers) {
    bool const listed = s.replayed && (grouped || !s.grouped);
    if (only.empty() ? !listed : s.name != only) continue;
    auto kept = set;
    kept.keep_ranks = true;
    if (only.empty() && s.name == shunt::eplb::name)
      rows.push_back(replayed("eplb, once", s, set, 0));
    if (only.empty() && s.name == shunt::incremental::name && !set.budget) {
      auto one = set;
      one.budget = 1;
      one.proportional = true;
      rows.push_back(replayed("incremental, exact", s, one, options.every));
    }
    rows.push_back(replayed(std::string(s.name), s, set, options.every));
    bool const anew = s.name == shunt::eplb::name || s.name == shunt::balanced::name;
    if (only.empty() && anew && !set.keep_ranks)
      rows.push_back(replayed(std::string(s.name) + " | keep_ranks", s, kept, options.every));
  }
  return rows;
}

inline void write_text(std::ostream& out, std::vector<policy_row> const& rows,
                       replay_setting const& replayed, settings const& set, bool systems) {
  auto const& [series, options, predict, model] = replayed;
  auto const percent = [](double share) { return fixed(100 * share, 2) + "%"; };
  bool const grouped = options.groups > 0 && options.ranks_per_node > 0;
  std::int32_t slots = 0;
  for (auto const s : options.slots_per_rank) slots += s;
  out << series.windows() - options.first << " windows (iterations "
      << series.iteration(options.first) << " to " << series.iteration(series.windows() - 1)
      << ") of " << series.layers << " layers x " << series.experts << " experts; " << slots
      << " slots on " << options.slots_per_rank.size() << " ranks, "
      << (systems              ? std::string("placed anew as each system does")
          : options.every == 0 ? std::string("placed once")
          : options.every == 1 ? std::string("placed anew every window")
                               : "placed anew every " + std::to_string(options.every) + " windows")
      << ", expecting the " << predict.name << " loads; "
      << std::min(options.first, options.history) << " earlier windows known\n\n";
  shunt::text_table table(20, 9);
  std::vector<std::string> head{"policy", "fitted", "next",       "worst",
                                "exact",  "moves",  "slot drops", "rank drops"};
  if (grouped) head.emplace_back("spilled");
  table.row(head);
  for (auto const& r : rows) {
    std::vector<std::string> cells{r.policy,
                                   fixed(r.run.fitted, 4),
                                   fixed(r.run.next_window, 4),
                                   fixed(r.run.worst_next, 4),
                                   fixed(r.run.exact_next, 4),
                                   fixed(r.run.moved, 2),
                                   percent(r.run.drop_rate),
                                   percent(r.run.rank_drop_rate)};
    if (grouped) cells.push_back(fixed(r.run.spilled, 2));
    table.row(std::move(cells));
  }
  out << table;
  out << "\nfitted, next, worst: largest rank load over the mean on the window known, on the next "
         "one, and the worst layer of that, tokens split\n"
         "evenly over replicas; exact: next, where they are split as well as they can be. moves: "
         "experts that ranks newly receive, a layer\n"
         "and re-placement.\n"
         "slot drops: a slot has a buffer for "
      << shunt::decimal(static_cast<double>(options.capacity.numerator) /
                            static_cast<double>(options.capacity.denominator),
                        6)
      << " x tokens / slots, and what doesn't fit the buffers of an expert's replicas is dropped "
         "(SYMI);\n"
         "replicas in proportion to tokens drop least. rank drops: the slots of a rank share their "
         "buffers. Placements for balanced ranks put\n"
         "cold experts beside a hot one, whose slot is then more than full while its rank is not: "
         "dropped in the first column, not in the second.\n";
  if (grouped)
    out << "spilled: replicas of a layer away from their group's node; eplb, balanced and "
           "incremental keep groups together, spilled_groups lets\n"
        << set.spill << " out (--spill), the others don't look at groups.\n";
  for (auto const& r : rows) {
    if (r.policy == shunt::incremental::name)
      out << "incremental: at most " << set.budget.value_or(shunt::incremental{}.moves)
          << " moves a layer (--budget), judged on the last "
          << std::min(shunt::incremental{}.windows, options.history + 1) << " windows.\n";
    if (r.policy == "incremental, exact")
      out << "incremental, exact: at most 1 move, begun with replicas in proportion to the tokens "
             "(first.effort 0), which an exact split likes best.\n";
    if (r.policy == shunt::lazarus::name && std::int64_t{set.floor} * series.experts >= slots)
      out << "lazarus: " << set.floor
          << " replicas of every expert at least (--floor) leave no slot to place by load.\n";
    if (r.policy == shunt::shadow::name)
      out << "shadow: an expert has one replica or one on every rank, where all ranks have a slot "
             "for it.\n";
  }
  out << "\ntraffic of a layer and step, by the formulas of SYMI: gradients and weights, and what "
         "re-placement adds\n";
  shunt::text_table phases(20, 9);
  phases.row({"policy", "state", "phases MB", "moved MB", "phases ms", "moved ms", "all ms"});
  auto const traffic_row = [&](std::string const& policy, std::string_view state,
                               shunt::replacement_traffic const& t) {
    phases.row({policy, std::string(state), fixed(t.phase_bytes / 1e6, 1),
                fixed(t.moved_bytes / 1e6, 1), fixed(1e3 * t.phase_seconds, 3),
                fixed(1e3 * t.moved_seconds, 3), fixed(1e3 * t.seconds(), 3)});
  };
  for (auto const& r : rows) traffic_row(r.policy, to_string(r.state), r.traffic);
  if (!rows.empty()) traffic_row("any of them", "decoupled", rows[0].decoupled);
  out << phases;
  out << "\nhow far each predictor is off on this series, as a share of the tokens:";
  for (auto const& p : shunt::load_predictors)
    out << ' ' << p.name << ' ' << percent(p.error(series));
  out << '\n';
}

/// What JSON and CSV say of a policy: the digits that CSV has, -1 where it leaves the number out.
struct replay_figure {
  char const* name;
  int digits;
  double value;
};
inline std::vector<replay_figure> run_figures(policy_row const& r) {
  return {{"fitted", 6, r.run.fitted},
          {"next_window", 6, r.run.next_window},
          {"worst_next", 6, r.run.worst_next},
          {"exact_next", 6, r.run.exact_next},
          {"moved", 4, r.run.moved},
          {"drop_rate", 6, r.run.drop_rate},
          {"rank_drop_rate", 6, r.run.rank_drop_rate},
          {"spilled", -1, r.run.spilled}};
}
inline std::vector<replay_figure> traffic_figures(policy_row const& r) {
  return {{"phase_bytes", 0, r.traffic.phase_bytes},
          {"moved_bytes", 0, r.traffic.moved_bytes},
          {"phase_seconds", 9, r.traffic.phase_seconds},
          {"moved_seconds", 9, r.traffic.moved_seconds}};
}

inline void write_json(std::ostream& out, std::vector<policy_row> const& rows,
                       replay_setting const& replayed, bool systems) {
  using json = nlohmann::ordered_json;
  auto const& series = replayed.series;
  json all{{"windows", series.windows() - replayed.options.first},
           {"layers", series.layers},
           {"experts", series.experts},
           {"every", systems ? json() : json(replayed.options.every)},
           {"predict", replayed.predict.name},
           {"policies", json::array()}};
  for (auto const& r : rows) {
    json one{{"policy", r.policy}, {"every", r.every}};
    for (auto const& f : run_figures(r)) one[f.name] = f.value;
    one["state"] = to_string(r.state);
    for (auto const& f : traffic_figures(r)) one[f.name] = f.value;
    all["policies"].push_back(std::move(one));
  }
  auto errors = json::object();
  for (auto const& p : shunt::load_predictors) errors[std::string(p.name)] = p.error(series);
  all["prediction_errors"] = errors;
  shunt::print_json(out, all);
}

inline void write_csv(std::ostream& out, std::vector<policy_row> const& rows) {
  out << "policy,fitted,next_window,worst_next,exact_next,moved,drop_rate,rank_drop_rate,state,"
         "phase_bytes,moved_bytes,phase_seconds,moved_seconds\n";
  for (auto const& r : rows) {
    auto word = r.policy;  // one word
    for (std::string_view const part : {", ", " | ", " "})
      if (auto const at = word.find(part); at != std::string::npos)
        word.replace(at, part.size(), "_");
    out << word;
    auto const write = [&](std::vector<replay_figure> const& figures) {
      for (auto const& f : figures)
        if (f.digits >= 0) out << ',' << shunt::decimal(f.value, f.digits);
    };
    write(run_figures(r));
    out << ',' << to_string(r.state);
    write(traffic_figures(r));
    out << '\n';
  }
}

}  // namespace place_experts
