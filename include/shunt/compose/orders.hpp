#pragma once
/// Custom pipeline schedules as ranges: the order of each worker is a view, for example of 1F1B
///
///     concat(forwards(0, w), alternate(forwards(w, m), backwards(0, m - w)), backwards(m - w, m))
///
/// with warm-up, steady state and cool-down. Where a rank holds several stages, its order is a view
/// over the operations of its workers, for example of breadth-first chunks
///
///     concat(each_of(workers, [=](worker w) { return at(w, forwards(0, m)); }), ...)
///
/// Complexity: linear in the number of operations.
#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <range/v3/range/concepts.hpp>
#include <range/v3/range/traits.hpp>
#include <range/v3/view/cache1.hpp>
#include <range/v3/view/concat.hpp>
#include <range/v3/view/iota.hpp>
#include <range/v3/view/join.hpp>
#include <range/v3/view/transform.hpp>
#include <range/v3/view/zip.hpp>

#include "shunt/check/pipeline.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// One operation of a worker, on a micro-batch of its own pipeline.
struct turn {
  op_kind kind = op_kind::forward;
  microbatch_id microbatch{};
  bool operator==(turn const&) const = default;
};

/// Returns turns of one kind on micro-batches first .. last-1, in that order; none where last <=
/// first.
[[nodiscard]] inline auto turns(op_kind kind, std::int32_t first, std::int32_t last) {
  return ranges::views::iota(first, std::max(first, last)) |
         ranges::views::transform([kind](std::int32_t m) { return turn{kind, m}; });
}
[[nodiscard]] inline auto forwards(std::int32_t first, std::int32_t last) {
  return turns(op_kind::forward, first, last);
}
[[nodiscard]] inline auto backwards(std::int32_t first, std::int32_t last) {
  return turns(op_kind::backward, first, last);
}
[[nodiscard]] inline auto backward_inputs(std::int32_t first, std::int32_t last) {
  return turns(op_kind::backward_input, first, last);
}
[[nodiscard]] inline auto backward_weights(std::int32_t first, std::int32_t last) {
  return turns(op_kind::backward_weight, first, last);
}

/// Returns the turns as operations of a worker, to be combined with those of other workers of its
/// rank.
template <ranges::viewable_range Turns>
[[nodiscard]] auto at(worker w, Turns&& of_worker) {
  return std::forward<Turns>(of_worker) | ranges::views::transform([w](turn t) {
           return operation{t.kind, w.pipeline, w.stage, t.microbatch};
         });
}

/// Returns the concatenation of f(worker) over the workers.
template <class F>
[[nodiscard]] auto each_of(std::vector<worker> workers, F f) {
  auto const count = static_cast<std::int32_t>(workers.size());
  return ranges::views::iota(0, count) |
         ranges::views::transform([workers = std::move(workers), f = std::move(f)](std::int32_t i) {
           return f(workers[static_cast<std::size_t>(i)]);
         }) |
         ranges::views::cache1 | ranges::views::join;
}

/// Returns one turn, or operation, of each range in rotation, until one of them ends.
template <class First, class... Others>
  requires(sizeof...(Others) > 0)
[[nodiscard]] auto alternate(First first, Others... others) {
  using item = ranges::range_value_t<First>;
  return ranges::views::zip(std::move(first), std::move(others)...) |
         ranges::views::transform([](auto const& together) {
           return std::apply(
               [](auto const&... each) { return std::array<item, 1 + sizeof...(Others)>{each...}; },
               together);
         }) |
         ranges::views::cache1 | ranges::views::join;
}

using ranges::views::concat;

/// `Orders` returns the order of a rank as a range of turns, called with the rank's worker.
template <class Orders>
concept orders_of_turns =
    ranges::input_range<std::invoke_result_t<Orders const&, worker>> &&
    std::same_as<ranges::range_value_t<std::invoke_result_t<Orders const&, worker>>, turn>;
/// `Orders` returns the order of a rank as a range of operations, called with the rank's workers,
/// by pipeline and then stage.
template <class Orders>
concept orders_of_operations =
    ranges::input_range<std::invoke_result_t<Orders const&, std::vector<worker>>> &&
    std::same_as<ranges::range_value_t<std::invoke_result_t<Orders const&, std::vector<worker>>>,
                 operation>;

/// Builds the schedule of a job from orders, adds the steps, and checks it.
/// Returns a solution; a plan that breaks a rule is infeasible, with the first broken rule as the
/// reason.
/// Throws invalid_problem where the job is broken, or where the orders are of turns and a rank
/// holds several stages.
template <class Orders>
  requires orders_of_turns<Orders> || orders_of_operations<Orders>
[[nodiscard]] solution<pipeline_schedule> schedule_of(pipeline_job const& job, Orders const& orders,
                                                      bool staggered_step = false) {
  validate(job);
  solution<pipeline_schedule> answer{.plan = {.staggered_step = staggered_step},
                                     .status = status::infeasible};
  auto& order = answer.plan.order;
  order.resize(static_cast<std::size_t>(job.ranks()));
  for (rank_id const r : ids<rank_id>(job.ranks())) {
    if constexpr (orders_of_turns<Orders>) {
      if (job.ranks() != job.workers())
        throw invalid_problem(
            "layout", "has ranks with several stages: their orders are ranges of operations");
      worker const w = job.worker_of(r);
      auto own = orders(w);
      for (turn const t : own) order[r].push_back({t.kind, w.pipeline, w.stage, t.microbatch});
    } else {
      auto own = orders(job.workers_of(r));
      for (operation const o : own) order[r].push_back(o);
    }
    if (job.alive(r))
      for (stage_id s : job.stages_of(r)) order[r].push_back({.kind = op_kind::step, .stage = s});
  }
  if (auto const broken = check(job, answer.plan); !broken.empty()) {
    answer.reason = to_string(broken.front());
    return answer;
  }
  answer.objective = static_cast<double>(period(job, answer.plan));
  answer.lower_bound = static_cast<double>(period_bound(job, staggered_step));
  answer.status = answer.objective == answer.lower_bound ? status::optimal : status::feasible;
  return answer;
}

/// A solver from orders: `from_orders{[](pipeline_job const& job, worker w) { return forwards(0,
/// job.microbatches[w.pipeline]); }}`. Transforms follow it with `|`. For ranks with several stages
/// the second parameter is `std::vector<worker>`.
template <class Orders>
struct from_orders {
  static constexpr std::string_view name = "from_orders";

  Orders orders;

  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    if constexpr (std::invocable<Orders const&, pipeline_job const&, worker>)
      return schedule_of(job, [&](worker w) { return orders(job, w); });
    else
      return schedule_of(job,
                         [&](std::vector<worker> const& workers) { return orders(job, workers); });
  }
};
template <class Orders>
from_orders(Orders) -> from_orders<Orders>;

}  // namespace shunt
