#pragma once
#include "shunt/lower/detail/pipeline_lowering.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/lower/detail/message_placing.hpp"
#include "shunt/lower/operands.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR pipeline_lowering::pipeline_lowering(
    pipeline_job const& job, pipeline_schedule const& schedule, pipeline_tensors const& tensors,
    message_layout const& layout, surviving_gradients const* kept, held_stages const* shadows,
    redundant_forwards const* redundant)
    : job_(job),
      schedule_(schedule),
      tensors_(tensors),
      shadows_(shadows),
      redundant_(redundant),
      builder_(job.ranks()),
      cell_(job),
      starts_(starts_of(job, schedule)),
      reductions_(job, schedule.staggered_step, starts_.finished, kept, shadows,
                  tensors.gradient_type, builder_),
      sets_(layout.spare_sets) {
  actions_ = message_placing(job, schedule, layout.lanes, &starts_).placed();
  set_of_.assign(cell_.count, none);
  host_.assign(cell_.count, rank_id{none});
  to_come_.assign(cell_.count, 0);
  for (rank_id r : ids<rank_id>(job.ranks()))
    for (operation const& o : schedule.order[r]) {
      if (o.kind == op_kind::forward) host_[cell_(o)] = r;
      if (o.kind != op_kind::step) ++to_come_[cell_(o)];
    }
  if (redundant)
    for (auto const& list : *redundant)
      for (redundant_operation const& o : list)
        ++to_come_[cell_(o.forward) - cell_.of_stage(o.forward.pipeline)];
}

SHUNT_CONSTEXPR program pipeline_lowering::lowered() && {
  for (rank_id r : reductions_.live()) lower_list(r);
  return std::move(builder_).finish();
}

SHUNT_CONSTEXPR void pipeline_lowering::lower_list(rank_id r) {
  held_.clear();
  sets_.clear();
  largest_ = {};
  tail_ = {};
  std::vector<stage_id> const shadowed =
      shadows_ ? (*shadows_)[r.index()] : std::vector<stage_id>{};
  declare_stages(r, shadowed);
  reductions_.open(r, held_, tail_);
  std::span<reduction_place const> early;
  if (!starts_.reductions.empty()) early = starts_.reductions[r];
  std::span<redundant_operation const> redundant;
  if (redundant_) redundant = (*redundant_)[r];
  std::int32_t computed = 0;
  auto const list = actions_.lists[r];
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto const& a = list[i];
    if (a.kind != action_kind::send) {
      for (; !early.empty() && early.front().index <= computed; early = early.subspan(1))
        reductions_.reduce_early(r, held(early.front().stage), tail_);
      repeat_forwards(r, redundant, computed);
    }
    computed += a.kind == action_kind::compute;
    if (a.kind == action_kind::receive) {
      receive(r, a);
    } else if (a.kind == action_kind::send) {
      send(r, a);
    } else if (a.op.kind == op_kind::step) {
      reductions_.step(r, held_, held(a.op.stage), a.op, tail_);
    } else if (i + 1 < list.size() && list[i + 1].lane == pipeline_lanes::second_of_pair) {
      compute_pair(r, a.op, list[i + 1].op);
      ++i;
      ++computed;
    } else {
      hand_over_input(r, a.op);
      instruction_waits after = inputs_of(a.op);
      after.add(std::exchange(tail_.beside, none));
      compute(r, a.op, pipeline_lanes::compute, after);
      hand_over_gradient(r, a.op);
    }
  }
  repeat_forwards(r, redundant, computed);
  for (stage_id const s : shadowed)
    reductions_.step(r, held_, held(s), {.kind = op_kind::step, .stage = s}, tail_);
}

SHUNT_CONSTEXPR void pipeline_lowering::declare_stages(rank_id r,
                                                       std::vector<stage_id> const& shadowed) {
  auto all = job_.stages_of(r);
  all.insert(all.end(), shadowed.begin(), shadowed.end());
  std::sort(all.begin(), all.end());
  for (stage_regions const& of : regions_of(job_, tensors_, all)) {
    held_.push_back({.of = of});
    builder_.buffer(r, of.state().buffer, of.state().size, true);
    builder_.buffer(r, of.kept().buffer, of.kept().size, true);
    reductions_.declare(r, of);
    if ((!redundant_ || (*redundant_)[r].empty()) &&
        std::find(shadowed.begin(), shadowed.end(), of.stage) != shadowed.end())
      continue;
    largest_ = {std::max(largest_[0], of.arriving()), std::max(largest_[1], of.leaving()),
                std::max(largest_[2], tensors_.stash[of.stage])};
  }
}

