#pragma once
#include "shunt/measure/operation_graph.hpp"

#include <algorithm>

#include "shunt/core/indexed.hpp"

namespace shunt {

SHUNT_CONSTEXPR ticks cost_of(pipeline_job const& job, operation const& o, rank_id r) {
  auto const& c = job.costs;
  per_stage const* list = nullptr;
  ticks more = 0;  // of a fused backward
  switch (o.kind) {
    case op_kind::forward: list = &c.forward; break;
    case op_kind::backward: more = job.cost_on(c.backward_weight, r, o.stage); [[fallthrough]];
    case op_kind::backward_input: list = &c.backward_input; break;
    case op_kind::backward_weight: list = &c.backward_weight; break;
    case op_kind::step: return job.cost_on(c.step, r, o.stage);
    default: return 0;
  }
  ticks const unit = job.cost_on(*list, r, o.stage) + more;  // of a micro-batch of length 1
  return job.lengths.empty() ? unit : unit * job.length_of(o.pipeline, o.microbatch);
}

SHUNT_CONSTEXPR ticks cost_of(pipeline_job const& job, operation const& o) {
  return cost_of(job, o, job.rank_of({o.pipeline, o.stage}));
}

SHUNT_CONSTEXPR ticks cost_of(pipeline_job const& job, operation const& a, operation const& b,
                              rank_id r) {
  ticks const first = cost_of(job, a, r), second = cost_of(job, b, r);
  return first + second - std::min({job.costs.overlap_gain, first, second});
}

SHUNT_CONSTEXPR ticks cost_of(pipeline_job const& job, operation const& a, operation const& b) {
  return cost_of(job, a, b, job.rank_of({a.pipeline, a.stage}));
}

}  // namespace shunt

namespace shunt::detail {

// Finds the operation that produces the input of another one.
class producers {
 public:
  static constexpr std::int64_t nowhere = -1;

  // `first[r]`: the number of rank r's first operation when the operations of all ranks are
  // numbered in sequence.
  SHUNT_CONSTEXPR producers(pipeline_job const& job, pipeline_schedule const& schedule,
                            std::vector<std::int64_t> const& first)
      : job_(job) {
    forward_.resize(job.cells(), nowhere);
    gradient_.resize(job.cells(), nowhere);
    for (rank_id r : ids<rank_id>(job.ranks())) {
      std::int64_t at = first[r.index()];
      for (operation const& o : schedule.order[r]) {
        if (o.kind == op_kind::forward) forward_[cell(o, o.stage)] = at;
        if (o.kind == op_kind::backward || o.kind == op_kind::backward_input)
          gradient_[cell(o, o.stage)] = at;
        ++at;
      }
    }
  }

  // Returns the number of the operation at the neighbouring stage that produces the input of o, or
  // nowhere.
  [[nodiscard]] SHUNT_CONSTEXPR std::int64_t of(operation const& o) const {
    if (o.kind == op_kind::forward && o.stage > 0) return forward_[cell(o, o.stage.value() - 1)];
    bool const gradient = o.kind == op_kind::backward || o.kind == op_kind::backward_input;
    if (gradient && o.stage.value() + 1 < job_.stages)
      return gradient_[cell(o, o.stage.value() + 1)];
    return nowhere;
  }

