#pragma once
/// DualPipe: two pipelines over the same ranks, one from each end, whose forwards and backwards
/// overlap in pairs (DeepSeek-V3 technical report, arXiv 2412.19437, section 3.2.1;
/// github.com/deepseek-ai/DualPipe).
///
/// Every rank holds two stages: the near one, h = 0 .. S/2 - 1 stages from the entrance of its
/// pipeline, and the far one, as many from the exit of the other. In the order of the rank, with H
/// = S/2, F0 and B0 on the near stage, F1 and B1 on the far one, X+Y a pair:
///
///     2 (H - 1 - h) x   F0                           warm-up
///             h + 1 x   F0 F1
///         H - 1 - h x   I1 W F1                      backward_input and its backward_weight
///     M - S + 1 + h x   F0+B1 F1+B0                  steady state; where h = H - 1, the first F0
///     B1 is no pair
///         H - 1 - h x   B1 F1+B0                     cool-down
///             h + 1 x   B1 B0                        the second half of these backwards split
///         H - 1 - h x   W I0                         the oldest backward_weight there is
///             h + 1 x   W
///
/// For M < S it is the order for M = S without the operations of the missing micro-batches; pairs
/// of which half is missing are none. Pairs are marked where the job's overlap_gain is positive:
/// without a gain, each half better sends its result on as soon as it has it. Bubble (S/2 - 1)(F&B
/// + B - 3 W) where F = I in all stages, F&B what a pair takes. S + 1 stashed micro-batches, twice
/// the parameters. Linear in the number of operations. For bidirectional layouts with an even
/// number of stages, D pipelines pair by pair, M each. No search and no re-routing: on a job with
/// dead workers or a tighter cap the answer is infeasible. Throws invalid_problem where the job is
/// broken, has another layout or an odd number of stages.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {
namespace detail {

/// The list of one rank in a dual pipe, without its steps: the near seat is 0 above, the far one 1.
class dual_pipe_rank {
 public:
  /// `pairs` may be null: none are marked.
  constexpr dual_pipe_rank(std::array<worker, 2> seats, std::int32_t microbatches,
                           std::vector<operation>& list, std::vector<std::int32_t>* pairs)
      : seats_(seats), there_(microbatches), list_(list), pairs_(pairs) {}

  /// `place` is h, `places` is H above.
  constexpr void fill(std::int32_t place, std::int32_t places) {
    std::int32_t const rest = places - 1 - place;
    std::int32_t const steady = std::max(there_, 2 * places) - 2 * places + 1 + place;
    late_.reserve(2 * static_cast<std::size_t>(places));
    for (std::int32_t i = 0; i < 2 * rest; ++i) forward(near);
    for (std::int32_t i = 0; i <= place; ++i) {
      forward(near);
      forward(far);
    }
    for (std::int32_t i = 0; i < rest; ++i) {
      backward(far, true);
      weight();
      forward(far);
    }
    for (std::int32_t i = 0; i < steady; ++i) {
      if (i == 0 && rest == 0) {
        forward(near);
        backward(far, false);
      } else {
        pair(near);
      }
      pair(far);
    }
    for (std::int32_t i = 0; i < rest; ++i) {
      backward(far, false);
      pair(far);
    }
    for (std::int32_t i = 0; i < 2 * (place + 1); ++i) backward(i % 2 == 0 ? far : near, i > place);
    for (std::int32_t i = 0; i < rest; ++i) {
      weight();
      backward(near, true);
    }
    for (std::int32_t i = 0; i <= place; ++i) weight();
  }

 private:
  static constexpr std::size_t near = 0, far = 1;

  constexpr bool forward(std::size_t seat) {
    return add(op_kind::forward, seat, forwards_[seat]++);
  }
  constexpr bool backward(std::size_t seat, bool split) {
    std::int32_t const m = backwards_[seat]++;
    if (split)
      late_.push_back({op_kind::backward_weight, seats_[seat].pipeline, seats_[seat].stage, m});
    return add(split ? op_kind::backward_input : op_kind::backward, seat, m);
  }
  /// A forward of the seat and a backward of the other one.
  constexpr void pair(std::size_t seat) {
    auto const at = static_cast<std::int32_t>(list_.size());
    bool const first = forward(seat), second = backward(1 - seat, false);
    if (first && second && pairs_ != nullptr) pairs_->push_back(at);
  }
  constexpr void weight() {
    operation const& o = late_[next_late_++];
    if (o.microbatch < there_) list_.push_back(o);
  }
  constexpr bool add(op_kind kind, std::size_t seat, std::int32_t m) {
    if (m < there_) list_.push_back({kind, seats_[seat].pipeline, seats_[seat].stage, m});
    return m < there_;
  }

