#pragma once
/// rebalance_experts on arrays: reads and refuses what a caller gives, and fills the maps.
/// Asks no array for its bytes: where pybind11 is older than 2.12, the answer is wrong under
/// NumPy 2.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "rebalance.hpp"
#include "shunt/measure/placement_bounds.hpp"

namespace planner {

namespace py = pybind11;

inline std::string at(char const* name, std::size_t row, std::size_t column) {
  return std::string(name) + "[" + std::to_string(row) + "][" + std::to_string(column) + "]";
}

/// Throws invalid_problem unless the array has this shape; 0 stands for any extent of at least 1.
inline void require_shape(char const* name, py::array const& a,
                          std::vector<py::ssize_t> const& wanted) {
  bool fits = a.ndim() == static_cast<py::ssize_t>(wanted.size());
  for (std::size_t i = 0; fits && i < wanted.size(); ++i) {
    auto const extent = a.shape(static_cast<py::ssize_t>(i));
    fits = wanted[i] == 0 ? extent > 0 : extent == wanted[i];
  }
  if (fits) return;
  auto const text = [](std::size_t n, auto const& of) {
    std::string all;
    for (std::size_t i = 0; i < n; ++i) all += (i == 0 ? "" : ", ") + of(i);
    return "(" + all + ")";
  };
  throw shunt::invalid_problem(
      name, "must have the shape " +
                text(wanted.size(),
                     [&](std::size_t i) {
                       return wanted[i] == 0 ? std::string("1 or more") : std::to_string(wanted[i]);
                     }) +
                ", has " + text(static_cast<std::size_t>(a.ndim()), [&](std::size_t i) {
                  return std::to_string(a.shape(static_cast<py::ssize_t>(i)));
                }));
}

template <class Number>
using rows = py::array_t<Number, py::array::c_style | py::array::forcecast>;

template <class Number>
std::string shown(Number value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

/// Reads the weights as EPLB does, in float32, and as whole numbers for the library.
template <class Number>
void read_weight(rows<Number> const& weight, double width, question& q, bool& exact) {
  auto const experts = static_cast<std::size_t>(q.layers.experts);
  q.weights.reserve(static_cast<std::size_t>(weight.size()));
  q.layers.loads.reserve(q.weights.capacity());
  for (std::size_t l = 0; l < static_cast<std::size_t>(q.layers.layers); ++l) {
    std::span const row(weight.data() + l * experts, experts);
    for (std::size_t e = 0; e < experts; ++e) {
      if (!(row[e] >= 0) || static_cast<double>(row[e]) > double{std::numeric_limits<float>::max()})
        throw shunt::invalid_problem(at("weight", l, e),
                                     "must be a finite float32 of at least 0, is " + shown(row[e]));
      q.weights.push_back(static_cast<float>(row[e]));
    }
    bool kept = true;
    append_whole(row, width, q.layers.loads, kept);
    exact = exact && kept;
  }
}

inline void require_at_least(char const* name, std::int64_t value, std::int64_t least) {
  if (value < least)
    throw shunt::invalid_problem(name, "must be at least " + std::to_string(least) + ", is " +
                                           std::to_string(value));
}
inline void require_divides(std::string const& what, std::int64_t by, char const* name,
                            std::int64_t value) {
  if (value % by != 0)
    throw shunt::invalid_problem(name, "must be a multiple of the " + std::to_string(by) + " " +
                                           what + ", is " + std::to_string(value));
}

/// The sizes that EPLB is called with.
struct sizes {
  std::int64_t replicas = 0, groups = 0, nodes = 0, gpus = 0;

  /// Throws invalid_problem where EPLB has no answer.
  /// Returns whether EPLB's hierarchical policy answers.
  bool validate(std::int64_t layers, std::int64_t experts) const {
    require_at_least("num_groups", groups, 1);
    require_at_least("num_nodes", nodes, 1);
    require_at_least("num_gpus", gpus, 1);
    require_divides("GPUs", gpus, "num_replicas", replicas);
    if (replicas < experts)
      throw shunt::invalid_problem("num_replicas", "must be at least the " +
                                                       std::to_string(experts) + " experts, is " +
                                                       std::to_string(replicas));
    auto const cells =
        static_cast<double>(layers) * static_cast<double>(replicas) * static_cast<double>(experts);
    if (replicas >= std::int64_t{1} << 31 || cells >= 0x1p30)
      throw shunt::invalid_problem("num_replicas",
                                   "asks for too large maps, is " + std::to_string(replicas));
    bool const hierarchical = groups % nodes == 0;
    if (hierarchical && experts % groups != 0)
      throw shunt::invalid_problem("num_groups", std::to_string(groups) +
                                                     " groups do not divide the " +
                                                     std::to_string(experts) + " experts");
    if (hierarchical) require_divides("nodes", nodes, "num_gpus", gpus);
    return hierarchical;
  }
};

/// Sets `previous`, the old map without the slots of dead GPUs.
inline void read_old_map(rows<std::int64_t> const& old_map, std::vector<bool> const& live,
                         std::size_t of_gpu, shunt::expert_layers& to) {
  auto const slots = live.size() * of_gpu;
  for (std::size_t l = 0; l < static_cast<std::size_t>(to.layers); ++l)
    for (std::size_t s = 0; s < slots; ++s) {
      auto const e = old_map.data()[l * slots + s];
      if (e < -1 || e >= to.experts)
        throw shunt::invalid_problem(at("old_map", l, s),
                                     "must be an expert below " + std::to_string(to.experts) +
                                         ", or -1 for an empty slot, is " + std::to_string(e));
      if (live[s / of_gpu]) to.previous.emplace_back(e);
    }
}

inline py::array_t<std::int64_t> array_of(std::vector<py::ssize_t> const& shape) {
  return py::array_t<std::int64_t>(shape);
}
/// A copy of `values`. An array that is made with them would be wrong under NumPy 2, as above.
template <class Number>
py::array_t<Number> array_of(std::vector<py::ssize_t> const& shape, Number const* values) {
  py::array_t<Number> copy(shape);
  std::copy_n(values, copy.size(), copy.mutable_data());
  return copy;
}

/// rebalance_experts: phy2log, log2phy, logcnt, moves, bound, imbalance.
inline py::tuple rebalance(py::array const& weight, std::int64_t replicas, std::int64_t groups,
                           std::int64_t nodes, std::int64_t gpus, search how,
                           std::vector<bool> live, std::optional<py::array> const& old_map,
                           std::optional<py::array> const& source_loads) {
  require_shape("weight", weight, {0, 0});
  auto const layers = weight.shape(0), experts = weight.shape(1);
  sizes const asked{replicas, groups, nodes, gpus};
  bool const hierarchical = asked.validate(layers, experts);
  bool const nested = hierarchical && nodes > 1;
  if (live.empty()) live.assign(static_cast<std::size_t>(gpus), true);
  auto const of_gpu = static_cast<std::size_t>(replicas / gpus);
  auto const alive = static_cast<std::size_t>(std::count(live.begin(), live.end(), true));
  if (alive * of_gpu < static_cast<std::size_t>(experts))
    throw shunt::invalid_problem("active_ranks", "leave " + std::to_string(alive * of_gpu) +
                                                     " slots for " + std::to_string(experts) +
                                                     " experts");
  validate(how);
  if (how.moves && !old_map)
    throw shunt::invalid_problem("move_budget", "needs old_map, which says what GPUs hold");
  if (source_loads && !deals_rows(how.solver))
    throw shunt::invalid_problem("source_loads", how.solver + " has its own order of GPUs");

  question q{.how = std::move(how)};
  q.whole = alive == live.size();
  q.layers.layers = static_cast<std::int32_t>(layers);
  q.layers.experts = static_cast<std::int32_t>(experts);
  if (nested) {
    q.layers.ranks_per_node = static_cast<std::int32_t>(gpus / nodes);
    q.layers.groups = static_cast<std::int32_t>(groups);
  }
  for (bool const lives : live)
    q.layers.slots_per_rank.push_back(lives ? static_cast<std::int32_t>(of_gpu) : 0);
  q.shape = {static_cast<std::size_t>(experts), alive * of_gpu, 1, 1, alive};
  if (q.whole && hierarchical) {
    q.shape.groups = static_cast<std::size_t>(groups);
    q.shape.nodes = static_cast<std::size_t>(nodes);
  }
  bool exact = true;
  auto const width = static_cast<double>(replicas + experts);
  auto const kind = weight.dtype().kind();
  if (kind == 'f' || kind == 'u')
    read_weight<double>(weight, width, q, exact);
  else
    read_weight<std::int64_t>(weight, width, q, exact);
  if (old_map) {
    require_shape("old_map", *old_map, {layers, replicas});
    rows<std::int64_t> const before = *old_map;
    read_old_map(before, live, of_gpu, q.layers);
  }
  if (source_loads) {
    require_shape("source_loads", *source_loads, {layers, gpus, experts});
    rows<std::int64_t> const sources = *source_loads;
    if (!exact)
      throw shunt::invalid_problem("weight", "must be whole numbers where source_loads are given");
    q.layers.sources.assign(sources.data(), sources.data() + sources.size());
  }

  auto const slots = static_cast<std::size_t>(replicas);
  auto const tables = static_cast<std::size_t>(layers);
  std::vector<std::int32_t> map(tables * slots, -1);
  std::vector<move> moves;
  answer found;
  std::vector<double> bound;
  {
    py::gil_scoped_release const others_run;
    found = place(q);
    moves = moves_of(q.layers, found.plan, live, of_gpu);
    for (shunt::layer_id l : shunt::ids<shunt::layer_id>(q.layers.layers)) {
      auto const row = std::span(map).subspan(l.index() * slots, slots);
      auto const placed = found.plan.layer(l);
      for (std::size_t s = 0, next = 0; s < slots; ++s)
        if (q.whole || live[s / of_gpu]) row[s] = placed[next++].value();
      bound.push_back(shunt::max_over_mean_bound(q.layers, l));
    }
  }

  auto const depth = replicas - experts + 1;
  auto phy2log = array_of({layers, replicas}), log2phy = array_of({layers, experts, depth}),
       logcnt = array_of({layers, experts}),
       moved = array_of({static_cast<py::ssize_t>(moves.size()), 4});
  std::copy(map.begin(), map.end(), phy2log.mutable_data());
  auto* const logical = log2phy.mutable_data();
  auto* const counts = logcnt.mutable_data();
  std::fill_n(logical, log2phy.size(), -1);
  std::fill_n(counts, logcnt.size(), 0);
  auto const* rank = found.ranks.data();
  for (std::size_t l = 0; l < tables; ++l)
    for (std::size_t slot = 0; slot < slots; ++slot) {
      auto const expert = map[l * slots + slot];
      if (expert < 0) continue;
      auto const cell = static_cast<py::ssize_t>(l) * experts + expert;
      auto const r = found.ranks.empty() ? counts[cell] : *rank++;
      logical[cell * depth + r] = static_cast<std::int64_t>(slot);
      ++counts[cell];
    }
  if (!moves.empty()) std::memcpy(moved.mutable_data(), moves.data(), moves.size() * sizeof(move));
  auto const numbers = [&](std::vector<double> const& v) { return array_of({layers}, v.data()); };
  return py::make_tuple(phy2log, log2phy, logcnt, moved, numbers(bound), numbers(found.imbalance));
}

}  // namespace planner
