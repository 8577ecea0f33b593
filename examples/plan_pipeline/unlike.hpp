#pragma once
/// --slow, --lengths and --links: workers, micro-batches and links that are not alike.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/text_input.hpp"
#include "shunt/core/units.hpp"
#include "shunt/io/csv_fields.hpp"
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
/// the file, row, column and value.
[[nodiscard]] inline shunt::transfer_times read_links(std::string const& file, std::int32_t ranks) {
  auto in = shunt::open_text(file);
  shunt::line_reader lines(in, file);
  std::vector<shunt::ticks> times;
  for (std::string line; lines.next(line);) {
    auto const fields = shunt::csv_fields(line, lines.at());
    example::refuse_if(fields.size() != static_cast<std::size_t>(ranks), lines.at(),
                       "has " + std::to_string(fields.size()) + " values for " +
                           std::to_string(ranks) + " ranks");
    for (std::size_t n = 0; n < fields.size(); ++n)
      times.push_back(shunt::parse_whole_number(
          fields[n], lines.at() + ", column " + std::to_string(n + 1), 0));
  }
  example::refuse_if(lines.row() != static_cast<std::size_t>(ranks), file,
                     "has " + std::to_string(lines.row()) + " rows for " + std::to_string(ranks) +
                         " ranks");
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
  if (!options.links.empty()) {
    job.transfer = read_links(options.links, job.ranks());
    example::naming_options({{"transfer", "--links"}}, [&] { shunt::validate(job); });
  }
  if (options.slow.empty()) return;
  struct slow_worker {
    std::string name;
    shunt::worker who;
    double factor;
  };
  auto const read = [](std::string const& name, std::string_view item) {
    auto const [who, times] = example::halves_of(name, item, 'x', "pipeline:stage x factor");
    auto const factor = example::parse_factor(name + " (factor)", times);
    return slow_worker{name, example::parse_worker(name, who),
                       static_cast<double>(factor.numerator) /
                           static_cast<double>(factor.denominator)};
  };
  auto const all = example::parse_list("--slow", options.slow, read);
  for (slow_worker const& slow : all) {
    auto const first = std::find_if(all.begin(), all.end(),
                                    [&](slow_worker const& s) { return s.who == slow.who; });
    example::refuse_if(&*first != &slow, slow.name,
                       "worker " + shunt::describe(slow.who) + " is named twice");
    job.costs = example::naming_options({{"slow", slow.name}},
                                        [&] { return shunt::slowed(job, slow.who, slow.factor); });
  }
}

}  // namespace plan_pipeline
