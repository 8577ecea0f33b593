#pragma once
/// What each system makes of the live nodes, and what changes cost it: one model for all.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "best_moves.hpp"
#include "closed_forms.hpp"
#include "published.hpp"
#include "shunt/core/id.hpp"
#include "shunt/measure.hpp"
#include "shunt/problem.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/oobleck_instances.hpp"
#include "shunt/solve/pipeline/oobleck_templates.hpp"
#include "shunt/solve/pipeline/redundant_forward.hpp"
#include "shunt/solve/pipeline/schedule_store.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/solver.hpp"
#include "transitions.hpp"

namespace reproduce_papers {

/// A rate by the number of live nodes, at most those of the testbed; each number is asked for once.
class counted_policy {
 public:
  using function = std::function<shunt::live_rate(std::int32_t live)>;
  counted_policy(testbed const& t, function rate) : nodes_(t.nodes()), rate_(std::move(rate)) {}

  shunt::live_rate const& of(std::int32_t live) const {
    live = std::min(live, nodes_);
    auto found = known_->find(live);
    if (found == known_->end()) found = known_->emplace(live, rate_(live)).first;
    return found->second;
  }
  shunt::live_rate operator()(std::span<shunt::node_id const> live) const {
    return of(static_cast<std::int32_t>(live.size()));
  }

 private:
  std::int32_t nodes_;
  function rate_;
  std::shared_ptr<std::map<std::int32_t, shunt::live_rate>> known_ =
      std::make_shared<std::map<std::int32_t, shunt::live_rate>>();
};

/// n dead workers, as evenly over the stages as can be.
inline std::vector<shunt::worker> spread_failures(testbed const& t, std::int32_t dead) {
  std::vector<shunt::worker> all;
  for (std::int32_t k = 0; k < dead; ++k)
    all.push_back({.pipeline = (k / t.stages + k % t.stages) % t.pipelines, .stage = k % t.stages});
  return all;
}

/// A solver of this library on the live nodes, failures normalised: the nodes that live change
/// places where that helps. No plan where a stage has no node left.
inline counted_policy solved(testbed const& t, shunt::slipstream const& solver,
                             shunt::stash_cap memory = {}) {
  auto job = job_of(t);
  job.memory = std::move(memory);
  auto const store = std::make_shared<shunt::schedule_store<>>(std::move(job), solver);
  return {t, [t, store](std::int32_t live) -> shunt::live_rate {
            if (!busiest(t, t.nodes() - live))
              return {0, "a stage has no live worker: " + std::to_string(live) + " nodes are left"};
            auto const plan = store->normalized(spread_failures(t, t.nodes() - live));
            if (!plan.schedule) return {0, plan.reason};
            auto const& answer = plan.schedule->answer;
            if (!answer.has_plan()) return {0, answer.reason};
            return {t.fault_free() / answer.objective, {}};
          }};
}

/// SlipStream with re-routing alone: fused backwards, one step, the memory of 1F1B.
inline counted_policy rerouted(testbed const& t) {
  return solved(t, {.split = false, .stagger = false}, shunt::stash_cap::one_f_one_b());
}

/// A closed form by the number of dead workers.
inline counted_policy closed(testbed const& t, double (*rate)(testbed const&, std::int32_t)) {
  return {t, [t, rate](std::int32_t live) -> shunt::live_rate {
            return {rate(t, t.nodes() - live), {}};
          }};
}

/// Whole pipelines alone, floor(live / S), over which the batch is spread; 1F1B.
inline counted_policy regrouped(testbed const& t) {
  return {t, [t](std::int32_t live) -> shunt::live_rate {
            auto const whole = live / t.stages;
            if (whole < 1) return {};  // waits for nodes
            auto fewer = t;
            fewer.pipelines = whole;
            fewer.microbatches = shunt::ceil_divide(t.batch(), whole);
            return {t.fault_free() / shunt::solve(job_of(fewer), shunt::one_f_one_b{}).objective,
                    {}};
          }};
}

/// What redundancy costs Bamboo.
enum class bamboo_rates : std::uint8_t {
  scheduled,         ///< the period of 1F1B with the redundant forwards of this library's plans
  measured_slowdown  ///< 1F1B without them, at the published share of its rate
};
constexpr std::string_view to_string(bamboo_rates r) {
  return r == bamboo_rates::scheduled ? "scheduled" : "measured";
}

/// Bamboo: floor(live / S) pipelines, over which the batch is spread; the other nodes wait.
inline shunt::live_rate bamboo_rate(testbed const& t, bamboo_rates rates, std::int32_t live) {
  auto const whole = live / t.stages;
  if (whole < 1) return {};
  auto one = t;
  one.pipelines = 1;
  one.microbatches = shunt::ceil_divide(t.batch(), whole);
  if (rates == bamboo_rates::measured_slowdown)
    return {measured_share * t.fault_free() /
                shunt::solve(job_of(one), shunt::one_f_one_b{}).objective,
            {}};
  return {t.fault_free() / shunt::solve(job_of(one), shunt::redundant_forward{}).objective, {}};
}

/// Oobleck's planner: templates of n_min .. 3 n_min nodes by the makespan of 1F1B, the best
/// multiset of them and the best distribution of the batch. A layer takes 3 ticks, a stage of L / S
/// layers too.
class planned_templates {
 public:
  explicit planned_templates(testbed const& t)
      : of_(t),
        problem_{.layers = std::vector<shunt::template_layer>(static_cast<std::size_t>(t.layers)),
                 .nodes = std::min(t.layers, 3 * t.least),
                 .minimum = t.least} {
    shunt::oobleck_templates const planner{.cost = shunt::template_cost::simulated,
                                           .microbatches_per_node =
                                               std::max(1, t.microbatches / t.stages)};
    templates_ = planner(problem_).plan;
  }

