#pragma once
/// --slow, --lengths and --links: workers, micro-batches and links that are not alike.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/measured_costs.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_costs.hpp"

namespace plan_pipeline {

/// What the options say.
struct unlike_options {
  std::string slow{}, lengths{}, links{};
  [[nodiscard]] bool any() const { return !slow.empty() || !lengths.empty() || !links.empty(); }
};

/// Returns the times of a CSV with a row for each sending rank. Throws invalid_problem, which names
/// the file and the line.
[[nodiscard]] inline shunt::transfer_times read_links(std::string const& file, std::int32_t ranks) {
  std::ifstream in(file);
  if (!in) throw shunt::invalid_problem("--links", "can't be read: " + file);
  std::vector<shunt::ticks> times;
  std::int32_t rows = 0;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    auto const at = "--links (line " + std::to_string(++rows) + ")";
    auto const row = example::parse_integers(at, line);
    if (row.size() != static_cast<std::size_t>(ranks))
      throw shunt::invalid_problem(at, "has " + std::to_string(row.size()) + " values for " +
                                           std::to_string(ranks) + " ranks");
    times.insert(times.end(), row.begin(), row.end());
  }
  if (rows != ranks)
    throw shunt::invalid_problem("--links", "has " + std::to_string(rows) + " rows for " +
                                                std::to_string(ranks) + " ranks");
  return {ranks, std::move(times)};
}

/// Sets what the options say in a job whose other fields are valid. Throws invalid_problem.
inline void make_unlike(unlike_options const& options, shunt::pipeline_job& job) {
  if (!options.lengths.empty()) {
    for (auto const length : example::parse_integers("--lengths", options.lengths)) {
      constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
      if (length < 1 || length > most)
        throw shunt::invalid_problem("--lengths[" + std::to_string(job.lengths.size()) + "]",
                                     "must be from 1 to " + std::to_string(most) + ", is " +
                                         std::to_string(length));
      job.lengths.push_back(static_cast<std::int32_t>(length));
    }
  }
  if (!options.links.empty()) job.transfer = read_links(options.links, job.ranks());
  std::string_view rest = options.slow;
  while (!rest.empty()) {
    auto const item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    auto const cross = item.find('x');
    if (cross == std::string_view::npos)
      throw shunt::invalid_problem("--slow", quoted_text(item) + " is not pipeline:stage x factor");
    auto const factor = example::parse_factor("--slow (factor)", item.substr(cross + 1));
    job.costs = shunt::slowed(job, example::parse_worker("--slow", item.substr(0, cross)),
                              static_cast<double>(factor.numerator) /
                                  static_cast<double>(factor.denominator));
  }
}

}  // namespace plan_pipeline
