#pragma once
/// Workers with other parts, in the files of --out.
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "comparison.hpp"
#include "options.hpp"
#include "report.hpp"
#include "shunt/core/id.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/train/arrangement.hpp"

namespace example {

/// What every change of the workers' parts cost.
[[nodiscard]] inline nlohmann::ordered_json json_of(
    shunt::pipeline_job const& job, std::vector<shunt::rearrangement> const& changes) {
  auto const workers = [&](std::vector<shunt::rank_id> const& ranks) {
    auto all = nlohmann::ordered_json::array();
    for (auto const r : ranks) all.push_back(std::string(shunt::describe(job.worker_of(r)).view()));
    return all;
  };
  auto all = nlohmann::ordered_json::array();
  for (auto const& c : changes) {
    auto pipelines = nlohmann::ordered_json::array();
    auto const ranks = shunt::workers_of(c.next);
    for (std::size_t p = 0; p < ranks.size(); ++p)
      pipelines.push_back(
          {{"worker_of_stage", workers(ranks[p])}, {"microbatches", c.next.job.microbatches[p]}});
    all.push_back({{"iteration", c.iteration},
                   {"dead", workers(c.dead)},
                   {"waiting", workers(c.waiting)},
                   {"pipelines", std::move(pipelines)},
                   {"stages_copied", c.copies},
                   {"bytes_copied", c.bytes},
                   {"iterations_redone", c.redone},
                   {"transition_ns", c.took}});
  }
  return all;
}

/// Adds what the changes of a run cost to its page and its summary.
inline void write_changes(report& page, nlohmann::ordered_json& summary,
                          shunt::pipeline_job const& job,
                          std::vector<shunt::rearrangement> const& changes) {
  summary["changes"] = json_of(job, changes);
  std::vector<std::vector<std::string>> rows;
  for (auto const& c : changes)
    rows.push_back({std::to_string(c.iteration), describe(job, c.dead),
                    std::to_string(c.next.job.pipelines), std::to_string(c.waiting.size()),
                    std::to_string(c.copies), std::to_string(c.bytes), std::to_string(c.redone),
                    format("%.2f", milliseconds(c.took))});
  page.section("Changes")
      .prose("What it cost to give the live workers other parts.")
      .table({"from iteration", "dead", "pipelines", "waiting", "stages copied", "bytes copied",
              "iterations done again", "transition, ms"},
             rows);
}

}  // namespace example
