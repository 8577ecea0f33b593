// Oobleck's planners: templates of pipelines, the batch over several of them, and new pipelines
// after a loss of ranks.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/io/csv_fields.hpp"
#include "shunt/io/template_layer_csv.hpp"
#include "shunt/json/print.hpp"
#include "shunt/measure/template_times.hpp"
#include "shunt/problem/batch_problem.hpp"
#include "shunt/problem/pipeline_losses.hpp"
#include "shunt/problem/template_problem.hpp"
#include "shunt/solve/pipeline/oobleck_batch.hpp"
#include "shunt/solve/pipeline/oobleck_reconfigure.hpp"
#include "shunt/solve/pipeline/oobleck_templates.hpp"

namespace {

using namespace example;

using nlohmann::ordered_json;

/// The number that `text` is, all of it. Throws invalid_problem, naming the place and the text.
double parse_number(std::string const& place, std::string_view text) {
  if (auto const value = shunt::finite_number(text)) return *value;
  throw shunt::invalid_problem(place, quoted_text(text) + " is not a number");
}

/// "2:0.1,4:0.2": times of all-reduces on 2, 4 ... GPUs. Throws invalid_problem, naming the item.
std::vector<double> parse_all_reduce(std::string const& text) {
  std::int64_t next = 2;
  return parse_each("--all-reduce", text, [&](std::string const& name, std::string_view item) {
    auto const [count, time] = halves_of(name, item, ':', "gpus:time");
    auto const gpus = parse_integer(name + " (gpus)", count, 2, 1 << 30);
    refuse_if(gpus != next, name + " (gpus)",
              "must be " + std::to_string(next) + ": 2, 4, 8 ... in this order, is " +
                  std::to_string(gpus));
    next *= 2;
    auto const taken = parse_number(name + " (time)", time);
    refuse_if(taken < 0, name + " (time)", "must be at least 0, is " + std::string(time));
    return taken;
  });
}

/// "0,1;2,3,4": lists of ranks. Throws invalid_problem, naming the list and the item.
std::vector<std::vector<shunt::rank_id>> parse_pipelines(std::string const& text) {
  return parse_each("--pipelines", text, parse_ranks, ';');
}

/// A template by its nodes and how many pipelines run it.
struct counted_template {
  std::int32_t nodes = 1;
  std::int32_t count = 1;
};

/// "2:1,3:1". Throws invalid_problem, naming the item.
std::vector<counted_template> parse_templates(std::string const& text) {
  std::set<std::int32_t> known;
  auto all = parse_each("--templates", text, [&](std::string const& name, std::string_view item) {
    auto const [nodes, count] = halves_of(name, item, ':', "nodes:count");
    auto const number = [&](char const* what, std::string_view digits) {
      return static_cast<std::int32_t>(parse_integer(name + what, digits, 1, 1 << 24));
    };
    counted_template const now{number(" (nodes)", nodes), number(" (count)", count)};
    refuse_if(!known.insert(now.nodes).second, name,
              "names the template of " + std::to_string(now.nodes) + " nodes for the second time");
    return now;
  });
  refuse_if(all.empty(), "--templates", "is empty");
  return all;
}

/// What the command line says, of all commands.
struct options {
  std::string layers, all_reduce, cost = "published", memory, pipelines, lost, templates;
  std::int32_t nodes = 1, gpus = 1, minimum = 1, microbatches_per_node = 4, ranks_per_node = 0;
  std::int64_t batch = 1;
  bool published = false, uneven = false;
};

/// Fields of the problems and the options that set them.
constexpr std::array options_of_fields = std::to_array<option_of_field>({
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
  shunt::template_problem problem{.layers = shunt::read_template_layer_csv_file(o.layers),
                                  .nodes = o.nodes,
                                  .gpus = o.gpus,
                                  .minimum = o.minimum};
  if (!o.memory.empty()) problem.memory = parse_size("--memory", o.memory, 1);
  auto const all_reduce = parse_all_reduce(o.all_reduce);
  for (std::int64_t g = 2; g <= o.gpus && !all_reduce.empty(); g *= 2)
    refuse_if((std::int64_t{1} << all_reduce.size()) < g, "--all-reduce",
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
  shunt::print_json(std::cout, {{"cost", o.cost},
                                {"minimum", shunt::least_nodes(problem)},
                                {"templates", std::move(templates)}});
  return 0;
}

int plan_reconfiguration(options const& o) {
  shunt::pipeline_losses const losses{.pipelines = parse_pipelines(o.pipelines),
                                      .lost = parse_ranks("--lost", o.lost),
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
      refuse_if(losses.pipelines[p].size() > problem.layers.size(),
                "--pipelines[" + std::to_string(p) + "]",
                "has " + std::to_string(losses.pipelines[p].size()) + " ranks, more than the " +
                    std::to_string(problem.layers.size()) + " layers");
    planner.templates = planner_of(o)(problem).plan;
  }
  auto const answer = planner(losses);
  auto const& plan = answer.plan;
  auto pipelines = ordered_json::array();
  for (auto const& ranks : plan.pipelines) pipelines.push_back(shunt::numbers_of(ranks));
  auto copies = ordered_json::array();
  for (auto const& c : plan.copies)
    copies.push_back(
        {{"layer", c.layer.value()}, {"from", c.from.value()}, {"to", shunt::numbers_of(c.to)}});
  shunt::print_json(std::cout, {{"status", to_string(answer.status)},
                                {"reason", answer.reason},
                                {"pipelines", std::move(pipelines)},
                                {"copies", std::move(copies)},
                                {"lost_layers", shunt::numbers_of(plan.lost_layers)},
                                {"published_stops", shunt::numbers_of(plan.published_stops)}});
  if (answer.has_plan()) return 0;
  std::cerr << to_string(answer.status) << ": " << answer.reason << std::endl;
  return 1;
}

int plan_batch(options const& o) {
  auto const wanted = parse_templates(o.templates);
  auto all = o;
  all.gpus = 1, all.minimum = 1;
  for (auto const& t : wanted) all.nodes = std::max(all.nodes, t.nodes);
  auto const problem = problem_of(all);
  auto const layers = static_cast<std::int64_t>(problem.layers.size());
  for (std::size_t k = 0; k < wanted.size(); ++k)
    refuse_if(wanted[k].nodes > layers, "--templates[" + std::to_string(k) + "]",
              "is of " + std::to_string(wanted[k].nodes) + " nodes, more than the " +
                  std::to_string(layers) + " layers");
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
  shunt::print_json(std::cout, {{"microbatches", std::move(most)},
                                {"pipelines", std::move(each)},
                                {"objective", answer.objective},
                                {"time", shunt::iteration_time(split, answer.plan, objective)}});
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  argument_parser app{"Plans pipelines of different lengths, as Oobleck does: templates, "
                      "the batch over them, and what changes when ranks are lost.\n"};
  app.footer("Exit status: 0 for a plan; 1 where reconfigure has none (status infeasible, the "
             "reason also on standard error); 2 for bad input.");
  options o;

  auto const layers = [&](argument_parser* command) {
    return command
        ->add_option("--layers", o.layers,
                     "one row a layer, below these names or not: forward,backward on one GPU, and "
                     "where memory counts also bytes of parameters,activations")
        ->type_name("FILE");
  };
  auto const cost = [&](argument_parser* command) {
    command
        ->add_option(
            "--cost", o.cost,
            "what templates are chosen by: Oobleck's published formula, or the makespan of 1F1B")
        ->one_of({"published", "simulated"})
        ->capture_default_str();
    add_integer(*command, "--microbatches-per-node", o.microbatches_per_node,
                "micro-batches of a pipeline for each of its nodes, for --cost simulated", 1);
  };

  auto* const templates = app.add_subcommand("templates", "stages of pipelines of every length");
  layers(templates)->required();
  add_integer(*templates, "--nodes", o.nodes, "of the largest template", 1)->required();
  add_integer(*templates, "--gpus", o.gpus, "of a node, a power of two", 1);
  templates
      ->add_option("--all-reduce", o.all_reduce,
                   "time of an all-reduce within a node, a layer, on 2, 4 ... GPUs")
      ->type_name("G:T[,G:T...]");
  add_integer(*templates, "--minimum", o.minimum, "nodes of the smallest template", 1);
  templates->add_option("--memory", o.memory, "bytes of a GPU; K, M, G, T stand for 2^10 ... 2^40")
      ->type_name("N");
  cost(templates);

  auto* const reconfigure =
      app.add_subcommand("reconfigure", "new pipelines and copies of layers after a loss of ranks");
  reconfigure->add_option("--pipelines", o.pipelines, "ranks of each pipeline, stage by stage")
      ->type_name("R,R...[;R,R...]")
      ->required();
  reconfigure->add_option("--lost", o.lost, "ranks lost at once")->type_name("R[,R...]");
  add_integer(*reconfigure, "--minimum", o.minimum, "ranks of the shortest pipeline", 1)
      ->required();
  layers(reconfigure);
  reconfigure->add_flag("--published", o.published,
                        "copies from ranks that keep their layer only, as the original does");
  add_integer(*reconfigure, "--ranks-per-node", o.ranks_per_node,
              "consecutive ranks that make a node, which copies prefer; 0: each its own", 0);
  cost(reconfigure);

  auto* const batch =
      app.add_subcommand("batch", "micro-batches for pipelines of several templates");
  batch->add_option("--templates", o.templates, "nodes of each template, and how many pipelines")
      ->type_name("N:X[,N:X...]")
      ->required();
  add_integer(*batch, "--batch", o.batch, "micro-batches of an iteration", 1, 1 << 24)->required();
  layers(batch)->required();
  auto* const published = batch->add_flag("--published", o.published,
                                          "the original's objective in place of the makespan");
  batch->add_flag("--uneven", o.uneven, "pipelines of a template may get different numbers")
      ->excludes(published);
  cost(batch);

  return guarded(app, argc, argv, [&] {
    return naming_options(options_of_fields, [&] {
      if (templates->parsed()) return plan_templates(o);
      return reconfigure->parsed() ? plan_reconfiguration(o) : plan_batch(o);
    });
  });
}
