// Oobleck's planners: templates of pipelines, the batch over several of them, and new pipelines
// after a loss of ranks.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cli.hpp"
#include "files.hpp"
#include "json_lines.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/measure/template_times.hpp"
#include "shunt/problem/batch_problem.hpp"
#include "shunt/problem/pipeline_losses.hpp"
#include "shunt/problem/template_problem.hpp"
#include "shunt/solve/pipeline/oobleck_batch.hpp"
#include "shunt/solve/pipeline/oobleck_reconfigure.hpp"
#include "shunt/solve/pipeline/oobleck_templates.hpp"

namespace {

using nlohmann::ordered_json;

/// What the command line says, of all commands.
struct options {
  std::string layers, all_reduce, cost = "published", memory, pipelines, lost, templates;
  std::int32_t nodes = 1, gpus = 1, minimum = 1, microbatches_per_node = 4, ranks_per_node = 0;
  std::int64_t batch = 1;
  bool published = false, uneven = false;
};

/// Fields of the problems and the options that set them.
constexpr std::array options_of_fields = std::to_array<example::option_of_field>({
    {"layers", "--layers"},
    {"nodes", "--nodes"},
    {"gpus", "--gpus"},
    {"minimum", "--minimum"},
    {"memory", "--memory"},
    {"microbatches_per_node", "--microbatches-per-node"},
    {"pipelines", "--pipelines"},
    {"lost", "--lost"},
    {"ranks_per_node", "--ranks-per-node"},
    {"templates", "--templates"},
    {"batch", "--batch"},
});

shunt::template_problem problem_of(options const& o) {
  shunt::template_problem problem{.layers = plan_oobleck::read_layers(o.layers),
                                  .nodes = o.nodes,
                                  .gpus = o.gpus,
                                  .minimum = o.minimum};
  if (!o.memory.empty()) problem.memory = example::parse_size("--memory", o.memory, 1);
  auto const all_reduce = plan_oobleck::parse_all_reduce(o.all_reduce);
  for (std::int64_t g = 2; g <= o.gpus && !all_reduce.empty(); g *= 2)
    if ((std::int64_t{1} << all_reduce.size()) < g)
      throw shunt::invalid_problem("--all-reduce",
                                   "has no time for " + std::to_string(g) + " GPUs");
  for (auto& layer : problem.layers) layer.all_reduce = all_reduce;
  return problem;
}

shunt::oobleck_templates planner_of(options const& o) {
  return {.cost = o.cost == "published" ? shunt::template_cost::published
                                        : shunt::template_cost::simulated,
          .microbatches_per_node = o.microbatches_per_node};
}

/// A reason begins with the field that has the option's name. Throws where there is no plan.
void require_plan(auto const& answer) {
  if (!answer.has_plan()) throw std::invalid_argument("--" + std::string(answer.reason));
}

int plan_templates(options const& o) {
  auto const problem = problem_of(o);
  auto const answer = planner_of(o)(problem);
  require_plan(answer);
  auto templates = ordered_json::array();
  for (auto const& t : answer.plan.templates) {
    auto stages = ordered_json::array();
    for (auto const& s : t.stages) stages.push_back({s.first, s.end, s.gpus});
    templates.push_back({{"nodes", t.nodes}, {"time", t.time}, {"stages", std::move(stages)}});
  }
  example::print_json(std::cout, {{"cost", o.cost},
                                  {"minimum", shunt::least_nodes(problem)},
                                  {"templates", std::move(templates)}});
  return 0;
}

int plan_reconfiguration(options const& o) {
  shunt::pipeline_losses const losses{.pipelines = plan_oobleck::parse_pipelines(o.pipelines),
                                      .lost = example::parse_ranks("--lost", o.lost),
                                      .minimum = o.minimum,
                                      .ranks_per_node = o.ranks_per_node};
  shunt::validate(losses);
  shunt::oobleck_reconfigure planner{.templates = {}, .published_sources = o.published};
  if (!o.layers.empty()) {
    auto all = o;
    all.nodes = 0, all.minimum = 1, all.gpus = 1;
    for (auto const& ranks : losses.pipelines) all.nodes += static_cast<std::int32_t>(ranks.size());
    auto const problem = problem_of(all);
    for (std::size_t p = 0; p < losses.pipelines.size(); ++p)
      if (losses.pipelines[p].size() > problem.layers.size())
        throw shunt::invalid_problem("--pipelines[" + std::to_string(p) + "]",
                                     "has " + std::to_string(losses.pipelines[p].size()) +
                                         " ranks, more than the " +
                                         std::to_string(problem.layers.size()) + " layers");
    planner.templates = planner_of(o)(problem).plan;
  }
  auto const answer = planner(losses);
  auto const& plan = answer.plan;
  auto pipelines = ordered_json::array();
  for (auto const& ranks : plan.pipelines) pipelines.push_back(example::numbers_of(ranks));
  auto copies = ordered_json::array();
  for (auto const& c : plan.copies)
    copies.push_back(
        {{"layer", c.layer.value()}, {"from", c.from.value()}, {"to", example::numbers_of(c.to)}});
  example::print_json(std::cout, {{"status", to_string(answer.status)},
                                  {"reason", answer.reason},
                                  {"pipelines", std::move(pipelines)},
                                  {"copies", std::move(copies)},
                                  {"lost_layers", example::numbers_of(plan.lost_layers)},
                                  {"published_stops", example::numbers_of(plan.published_stops)}});
  if (answer.has_plan()) return 0;
  std::cerr << to_string(answer.status) << ": " << answer.reason << std::endl;
  return 1;
}

int plan_batch(options const& o) {
  auto const wanted = plan_oobleck::parse_templates(o.templates);
  auto all = o;
  all.gpus = 1, all.minimum = 1;
  for (auto const& t : wanted) all.nodes = std::max(all.nodes, t.nodes);
  auto const problem = problem_of(all);
  auto const layers = static_cast<std::int64_t>(problem.layers.size());
  for (std::size_t k = 0; k < wanted.size(); ++k)
    if (wanted[k].nodes > layers)
      throw shunt::invalid_problem("--templates[" + std::to_string(k) + "]",
                                   "is of " + std::to_string(wanted[k].nodes) +
                                       " nodes, more than the " + std::to_string(layers) +
                                       " layers");
  auto const templates = planner_of(o)(problem).plan;
  shunt::batch_problem split{.templates = {}, .batch = o.batch};
  for (auto const& t : wanted) {
    auto const& found = *templates.of(t.nodes);
    split.templates.push_back({t.count, found.time, shunt::stage_times(problem, found.stages)});
  }
  auto const objective =
      o.published ? shunt::batch_objective::published : shunt::batch_objective::makespan;
  auto const answer = shunt::oobleck_batch{.objective = objective, .alike = !o.uneven}(split);
  require_plan(answer);
  auto most = ordered_json::array(), each = ordered_json::array();
  for (auto const& pipelines : answer.plan.microbatches) {
    most.push_back(*std::max_element(pipelines.begin(), pipelines.end()));
    each.push_back(pipelines);
  }
  example::print_json(std::cout, {{"microbatches", std::move(most)},
                                  {"pipelines", std::move(each)},
                                  {"objective", answer.objective},
                                  {"time", shunt::iteration_time(split, answer.plan, objective)}});
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  example::argument_parser app{
      "Plans pipelines of different lengths, as Oobleck does: templates, the batch over "
      "them, and what changes when ranks are lost.\n"};
  app.footer(
      "Exit status: 0 for a plan; 1 where reconfigure has none (status infeasible, the reason "
      "also on standard error); 2 for bad input.");
  options o;

  auto const layers = [&](example::argument_parser* command) {
    return command
        ->add_option("--layers", o.layers,
                     "one row a layer, below these names or not: forward,backward on one GPU, and "
                     "where memory counts also bytes of parameters,activations")
        ->type_name("FILE");
  };
  auto const cost = [&](example::argument_parser* command) {
    command
        ->add_option("--cost", o.cost,
                     "what templates are chosen by: Oobleck's published formula, or the makespan "
                     "of 1F1B")
        ->one_of({"published", "simulated"})
        ->capture_default_str();
    example::add_integer(*command, "--microbatches-per-node", o.microbatches_per_node,
                         "micro-batches of a pipeline for each of its nodes, for --cost simulated",
                         1);
  };

  auto* const templates = app.add_subcommand("templates", "stages of pipelines of every length");
  layers(templates)->required();
  example::add_integer(*templates, "--nodes", o.nodes, "of the largest template", 1)->required();
  example::add_integer(*templates, "--gpus", o.gpus, "of a node, a power of two", 1);
  templates
      ->add_option("--all-reduce", o.all_reduce,
                   "time of an all-reduce within a node, a layer, on 2, 4 ... GPUs")
      ->type_name("G:T[,G:T...]");
  example::add_integer(*templates, "--minimum", o.minimum, "nodes of the smallest template", 1);
  templates->add_option("--memory", o.memory, "bytes of a GPU; K, M, G, T stand for 2^10 ... 2^40")
      ->type_name("N");
  cost(templates);

  auto* const reconfigure =
      app.add_subcommand("reconfigure", "new pipelines and copies of layers after a loss of ranks");
  reconfigure->add_option("--pipelines", o.pipelines, "ranks of each pipeline, stage by stage")
      ->type_name("R,R...[;R,R...]")
      ->required();
  reconfigure->add_option("--lost", o.lost, "ranks lost at once")->type_name("R[,R...]");
  example::add_integer(*reconfigure, "--minimum", o.minimum, "ranks of the shortest pipeline", 1)
      ->required();
  layers(reconfigure);
  reconfigure->add_flag("--published", o.published,
                        "copies from ranks that keep their layer only, as the original does");
  example::add_integer(*reconfigure, "--ranks-per-node", o.ranks_per_node,
                       "consecutive ranks that make a node, which copies prefer; 0: each its own",
                       0);
  cost(reconfigure);

  auto* const batch =
      app.add_subcommand("batch", "micro-batches for pipelines of several templates");
  batch->add_option("--templates", o.templates, "nodes of each template, and how many pipelines")
      ->type_name("N:X[,N:X...]")
      ->required();
  example::add_integer(*batch, "--batch", o.batch, "micro-batches of an iteration", 1, 1 << 24)
      ->required();
  layers(batch)->required();
  auto* const published = batch->add_flag("--published", o.published,
                                          "the original's objective in place of the makespan");
  batch->add_flag("--uneven", o.uneven, "pipelines of a template may get different numbers")
      ->excludes(published);
  cost(batch);

  return example::guarded(app, argc, argv, [&] {
    return example::naming_options(options_of_fields, [&] {
      if (templates->parsed()) return plan_templates(o);
      return reconfigure->parsed() ? plan_reconfiguration(o) : plan_batch(o);
    });
  });
}
