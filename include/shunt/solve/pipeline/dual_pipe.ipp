#pragma once
#include "shunt/solve/pipeline/dual_pipe.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR void dual_pipe_rank::fill(std::int32_t place, std::int32_t places) {
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

SHUNT_CONSTEXPR bool dual_pipe_rank::forward(std::size_t direction) {
  return add(op_kind::forward, direction, forwards_[direction]++);
}

SHUNT_CONSTEXPR bool dual_pipe_rank::backward(std::size_t direction, bool split) {
  std::int32_t const m = backwards_[direction]++;
  if (split)
    late_.push_back(
        {op_kind::backward_weight, workers_[direction].pipeline, workers_[direction].stage, m});
  return add(split ? op_kind::backward_input : op_kind::backward, direction, m);
}

SHUNT_CONSTEXPR void dual_pipe_rank::pair(std::size_t direction) {
  auto const at = static_cast<std::int32_t>(list_.size());
  bool const first = forward(direction), second = backward(1 - direction, false);
  if (first && second && pairs_ != nullptr) pairs_->push_back(at);
}

SHUNT_CONSTEXPR void dual_pipe_rank::weight() {
  operation const& o = late_[next_late_++];
  if (o.microbatch < there_) list_.push_back(o);
}

SHUNT_CONSTEXPR bool dual_pipe_rank::add(op_kind kind, std::size_t direction, std::int32_t m) {
  if (m < there_)
    list_.push_back({kind, workers_[direction].pipeline, workers_[direction].stage, m});
  return m < there_;
}

SHUNT_CONSTEXPR ticks dual_pipe_bubble(pipeline_job const& job) {
  ticks const forward = job.costs.forward[0], input = job.costs.backward_input[0],
              weight = job.costs.backward_weight[0];
  ticks const gain = std::min({job.costs.overlap_gain, forward, input + weight});
  ticks const idle = gain > 0 ? 2 * forward + input - weight - gain
                              : forward - weight + std::max(input, forward - weight);
  return (job.stages / 2 - 1) * idle;
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR solution<pipeline_schedule> dual_pipe::operator()(pipeline_job const& job) const {
  validate(job);
  return evaluated(job, order(job));
}

SHUNT_CONSTEXPR pipeline_schedule dual_pipe::order(pipeline_job const& job) const {
  require_layout(job, name, stage_layout::shape::bidirectional);
  require_even_stages(job, name);
  require_equal_pairs(job, name);
  return detail::dual_pipe_order(job, [&](pipeline_id p, std::int32_t place) {
    pipeline_id const other = p.value() % 2 == 0 ? p.value() + 1 : p.value() - 1;
    return std::array<worker, 2>{{{p, place}, {other, job.stages - 1 - place}}};
  });
}

SHUNT_CONSTEXPR ticks dual_pipe::bubble(pipeline_job const& job) {
  return detail::dual_pipe_bubble(job);
}

SHUNT_CONSTEXPR std::int64_t dual_pipe::stash_peak(pipeline_job const& job) {
  return std::min(job.stages + 1, 2 * job.microbatches.most()) * job.stash.forward[0];
}

}  // namespace shunt
