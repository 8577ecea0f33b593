#pragma once
/// A pipeline schedule as a program: one iteration of every worker.
///
/// A worker of stage s zeroes its gradient and its flag, computes its operations in the order of its list, reduces gradient (int64
/// sum) and flag (int64 max) over the live workers of its stage, keeps a copy of its state and steps. Where the step isn't staggered a
/// copy of the flag is also reduced over all live workers before anybody steps, which makes them wait for each other. A step reads its
/// own stage's flag either way, so that both kinds of step train alike. Regions, in order:
///
///     forward          state, input                                            -> output, stash
///     backward_input   state, input, stash, output_gradient                    -> input_gradient, stash
///     backward_weight  state, input, stash, output_gradient, gradient, flag    -> gradient, flag
///     backward         state, input, stash, output_gradient, gradient, flag    -> input_gradient, stash, gradient, flag
///     step             gradient, flag, state                                   -> state
///
/// Computing stands on lane 0, everything that talks to others on lane 1. A message leaves right after the operation that makes it, on
/// channel 0 (activations) or 1 (gradients); it is received right before the first operation that needs it or a later message of the
/// same sender and channel, for those have no tags and stay in their sender's order. How long a message travels is for the
/// executor's cost model to say. Linear in the number of operations.
/// Asks for a schedule that passes `check`; throws invalid_program where one operation's input is made nowhere.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"

namespace shunt {
namespace detail {

class pipeline_lowering {
 public:
  constexpr pipeline_lowering(pipeline_job const& job, pipeline_schedule const& schedule, pipeline_tensors const& tensors)
      : job_(job), schedule_(schedule), tensors_(tensors), builder_(job.ranks()) {
    if (schedule.order.size() != static_cast<std::size_t>(job.ranks()))
      throw invalid_program(std::to_string(schedule.order.size()) + " lists of operations for " + std::to_string(job.ranks()) + " workers");
    auto const cells = static_cast<std::size_t>(job.seats()) * static_cast<std::size_t>(job.microbatches);
    auto const links = static_cast<std::size_t>(job.ranks()) * static_cast<std::size_t>(job.pipelines);
    for (std::size_t c : {activations, gradients}) {
      message_[c].resize(cells);
      link_[c].resize(links);
    }
    set_of_.resize(cells, none);
    host_.resize(cells, rank_id{none});
    address_messages();
  }

  [[nodiscard]] constexpr program lowered() && {
    std::vector<rank_id> live;
    indexed<stage_id, std::vector<rank_id>> peers(static_cast<std::size_t>(job_.stages));
    for (rank_id r : ids<rank_id>(job_.ranks()))
      if (job_.alive(job_.worker_of(r))) {
        live.push_back(r);
        peers[job_.worker_of(r).stage].push_back(r);
      }
    for (rank_id r : live) lower_list(r, peers[job_.worker_of(r).stage], live);
    return std::move(builder_).finish();
  }

 private:
  static constexpr std::size_t activations = 0, gradients = 1;  // the channels
  static constexpr std::int32_t none = -1;

  /// A message from one worker to another, by the micro-batch it belongs to and the stage that receives it.
  struct message {
    rank_id from = none;
    std::int32_t place = none;     ///< on its link, counted in the sender's order
    std::int32_t received = none;  ///< the receive's index in its rank's program
  };
  /// All messages from the worker of one pipeline to one rank on one channel, in the sender's order.
  struct link {
    std::vector<operation> messages{};
    std::size_t taken = 0;
  };
  /// The sets of buffers of the rank being lowered. `last` is the instruction that used a set last.
  struct set_of_buffers {
    bool free = true;
    std::int32_t last = none;
  };

  [[nodiscard]] constexpr std::size_t cell(operation const& o, stage_id s) const {
    auto const stages = static_cast<std::size_t>(job_.stages), microbatches = static_cast<std::size_t>(job_.microbatches);
    return (o.pipeline.index() * stages + s.index()) * microbatches + o.microbatch.index();
  }
  [[nodiscard]] constexpr link& link_between(std::size_t channel, rank_id from, rank_id to) {
    auto const sender = job_.worker_of(from).pipeline.index();
    return link_[channel][to.index() * static_cast<std::size_t>(job_.pipelines) + sender];
  }
  [[nodiscard]] static constexpr bool makes_gradient(op_kind k) { return k == op_kind::backward || k == op_kind::backward_input; }

