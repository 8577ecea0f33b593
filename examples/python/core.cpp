// The module shunt_planner._core: arrays in and out, plans as JSON. The package beside it makes
// NumPy arrays of what a caller has.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "rebalance.hpp"
#include "shunt/check/pipeline.hpp"
#include "shunt/check/program.hpp"
#include "shunt/json/experts.hpp"
#include "shunt/json/pipeline.hpp"
#include "shunt/json/program.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/measure/placement_bounds.hpp"
#include "shunt/solve/named/pipeline_solvers.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/version.hpp"
#include "values.hpp"

namespace py = pybind11;

namespace {

using planner::bind_value, planner::lines_of, planner::python_of;
using shunt::invalid_problem;

/// A job as the keywords that make it, those of the default left out.
std::string text_of(shunt::pipeline_job const& job) {
  nlohmann::json const all = job, usual = shunt::pipeline_job{};
  std::string text;
  for (std::string const key : {"pipelines", "stages", "microbatches", "costs", "transfer",
                                "layout", "stash", "memory", "dead"})
    if (all[key] != usual[key] || usual[key] == 1)
      text += (text.empty() ? "" : ", ") + key + "=" +
              py::cast<std::string>(py::repr(python_of(all[key])));
  return "PipelineJob(" + text + ")";
}

template <class Plan>
py::tuple tuple_of(shunt::solution<Plan> const& s) {
  bool const found = s.has_plan();
  return py::make_tuple(found ? py::cast(s.plan) : py::none(), std::string(to_string(s.status)),
                        s.objective, s.lower_bound, std::string(s.reason));
}

/// Returns the layout that a solver of pipelines is for, as a job's JSON says it.
nlohmann::json layout_for(std::string const& solver) {
  std::string names;
  for (auto const& known : shunt::pipeline_solvers) {
    if (known.name == solver && known.layout == "looped") return {{"looped", 2}};
    if (known.name == solver && (known.layout == "v" || known.layout == "wave"))
      return {{"wave", 2}};
    if (known.name == solver) return std::string(known.layout);
    names += std::string(known.name) + ", ";
  }
  if (solver == shunt::slipstream::name) return "linear";
  throw invalid_problem("solver",
                        "'" + solver + "' is none of " + names + std::string("slipstream"));
}

shunt::solution<shunt::pipeline_schedule> plan_pipeline_of(shunt::pipeline_job const& job,
                                                           std::string const& solver,
                                                           shunt::slipstream const& slipstream) {
  for (auto const& known : shunt::pipeline_solvers)
    if (known.name == solver) return known.solve(job);
  static_cast<void>(layout_for(solver));  // refuses what is no solver
  return shunt::solve(job, slipstream);
}

shunt::rank_program const& rank_of(shunt::program const& p, std::int32_t r) {
  if (!p.ranks.contains(r))
    throw py::index_error("rank " + std::to_string(r) + " of " + std::to_string(p.ranks.size()));
  return p.ranks[r];
}

void bind_pipelines(py::module_& m) {
  bind_value<shunt::pipeline_job>(m, "PipelineJob", nlohmann::json(shunt::pipeline_job{}))
      .def("__repr__", &text_of)
      .def_property_readonly("ranks", &shunt::pipeline_job::ranks);
  bind_value<shunt::pipeline_schedule>(
      m, "PipelineSchedule",
      {{"order", nullptr}, {"staggered_step", false}, {"overlapped", nlohmann::json::array()}})
      .def("__repr__", [](shunt::pipeline_schedule const& plan) {
        std::size_t operations = 0;
        for (auto const& rank : plan.order) operations += rank.size();
        return "<PipelineSchedule: " + std::to_string(plan.order.size()) + " ranks, " +
               std::to_string(operations) + " operations>";
      });
  bind_value<shunt::program>(m, "Program", {{"ranks", nullptr}, {"groups", nullptr}})
      .def("__repr__",
           [](shunt::program const& p) {
             return "<Program: " + std::to_string(p.ranks.size()) + " ranks, " +
                    std::to_string(p.instructions()) + " instructions>";
           })
      .def("__len__", [](shunt::program const& p) { return p.ranks.size(); })
      .def(
          "buffers",
          [](shunt::program const& p, std::int32_t r) {
            std::vector<shunt::byte_count> sizes;
            for (auto const& buffer : rank_of(p, r).buffers) sizes.push_back(buffer.size);
            return sizes;
          },
          py::arg("rank"))
      .def(
          "instructions",
          [](shunt::program const& p, std::int32_t r) {
            auto const& rank = rank_of(p, r);
            auto const parts = [](auto const& regions) {
              auto list = nlohmann::json::array();
              for (auto const& part : regions)
                list.push_back({part.buffer.value(), part.offset, part.size});
              return list;
            };
            auto all = nlohmann::json::array();
            for (auto const& i : rank.instructions) {
              nlohmann::json one = i;  // without what has its usual value
              if (i.code == shunt::opcode::compute) one["op"] = i.op;
              if (i.code == shunt::opcode::send || i.code == shunt::opcode::receive) {
                one["peer"] = i.peer.value();
                one["channel"] = i.channel;
              }
              if (is_collective(i.code)) one["group"] = i.group.value();
              one["reads"] = parts(rank.reads(i));
              one["writes"] = parts(rank.writes(i));
              auto const after = rank.after(i);
              one["after"] = std::vector<std::int32_t>(after.begin(), after.end());
              if (i.condition >= 0) one["condition"] = parts(rank.condition(i))[0];
              all.push_back(std::move(one));
            }
            return python_of(all);
          },
          py::arg("rank"));

  m.def("layout_for", [](std::string const& solver) { return python_of(layout_for(solver)); });
  m.def("plan_pipeline", [](shunt::pipeline_job const& job, std::string const& solver,
                            std::int64_t effort, bool reroute, bool split, bool stagger) {
    shunt::solution<shunt::pipeline_schedule> found;
    {
      py::gil_scoped_release const others_run;
      found = plan_pipeline_of(
          job, solver, {.reroute = reroute, .split = split, .stagger = stagger, .effort = effort});
    }
    return tuple_of(found);
  });
  m.def("lower",
        [](shunt::pipeline_job const& job, shunt::pipeline_schedule const& plan,
           std::int64_t activation, std::int64_t stash, std::int64_t gradient, std::int64_t state) {
          py::gil_scoped_release const others_run;
          return shunt::lower(
              job, plan,
              {.activation = activation, .stash = stash, .gradient = gradient, .state = state});
        });
  m.def("check", [](shunt::pipeline_job const& job, shunt::pipeline_schedule const& plan) {
    return lines_of(shunt::check(job, plan));
  });
  m.def("check", [](shunt::program const& p) { return lines_of(shunt::check(p)); });
  m.def("measure_pipeline", [](shunt::pipeline_job const& job,
                               shunt::pipeline_schedule const& plan) {
    return py::make_tuple(shunt::makespan(job, plan), shunt::period(job, plan),
                          shunt::makespan_bound(job), shunt::period_bound(job, plan.staggered_step),
                          shunt::bubble_share(job, plan), shunt::stash_peak(job, plan).items());
  });
}

void bind_experts(py::module_& m) {
  auto const none = nlohmann::json::array();
  bind_value<shunt::expert_layers>(m, "ExpertLayers",
                                   {{"layers", nullptr},
                                    {"experts", nullptr},
                                    {"loads", nullptr},
                                    {"slots_per_rank", nullptr},
                                    {"ranks_per_node", 0},
                                    {"groups", 0},
                                    {"previous", none},
                                    {"history", none},
                                    {"sources", none}})
      .def("__repr__", [](shunt::expert_layers const& p) {
        return "<ExpertLayers: " + std::to_string(p.layers) + " layers, " +
               std::to_string(p.experts) + " experts, " + std::to_string(p.slots()) + " slots on " +
               std::to_string(p.ranks()) + " ranks>";
      });
  bind_value<shunt::expert_placement>(
      m, "ExpertPlacement",
      {{"layers", nullptr}, {"experts", nullptr}, {"first_slot", nullptr}, {"expert_of", nullptr}})
      .def("__repr__", [](shunt::expert_placement const& p) {
        return "<ExpertPlacement: " + std::to_string(p.layers) + " layers, " +
               std::to_string(p.experts) + " experts, " + std::to_string(p.slots()) + " slots on " +
               std::to_string(p.ranks()) + " ranks>";
      });
  m.def("plan_experts", [](shunt::expert_layers const& layers, planner::search const& how) {
    planner::validate(how);
    shunt::solution<shunt::expert_placement> found;
    {
      py::gil_scoped_release const others_run;
      found = planner::solved(layers, how);
    }
    return tuple_of(found);
  });
  m.def("check", [](shunt::expert_layers const& layers, shunt::expert_placement const& plan) {
    return lines_of(shunt::check(layers, plan));
  });
  m.def("measure_experts",
        [](shunt::expert_layers const& layers, shunt::expert_placement const& plan) {
          auto const broken = shunt::check(layers, plan);
          if (!broken.empty()) throw invalid_problem("placement", to_string(broken[0]));
          std::vector<double> imbalance, bound;
          for (shunt::layer_id l : shunt::ids<shunt::layer_id>(layers.layers)) {
            imbalance.push_back(shunt::max_over_mean(layers.loads_of(l), plan, l));
            bound.push_back(shunt::max_over_mean_bound(layers, l));
          }
          return py::make_tuple(imbalance, bound);
        });
  py::class_<planner::search>(m, "Search")
      .def(py::init([](std::string solver, std::int64_t effort, std::uint64_t seed,
                       std::optional<std::int32_t> moves) {
        return planner::search{std::move(solver), effort, seed, moves};
      }));
  m.def("rebalance", &planner::rebalance);
}

/// Throws the library's exceptions as those of the package, under the arguments' names.
void translate(std::exception_ptr thrown) {
  auto const raise = [](char const* type, py::tuple const& arguments) {
    py::object const known = py::module_::import("shunt_planner._errors").attr(type);
    PyErr_SetObject(known.ptr(), known(*arguments).ptr());
  };
  try {
    if (thrown) std::rethrow_exception(thrown);
  } catch (invalid_problem const& e) {
    raise("InvalidProblem",
          py::make_tuple(e.field(), std::string(e.what()).substr(e.field().size() + 2)));
  } catch (shunt::invalid_program const& e) {
    raise("InvalidProgram", py::make_tuple(e.what()));
  }
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  py::register_exception_translator(&translate);
  m.attr("version") = std::to_string(SHUNT_VERSION_MAJOR) + "." +
                      std::to_string(SHUNT_VERSION_MINOR) + "." +
                      std::to_string(SHUNT_VERSION_PATCH);
  bind_pipelines(m);
  bind_experts(m);
  planner::bind_shards(m);
}