SHUNT_CONSTEXPR held_stage& pipeline_lowering::held(stage_id s) {
  auto const at = std::find_if(held_.begin(), held_.end(),
                               [&](held_stage const& h) { return h.of.stage == s; });
  if (at == held_.end())
    throw invalid_program("stage " + std::to_string(s.value()) +
                          " is computed where it isn't held");
  return *at;
}

SHUNT_CONSTEXPR buffer_set& pipeline_lowering::set_of(std::size_t cell) {
  if (set_of_[cell] == none)
    throw invalid_program("a gradient is computed where its forward is not");
  return sets_[set_of_[cell]];
}

SHUNT_CONSTEXPR void pipeline_lowering::receive(rank_id r, pipeline_action const& a) {
  bool const activation = a.op.kind == op_kind::forward;
  operation const arriving{a.op.kind, a.op.pipeline, a.op.stage.value() + (activation ? 1 : -1),
                           a.op.microbatch};
  auto const c = cell_(arriving);
  auto const& of = held(arriving.stage).of;
  if (activation) take_set(r, c);
  auto& set = set_of(c);
  instruction_waits after;
  after.add(activation ? set.used : set.forward);
  region const target = activation ? of.input(set_of_[c]) : of.output_gradient(set_of_[c]);
  (activation ? set.input_came : set.gradient_came) = after.place(a.lane, [&](placing const& at) {
    return builder_.receive(r, a.peer, target, activation ? activations : gradients, at);
  });
}

SHUNT_CONSTEXPR void pipeline_lowering::send(rank_id r, pipeline_action const& a) {
  bool const activation = a.op.kind == op_kind::forward;
  auto const c = cell_(a.op);
  auto const& of = held(a.op.stage).of;
  auto& set = set_of(c);
  instruction_waits after;
  after.add(activation ? set.forward : set.backward);
  region const source = activation ? of.output(set_of_[c]) : of.input_gradient(set_of_[c]);
  (activation ? set.output_sent : set.gradient_sent) = after.place(a.lane, [&](placing const& at) {
    return builder_.send(r, a.peer, source, activation ? activations : gradients, at);
  });
  if (activation)
    set.output_taken = starts_.forward[c + cell_.of_stage(a.op.pipeline)];
  else
    set.gradient_taken = starts_.gradient[c - cell_.of_stage(a.op.pipeline)];
  sets_.passed_on(set_of_[c]);
}

SHUNT_CONSTEXPR instruction_waits pipeline_lowering::inputs_of(operation const& o) {
  auto& set = set_of(cell_(o));
  instruction_waits after;
  if (o.kind == op_kind::forward) {
    after.add(set.input_came);
    after.add(set.output_sent);
  } else if (makes_gradient(o.kind)) {
    after.add(set.gradient_came);
    after.add(set.gradient_sent);
  }
  return after;
}

SHUNT_CONSTEXPR void pipeline_lowering::compute_pair(rank_id r, operation const& first,
                                                     operation const& second) {
  hand_over_input(r, first);
  hand_over_input(r, second);
  instruction_waits after = inputs_of(first);
  instruction_waits const others = inputs_of(second);
  for (std::size_t k = 0; k < others.count; ++k) after.add(others.list[k]);
  after.add(std::exchange(tail_.beside, none));
  instruction_waits after_beside = after;
  after_beside.add(tail_.last);
  compute(r, first, pipeline_lanes::compute, after);
  tail_.beside = compute(r, second, pipeline_lanes::second_of_pair, after_beside);
  hand_over_gradient(r, first);
  hand_over_gradient(r, second);
}

SHUNT_CONSTEXPR std::int32_t pipeline_lowering::compute(rank_id r, operation const& o,
                                                        std::uint8_t lane,
                                                        instruction_waits const& after) {
  auto& stage = held(o.stage);
  auto const& of = stage.of;
  std::size_t const c = cell_(o);
  std::int32_t const number = set_of_[c];
  auto& set = set_of(c);
  if (host_[c] != r) throw invalid_program("a gradient is computed where its forward is not");
  region const state = of.state(), input = of.input(number), stash = of.stash(number),
               output_gradient = of.output_gradient(number);
  std::int32_t const own = after.place(lane, [&](placing const& at) {
    auto const emit = [&](auto const& operands) {
      return builder_.compute(r, o, operands.reads(), operands.writes(), at);
    };
    switch (o.kind) {
      case op_kind::forward: return emit(forward_operands{state, input, of.output(number), stash});
      case op_kind::backward_input:
        return emit(backward_input_operands{state, input, stash, output_gradient,
                                            of.input_gradient(number)});
      case op_kind::backward_weight:
        return emit(backward_weight_operands{state, input, stash, output_gradient, of.gradient(),
                                             of.flag()});
      default:
        return emit(backward_operands{state, input, stash, output_gradient, of.gradient(),
                                      of.flag(), of.input_gradient(number)});
    }
  });
  set.used = own;
  if (lane == pipeline_lanes::compute)
    tail_.last = stage.last = own;
  else
    stage.last_beside = own;
  if (o.kind == op_kind::forward) {
    set.forward = own;
    set.to_pass_on += o.stage.index() + 1 < cell_.stages;
  }
  if (makes_gradient(o.kind)) {
    set.backward = own;
    set.to_pass_on += gradient_is_needed(o);
  }
  count_placed(c);
  return own;
}