  /// Who computes a micro-batch's forward at a stage receives what its neighbours make of it.
  constexpr void address_messages() {
    for (rank_id r : ids<rank_id>(job_.ranks()))
      for (operation const& o : schedule_.order[r])
        if (o.kind == op_kind::forward) host_[cell(o, o.stage)] = r;
    auto const address = [&](std::size_t channel, rank_id from, operation const& o, stage_id to) {
      rank_id const receiver = host_[cell(o, to)];
      if (receiver == none) throw invalid_program("a micro-batch is computed at one stage and not at the next");
      auto& on = link_between(channel, from, receiver);
      message_[channel][cell(o, to)] = {from, static_cast<std::int32_t>(on.messages.size()), none};
      on.messages.push_back(o);
    };
    for (rank_id r : ids<rank_id>(job_.ranks()))
      for (operation const& o : schedule_.order[r]) {
        if (o.kind == op_kind::forward && o.stage.value() + 1 < job_.stages) address(activations, r, o, o.stage.value() + 1);
        if (makes_gradient(o.kind) && o.stage > 0) address(gradients, r, o, o.stage.value() - 1);
      }
  }

  constexpr void lower_list(rank_id r, std::vector<rank_id> const& peers, std::vector<rank_id> const& live) {
    stage_regions const of{job_, tensors_, job_.worker_of(r).stage};
    sets_.clear();
    builder_.buffer(r, of.state().buffer, of.state().size, true);
    builder_.buffer(r, of.kept().buffer, of.kept().size, true);
    builder_.buffer(r, of.gradient().buffer, of.gradient().size);
    builder_.buffer(r, of.flag().buffer, of.flag().size + of.flag_of_all().size);
    builder_.fill(r, of.gradient());
    std::int32_t last = builder_.fill(r, builder_.all_of(r, of.flag().buffer));
    operation step{.kind = op_kind::step, .stage = of.stage};
    for (operation const& o : schedule_.order[r]) {
      if (o.kind == op_kind::step)
        step = o;
      else
        last = lower_operation(r, of, o);
    }
    std::int32_t const reduced = lower_reductions(r, of, last, peers, live);
    lower_step(r, of, step, reduced);
  }

  /// Reduces what a stage has gathered, after instruction `last`. Returns the instruction that its step waits for, or none.
  constexpr std::int32_t lower_reductions(rank_id r, stage_regions const& of, std::int32_t last, std::vector<rank_id> const& peers,
                                          std::vector<rank_id> const& live) {
    std::int32_t reduced = none;
    if (peers.size() > 1) {
      auto const group = builder_.group(peers);
      builder_.all_reduce(r, group, element::int64, reduction::sum, of.gradient(), {.lane = 1, .after = {last}});
      reduced = builder_.all_reduce(r, group, element::int64, reduction::max, of.flag(), {.lane = 1, .after = {last}});
    }
    if (!schedule_.staggered_step && live.size() > 1) {
      builder_.copy(r, of.flag(), of.flag_of_all(), {.lane = 1, .after = {last}});
      reduced = builder_.all_reduce(r, builder_.group(live), element::int64, reduction::max, of.flag_of_all(), {.lane = 1});
    }
    return reduced;
  }

  /// The step of one stage of a rank, with everything that belongs to it, after instruction `reduced` of another lane (none: at once).
  constexpr void lower_step(rank_id r, stage_regions const& of, operation const& step, std::int32_t reduced) {
    // Not before the reduction: a peer that still waits for it may yet have to go back to what is kept now.
    auto const keep_and_step = [&](placing const& at) {
      builder_.copy(r, of.state(), of.kept(), at);
      builder_.compute(r, step, {of.gradient(), of.flag(), of.state()}, {of.state()}, at);
    };
    reduced == none ? keep_and_step({}) : keep_and_step({.after = {reduced}});
  }

