#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// Ticks that an operation of a pipeline takes; a fused backward takes the sum of its two parts.
[[nodiscard]] constexpr ticks cost_of(pipeline_job const& job, operation const& o) {
  auto const& c = job.costs;
  switch (o.kind) {
    case op_kind::forward: return c.forward[o.stage];
    case op_kind::backward: return c.backward_input[o.stage] + c.backward_weight[o.stage];
    case op_kind::backward_input: return c.backward_input[o.stage];
    case op_kind::backward_weight: return c.backward_weight[o.stage];
    case op_kind::step: return c.step[o.stage];
    default: return 0;
  }
}

/// The operations of a schedule, steps left out, in an order in which they can run: each after its predecessor in the list and after
/// the operation of the neighbouring stage that makes its input. What the schedule does to a single micro-batch at a single worker
/// (forward before backward before backward_weight) is taken for granted.
struct operation_graph {
  static constexpr std::int32_t none = -1;

  struct node {
    rank_id rank{};
    std::int32_t index = 0;        ///< in the worker's list
    std::int32_t before = none;    ///< the node before it in the list
    std::int32_t producer = none;  ///< the node that makes its input, on another worker unless `delay` is 0
    ticks delay = 0;               ///< from the producer's end to the moment its output is there
    ticks duration = 0;
  };
  std::vector<node> nodes{};
  std::size_t operations = 0;  ///< more than there are nodes: the others never start, for the orders of the workers wait for each other

  [[nodiscard]] constexpr bool executable() const { return nodes.size() == operations; }
};

namespace detail {

/// Where the operations stand that make the inputs of others.
class producers {
 public:
  static constexpr std::int64_t nowhere = -1;

  /// `first[r]`: where the operations of a worker begin when all are counted through.
  constexpr producers(pipeline_job const& job, pipeline_schedule const& schedule, std::vector<std::int64_t> const& first) : job_(job) {
    auto const cells = static_cast<std::size_t>(job.ranks()) * static_cast<std::size_t>(job.microbatches);
    forward_.resize(cells, nowhere);
    gradient_.resize(cells, nowhere);
    for (rank_id r : ids<rank_id>(job.ranks())) {
      std::int64_t at = first[r.index()];
      for (operation const& o : schedule.order[r]) {
        if (o.kind == op_kind::forward) forward_[cell(o, o.stage)] = at;
        if (o.kind == op_kind::backward || o.kind == op_kind::backward_input) gradient_[cell(o, o.stage)] = at;
        ++at;
      }
    }
  }

  /// The operation at the neighbouring stage that makes the input of this one.
  [[nodiscard]] constexpr std::int64_t of(operation const& o) const {
    if (o.kind == op_kind::forward && o.stage > 0) return forward_[cell(o, o.stage.value() - 1)];
    bool const gradient = o.kind == op_kind::backward || o.kind == op_kind::backward_input;
    if (gradient && o.stage.value() + 1 < job_.stages) return gradient_[cell(o, o.stage.value() + 1)];
    return nowhere;
  }

 private:
  [[nodiscard]] constexpr std::size_t cell(operation const& o, stage_id s) const {
    auto const stages = static_cast<std::size_t>(job_.stages), microbatches = static_cast<std::size_t>(job_.microbatches);
    return (o.pipeline.index() * stages + s.index()) * microbatches + o.microbatch.index();
  }
  pipeline_job const& job_;
  std::vector<std::int64_t> forward_{}, gradient_{};
};

}  // namespace detail

/// Linear in the number of operations. The schedule has one list a worker and names only operations of the job.
[[nodiscard]] constexpr operation_graph graph_of(pipeline_job const& job, pipeline_schedule const& schedule) {
  constexpr std::int32_t none = operation_graph::none;
  auto const ranks = static_cast<std::size_t>(job.ranks());
  std::vector<std::int64_t> first(ranks + 1, 0);
  for (std::size_t r = 0; r < ranks; ++r) first[r + 1] = first[r] + static_cast<std::int64_t>(schedule.order.items()[r].size());
  detail::producers const producer(job, schedule, first);

  operation_graph graph;
  auto const all = static_cast<std::size_t>(first[ranks]);
  graph.nodes.reserve(all);
  std::vector<std::int32_t> node_of(all, none), waiter(all, none), next_waiter(ranks, none), next(ranks, 0), last(ranks, none);
  std::vector<std::int32_t> runnable;
  for (std::int32_t r = job.ranks(); r-- > 0;) runnable.push_back(r);
  while (!runnable.empty()) {
    rank_id const r = runnable.back();
    runnable.pop_back();
    auto const& list = schedule.order[r];
    for (std::int32_t& i = next[r.index()]; i < static_cast<std::int32_t>(list.size()); ++i) {
      operation const& o = list[static_cast<std::size_t>(i)];
      if (o.kind == op_kind::step) continue;
      auto const need = producer.of(o);
      std::int32_t const made = need == detail::producers::nowhere ? none : node_of[static_cast<std::size_t>(need)];
      if (need != detail::producers::nowhere && made == none) {
        auto const at = static_cast<std::size_t>(need);  // one more worker waits for this operation
        next_waiter[r.index()] = waiter[at];
        waiter[at] = r.value();
        break;
      }
      ticks const delay = made == none || graph.nodes[static_cast<std::size_t>(made)].rank == r ? 0 : job.transfer;
      auto const own = static_cast<std::int32_t>(graph.nodes.size());
      auto const at = static_cast<std::size_t>(first[r.index()]) + static_cast<std::size_t>(i);
      graph.nodes.push_back({r, i, last[r.index()], made, delay, cost_of(job, o)});
      node_of[at] = last[r.index()] = own;
      for (std::int32_t w = waiter[at]; w != none; w = next_waiter[static_cast<std::size_t>(w)]) runnable.push_back(w);
    }
  }
  for (auto const& list : schedule.order)
    for (operation const& o : list) graph.operations += o.kind != op_kind::step;
  return graph;
}

}  // namespace shunt