  /// Requires at least n_min live nodes.
  shunt::solution<shunt::pipeline_instances> instances(std::int32_t live) const {
    auto now = problem_;
    now.nodes = live;
    return shunt::oobleck_instances{.templates = templates_, .batch = of_.batch()}(now);
  }
  counted_policy policy() const {
    return {of_, [me = *this](std::int32_t live) -> shunt::live_rate {
              auto const& t = me.of_;
              if (live < t.least) return {};
              auto const answer = me.instances(live);
              if (!answer.has_plan()) return {0, answer.reason};
              return {static_cast<double>(t.fault_free()) * t.layers / t.stages / answer.objective,
                      {}};
            }};
  }
  node_states states() const {
    return template_states(of_, [me = *this](std::int32_t live) {
      std::vector<layer_set> places;
      if (live < me.of_.least) return places;
      for (auto const& pipeline : me.instances(live).plan.pipelines)
        for (auto const& stage : me.templates_.of(pipeline.nodes)->stages)
          places.push_back(layers_of(stage.first, stage.end));
      return places;
    });
  }

 private:
  testbed of_;
  shunt::template_problem problem_;
  shunt::template_set templates_{};
};

/// Oobleck's templates by formula.
inline counted_policy templates(testbed const& t, pipeline_order order) {
  return {t, [t, order](std::int32_t live) -> shunt::live_rate {
            return {best_templates(t, order, live).rate, {}};
          }};
}
inline node_states formula_states(testbed const& t, pipeline_order order) {
  return template_states(t, [t, order](std::int32_t live) {
    std::vector<layer_set> places;
    for (auto const& [nodes, count] : best_templates(t, order, live).counts)
      for (std::int32_t k = 0; k < count; ++k)
        for (auto const& stage : shunt::even_cut(t.layers, nodes))
          places.push_back(layers_of(stage.first, stage.end));
    return places;
  });
}

/// The best of all moves of this library (best_moves.hpp).
inline counted_policy best_of_moves(testbed const& t, best_moves const& moves) {
  return {t, [t, moves](std::int32_t live) -> shunt::live_rate {
            auto const& a = moves.after(t.nodes() - live);
            return {moves.rate(a), a.reason};
          }};
}

/// Whose rates a policy has.
enum class rate_source : std::uint8_t { closed_form, solver };

/// A system: its rates and its costs.
struct opponent {
  std::string name{};
  counted_policy policy;
  transition changes{};
  shunt::iteration_costs costs{};
  rate_source source = rate_source::closed_form;
  bool fits = true;  ///< in memory
};

/// Names of rows.
inline constexpr std::string_view row_ideal = "ideal sharing, no cost",
                                  row_scaled = "fault-scaled, no cost",
                                  row_published = "SlipStream as published, no cost",
                                  row_published_aborted = "SlipStream as published, aborted",
                                  row_rerouting = "re-routing alone, aborted",
                                  row_aborted = "slipstream, aborted",
                                  row_salvaged = "slipstream, salvaged", row_oobleck = "Oobleck",
                                  row_zero_bubble = "Oobleck, zero-bubble pipelines",
                                  row_best_free = "best of all moves, no cost",
                                  row_best = "best of all moves, aborted", row_bamboo = "Bamboo",
                                  row_varuna = "regroup, checkpoints (Varuna)",
                                  row_torchft = "drop hit pipelines (TorchFT)";

/// The rates of all systems on a testbed, by the number of live nodes. Copies share what they know.
struct steady_states {
  explicit steady_states(testbed const& testbed, bamboo_rates rates = bamboo_rates::scheduled)
      : of(testbed),
        redundancy(rates),
        ideal(closed(testbed, ideal_sharing)),
        scaled(closed(testbed, fault_scaled)),
        published(closed(testbed, published_slipstream)),
        rerouting(rerouted(testbed)),
        slipstream(solved(testbed, {})),
        oobleck(planned_templates(testbed).policy()),
        oobleck_zero_bubble(templates(testbed, pipeline_order::zero_bubble)),
        moves(testbed),
        best(best_of_moves(testbed, moves)),
        bamboo(testbed,
               [testbed, rates](std::int32_t live) { return bamboo_rate(testbed, rates, live); }),
        varuna(regrouped(testbed)),
        torchft(closed(testbed, dropping)),
        normalized_holds(shared(normalized_states(testbed))),
        oobleck_holds(shared(planned_templates(testbed).states())),
        zero_bubble_holds(shared(formula_states(testbed, pipeline_order::zero_bubble))),
        best_holds(shared(best_states(testbed, moves))) {}

