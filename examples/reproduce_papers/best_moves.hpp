#pragma once
/// This library at its best on a testbed: one node after another is lost, and each loss is answered
/// by the best of re-routing, moving layers, both, and dropping pipelines (shunt::loss_planner).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "closed_forms.hpp"
#include "shunt/core.hpp"
#include "shunt/measure.hpp"
#include "shunt/plan.hpp"
#include "shunt/problem.hpp"
#include "shunt/solve/pipeline/loss_planner.hpp"

namespace reproduce_papers {

/// The layers of a node, ascending.
using layer_set = std::vector<std::int32_t>;
/// By node of the testbed; none where it is lost, waits, or there is no plan.
using held_layers = std::vector<layer_set>;

/// Unit costs, no step: the fault-free job of a testbed.
inline shunt::pipeline_job job_of(testbed const& t) {
  return {.pipelines = t.pipelines, .stages = t.stages, .microbatches = t.microbatches};
}

/// The plans after 0, 1, 2 .. losses, each made from the one before. A stage of them is a layer,
/// which takes 3 ticks, and a stage of the testbed L / S times as long. No node holds more layers
/// than one of the shortest pipeline must. Copies share what they know.
class best_moves {
 public:
  explicit best_moves(testbed const& t) : of_(t), known_(std::make_shared<std::vector<answer>>()) {}

  struct answer {
    shunt::loss_plan plan{};
    std::int64_t period = 0;  ///< 0: no plan
    /// layers that the busiest node sends or receives to come here
    std::int64_t moved = 0;
    std::vector<std::size_t> nodes{};  ///< of the testbed, by rank of the plan's job
    std::string reason{};
  };

  /// Returns the answer to the loss of so many nodes.
  answer const& after(std::int32_t dead) const {
    while (std::ssize(*known_) <= dead) known_->push_back(next());
    return (*known_)[static_cast<std::size_t>(dead)];
  }

  /// The rate of a period, relative to 1F1B without failures.
  double rate(answer const& a) const {
    if (a.period == 0) return 0;
    return static_cast<double>(of_.fault_free()) * of_.layers / of_.stages /
           static_cast<double>(a.period);
  }

  /// Returns what the nodes then hold.
  held_layers held(std::int32_t dead) const {
    auto const& a = after(dead);
    held_layers all(static_cast<std::size_t>(of_.nodes()));
    for (std::size_t r = 0; r < a.nodes.size(); ++r)
      for (shunt::stage_id const s : a.plan.job.stages_of(r)) all[a.nodes[r]].push_back(s.value());
    return all;
  }

 private:
  answer next() const {
    shunt::worker_losses losses{.state = 1,
                                .state_limit = shunt::ceil_divide(of_.layers, of_.least),
                                .change = {.within_node = 1, .between_nodes = 1}};
    if (known_->empty()) {
      std::vector<shunt::rank_id> layout;
      auto const cut = shunt::even_cut(of_.layers, of_.stages);
      for (std::int32_t p = 0; p < of_.pipelines; ++p)
        for (std::int32_t k = 0; k < of_.stages; ++k) {
          auto const& stage = cut[static_cast<std::size_t>(k)];
          layout.insert(layout.end(), static_cast<std::size_t>(stage.end - stage.first),
                        p * of_.stages + k);
        }
      losses.job = {.pipelines = of_.pipelines,
                    .stages = of_.layers,
                    .microbatches = of_.microbatches,
                    .layout = shunt::stage_layout::custom(std::move(layout))};
    } else {
      auto const& before = known_->back();
      if (before.period == 0) return {.reason = before.reason};
      losses.job = before.plan.job;
      auto const rank = 7 * known_->size() % before.plan.members.size();
      losses.job.dead = {losses.job.worker_of(rank)};
    }
    auto found = shunt::loss_planner{}(losses);
    if (!found.has_plan()) return {.reason = std::string(found.reason)};
    auto const chosen = found.plan.moves[static_cast<std::size_t>(found.plan.move)];
    std::vector<std::size_t> nodes;
    for (shunt::rank_id const r : found.plan.members)
      nodes.push_back(known_->empty() ? r.index() : known_->back().nodes[r.index()]);
    return {.plan = std::move(found.plan),
            .period = chosen.period,
            .moved = chosen.switching,
            .nodes = std::move(nodes)};
  }

  testbed of_;
  std::shared_ptr<std::vector<answer>> known_;
};

}  // namespace reproduce_papers
