// Plans one iteration of pipeline-parallel training: who computes what when, with workers dead or
// alive.
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli.hpp"
#include "policies.hpp"
#include "shunt/json/print.hpp"
#include "shunt/launch/output_file.hpp"
#include "shunt/shunt.hpp"
#include "solvers.hpp"
#include "unlike.hpp"

namespace {

using namespace example;
using namespace plan_pipeline;

constexpr std::int64_t most_cells =
    2'000'000;  // pipelines x stages x micro-batches that this program takes

planned plan(shunt::pipeline_job const& job, std::string const& solver,
             shunt::slipstream const& slipstream) {
  for (auto const& known : shunt::pipeline_solvers)
    if (known.name == solver) return known.solve(job);
  return shunt::solve(job, slipstream);
}

/// What no plan may have more of: cells, of micro-batches of all pipelines at each `of`.
void require_cells(std::int64_t microbatches, std::int64_t each, std::int64_t most,
                   std::string const& of) {
  auto const cells = shunt::checked_multiply(microbatches, each);
  refuse_if(!cells || *cells > most, "--microbatches",
            "pipelines x " + of + " x microbatches must be at most " + std::to_string(most));
}

/// The layout that --layout and --chunks say; what they leave open the solver's name decides.
/// `chunks` 0: not given.
shunt::stage_layout parse_layout(std::string layout, std::int32_t chunks, std::string const& solver,
                                 shunt::pipeline_job const& job) {
  if (layout.find_first_not_of("0123456789,") == std::string::npos && !layout.empty())
    return shunt::stage_layout::custom(parse_ranks("--layout", layout));
  constexpr std::array named = {"",     "linear",        "looped",     "v",
                                "wave", "bidirectional", "stage-major"};
  if (std::find(named.begin(), named.end(), layout) == named.end()) {
    auto const shown = quoted_text(layout);
    throw shunt::invalid_problem(
        "--layout",
        shown.substr(1, shown.size() - 2) +
            " is none of linear, looped, v, wave, bidirectional, stage-major, and a list of ranks");
  }
  if (layout.empty()) {
    layout = "linear";
    for (auto const& known : shunt::pipeline_solvers)
      if (known.name == solver) layout = known.layout;
    if (chunks > 1 && layout == "linear") layout = "looped";
  }
  std::int32_t const several = chunks == 0 ? 2 : chunks;
  if (layout == "looped") return shunt::stage_layout::looped(several);
  if (layout == "wave") return shunt::stage_layout::wave(several);
  std::int32_t const fixed = layout == "v" ? 2 : 1;
  refuse_if(chunks != 0 && chunks != fixed, "--chunks",
            "is " + std::to_string(fixed) + " under --layout " + layout + ", not " +
                std::to_string(chunks));
  if (layout == "v") return shunt::stage_layout::v_shaped();
  if (layout == "stage-major") return shunt::stage_layout::stage_major(job.pipelines, job.stages);
  return layout == "bidirectional" ? shunt::stage_layout::bidirectional()
                                   : shunt::stage_layout::linear();
}

shunt::stash_cap parse_memory(std::string const& text) {
  if (text == "none") return shunt::stash_cap::none();
  if (text == "1f1b") return shunt::stash_cap::one_f_one_b();
  refuse_if(text.find_first_not_of("+-0123456789,KMGT") != std::string::npos || text.empty(),
            "--memory",
            quoted_text(text) +
                " is none of none, 1f1b, a number such as 4, 512M or 8G, and a list of one a rank");
  auto limits = parse_sizes("--memory", text);
  if (limits.size() > 1) return shunt::stash_cap::per_rank(std::move(limits));
  return shunt::stash_cap::per_worker(parse_size("--memory", text, 1));
}

/// What --csv-out and --csv-comms ask for: all is rendered before anything is written. Throws
/// invalid_problem, which names the option, where the plan is none for a CSV or a file can't be
/// written.
void write_files(shunt::pipeline_job const& job, planned const& answer,
                 shunt::timetable const& table, std::string const& plain,
                 std::string const& with_comms, shunt::pytorch_release release) {
  std::vector<std::pair<shunt::output_file, std::string>> files;
  auto const add = [&](std::string const& option, std::string const& path, auto const& write) {
    if (path.empty()) return;
    try {
      files.emplace_back(shunt::output_file(option, path), shunt::rendered(write));
    } catch (shunt::invalid_problem const& refused) {
      if (refused.field() == option) throw;
      throw shunt::invalid_problem(option, refused.what());
    }
  };
  add("--csv-out", plain,
      [&](std::ostream& out) { shunt::write_pytorch_csv(out, job, answer.plan); });
  add("--csv-comms", with_comms, [&](std::ostream& out) {
    shunt::write_pytorch_csv(out, job, answer.plan, table, 0, release);
  });
  for (auto const& [file, content] : files) file.write(content);
}

char letter(shunt::op_kind kind) {
  switch (kind) {
    case shunt::op_kind::forward: return 'F';
    case shunt::op_kind::backward: return 'B';
    case shunt::op_kind::backward_input: return 'I';
    case shunt::op_kind::backward_weight: return 'W';
    default: return 'S';
  }
}

/// What is shown of a job and the answer to it. The times are those of one iteration in the steady
/// state.
struct result {
  shunt::pipeline_job const& job;
  planned const& answer;
  shunt::timetable table{};
  std::string solver{};
  double microseconds = 0;
  std::size_t dead = 0;
  std::optional<bamboo_plan> bamboo{};
  std::string policy{};  ///< none: empty
  continuation after{};
  shunt::redundant_timetable redundant{};  ///< of a plan with redundant forwards
  std::optional<layer_plan> layers{};