  constexpr std::int32_t lower_operation(rank_id r, stage_regions const& of, operation const& o) {
    std::int32_t after = none;
    if (o.kind == op_kind::forward) {
      if (o.stage > 0) after = take_message(r, activations, of, o);
      if (set_of_[cell(o, o.stage)] == none) take_set(r, of, o);
    } else if (makes_gradient(o.kind) && o.stage.value() + 1 < job_.stages) {
      after = take_message(r, gradients, of, o);
    }
    std::int32_t const set = set_of_[cell(o, o.stage)];
    if (set == none || host_[cell(o, o.stage)] != r) throw invalid_program("a gradient is computed where its forward is not");

    region const state = of.state(), input = of.input(set), output = of.output(set), stash = of.stash(set);
    region const output_gradient = of.output_gradient(set), input_gradient = of.input_gradient(set);
    region const gradient = of.gradient(), flag = of.flag();
    auto const compute = [&](std::initializer_list<region> reads, std::initializer_list<region> writes) {
      return after == none ? builder_.compute(r, o, reads, writes) : builder_.compute(r, o, reads, writes, {.after = {after}});
    };
    std::int32_t own = none;
    if (o.kind == op_kind::forward)
      own = compute({state, input}, {output, stash});
    else if (o.kind == op_kind::backward_input)
      own = compute({state, input, stash, output_gradient}, {input_gradient, stash});
    else if (o.kind == op_kind::backward_weight)
      own = compute({state, input, stash, output_gradient, gradient, flag}, {gradient, flag});
    else
      own = compute({state, input, stash, output_gradient, gradient, flag}, {input_gradient, stash, gradient, flag});

    if (o.kind == op_kind::forward && o.stage.value() + 1 < job_.stages)
      builder_.send(r, host_[cell(o, o.stage.value() + 1)], output, activations, {.lane = 1, .after = {own}});
    if (makes_gradient(o.kind) && o.stage > 0)
      builder_.send(r, host_[cell(o, o.stage.value() - 1)], input_gradient, gradients, {.lane = 1, .after = {own}});
    if (o.kind == op_kind::backward || o.kind == op_kind::backward_weight)
      sets_[static_cast<std::size_t>(set)] = {.free = true, .last = own};
    return own;
  }

  /// Receives on the link of this message up to the message itself, unless that was done before. Returns its receive.
  constexpr std::int32_t take_message(rank_id r, std::size_t channel, stage_regions const& of, operation const& o) {
    auto const& wanted = message_[channel][cell(o, o.stage)];
    if (wanted.from == none) throw invalid_program("a micro-batch is computed at one stage and not at the one before");
    auto& on = link_between(channel, wanted.from, r);
    while (on.taken <= static_cast<std::size_t>(wanted.place)) {
      operation const& next = on.messages[on.taken++];
      auto const held = cell(next, o.stage);
      std::int32_t after = none;
      if (channel == activations) after = take_set(r, of, next);
      std::int32_t const set = set_of_[held];
      if (set == none) throw invalid_program("a gradient arrives where its forward is not");
      region const target = channel == activations ? of.input(set) : of.output_gradient(set);
      auto const code = static_cast<std::int32_t>(channel);
      message_[channel][held].received = after == none ? builder_.receive(r, wanted.from, target, code, {.lane = 1})
                                                       : builder_.receive(r, wanted.from, target, code, {.lane = 1, .after = {after}});
    }
    return wanted.received;
  }

  /// The lowest free set of buffers for a micro-batch. Returns the instruction after which it may be written.
  constexpr std::int32_t take_set(rank_id r, stage_regions const& of, operation const& o) {
    std::size_t set = 0;
    while (set < sets_.size() && !sets_[set].free) ++set;
    auto const number = static_cast<std::int32_t>(set);
    if (set == sets_.size()) {
      sets_.push_back({});
      for (region const& b : {of.input(number), of.output(number), of.stash(number), of.output_gradient(number), of.input_gradient(number)})
        builder_.buffer(r, b.buffer, b.size);
    }
    sets_[set].free = false;
    set_of_[cell(o, of.stage)] = number;
    return sets_[set].last;
  }

  pipeline_job const& job_;
  pipeline_schedule const& schedule_;
  pipeline_tensors const& tensors_;
  program_builder builder_;
  std::array<std::vector<message>, 2> message_;
  std::array<std::vector<link>, 2> link_;
  std::vector<std::int32_t> set_of_;  // the set of buffers that a worker of a stage keeps for a micro-batch
  std::vector<rank_id> host_;         // the worker that computes a micro-batch at a stage
  std::vector<set_of_buffers> sets_;
};

}  // namespace detail

/// The program of one iteration. Ranks that are dead in the job have an empty list.
[[nodiscard]] constexpr program lower(pipeline_job const& job, pipeline_schedule const& schedule, pipeline_tensors const& tensors = {}) {
  validate(job);
  validate(job, tensors);
  return detail::pipeline_lowering(job, schedule, tensors).lowered();
}

}  // namespace shunt
