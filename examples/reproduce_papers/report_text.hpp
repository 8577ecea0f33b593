#pragma once
/// What the program finds, as text.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "published.hpp"
#include "tables.hpp"
#include "text_table.hpp"
#include "validation.hpp"

namespace reproduce_papers {

using example::fixed;

/// A table whose columns stand where those of the others do.
[[nodiscard]] inline example::text_table columns() { return example::text_table(36, 9); }

[[nodiscard]] inline std::vector<std::string> cells(std::string name,
                                                    std::vector<double> const& values, int digits) {
  std::vector<std::string> all{std::move(name)};
  for (double const v : values) all.push_back(fixed(v, digits));
  return all;
}

[[nodiscard]] inline example::text_table published_curves() {
  example::text_table table;
  table.row({"", "mean of the curve", "printed", "fault-scaled"});
  auto const curve = [&](std::string name, auto const& points, double printed) {
    table.row({std::move(name), fixed(published_mean(points), 2), fixed(printed, 1),
               fixed(scaled_mean(points), 2)});
  };
  curve("GPT-3 3.5B / 6.7B", slipstream_large, slipstream_large_mean);
  curve("GPT-3 350M", slipstream_350m, slipstream_350m_mean);
  return table;
}

inline void write_validation(std::ostream& out, findings const& found) {
  out << "1. The event rules of Oobleck's artifact with its tables of throughput, samples/s\n\n";
  auto table = columns();
  std::vector<std::string> head{""};
  head.insert(head.end(), trace_names.begin(), trace_names.end());
  table.row(head);
  double worst = 0;
  for (auto const& row : found.artifact) {
    int const digits = row.recorded.front() > 50 ? 2 : 3;
    auto const name = std::string(row.system) + ", " + std::string(row.model);
    table.row(cells(name + ": artifact", row.recorded, digits));
    table.row(cells("  here, as shipped", row.shipped, digits));
    table.row(cells("  here, repaired", row.repaired, digits));
    worst = std::max(worst, row.error());
  }
  out << table << "\nlargest difference: " << fixed(100 * worst, 2)
      << " % (digits of the artifact's figures beyond those shown are not known)\n"
         "As shipped, every failure queues a rendezvous of its own; the first to end takes the "
         "list "
         "of nodes, the next\n"
         "finds it empty and stops training until a node comes or goes. Repaired, it finds all "
         "nodes that are ready.\n";

  out << "\n2. SlipStream's published curves over its trace of 24 GPUs, samples/s\n\n"
      << published_curves();

  auto const fit = fit_closed_form(slipstream_large), small = fit_closed_form(slipstream_350m);
  auto const shown = [](closed_form_fit const& f) {
    return "M = " + std::to_string(f.microbatches) + " and " + fixed(100 * f.a_failure, 1) +
           " % of an iteration a failure: rms " + fixed(100 * f.fit.rms, 1) + " %, worst " +
           fixed(100 * f.fit.worst, 1) + " %";
  };
  auto const templates = fit_templates();
  out << "\n3. The closed form of SlipStream's period, 3 max(M + S - 1, W), fitted to the ten "
         "points "
         "of each curve\n\n"
      << "GPT-3 3.5B / 6.7B  " << shown(fit) << "\nGPT-3 350M         " << shown(small)
      << "\n\n4. Oobleck's templates by formula against its own throughput on 30 to 15 nodes "
         "(GPT-3 "
         "medium; D = 15, S = 2, M = 32)\n\n"
      << "templates: rms " << fixed(100 * templates.templates.rms, 1) << " %, worst "
      << fixed(100 * templates.templates.worst, 1) << " %; in proportion to the nodes: rms "
      << fixed(100 * templates.scaled.rms, 1) << " %\n";
}

inline void write_table(std::ostream& out, throughput_table const& table) {
  auto const& t = table.of;
  out << "D = " << t.pipelines << ", S = " << t.stages << ", M = " << t.microbatches
      << ", L = " << t.layers << ", costs of changes of " << table.costs.model
      << ", an iteration takes " << fixed(table.iteration, 0) << " s\n\n";
  auto text = columns();
  std::vector<std::string> head{""};
  head.insert(head.end(), table.traces.begin(), table.traces.end());
  for (auto const& name : table.traces)
    head.push_back(table.traces.size() > 1 ? "/" + name : "/Oobleck");
  text.row(head);
  for (auto const& row : table.rows) {
    auto const name = row.system.name + (row.system.source == rate_source::solver ? " *" : "");
    std::vector<std::string> line{name};
    for (std::size_t k = 0; k < table.traces.size(); ++k)
      line.push_back(row.runs.empty() ? "-" : fixed(row.mean(k), 3));
    for (std::size_t k = 0; k < table.traces.size(); ++k)
      line.push_back(row.runs.empty() ? "-" : fixed(table.ratio(row, k), 2));
    text.row(std::move(line));
  }
  out << text;
  for (auto const& row : table.rows) {
    if (!row.system.fits) out << row.system.name << ": does not fit into memory\n";
    for (std::size_t k = 0; k < row.runs.size(); ++k)
      if (auto const& ended = row.runs[k].ended)
        out << row.system.name << ": no plan from event " << ended->event << " of "
            << table.traces[k] << " on (" << ended->why << "), rate 0 from there\n";
  }
}

/// Where the seconds of one trace went.
inline void write_losses(std::ostream& out, throughput_table const& table, std::size_t trace) {
  out << "\nSeconds lost on " << table.traces[trace] << ", in % of "
      << fixed(table.rows.front().runs.at(trace).seconds, 0) << " s, costs of " << table.costs.model
      << "\n\n";
  auto text = columns();
  text.row({"", "fewer", "no plan", "aborted", "redone", "stopped", "joined", "ckpts", "done"});
  for (auto const& row : table.rows) {
    if (row.runs.empty()) continue;
    auto const& run = row.runs[trace];
    auto const& l = run.lost;
    std::vector<double> shares;
    for (double const s : {l.degraded, l.without_plan, l.aborted, l.rolled_back, l.stopped,
                           l.joined, l.checkpoints, run.done})
      shares.push_back(100 * s / run.seconds);
    text.row(cells(row.system.name, shares, 1));
  }
  out << text;
}

inline void write_levers(std::ostream& out, throughput_table const& table,
                         std::vector<lever> const& all) {
  out << "D = " << table.of.pipelines << ", S = " << table.of.stages
      << ", M = " << table.of.microbatches << ", costs of " << table.costs.model
      << " but for Oobleck's stop\n\n";
  auto text = columns();
  std::vector<std::string> head{""};
  for (double const s : stops) head.push_back(fixed(s, 0) + " s");
  for (double const c : claims) head.push_back("x" + fixed(c, 2));
  text.row(head);
  for (auto const& one : all) {
    auto line = cells(one.trace + ": as published, no cost",
                      {one.published.begin(), one.published.end()}, 2);
    for (double const s : one.needed) line.push_back(s < 0 ? "never" : fixed(s, 0) + " s");
    text.row(std::move(line));
    text.row(
        cells(one.trace + ": slipstream, salvaged", {one.salvaged.begin(), one.salvaged.end()}, 2));
  }
  out << text;
}

/// Where a figure here is not the published one, and why.
inline void write_differences(std::ostream& out, findings const& found) {
  auto const& last = found.tables.back();
  double least = 1e9, most = 0, honest_least = 1e9, honest_most = 0;
  for (auto const& table : found.tables)
    for (std::size_t k = 0; k < table.traces.size(); ++k) {
      auto const published = table.ratio(table.row(row_published), k);
      auto const honest = table.ratio(table.row(row_published_aborted), k);
      least = std::min(least, published), most = std::max(most, published);
      honest_least = std::min(honest_least, honest), honest_most = std::max(honest_most, honest);
    }
  double const steady = slipstream_large_mean / oobleck_large_steady,
               events = oobleck_large_steady / oobleck_large_mean;
  out << "SlipStream over Oobleck, printed 1.20 and up to 1.46: here " << fixed(least, 2) << " to "
      << fixed(most, 2) << ", or " << fixed(honest_least, 2) << " to " << fixed(honest_most, 2)
      << " where a change costs both half an\n"
      << "  iteration. The published curve has one value for each number of GPUs, so changes cost "
         "it nothing; Oobleck's dips at each.\n"
      << "  Printed 1.20 = " << fixed(steady, 2) << " of steady state x " << fixed(events, 2)
      << " of changes, which is 75 s of full rate for each; the artifact charges 3, 6 or 10 s and\n"
      << "  the step in progress. Section 6 says what a change would have to cost.\n"
      << "SlipStream over Bamboo, printed 1.64 (350M):";
  for (auto const& table : found.tables) {
    if (table.row(row_bamboo).runs.empty()) continue;
    out << " here";
    for (std::size_t k = 0; k < table.traces.size(); ++k)
      out << ' ' << fixed(table.row(row_published).mean(k) / table.row(row_bamboo).mean(k), 2);
    out << " (" << table.of.nodes() << " nodes, M = " << table.of.microbatches << ");";
  }
  auto const redundant = fixed(bamboo_rate(last.of, last.redundancy, last.of.nodes()).rate, 2);
  if (last.redundancy == bamboo_rates::scheduled)
    out << "\n  the redundant forwards are scheduled here, and bubbles hide two of M (x "
        << redundant << " without failures); the published Bamboo runs at x "
        << fixed(measured_share, 2) << " of the others then.\n";
  else
    out << "\n  its redundancy costs what was measured: x " << redundant
        << " without failures, not what a schedule of it does.\n";
  out << "The closed form does not meet the published curve closely at any M (3.): on few GPUs the "
         "curve is above what the largest stage\n"
         "  can do with failures spread evenly.\n"
      << "Oobleck, GPT-3 6.7B on gcp: no throughput at 15 nodes is a step without end in the "
         "artifact; so it is here.\n"
      << "Varuna, GPT-3 medium: the figures of section 1 are without a fall back to the "
         "checkpoint, "
         "which the artifact's script\n"
         "  for recorded traces (eval_gcp_ec2.py) asks for; its script for the synthetic ones "
         "(eval_tput_vs_freq.py) does not. With it:\n ";
  for (double const mean : found.falling_back) out << ' ' << fixed(mean, 2);
  out << ". The rows of section 5 fall back.\n"
      << "A removal and an addition at one time, which gcp and p3 have, are a removal here; models "
         "that look at the number of nodes alone\n"
         "  see no event.\n";
}

inline void write_text(std::ostream& out, findings const& found) {
  write_validation(out, found);
  out << "\n5. Throughput, relative to 1F1B without failures\n"
         "*: rates of this library's solvers; the others by formula. slipstream: this library's "
         "plans, failures normalised.\n";
  for (auto const& table : found.tables) {
    out << '\n';
    write_table(out, table);
  }
  write_losses(out, found.tables[models.size() - 1], found.tables.front().traces.size() - 2);
  out << "\n6. SlipStream over Oobleck, by the seconds that a change costs Oobleck; last, the "
         "seconds for 1.20 and 1.46\n";
  for (auto const& [table, all] : found.ratios) {
    out << '\n';
    write_levers(out, found.tables[table], all);
  }
  out << "\n7. Where figures differ from the published ones\n\n";
  write_differences(out, found);
}

}  // namespace reproduce_papers
