#pragma once
/// Custom pipeline schedules written as ranges: the order of each worker is a view, for example of
/// 1F1B
///
///     concat(forwards(0, w), alternate(forwards(w, m), backwards(0, m - w)), backwards(m - w, m))
///
/// with warm-up, steady state and cool-down. Where a rank holds several stages its order is a view
/// over operations of its seats, for example of breadth-first chunks
///
///     concat(each_of(seats, [=](worker seat) { return at(seat, forwards(0, m)); }), ...)
///
/// `schedule_of` turns such orders into a schedule of the job, adds the steps, and judges it: what
/// breaks a rule comes back as infeasible, with the first broken rule as the reason. Linear in the
/// number of operations.
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

/// One turn of a worker: an operation on one of its own pipeline's micro-batches.
struct turn {
  op_kind kind = op_kind::forward;
  microbatch_id microbatch{};
  constexpr bool operator==(turn const&) const = default;
};

/// Turns of one kind on micro-batches first .. last-1, in that order; none where last <= first.
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

/// The turns as operations of a seat, to be mixed with those of other seats of its rank.
template <ranges::viewable_range Turns>
[[nodiscard]] auto at(worker seat, Turns&& turns_of_seat) {
  return std::forward<Turns>(turns_of_seat) | ranges::views::transform([seat](turn t) {
           return operation{t.kind, seat.pipeline, seat.stage, t.microbatch};
         });
}

/// f(seat) of each seat, one range after the other.
template <class F>
[[nodiscard]] auto each_of(std::vector<worker> seats, F f) {
  auto const count = static_cast<std::int32_t>(seats.size());
  return ranges::views::iota(0, count) |
         ranges::views::transform([seats = std::move(seats), f = std::move(f)](std::int32_t i) {
           return f(seats[static_cast<std::size_t>(i)]);
         }) |
         ranges::views::cache1 | ranges::views::join;
}

/// One turn, or operation, of each range by turns, as long as all of them last.
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

/// `Orders` gives the order of a rank as a range: of turns, asked with the worker that the rank is;
/// or of operations, asked with the rank's seats, pipelines and then stages ascending.
template <class Orders>
concept orders_of_turns =
    ranges::input_range<std::invoke_result_t<Orders const&, worker>> &&
    std::same_as<ranges::range_value_t<std::invoke_result_t<Orders const&, worker>>, turn>;
template <class Orders>
concept orders_of_operations =
    ranges::input_range<std::invoke_result_t<Orders const&, std::vector<worker>>> &&
    std::same_as<ranges::range_value_t<std::invoke_result_t<Orders const&, std::vector<worker>>>,
                 operation>;

/// Throws invalid_problem where the job is broken, or where a rank of it holds several stages and
/// the orders are of turns.
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
      if (job.ranks() != job.seats())
        throw invalid_problem(
            "layout", "has ranks with several stages: their orders are ranges of operations");
      worker const w = job.worker_of(r);
      auto own = orders(w);
      for (turn const t : own) order[r].push_back({t.kind, w.pipeline, w.stage, t.microbatch});
    } else {
      auto own = orders(job.seats_of(r));
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
  answer.status = answer.objective > answer.lower_bound ? status::feasible : status::optimal;
  return answer;
}

/// A solver made of orders: `from_orders{[](pipeline_job const& job, worker w) { return forwards(0,
/// job.microbatches); }}` can be followed by transforms with `|`; for ranks with several stages the
/// second parameter is `std::vector<worker>`.
template <class Orders>
struct from_orders {
  static constexpr std::string_view name = "from_orders";

  Orders orders;

  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    if constexpr (std::invocable<Orders const&, pipeline_job const&, worker>)
      return schedule_of(job, [&](worker w) { return orders(job, w); });
    else
      return schedule_of(job, [&](std::vector<worker> const& seats) { return orders(job, seats); });
  }
};
template <class Orders>
from_orders(Orders) -> from_orders<Orders>;

}  // namespace shunt