 private:
  [[nodiscard]] SHUNT_CONSTEXPR std::size_t cell(operation const& o, stage_id s) const {
    return job_.cell(o.pipeline, s, o.microbatch);
  }
  pipeline_job const& job_;
  std::vector<std::int64_t> forward_{}, gradient_{};
};

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR operation_graph graph_of(pipeline_job const& job,
                                         pipeline_schedule const& schedule) {
  constexpr std::int32_t none = operation_graph::none;
  auto const ranks = static_cast<std::size_t>(job.ranks());
  std::vector<std::int64_t> first(ranks + 1, 0);
  for (std::size_t r = 0; r < ranks; ++r)
    first[r + 1] = first[r] + static_cast<std::int64_t>(schedule.order.items()[r].size());
  detail::producers const producer(job, schedule, first);

  operation_graph graph;
  auto const all = static_cast<std::size_t>(first[ranks]);
  graph.operations = all;
  graph.nodes.reserve(all);
  std::vector<std::int32_t> node_of(all, none), waiter(all, none), next_waiter(ranks, none),
      next(ranks, 0);
  graph.first = graph.last = indexed<rank_id, std::int32_t>(ranks, none);
  auto const append = [&](operation_graph::node const& n) {
    auto const own = static_cast<std::int32_t>(graph.nodes.size());
    if (n.before == none) graph.first[n.rank] = own;
    graph.last[n.rank] = own;
    graph.nodes.push_back(n);
  };
  std::vector<std::size_t> next_pair(ranks, 0);

  // operations that a step waits for, by stage; without a staggered step all count as stage 0
  std::vector<std::int64_t> left(static_cast<std::size_t>(job.stages), 0);
  std::vector<std::vector<std::int32_t>> before_step(static_cast<std::size_t>(job.stages));
  auto const reduced_with = [&](operation const& o) {
    return schedule.staggered_step ? o.stage.index() : std::size_t{0};
  };
  for (auto const& list : schedule.order)
    for (operation const& o : list) left[reduced_with(o)] += o.kind != op_kind::step;

  std::vector<std::int32_t> runnable;
  for (std::int32_t r = job.ranks(); r-- > 0;) runnable.push_back(r);
  while (!runnable.empty()) {
    rank_id const r = runnable.back();
    runnable.pop_back();
    auto const& list = schedule.order[r];
    bool const has_pairs = !schedule.overlapped.empty();
    for (std::int32_t& i = next[r.index()]; i < static_cast<std::int32_t>(list.size()); ++i) {
      operation const& o = list[static_cast<std::size_t>(i)];
      auto const own = static_cast<std::int32_t>(graph.nodes.size());
      operation_graph::node node{.rank = r, .stage = o.stage, .index = i, .before = graph.last[r]};
      if (o.kind == op_kind::step) {
        if (left[reduced_with(o)] > 0) {
          before_step[reduced_with(o)].push_back(r.value());
          break;
        }
        node.is_step = true;
        node.duration = cost_of(job, o, r);
        append(node);
        ++graph.reached;
        continue;
      }
      std::int64_t blocked = detail::producers::nowhere;
      auto const input = [&](operation const& of, std::int32_t& made, ticks& delay) {
        auto const need = producer.of(of);
        if (need == detail::producers::nowhere) return;
        made = node_of[static_cast<std::size_t>(need)];
        if (made == none)
          blocked = need;
        else
          delay = job.transfer(graph.nodes[static_cast<std::size_t>(made)].rank, r);
      };
      input(o, node.producer, node.delay);
      node.duration = cost_of(job, o, r);
      node.pair = has_pairs && next_pair[r.index()] < schedule.overlapped[r].size() &&
                  schedule.overlapped[r][next_pair[r.index()]] == i;
      if (node.pair && blocked == detail::producers::nowhere) {
        operation const& second = list[static_cast<std::size_t>(i) + 1];
        input(second, node.second_producer, node.second_delay);
        node.duration = cost_of(job, o, second, r);
      }
      if (blocked != detail::producers::nowhere) {
        auto const at =
            static_cast<std::size_t>(blocked);  // one more rank waits for this operation
        next_waiter[r.index()] = waiter[at];
        waiter[at] = r.value();
        break;
      }
      append(node);
      next_pair[r.index()] += node.pair;
      for (std::int32_t part = 0; part <= static_cast<std::int32_t>(node.pair); ++part) {
        auto const at =
            static_cast<std::size_t>(first[r.index()]) + static_cast<std::size_t>(i + part);
        node_of[at] = own;
        ++graph.reached;
        for (std::int32_t w = waiter[at]; w != none; w = next_waiter[static_cast<std::size_t>(w)])
          runnable.push_back(w);
        auto const group = reduced_with(list[static_cast<std::size_t>(i + part)]);
        if (--left[group] == 0)
          for (std::int32_t const w : before_step[group]) runnable.push_back(w);
      }
      i += node.pair;
    }
  }
  return graph;
}

}  // namespace shunt