  bool has_redundant() const { return bamboo && bamboo->redundant; }

  shunt::ticks makespan() const { return shunt::makespan(answer.plan, table); }
  shunt::ticks period() const { return shunt::period(job, answer.plan, table); }
  std::string summary() const {
    return (policy.empty() || policy == solver     ? solver
            : policy == shunt::best_policy<>::name ? policy
                                                   : policy + ", " + solver) +
           ": " + std::to_string(job.pipelines) + " pipelines x " + std::to_string(job.stages) +
           " stages x " + text_of(job.microbatches) + " micro-batches, " + std::to_string(dead) +
           " dead, makespan " + std::to_string(makespan()) +
           (bamboo ? " (1F1B " + std::to_string(bamboo->makespan_without) + ")" : std::string()) +
           ", period " + std::to_string(period()) + " (at best " +
           std::to_string(static_cast<shunt::ticks>(answer.lower_bound)) + ")";
  }
};

using json = nlohmann::ordered_json;

json shown(shunt::operation const& op, std::string const& kind) {
  return {{"kind", kind},
          {"pipeline", op.pipeline.value()},
          {"microbatch", op.microbatch.value()},
          {"stage", op.stage.value()}};
}

json shown(shunt::worker const& w) {
  return {{"pipeline", w.pipeline.value()}, {"stage", w.stage.value()}};
}

json shown(bamboo_plan const& bamboo) {
  json out{{"makespan_without", bamboo.makespan_without}, {"takeover", nullptr}};
  if (!bamboo.takeover) return out;
  auto const& takeover = *bamboo.takeover;
  auto const list = [](std::vector<shunt::operation> const& ops, std::string const& forward) {
    auto all = json::array();
    for (auto const& op : ops)
      all.push_back(shown(
          op, op.kind == shunt::op_kind::forward ? forward : std::string(1, letter(op.kind))));
    return all;
  };
  out["takeover"] = {{"lost", shown(takeover.lost)},
                     {"shadow", shown(takeover.shadow)},
                     {"failed_at", bamboo.failed_at},
                     {"reused", list(takeover.reused, "R")},
                     {"resumed", list(takeover.resumed, "F")},
                     {"survivors", shunt::numbers_of(takeover.survivors)}};
  return out;
}

void add_policy(json& out, result const& r) {
  out["policy"] = r.policy;
  if (!r.answer.has_plan()) return;
  out["members"] = shunt::numbers_of(r.after.members);
  out["waiting"] = shunt::numbers_of(r.after.waiting);
  out["copies"] = json::array();
  for (auto const& c : r.after.copies)
    out["copies"].push_back(
        {{"stage", c.layer.value()}, {"from", c.from.value()}, {"to", shunt::numbers_of(c.to)}});
  for (auto const& m : r.after.moves)
    out["moves"].push_back({{"move", to_string(m.what)},
                            {"period", m.has_plan() ? json(m.period) : json()},
                            {"stages_copied", m.moved},
                            {"reason", m.reason}});
}

/// Prints a worker as JSON: as text at once, for a plan may have millions of operations.
void print_worker(std::ostream& out, result const& r, shunt::rank_id rank, std::int64_t peak) {
  auto const w = r.job.worker_of(rank);
  auto stages = json::array();
  for (shunt::worker const held : r.job.workers_of(rank)) stages.push_back(held.stage.value());
  json head{{"pipeline", w.pipeline.value()},
            {"stage", w.stage.value()},
            {"stages", std::move(stages)},
            {"stash_peak", peak}};
  if (r.layers) head["state_bytes"] = plan_pipeline::state_bytes(*r.layers, r.job, rank);
  if (!r.answer.plan.overlapped.empty()) head["overlapped"] = r.answer.plan.overlapped[rank];
  std::string text = head.dump();
  text.back() = ',';  // in place of the closing brace
  text += "\"ops\":[";
  auto const number = [&](char const* key, std::int64_t value) {
    std::array<char, 20> digits;
    text += key;
    text.append(digits.data(), std::to_chars(digits.data(), digits.end(), value).ptr);
  };
  auto const add = [&](shunt::operation const& op, char kind, shunt::interval const& when) {
    text += text.back() == '[' ? "{\"kind\":\"" : ",{\"kind\":\"";
    text += kind;
    number("\",\"pipeline\":", op.pipeline.value());
    number(",\"microbatch\":", op.microbatch.value());
    number(",\"stage\":", op.stage.value());
    number(",\"start\":", when.start);
    number(",\"end\":", when.end);
    text += '}';
  };
  std::size_t next = 0;  // redundant forward
  for (std::size_t i = 0; i < r.answer.plan.order[rank].size(); ++i) {
    if (r.has_redundant())
      for (auto const& extra = r.bamboo->redundant->redundant[rank];
           next < extra.size() && extra[next].before == static_cast<std::int32_t>(i); ++next)
        add(extra[next].forward, 'R', r.redundant.redundant[rank][next]);
    auto op = r.answer.plan.order[rank][i];
    if (op.kind == shunt::op_kind::step) op.pipeline = w.pipeline;
    add(op, letter(op.kind), r.table.times[rank][i]);
  }
  out << (text += "]}");
}

void write_json(result const& r) {
  bool const found = r.answer.has_plan();
  json out{{"solver", r.solver},
           {"status", to_string(r.answer.status)},
           {"makespan", found ? json(r.makespan()) : json()},
           {"period", found ? json(r.period()) : json()},
           {"lower_bound", static_cast<shunt::ticks>(r.answer.lower_bound)},
           {"plan_us", r.microseconds},
           {"bubble", !found ? json()
                      : r.has_redundant()
                          ? json(r.bamboo->bubble(r.redundant, r.period()))
                          : json(shunt::bubble_share(r.job, r.answer.plan, r.period()))},
           {"staggered_step", r.answer.plan.staggered_step},
           {"reason", r.answer.reason}};
  if (r.bamboo) out["bamboo"] = shown(*r.bamboo);
  if (!r.policy.empty()) add_policy(out, r);
  if (r.layers) {
    out["stages"] = json::array();
    for (auto const& [first, end] : r.layers->stages) out["stages"].push_back({first, end});
    out["layout"] = found ? json(to_string(r.job.layout.form())) : json();
    out["chunks"] = found ? json(r.job.layout.chunks()) : json();
    out["ranks"] = json::array();  // of the stages of pipeline 0
    for (shunt::stage_id s : shunt::ids<shunt::stage_id>(found ? r.job.stages : 0))
      out["ranks"].push_back(r.job.rank_of({0, s}).value());
  }
  shunt::json_printer printer(std::cout);
  for (auto const& [key, value] : out.items()) printer.field(key, value);
  auto const peaks = found ? shunt::stash_peak(r.job, r.answer.plan)
                           : shunt::indexed<shunt::rank_id, std::int64_t>();
  printer.list("workers", shunt::ids<shunt::rank_id>(peaks.size()),
               [&](shunt::rank_id rank) { print_worker(std::cout, r, rank, peaks[rank]); });
  printer.end();
}

/// Who goes on as what, in a line.
void write_policy(result const& r) {
  auto const list = [](std::vector<shunt::rank_id> const& ranks) {
    std::string all;
    for (auto const rank : ranks) all += ' ' + std::to_string(rank.value());
    return all;
  };
  std::cout << "ranks of the start:" << list(r.after.members)
            << "; wait:" << (r.after.waiting.empty() ? " none" : list(r.after.waiting))
            << "; copied:";
  for (auto const& c : r.after.copies)
    std::cout << " stage " << c.layer.value() << " from " << c.from.value() << " to" << list(c.to)
              << ';';
  std::cout << (r.after.copies.empty() ? " nothing\n" : "\n");
  for (auto const& m : r.after.moves) {
    std::cout << to_string(m.what) << ": ";
    if (m.has_plan())
      std::cout << "period " << m.period << ", " << m.moved << " stages copied\n";
    else
      std::cout << m.reason << '\n';
  }
}

void write(result const& r, std::string const& format) {
  auto const events = r.has_redundant() ? shunt::timeline_of(*r.bamboo->redundant, r.redundant)
                                        : shunt::timeline_of(r.answer.plan, r.table);
  auto const chart = shunt::gantt_of(r.job, events);
  if (format == "svg") return shunt::write_svg(std::cout, chart, {.title = r.summary()});
  if (format == "trace") {
    shunt::trace_style style;
    for (auto const& row : chart.rows) style.rank_names.push_back(row.label);
    return shunt::write_trace(std::cout, events, style);
  }
  std::cout << r.summary() << ", " << to_string(r.answer.status) << ", planned in "
            << std::llround(r.microseconds) << " us\n";
  if (r.layers) write_stages(std::cout, *r.layers, r.job);
  shunt::write_text(std::cout, chart);
  std::cout << "F forward, B fused backward, I backward_input, W backward_weight, S step, . idle, "
               "x dead; F1:0 is micro-batch 0 of pipeline 1, re-routed"
            << (r.job.layout.form() == shunt::stage_layout::shape::bidirectional
                    ? " or the other way round"
                    : "")
            << (r.job.layout.chunks() > 1 ? "; F0b is in the second chunk of its rank" : "")
            << (r.answer.plan.overlapped.empty() ? "" : "; F1+B0 overlap")
            << (r.bamboo && r.bamboo->takeover ? "; F0b is of the second stage of its rank" : "")
            << (r.has_redundant() ? "; R0 is a redundant forward, of the next stage" : "") << "\n";
  if (!r.policy.empty() && r.dead > 0) write_policy(r);
  if (!r.bamboo || !r.bamboo->takeover) return;
  auto const& takeover = *r.bamboo->takeover;
  std::cout << "worker " << shunt::describe(takeover.lost) << " is lost in lockstep "
            << r.bamboo->failed_at << "; " << shunt::describe(takeover.shadow)
            << " ends the iteration with";
  for (auto const& op : takeover.resumed) {
    std::cout << ' ' << letter(op.kind);
    if (op.kind != shunt::op_kind::step) std::cout << op.microbatch.value();
    std::cout << '@' << op.stage.value();
  }
  std::cout << ", has made " << takeover.reused.size()
            << " of its forwards, and from then on runs as above\n";
}

}  // namespace