  testbed of;
  bamboo_rates redundancy;
  counted_policy ideal, scaled, published, rerouting, slipstream, oobleck, oobleck_zero_bubble;
  best_moves moves;
  counted_policy best, bamboo, varuna, torchft;
  std::shared_ptr<node_states const> normalized_holds, oobleck_holds, zero_bubble_holds, best_holds;

 private:
  static std::shared_ptr<node_states const> shared(node_states states) {
    return std::make_shared<node_states const>(std::move(states));
  }
};

/// Seconds in which a node's link moves a layer: 16 bytes a parameter over 100 Gbit/s.
inline double seconds_a_layer(testbed const& t, published_costs const& costs) {
  return 16 * costs.parameters / t.layers / 12.5e9;
}

/// What Oobleck's changes cost.
enum class oobleck_cost : std::uint8_t {
  artifact,  ///< what its authors measured, copies included
  copies     ///< as those of the other systems: 1 s, and what its plans move
};

/// All systems with what changes cost them. An iteration without failures takes `iteration`
/// seconds. A change costs 1 s and what its plans move over the busiest link; a loss half an
/// iteration besides, or 0.1 of one where finished work is salvaged. TorchFT moves nothing. What
/// the others pay the artifact says.
inline std::vector<opponent> opponents(steady_states const& at, published_costs const& costs,
                                       double iteration,
                                       oobleck_cost oobleck = oobleck_cost::artifact) {
  using enum rate_source;
  auto const of = [&](double lose, double stop, double join) {
    return transition{.constant = {.lose = lose, .stop = stop, .join = join}};
  };
  auto const moving = [&](double lose, std::shared_ptr<node_states const> states) {
    return transition{.constant = {.lose = lose, .stop = 1, .join = 1},
                      .seconds_a_layer = seconds_a_layer(at.of, costs),
                      .states = std::move(states)};
  };
  auto const reconfigured = [&](std::shared_ptr<node_states const> states) {
    return oobleck == oobleck_cost::artifact ? of(.5, costs.oobleck_stop, costs.oobleck_stop)
                                             : moving(.5, std::move(states));
  };
  auto const none = of(0, 0, 0), aborted = moving(.5, at.normalized_holds),
             salvaged = moving(.1, at.normalized_holds);
  std::vector<opponent> all;
  auto const add = [&](std::string_view name, counted_policy const& policy,
                       transition const& changes, rate_source source) {
    all.push_back({std::string(name), policy, changes, {.iteration = iteration}, source});
  };
  add(row_ideal, at.ideal, none, closed_form);
  add(row_scaled, at.scaled, none, closed_form);
  add(row_published, at.published, none, closed_form);
  add(row_published_aborted, at.published, aborted, closed_form);
  add(row_rerouting, at.rerouting, aborted, solver);
  add(row_aborted, at.slipstream, aborted, solver);
  add(row_salvaged, at.slipstream, salvaged, solver);
  add(row_oobleck, at.oobleck, reconfigured(at.oobleck_holds), solver);
  add(row_zero_bubble, at.oobleck_zero_bubble, reconfigured(at.zero_bubble_holds), closed_form);
  add(row_best_free, at.best, none, solver);
  add(row_best, at.best, moving(.5, at.best_holds), solver);
  add(row_bamboo, at.bamboo, of(0, costs.bamboo_stop, 0), solver);
  all.back().fits = costs.bamboo_fits;
  add(row_varuna, at.varuna, of(.5, costs.varuna_restart, 0), solver);
  all.back().costs.every = 10;
  all.back().costs.checkpoint = costs.varuna_checkpoint;
  add(row_torchft, at.torchft, of(.5, 1, 1), closed_form);
  return all;
}

}  // namespace reproduce_papers