SHUNT_CONSTEXPR void pipeline_lowering::count_placed(std::size_t cell) {
  if (--to_come_[cell] == 0) sets_.retire(set_of_[cell]);
}

SHUNT_CONSTEXPR void pipeline_lowering::repeat_forwards(rank_id r,
                                                        std::span<redundant_operation const>& next,
                                                        std::int32_t index) {
  for (; !next.empty() && next.front().before <= index; next = next.subspan(1))
    repeat_forward(r, next.front().forward);
}

SHUNT_CONSTEXPR void pipeline_lowering::repeat_forward(rank_id r, operation const& o) {
  std::size_t const before = cell_(o) - cell_.of_stage(o.pipeline);
  if (host_[before] != r || set_of_[before] == none)
    throw invalid_program("the input of a redundant forward is made elsewhere, or later");
  auto const& of = held(o.stage).of;
  // The set is never free again: what a redundant forward leaves stays until the step.
  std::int32_t const number = add_set(r, starts_.latest, none);
  hand_over(r, held(o.stage.value() - 1).of.output(set_of_[before]), of.input(number));
  forward_operands const on{of.state(), of.input(number), of.output(number), of.stash(number)};
  operation const repeated{op_kind::redundant_forward, o.pipeline, o.stage, o.microbatch};
  instruction_waits after;
  after.add(sets_[number].output_sent);
  tail_.last = after.place(pipeline_lanes::compute, [&](placing const& at) {
    return builder_.compute(r, repeated, on.reads(), on.writes(), at);
  });
  count_placed(before);
}

SHUNT_CONSTEXPR void pipeline_lowering::hand_over_input(rank_id r, operation const& o) {
  if (o.kind != op_kind::forward) return;
  std::size_t const c = cell_(o);
  std::size_t const before = c - cell_.of_stage(o.pipeline);
  if (o.stage > 0 && host_[before] != r) return;
  take_set(r, c);
  if (o.stage == 0) return;
  hand_over(r, held(o.stage.value() - 1).of.output(set_of_[before]),
            held(o.stage).of.input(set_of_[c]));
  sets_.passed_on(set_of_[before]);
}

SHUNT_CONSTEXPR bool pipeline_lowering::gradient_is_needed(operation const& o) const {
  return o.stage > 0 && starts_.gradient[cell_(o) - cell_.of_stage(o.pipeline)] >= 0;
}

SHUNT_CONSTEXPR void pipeline_lowering::hand_over_gradient(rank_id r, operation const& o) {
  if (!makes_gradient(o.kind) || !gradient_is_needed(o)) return;
  std::size_t const c = cell_(o);
  std::size_t const before = c - cell_.of_stage(o.pipeline);
  if (host_[before] != r) return;
  (void)set_of(before);
  set_of(c).used = hand_over(r, held(o.stage).of.input_gradient(set_of_[c]),
                             held(o.stage.value() - 1).of.output_gradient(set_of_[before]));
  sets_.passed_on(set_of_[c]);
}

SHUNT_CONSTEXPR std::int32_t pipeline_lowering::hand_over(rank_id r, region const& from,
                                                          region const& to) {
  instruction_waits after;
  after.add(std::exchange(tail_.beside, none));
  return tail_.last = after.place(pipeline_lanes::compute, [&](placing const& at) {
    return builder_.copy(r, from, to, at);
  });
}

SHUNT_CONSTEXPR void pipeline_lowering::take_set(rank_id r, std::size_t cell) {
  set_of_[cell] = add_set(r, starts_.forward[cell], starts_.gradient[cell]);
}

SHUNT_CONSTEXPR std::int32_t pipeline_lowering::add_set(rank_id r, ticks forward, ticks gradient) {
  auto const [number, added] = sets_.take(forward, gradient);
  if (!added) return number;
  auto const held = static_cast<std::int32_t>(held_.size());
  using at = pipeline_buffers;
  builder_.buffer(r, at::input(number, held), largest_[0]);
  builder_.buffer(r, at::output(number, held), largest_[1]);
  builder_.buffer(r, at::stash(number, held), largest_[2]);
  builder_.buffer(r, at::output_gradient(number, held), largest_[1]);
  builder_.buffer(r, at::input_gradient(number, held), largest_[0]);
  return number;
}

}  // namespace shunt::detail