int main(int argc, char** argv) {
  argument_parser app{"Plans one iteration of pipeline-parallel training: who computes "
                      "what when, and what changes when workers are dead.\n"};
  shunt::pipeline_job job{.pipelines = 1, .stages = 4, .microbatches = 8};
  std::string dead, memory = "none", solver = "slipstream", policy, format = "json", layout, csv_in,
                    csv_out, csv_comms, layers_in, unit = "ticks", torch = "2.15";
  plan_pipeline::unlike_options unlike;
  std::int32_t chunks = 0, ranks = 0;
  std::int64_t failed_at = 0;
  shunt::ticks comm = 0, comm_between = -1;
  bool no_reroute = false, no_split = false, no_stagger = false;

  auto* const pipelines =
      add_integer(app, "--pipelines", job.pipelines, "D, data-parallel pipelines", 1);
  auto* const stages =
      add_integer(app, "--stages", job.stages, "S, stages of each, all chunks together", 1);
  auto* const microbatches =
      add_counts(app, "--microbatches", job.microbatches,
                 "M, micro-batches of each pipeline; one value, or one a pipeline");
  auto* const layouts =
      app.add_option("--layout", layout,
                     "which rank holds which stage: linear, one each; looped, rank s mod P; v, "
                     "there and back; wave, there and back again; bidirectional, pairs of "
                     "pipelines share ranks; stage-major, one each, stage s of pipeline p on rank "
                     "s x D + p; or the ranks themselves, pipeline by pipeline and stage by stage. "
                     "Left out: as the solver needs it")
          ->type_name("NAME|R,R...");
  auto* const chunk = add_integer(
      app, "--chunks", chunks,
      "stages of a pipeline on each of its ranks; 2 for looped and wave where left out", 1);
  chunk->default_str("");
  auto const add_costs =
      [&](std::string const& name, shunt::per_stage& costs, std::string const& help,
          std::vector<std::int64_t> (*parse)(std::string const&, std::string_view)) {
        return app
            .add_option_function(
                name,
                [&costs, name, parse](std::string const& text) {
                  costs = shunt::per_stage(parse(name, text));
                },
                help)
            ->type_name("T[,T...]")
            ->default_str(std::to_string(costs[0]));
      };
  add_costs("--forward", job.costs.forward,
            "ticks of a forward, at least 1; one value, one a stage, or one a worker, pipeline by "
            "pipeline",
            parse_integers);
  add_costs("--backward-input", job.costs.backward_input,
            "ticks of the gradient of a stage's input, at least 1; likewise", parse_integers);
  add_costs("--backward-weight", job.costs.backward_weight,
            "ticks of the gradient of its parameters, 0 or more; likewise", parse_integers);
  add_costs("--step", job.costs.step, "ticks of the optimizer's step, 0 or more; likewise",
            parse_integers);
  add_integer(app, "--comm", comm,
              "ticks from the end of an operation to its output's use on another worker, 0 or more",
              0);
  add_integer(app, "--comm-between", comm_between,
              "the same between nodes, where --ranks-per-node is given", 0)
      ->default_str("as --comm");
  add_integer(app, "--ranks-per-node", job.transfer.ranks_per_node,
              "consecutive ranks that make a node; 0: all on one", 0);
  add_integer(app, "--overlap-gain", job.costs.overlap_gain,
              "ticks that an overlapped forward and backward take less than one after the "
              "other (dual_pipe, dual_pipe_v)",
              0);
  add_costs(
      "--stash", job.stash.forward,
      "what a forward adds to a rank's stash, in units of --memory; one value, or one a stage",
      parse_sizes)
      ->type_name("U[,U...]");
  add_costs("--stash-input", job.stash.backward_input,
            "what of it a backward-input gives back already; likewise", parse_sizes)
      ->type_name("U[,U...]");
  auto* const slow =
      app.add_option("--slow", unlike.slow,
                     "slow workers, and how many times as long their forwards and backwards take; "
                     "costs are rounded to whole ticks")
          ->type_name("P:SxF[,P:SxF...]");
  auto* const lengths =
      app.add_option("--lengths", unlike.lengths,
                     "lengths of all micro-batches, pipeline by pipeline: one of length 2 takes "
                     "twice the ticks")
          ->type_name("N,N...");
  auto* const links =
      app.add_option("--links", unlike.links,
                     "ticks between ranks in place of --comm: a CSV with a row for each sender and "
                     "a column for each receiver")
          ->type_name("FILE")
          ->excludes(std::string("--comm"))
          ->excludes(std::string("--comm-between"))
          ->excludes(std::string("--ranks-per-node"));
  auto* const dead_option =
      app.add_option("--dead", dead, "dead workers, pipeline:stage counted from 0")
          ->type_name("P:S[,P:S...]");
  app.add_option("--memory", memory,
                 "the most that a rank stashes, from forward to backward (or backward_weight), in "
                 "units of --stash, that is micro-batches where that is left out: none (no limit), "
                 "1f1b (s - i on the i-th of s ranks), a number, or one a rank; K, M, G, T behind "
                 "it stand for 2^10, 2^20, 2^30, 2^40, of --stash too")
      ->type_name("none|1f1b|N[,N...]")
      ->capture_default_str();
  auto* const solver_option =
      app.add_option("--solver", solver,
                     "who plans; slipstream and branch_and_bound plan around "
                     "dead workers; bamboo: as --policy bamboo")
          ->one_of(names())
          ->capture_default_str();
  auto* const policy_option =
      app.add_option(
             "--policy", policy,
             "what a system runs after the loss of --dead. slipstream: peers take the "
             "micro-batches; best: of "
             "re-routing, moving stages, both, and fewer pipelines, what has the least period; "
             "bamboo: shadows have two stages, workers being lost in the order "
             "named (nobody lost: 1f1b with redundant forwards); oobleck: pipelines of other "
             "lengths; drop: the pipelines that are whole; regroup: as many as live workers fill. "
             "The last three run under --solver, one_f_one_b where that is left out")
          ->one_of(names_of(policies));
  auto* const failed = add_integer(
      app, "--failed-at", failed_at,
      "bamboo: the lockstep of 1f1b in which the last of the dead workers is lost; the forward of "
      "micro-batch m at stage s runs in s + 2m, its backward in 2S - 1 - s + 2m",
      0);
  app.add_option("--csv-in", csv_in,
                 "a schedule of torch.distributed.pipelining to look at instead of planning one, "
                 "with comms or without")
      ->type_name("FILE")
      ->excludes(pipelines, stages, microbatches, layouts, chunk, dead_option, solver_option,
                 policy_option, failed);
  auto* const layers =
      app.add_option(
             "--layers", layers_in,
             "layers to cut into the stages of --ranks ranks: a CSV with the header "
             "name,forward,backward_input,backward_weight,state_bytes,activation_bytes. Layout and "
             "order are chosen, too; --memory is what a rank has for states and stashes")
          ->type_name("FILE")
          ->excludes(stages, layouts, chunk, dead_option, solver_option, policy_option, failed,
                     slow, lengths, links);
  for (char const* const option : {"--csv-in", "--forward", "--backward-input", "--backward-weight",
                                   "--step", "--stash", "--stash-input", "--overlap-gain"})
    layers->excludes(std::string(option));
  auto* const ranks_option =
      add_integer(app, "--ranks", ranks, "N, ranks of each pipeline, with --layers", 1);
  ranks_option->default_str("");
  auto* const unit_option =
      app.add_option("--unit", unit,
                     "of the times in --layers; measured ones may have fractions and are rounded "
                     "to nanoseconds, which are then the ticks of --comm and of the answer")
          ->one_of({"ticks", "s", "ms", "us", "ns"})
          ->capture_default_str();
  app.add_option("--csv-out", csv_out,
                 "writes the plan of pipeline 0 for torch's _load_csv, compute_only")
      ->type_name("FILE");
  app.add_option("--csv-comms", csv_comms, "the same with sends and receives, compute_comms")
      ->type_name("FILE");
  auto* const releases =
      app.add_option("--torch", torch,
                     "the release that --csv-comms is for; since 2.15 PyTorch demands waits")
          ->one_of({"2.14", "2.15"})
          ->capture_default_str();
  app.add_flag("--no-reroute", no_reroute,
               "slipstream without giving a dead worker's micro-batches to its peers");
  app.add_flag("--no-split", no_split, "slipstream with fused backwards only");
  app.add_flag("--no-stagger", no_stagger, "slipstream with one step for all stages at the end");
  app.add_option(
         "--format", format,
         "json; svg: a Gantt chart; trace: for Perfetto, a tick as 1 us; text: a grid of letters; "
         "with --layers also megatron: the value of --pipeline-model-parallel-layout, and "
         "torchtitan: the list of module_fqns_per_model_part")
      ->one_of({"json", "svg", "trace", "text", "megatron", "torchtitan"})
      ->capture_default_str();
  app.footer(
      "All times are whole ticks, of any unit you like. A fused backward takes backward-input + "
      "backward-weight.\n"
      "JSON: solver, status, makespan (end of the last forward or backward), period (distance of "
      "iterations, step included),\n"
      "lower_bound (of the period), plan_us (microseconds that the solver took, one run), bubble "
      "(idle share of live workers),\n"
      "staggered_step, reason, workers (pipeline, stage, stages (of all its chunks), stash_peak, "
      "overlapped (where there are\n"
      "pairs: indices of their first ops), ops (kind F, B, I: backward_input, W: backward_weight "
      "or\n"
      "S: step, pipeline: the micro-batch's owner, microbatch, stage, start, end)). Times are "
      "those of one iteration in the\n"
      "steady state of many.\n"
      "With --policy also: policy, members (ranks of the start, one for each of workers), waiting "
      "(live ranks without a part),\n"
      "copies (stage, from, to: its state goes between ranks of the start), and with best moves "
      "(move, period or null, stages_copied, reason).\n"
      "With --layers also: stages ([first, end) of the layers of each), their ranks in pipeline 0, "
      "layout and chunks, and in workers\n"
      "state_bytes (stash_peak is in bytes, too); lower_bound is that of every cut, layout and "
      "order, and times count no step.\n"
      "With bamboo also: kind R, a redundant forward, of the stage behind the worker's; bamboo "
      "(makespan_without:\n"
      "that of 1f1b, takeover: null or lost, shadow, failed_at, reused (its forwards that the "
      "shadow had made), resumed (what\n"
      "it computes of the interrupted iteration), survivors (what the ranks were before)). "
      "Makespan, period and workers are then\n"
      "those of the iterations after the losses, until all pipelines are formed anew. stash_peak\n"
      "counts no outputs of redundant forwards.\n"
      "Exit status: 0 for a plan; 1 where there is none (status infeasible or limit_reached, the "
      "reason also on standard error,\n"
      "nothing on standard output where a picture was asked for); 2 for bad input.\n\n"
      "Example: plan_pipeline --pipelines 3 --stages 4 --microbatches 6 --step 3 --dead 1:2 "
      "--solver slipstream --format text");

  return guarded(app, argc, argv, [&] {
    plan_pipeline::policy const* const by =
        policy.empty() ? nullptr : &policy_named(policy, solver_option->count() > 0, solver);
    refuse_if(releases->count() > 0 && csv_comms.empty(), "--torch",
              "is the release that --csv-comms is for");
    bool const by_bamboo = solver == bamboo_name;
    refuse_if(failed->count() > 0 && (!by_bamboo || dead.empty()), "--failed-at",
              "is for bamboo with --dead");
    job.transfer.within_node = comm;
    job.transfer.between_nodes = comm_between < 0 ? comm : comm_between;
    refuse_if(slow->count() > 0 && unlike.slow.empty(), "--slow", "is empty");
    refuse_if(lengths->count() > 0 && unlike.lengths.empty(), "--lengths", "is empty");
    refuse_if(links->count() > 0 && unlike.links.empty(), "--links", "is empty");
    refuse_if(layers->count() > 0 && layers_in.empty(), "--layers", "is empty");
    refuse_if(layers_in.empty() && ranks_option->count() > 0, "--ranks",
              "is the number of ranks for --layers");
    refuse_if(!layers_in.empty() && ranks_option->count() == 0, "--layers", "needs --ranks");
    refuse_if(layers_in.empty() && unit_option->count() > 0, "--unit",
              "is the unit of the times in --layers");
    bool const as_layers = format == "megatron" || format == "torchtitan";
    refuse_if(layers_in.empty() && as_layers, "--format", format + " is for --layers");
    planned answer;
    std::string external;  // the layers in another system's form
    std::optional<layer_plan> cut;
    std::optional<bamboo_plan> bamboo;
    continuation after;
    double microseconds = 0;
    std::size_t dead_workers = 0;
    auto const timed = [&](auto const& solve) {
      auto const start = std::chrono::steady_clock::now();
      auto found = solve();
      std::chrono::duration<double, std::micro> const taken =
          std::chrono::steady_clock::now() - start;
      microseconds = taken.count();
      return found;
    };
    if (!layers_in.empty()) {
      auto problem = layer_problem(layers_in, ranks, job, memory, shunt::time_unit_named(unit));
      if (as_layers) problem = shunt::whole_layers(problem);
      naming_options(options_of_layers, [&] { shunt::validate(problem); });
      require_cells(std::int64_t{problem.microbatches} * problem.pipelines, problem.ranks,
                    most_cells / 8, "ranks");
      auto made = timed([&] {
        auto found =
            shunt::solve(problem, shunt::layer_planner{.waves = !as_layers, .dealt = !as_layers});
        if (format != "torchtitan") return found;
        // torchtitan also has a V of two chunks
        auto folded = shunt::solve(problem, shunt::layer_planner{.most_chunks = 2, .dealt = false});
        bool const better =
            folded.has_plan() && (!found.has_plan() || folded.objective < found.objective);
        return better ? folded : found;
      });
      answer = {.plan = std::move(made.plan.schedule),
                .status = made.status,
                .objective = made.objective,
                .lower_bound = made.lower_bound,
                .reason = made.reason};
      if (answer.has_plan()) {
        job = std::move(made.plan.job);
        shunt::layer_partition const plan{.stages = made.plan.stages, .job = job};
        if (format == "megatron") external = shunt::megatron_layout(problem, plan);
        if (format == "torchtitan") external = shunt::torchtitan_modules(problem, plan);
      }
      cut = {.job = problem, .stages = std::move(made.plan.stages)};
      solver = shunt::layer_planner::name;
    } else {
      if (csv_in.empty()) {
        job.dead = parse_workers("--dead", dead);
        job.layout = naming_options(options_of_fields,
                                    [&] { return parse_layout(layout, chunks, solver, job); });
      } else {
        auto read = shunt::read_pytorch_csv_file(csv_in);
        job.pipelines = read.job.pipelines, job.stages = read.job.stages,
        job.microbatches = read.job.microbatches, job.layout = read.job.layout;
        answer.plan = std::move(read.schedule);
        solver = "csv";
      }
      job.memory = parse_memory(memory);
      auto const counts = job.microbatches.values();  // alike, or a sum of what the list has
      require_cells(counts.size() == 1
                        ? std::int64_t{counts[0]} * job.pipelines
                        : std::accumulate(counts.begin(), counts.end(), std::int64_t{0}),
                    job.stages, most_cells, "stages");
      refuse_if(comm_between >= 0 && comm_between != comm && job.transfer.ranks_per_node == 0,
                "--comm-between", "differs from --comm, which needs --ranks-per-node");
      refuse_if(unlike.any() && by != nullptr && policy != shunt::slipstream::name &&
                    policy != shunt::best_policy<>::name,
                "--policy",
                policy + " is for workers, micro-batches and links that are alike, without --slow, "
                         "--lengths and --links");
      std::optional<shunt::stage_costs> normal;
      naming_options(options_of_fields, [&] {
        shunt::validate(job);
        if (!unlike.slow.empty() && !job.uneven()) normal = job.costs;
        make_unlike(unlike, job);
        shunt::validate(job);
      });
      if (csv_in.empty()) {
        if (by_bamboo) bamboo.emplace();
        dead_workers = job.dead.size();
        answer = timed([&] {
          return naming_options(options_of_fields, [&] {
            if (policy == shunt::best_policy<>::name) return plan_best(job, normal, after);
            if (by != nullptr)
              if (auto const why = go_on(job, *by, after); !why.empty())
                return planned{.status = shunt::status::infeasible, .reason = why};
            return bamboo
                       ? plan_bamboo(job, failed_at, *bamboo)
                       : plan(job, solver,
                              {.reroute = !no_reroute, .split = !no_split, .stagger = !no_stagger});
          });
        });
        if (bamboo && bamboo->takeover) after.members = bamboo->takeover->survivors;
      } else {
        for (auto const& broken : shunt::check(job, answer.plan))
          refuse_if(broken.rule != shunt::pipeline_rule::memory, csv_in,
                    "is no plan: " + to_string(broken));
        answer = shunt::evaluated(job, std::move(answer.plan));
      }
    }

    result shown{.job = job,
                 .answer = answer,
                 .solver = solver,
                 .microseconds = microseconds,
                 .dead = dead_workers,
                 .bamboo = std::move(bamboo),
                 .policy = policy,
                 .after = std::move(after),
                 .layers = std::move(cut)};
    if (answer.has_plan()) {
      if (shown.has_redundant()) {
        refuse_if(!csv_out.empty() || !csv_comms.empty(),
                  csv_out.empty() ? "--csv-comms" : "--csv-out",
                  "has no place for redundant forwards");
        shown.redundant = shunt::times(job, *shown.bamboo->redundant);
        shown.table = shown.redundant.plain;
      } else {
        shown.table = shunt::steady_times(job, answer.plan);
      }
      write_files(job, answer, shown.table, csv_out, csv_comms,
                  torch == "2.14" ? shunt::pytorch_release::v2_14 : shunt::pytorch_release::v2_15);
    } else {
      std::cerr << to_string(answer.status) << ": " << answer.reason << std::endl;
    }
    if (format == "json") {
      write_json(shown);
      return answer.has_plan() ? 0 : 1;
    }
    if (!answer.has_plan()) return 1;
    if (as_layers) {
      std::cout << external << '\n';
      return 0;
    }
    write(shown, format);
    return 0;
  });
}