  std::array<worker, 2> seats_;
  std::int32_t there_;  // micro-batches
  std::vector<operation>& list_;
  std::vector<std::int32_t>* pairs_;
  std::array<std::int32_t, 2> forwards_{}, backwards_{};
  std::vector<operation> late_{};  // each backward_weight of a split backward
  std::size_t next_late_ = 0;
};

/// The lists of all ranks; `seats(p, h)` are the near and the far seat of the rank that holds stage
/// h < S/2 of pipeline p.
template <class Seats>
constexpr pipeline_schedule dual_pipe_order(pipeline_job const& job, Seats seats) {
  std::int32_t const places = job.stages / 2;
  auto const all = 4 * static_cast<std::size_t>(job.microbatches) +
                   2;  // and at most S - 1 of the backwards split
  auto schedule = empty_schedule(job, all + std::min(static_cast<std::size_t>(job.stages), all));
  bool const paired = job.costs.overlap_gain > 0;
  if (paired) schedule.overlapped.resize(schedule.order.size());
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (std::int32_t place = 0; place < places; ++place) {
      rank_id const r = job.rank_of({p, place});
      std::array<worker, 2> const held = seats(p, place);
      auto* const pairs = paired ? &schedule.overlapped[r] : nullptr;
      if (paired) pairs->reserve(2 * static_cast<std::size_t>(job.microbatches));
      dual_pipe_rank(held, job.microbatches, schedule.order[r], pairs).fill(place, places);
      for (worker const& w : held)
        schedule.order[r].push_back({.kind = op_kind::step, .stage = w.stage});
    }
  return schedule;
}

/// What the busiest of H places idles for each of the others.
constexpr ticks dual_pipe_bubble(pipeline_job const& job) {
  ticks const forward = job.costs.forward[0], input = job.costs.backward_input[0],
              weight = job.costs.backward_weight[0];
  ticks const gain = std::min({job.costs.overlap_gain, forward, input + weight});
  ticks const idle = gain > 0 ? 2 * forward + input - weight - gain
                              : forward - weight + std::max(input, forward - weight);
  return (job.stages / 2 - 1) * idle;
}

}  // namespace detail

struct dual_pipe {
  static constexpr std::string_view name = "dual_pipe";

  [[nodiscard]] constexpr solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    return restate(job, order(job));
  }

  /// The plan alone, of a job that is not broken. Throws invalid_problem for another layout or an
  /// odd number of stages.
  [[nodiscard]] constexpr pipeline_schedule order(pipeline_job const& job) const {
    require_layout(job, name, stage_layout::shape::bidirectional);
    require_even_stages(job, name);
    return detail::dual_pipe_order(job, [&](pipeline_id p, std::int32_t place) {
      pipeline_id const other = p.value() % 2 == 0 ? p.value() + 1 : p.value() - 1;
      return std::array<worker, 2>{{{p, place}, {other, job.stages - 1 - place}}};
    });
  }

  /// (S/2 - 1)(F&B + F - 2 W), F&B = F + I + W - overlap_gain: how long the middle ranks, which
  /// idle most, idle within the makespan. Equal stages with W <= I <= F, M >= S, no transfer. Where
  /// F = I it is the (S/2 - 1)(F&B + B - 3 W) of the report's table 2, whose B is I + W. Without a
  /// gain (S/2 - 1)(F - W + max(I, F - W)): nothing is paired.
  [[nodiscard]] static constexpr ticks bubble(pipeline_job const& job) {
    return detail::dual_pipe_bubble(job);
  }
  /// min(S + 1, 2 M), where M >= S on every rank.
  [[nodiscard]] static constexpr std::int64_t stash_peak(pipeline_job const& job) {
    return std::min(job.stages + 1, 2 * job.microbatches) * job.stash.forward[0];
  }
};
static_assert(solver_for<dual_pipe, pipeline_job>);

}  // namespace shunt
