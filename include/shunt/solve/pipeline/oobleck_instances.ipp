#pragma once
#include "shunt/solve/pipeline/oobleck_instances.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/text.hpp"
#include "shunt/measure/template_times.hpp"

namespace shunt::detail {

/// The best multiset of templates, by the rules of oobleck_instances.
class multiset_search {
 public:
  multiset_search(oobleck_instances const& how, std::int32_t nodes,
                  std::vector<std::vector<stage_time>> times)
      : how_(how), times_(std::move(times)), counts_(times_.size(), 0) {
    add(times_.size(), nodes, 0);
  }

  [[nodiscard]] bool found() const { return time < std::numeric_limits<double>::infinity(); }

  double time = std::numeric_limits<double>::infinity();
  pipeline_instances best{};
  bool stopped = false;  ///< at the limit of multisets

 private:
  // Templates 0 .. k-1 are still to be counted; `left` nodes are free.
  void add(std::size_t k, std::int32_t left, std::int64_t pipelines) {
    if (stopped) return;
    if (left == 0) {
      for (std::size_t i = 0; i < k; ++i) counts_[i] = 0;
      return try_out(pipelines);
    }
    if (k == 0) return;
    auto const nodes = how_.templates.templates[k - 1].nodes;
    for (counts_[k - 1] = 0; left >= 0; ++counts_[k - 1], left -= nodes) {
      add(k - 1, left, pipelines + counts_[k - 1]);
      if (left == 0) break;
    }
  }

  void try_out(std::int64_t pipelines) {
    stopped = seen_ == how_.most_multisets;
    if (stopped) return;
    ++seen_;
    if (pipelines <= how_.failures) return;
    batch_problem problem{.templates = {}, .batch = how_.batch};
    std::vector<std::int32_t> nodes;
    for (std::size_t k = 0; k < counts_.size(); ++k) {
      if (counts_[k] == 0) continue;
      problem.templates.push_back({counts_[k], how_.templates.templates[k].time, times_[k]});
      nodes.push_back(how_.templates.templates[k].nodes);
    }
    auto const split = oobleck_batch{.objective = how_.objective}(problem);
    if (!split.has_plan()) return;
    double longest = iteration_time(problem, split.plan, how_.objective);
    if (auto const& across = how_.across_pipelines; !across.empty())
      longest += across[std::min(across.size(), static_cast<std::size_t>(pipelines)) - 1];
    if (!(longest < time)) return;
    time = longest;
    best = {};
    std::int32_t rank = 0;
    for (std::size_t k = 0; k < nodes.size(); ++k)
      for (auto const n : split.plan.microbatches[k]) {
        best.pipelines.push_back({.nodes = nodes[k], .ranks = {}, .microbatches = n});
        while (std::ssize(best.pipelines.back().ranks) < nodes[k])
          best.pipelines.back().ranks.push_back(rank++);
      }
  }

  oobleck_instances const& how_;
  std::vector<std::vector<stage_time>> times_;
  std::vector<std::int32_t> counts_;
  std::int64_t seen_ = 0;
};

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE solution<pipeline_instances> oobleck_instances::operator()(
    template_problem const& problem) const {
  validate(problem);
  auto const refuse = [](char const* field, std::string const& what) {
    throw invalid_problem(field, what);
  };
  if (templates.templates.empty()) refuse("templates", "there is none");
  if (batch < 1 || batch > (std::int64_t{1} << 24))
    refuse("batch", "must be between 1 and 2^24, is " + std::to_string(batch));
  if (failures < 0) refuse("failures", "must be at least 0, is " + std::to_string(failures));
  if (most_multisets < 1)
    refuse("most_multisets", "must be at least 1, is " + std::to_string(most_multisets));
  for (double const t : across_pipelines)
    if (!std::isfinite(t) || t < 0) refuse("across_pipelines", "must be at least 0 and finite");
  std::vector<std::vector<stage_time>> times;
  std::int32_t before = 0;
  for (auto const& t : templates.templates) {
    if (t.nodes <= before) refuse("templates", "don't ascend in nodes");
    before = t.nodes;
    for (auto const& s : t.stages)
      if (s.first < 0 || s.end <= s.first || s.end > std::ssize(problem.layers) ||
          s.gpus > problem.gpus || !std::has_single_bit(static_cast<std::uint32_t>(s.gpus)))
        refuse("templates", "have a stage that is not of these layers and GPUs");
    times.push_back(stage_times(problem, t.stages));
  }
  detail::multiset_search search(*this, problem.nodes, std::move(times));
  solution<pipeline_instances> answer{.plan = {}, .status = status::infeasible};
  if (search.found()) {
    answer.plan = std::move(search.best);
    answer.objective = search.time;
    answer.lower_bound = search.stopped ? 0 : search.time;
    answer.status = status::optimal;
  } else {
    answer.reason = text("no templates for ") + text::of(problem.nodes) + " nodes, at least " +
                    text::of(std::int64_t{failures} + 1) + " pipelines, take a batch of " +
                    text::of(batch);
  }
  if (search.stopped) {
    answer.status = status::limit_reached;
    answer.reason = text("looked at ") + text::of(most_multisets) + " multisets of templates";
  }
  return answer;
}

}  // namespace shunt
