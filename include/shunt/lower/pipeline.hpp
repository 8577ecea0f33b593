#pragma once
/// A pipeline schedule as a program: one iteration of every rank.
///
/// A rank zeroes gradient and flag of each stage it holds and computes its operations in the order
/// of its list. Before a stage's step it reduces gradient (int64 sum) and flag (int64 max) over the
/// live ranks that hold the stage, keeps a copy of the stage's state and steps. Where the step
/// isn't staggered a copy of the flag is also reduced over all live ranks before anybody steps,
/// which makes them wait for each other. A step reads its own stage's flag either way, so that both
/// kinds of step train alike. Regions, in order:
///
///     forward          state, input                                            -> output, stash
///     backward_input   state, input, stash, output_gradient                    -> input_gradient,
///     stash backward_weight  state, input, stash, output_gradient, gradient, flag    -> gradient,
///     flag backward         state, input, stash, output_gradient, gradient, flag    ->
///     input_gradient, stash, gradient, flag step             gradient, flag, state -> state
///
/// Computing stands on lane 0, of an overlapped pair the second on a lane of its own: both start
/// when the inputs of both are there, and what follows waits for both. Reductions have their own
/// lane, in the order in which stages are finished, the same on all ranks. Messages are placed by
/// `place_messages`, on lanes shared as asked, on channel 0 (activations) or 1 (gradients). What a
/// rank hands over to itself is copied. How long a message travels is for the executor's cost model
/// to say.
///
/// A buffer is written again only when what it held was sent and, by the times at which operations
/// start when nothing delays them, taken: so every wait points back in time, and nobody waits in a
/// circle even if every send waits for its receive. That holds where steps stand behind a rank's
/// other operations, as all solvers put them. A rank of several stages that steps amid its
/// operations may wait in a reduction for a peer that waits for it: `check` finds that in the
/// program, inline and streams refuse to run it. Linear in the number of operations. Asks for a
/// schedule that passes `check`, or for what is left of one (lower/salvage.hpp: there
/// micro-batches, gradients of the first stages and backward_weights may be missing); throws
/// invalid_program where one operation's input is made nowhere, where ranks wait for each other, or
/// where a rank needs more lanes than there are.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/lower/pipeline_messages.hpp"
#include "shunt/lower/pipeline_starts.hpp"
#include "shunt/plan/pipeline_actions.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/plan/surviving_gradients.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// How messages are to travel.
struct message_layout {
  message_lanes lanes = message_lanes::one_per_edge;
  /// Sets of buffers a rank has beyond those that its plan needs at once. With none the next
  /// activation is received only when the last set was freed, right before it is needed: nothing is
  /// lost where sends are buffered. Where every send waits for its receive, one spare set lets
  /// messages travel ahead.
  std::int32_t spare_sets = 0;

  constexpr message_layout() = default;
  constexpr message_layout(message_lanes l, std::int32_t spare = 0) : lanes(l), spare_sets(spare) {}
  constexpr bool operator==(message_layout const&) const = default;
};

namespace detail {

class pipeline_lowering {
 public:
  /// `kept`: what sums begin with, where their reduction is out of place; otherwise a null pointer.
  constexpr pipeline_lowering(pipeline_job const& job, pipeline_schedule const& schedule,
                              pipeline_tensors const& tensors, message_layout const& layout,
                              gradient_ledger const* kept = nullptr)
      : job_(job),
        schedule_(schedule),
        tensors_(tensors),
        layout_(layout),
        kept_(kept),
        builder_(job.ranks()),
        cell_(job),
        starts_(starts_of(job, schedule)) {
    actions_ = message_placing(job, schedule, layout.lanes, &starts_).placed();
    set_of_.assign(cell_.count, none);
    host_.assign(cell_.count, rank_id{none});
    to_come_.assign(cell_.count, 0);
    for (rank_id r : ids<rank_id>(job.ranks()))
      for (operation const& o : schedule.order[r]) {
        if (o.kind == op_kind::forward) host_[cell_(o)] = r;
        if (o.kind != op_kind::step) ++to_come_[cell_(o)];
      }
    holders_.resize(cell_.stages);
    std::vector<std::uint8_t> dead(static_cast<std::size_t>(job.ranks()), 0);
    for (worker const& w : job.dead) dead[job.rank_of(w).index()] = 1;
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      for (stage_id s : ids<stage_id>(job.stages))
        if (rank_id const r = job.rank_of({p, s}); dead[r.index()] == 0) holders_[s].push_back(r);
    for (auto& h : holders_) {
      std::sort(h.begin(), h.end());
      h.erase(std::unique(h.begin(), h.end()), h.end());
    }
    for (rank_id r : ids<rank_id>(job.ranks()))
      if (dead[r.index()] == 0) live_.push_back(r);
  }

  [[nodiscard]] constexpr program lowered() && {
    for (rank_id r : live_) lower_list(r);
    return std::move(builder_).finish();
  }

 private:
  static constexpr std::int32_t activations = 0, gradients = 1;  // the channels
  static constexpr std::int32_t none = -1;

  /// A set of buffers of the rank being lowered. Numbers are instructions, the last ones so far to
  /// do this with the set.
  struct buffer_set {
    std::int32_t used = none;
    std::int32_t input_came = none, gradient_came = none;
    std::int32_t forward = none, backward = none;
    std::int32_t output_sent = none, gradient_sent = none;
    std::int32_t to_pass_on = 0;  // outputs made that wait to be sent or handed over
    bool in_use = false;
    ticks output_taken = 0, gradient_taken = 0;  // when the receivers of what was sent last need it
  };
  /// A stage that the rank being lowered holds.
  struct held_stage {
    stage_regions of;
    std::int32_t last = none, last_beside = none;  // its last operations, on the lane of computing
                                                   // and on that of second ones
    bool reduced = false;
    std::int32_t reduction = none;
  };
  /// What an instruction waits for.
  struct waits {
    std::array<std::int32_t, 6> list{};
    std::size_t count = 0;
    constexpr void add(std::int32_t i) {
      for (std::size_t k = 0; k < count; ++k)
        if (list[k] == i) return;
      if (i != none) list[count++] = i;
    }
  };
  /// Calls `emit(placing)`.
  template <class Emit>
  static constexpr std::int32_t place(std::uint8_t lane, waits const& w, Emit&& emit) {
    switch (w.count) {
      case 0: return emit({.lane = lane});
      case 1: return emit({.lane = lane, .after = {w.list[0]}});
      case 2: return emit({.lane = lane, .after = {w.list[0], w.list[1]}});
      case 3: return emit({.lane = lane, .after = {w.list[0], w.list[1], w.list[2]}});
      case 4: return emit({.lane = lane, .after = {w.list[0], w.list[1], w.list[2], w.list[3]}});
      case 5:
        return emit(
            {.lane = lane, .after = {w.list[0], w.list[1], w.list[2], w.list[3], w.list[4]}});
      default:
        return emit({.lane = lane,
                     .after = {w.list[0], w.list[1], w.list[2], w.list[3], w.list[4], w.list[5]}});
    }
  }

  constexpr void lower_list(rank_id r) {
    held_.clear();
    sets_.clear();
    free_.clear();
    first_free_ = 0;
    largest_ = {};
    last_ = beside_ = none;
    stepping_ = false;
    for (stage_regions const& of : stages_of(job_, tensors_, r)) {
      held_.push_back({.of = of});
      builder_.buffer(r, of.state().buffer, of.state().size, true);
      builder_.buffer(r, of.kept().buffer, of.kept().size, true);
      builder_.buffer(r, of.gradient().buffer, of.gradient().size + (kept_ ? of.reduced().size : 0),
                      kept_ != nullptr);
      builder_.buffer(r, of.flag().buffer,
                      both_flags(of).size + (kept_ ? of.reduced_flag().size : 0), kept_ != nullptr);
      largest_ = {std::max(largest_[0], of.arriving()), std::max(largest_[1], of.leaving()),
                  std::max(largest_[2], tensors_.stash[of.stage])};
    }
    for (held_stage& h : held_) last_ = h.last = open_gradient(r, h.of);
    auto const& list = actions_.lists[r];
    for (std::size_t i = 0; i < list.size(); ++i) {
      auto const& a = list[i];
      if (a.kind == action_kind::receive) {
        receive(r, a);
      } else if (a.kind == action_kind::send) {
        send(r, a);
      } else if (a.op.kind == op_kind::step) {
        finish_stage(r, a.op);
      } else if (i + 1 < list.size() && list[i + 1].lane == pipeline_lanes::second_of_pair) {
        compute_pair(r, a.op, list[i + 1].op);
        ++i;
      } else {
        hand_over_input(r, a.op);
        waits after = inputs_of(a.op);
        after.add(std::exchange(beside_, none));
        compute(r, a.op, pipeline_lanes::compute, after);
        hand_over_gradient(r, a.op);
      }
    }
  }

  [[nodiscard]] static constexpr region both_flags(stage_regions const& of) {
    return {of.flag().buffer, 0, of.flag().size + of.flag_of_all().size};
  }
  /// Where a stage's gradient and flag are reduced, and the step reads them.
  [[nodiscard]] constexpr region summed_gradient(stage_regions const& of) const {
    return kept_ ? of.reduced() : of.gradient();
  }
  [[nodiscard]] constexpr region summed_flag(stage_regions const& of) const {
    return kept_ ? of.reduced_flag() : of.flag();
  }

  /// Zeroes a stage's sum and flag, unless they begin with what survived. Returns the last
  /// instruction, if there is one.
  constexpr std::int32_t open_gradient(rank_id r, stage_regions const& of) {
    auto const survived = [&](kept_gradient const& k) {
      return k.rank == r && k.stage == of.stage;
    };
    if (kept_)
      if (auto const k = std::find_if(kept_->begin(), kept_->end(), survived); k != kept_->end()) {
        if (!k->reduced) return last_;
        builder_.copy(r, of.reduced(), of.gradient());
        return builder_.copy(r, of.reduced_flag(), of.flag());
      }
    builder_.fill(r, of.gradient());
    return builder_.fill(r, both_flags(of));
  }

  [[nodiscard]] constexpr held_stage& held(stage_id s) {
    auto const at = std::find_if(held_.begin(), held_.end(),
                                 [&](held_stage const& h) { return h.of.stage == s; });
    if (at == held_.end())
      throw invalid_program("stage " + std::to_string(s.value()) +
                            " is computed where it isn't held");
    return *at;
  }
  [[nodiscard]] constexpr buffer_set& set_of(std::size_t cell) {
    if (set_of_[cell] == none)
      throw invalid_program("a gradient is computed where its forward is not");
    return sets_[static_cast<std::size_t>(set_of_[cell])];
  }

  constexpr void receive(rank_id r, pipeline_action const& a) {
    bool const activation = a.op.kind == op_kind::forward;
    operation const arriving{a.op.kind, a.op.pipeline, a.op.stage.value() + (activation ? 1 : -1),
                             a.op.microbatch};
    auto const c = cell_(arriving);
    auto const& of = held(arriving.stage).of;
    if (activation) take_set(r, c);
    auto& set = set_of(c);
    waits after;
    after.add(activation ? set.used : set.forward);
    region const target = activation ? of.input(set_of_[c]) : of.output_gradient(set_of_[c]);
    (activation ? set.input_came : set.gradient_came) =
        place(a.lane, after, [&](placing const& at) {
          return builder_.receive(r, a.peer, target, activation ? activations : gradients, at);
        });
  }

  constexpr void send(rank_id r, pipeline_action const& a) {
    bool const activation = a.op.kind == op_kind::forward;
    auto const c = cell_(a.op);
    auto const& of = held(a.op.stage).of;
    auto& set = set_of(c);
    waits after;
    after.add(activation ? set.forward : set.backward);
    region const source = activation ? of.output(set_of_[c]) : of.input_gradient(set_of_[c]);
    (activation ? set.output_sent : set.gradient_sent) =
        place(a.lane, after, [&](placing const& at) {
          return builder_.send(r, a.peer, source, activation ? activations : gradients, at);
        });
    if (activation)
      set.output_taken = starts_.forward[c + cell_.microbatches];
    else
      set.gradient_taken = starts_.gradient[c - cell_.microbatches];
    passed_on(set_of_[c]);
  }

  /// What an operation waits for on other lanes; it makes the set of a first forward.
  [[nodiscard]] constexpr waits inputs_of(operation const& o) {
    auto& set = set_of(cell_(o));
    waits after;
    if (o.kind == op_kind::forward) {
      after.add(set.input_came);
      after.add(set.output_sent);
    } else if (makes_gradient(o.kind)) {
      after.add(set.gradient_came);
      after.add(set.gradient_sent);
    }
    return after;
  }

  constexpr void compute_pair(rank_id r, operation const& first, operation const& second) {
    hand_over_input(r, first);
    hand_over_input(r, second);
    waits after = inputs_of(first);
    waits const others = inputs_of(second);
    for (std::size_t k = 0; k < others.count; ++k) after.add(others.list[k]);
    after.add(std::exchange(beside_, none));
    waits after_beside = after;
    after_beside.add(last_);
    compute(r, first, pipeline_lanes::compute, after);
    beside_ = compute(r, second, pipeline_lanes::second_of_pair, after_beside);
    hand_over_gradient(r, first);
    hand_over_gradient(r, second);
  }

  constexpr std::int32_t compute(rank_id r, operation const& o, std::uint8_t lane,
                                 waits const& after) {
    auto& stage = held(o.stage);
    auto const& of = stage.of;
    std::size_t const c = cell_(o);
    std::int32_t const number = set_of_[c];
    auto& set = set_of(c);
    if (host_[c] != r) throw invalid_program("a gradient is computed where its forward is not");
    region const state = of.state(), input = of.input(number), stash = of.stash(number),
                 output_gradient = of.output_gradient(number);
    std::int32_t const own = place(lane, after, [&](placing const& at) {
      switch (o.kind) {
        case op_kind::forward:
          return builder_.compute(r, o, {state, input}, {of.output(number), stash}, at);
        case op_kind::backward_input:
          return builder_.compute(r, o, {state, input, stash, output_gradient},
                                  {of.input_gradient(number), stash}, at);
        case op_kind::backward_weight:
          return builder_.compute(r, o,
                                  {state, input, stash, output_gradient, of.gradient(), of.flag()},
                                  {of.gradient(), of.flag()}, at);
        default:
          return builder_.compute(r, o,
                                  {state, input, stash, output_gradient, of.gradient(), of.flag()},
                                  {of.input_gradient(number), stash, of.gradient(), of.flag()}, at);
      }
    });
    set.used = own;
    if (lane == pipeline_lanes::compute)
      last_ = stage.last = own;
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
    if (--to_come_[c] == 0) {
      set.in_use = false;
      release(number);
    }
    return own;
  }

  /// A forward's input where its own rank made it, and the set of buffers of a forward that
  /// receives nothing.
  constexpr void hand_over_input(rank_id r, operation const& o) {
    if (o.kind != op_kind::forward) return;
    std::size_t const c = cell_(o);
    if (o.stage > 0 && host_[c - cell_.microbatches] != r) return;
    take_set(r, c);
    if (o.stage == 0) return;
    hand_over(r, held(o.stage.value() - 1).of.output(set_of_[c - cell_.microbatches]),
              held(o.stage).of.input(set_of_[c]));
    passed_on(set_of_[c - cell_.microbatches]);
  }
  /// Whether the stage before needs the gradient that an operation makes.
  [[nodiscard]] constexpr bool gradient_is_needed(operation const& o) const {
    return o.stage > 0 && starts_.gradient[cell_(o) - cell_.microbatches] >= 0;
  }
  /// A gradient to the stage before on the same rank, before its set is used for anything else.
  constexpr void hand_over_gradient(rank_id r, operation const& o) {
    if (!makes_gradient(o.kind) || !gradient_is_needed(o)) return;
    std::size_t const c = cell_(o);
    if (host_[c - cell_.microbatches] != r) return;
    (void)set_of(c - cell_.microbatches);
    auto const& before = held(o.stage.value() - 1).of;
    set_of(c).used = hand_over(r, held(o.stage).of.input_gradient(set_of_[c]),
                               before.output_gradient(set_of_[c - cell_.microbatches]));
    passed_on(set_of_[c]);
  }
  constexpr std::int32_t hand_over(rank_id r, region const& from, region const& to) {
    waits after;
    after.add(std::exchange(beside_, none));
    return last_ = place(pipeline_lanes::compute, after,
                         [&](placing const& at) { return builder_.copy(r, from, to, at); });
  }

  /// A set of buffers for a micro-batch at a stage: the one that was freed first whose outputs, if
  /// they were sent, were taken before the next ones are made there, or a new one.
  constexpr void take_set(rank_id r, std::size_t cell) {
    auto const taken = [&](buffer_set const& set) {
      return set.output_taken <= starts_.forward[cell] &&
             (starts_.gradient[cell] < 0 || set.gradient_taken <= starts_.gradient[cell]);
    };
    std::size_t k = first_free_;
    while (k < free_.size() && !taken(sets_[static_cast<std::size_t>(free_[k])])) ++k;
    auto const spare = static_cast<std::size_t>(std::max(layout_.spare_sets, 0));
    if (k < free_.size() && free_.size() - first_free_ > spare) {
      set_of_[cell] = free_[k];
      if (k == first_free_)
        ++first_free_;
      else
        free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(k));
    } else {
      auto const number = static_cast<std::int32_t>(sets_.size()),
                 held = static_cast<std::int32_t>(held_.size());
      using at = pipeline_buffers;
      sets_.push_back({});
      builder_.buffer(r, at::input(number, held), largest_[0]);
      builder_.buffer(r, at::output(number, held), largest_[1]);
      builder_.buffer(r, at::stash(number, held), largest_[2]);
      builder_.buffer(r, at::output_gradient(number, held), largest_[1]);
      builder_.buffer(r, at::input_gradient(number, held), largest_[0]);
      set_of_[cell] = number;
    }
    auto& set = sets_[static_cast<std::size_t>(set_of_[cell])];
    set.in_use = true;
    set.input_came = set.gradient_came = none;
  }
  constexpr void release(std::int32_t number) {
    auto const& set = sets_[static_cast<std::size_t>(number)];
    if (!set.in_use && set.to_pass_on == 0) free_.push_back(number);
  }
  constexpr void passed_on(std::int32_t number) {
    --sets_[static_cast<std::size_t>(number)].to_pass_on;
    release(number);
  }

  /// A step where it stands in the list, after the reductions of all stages that were finished no
  /// later anywhere, or of all there are.
  constexpr void finish_stage(rank_id r, operation const& step) {
    auto const order = [&](held_stage const* h) { return starts_.finished[h->of.stage.index()]; };
    held_stage& own = held(step.stage);
    std::vector<held_stage*> due;
    for (held_stage& h : held_)
      if (!h.reduced && (!schedule_.staggered_step || order(&h) <= order(&own))) due.push_back(&h);
    std::sort(due.begin(), due.end(), [&](auto* a, auto* b) { return order(a) < order(b); });
    for (held_stage* h : due) {
      h->reduced = true;
      h->reduction = lower_reductions(r, *h);
    }
    if (!schedule_.staggered_step && live_.size() > 1 && !stepping_) {
      waits after;
      after.add(last_);
      after.add(beside_);
      auto const& of = held_.front().of;
      place(pipeline_lanes::reductions, after, [&](placing const& at) {
        return builder_.copy(r, summed_flag(of), of.flag_of_all(), at);
      });
      all_ = builder_.all_reduce(r, group(all_group_, live_), element::int64, reduction::max,
                                 of.flag_of_all(), {.lane = pipeline_lanes::reductions});
    }
    bool const wait_for_all = !schedule_.staggered_step && live_.size() > 1;
    stepping_ = true;
    std::int32_t const reduced = wait_for_all ? all_ : own.reduction;
    lower_step(r, own.of, step, reduced == none ? beside_ : reduced);
    beside_ = none;
    last_ = builder_.size(r) - 1;
  }

  /// Reduces what a stage has gathered. Returns the instruction that its step waits for, or none.
  constexpr std::int32_t lower_reductions(rank_id r, held_stage const& h) {
    auto const& holders = holders_[h.of.stage];
    waits after;
    after.add(h.last);
    after.add(h.last_beside);
    after.add(beside_);  // where the step comes right after a pair, it waits for both through this
    auto const beside_computing = [&](auto&& emit) {
      return place(pipeline_lanes::reductions, after, emit);
    };
    std::int32_t last = none;
    if (kept_) {
      beside_computing(
          [&](placing const& at) { return builder_.copy(r, h.of.gradient(), h.of.reduced(), at); });
      last = beside_computing([&](placing const& at) {
        return builder_.copy(r, h.of.flag(), h.of.reduced_flag(), at);
      });
    }
    if (holders.size() < 2) return last;
    group_of_stage_.resize(cell_.stages, group_id{none});
    auto const g = group(group_of_stage_[h.of.stage], holders);
    beside_computing([&](placing const& at) {
      return builder_.all_reduce(r, g, element::int64, reduction::sum, summed_gradient(h.of), at);
    });
    return beside_computing([&](placing const& at) {
      return builder_.all_reduce(r, g, element::int64, reduction::max, summed_flag(h.of), at);
    });
  }
  [[nodiscard]] constexpr group_id group(group_id& known, std::vector<rank_id> const& members) {
    if (known == none) known = builder_.group(members);
    return known;
  }

  /// The step of one stage of a rank, with everything that belongs to it, after instruction
  /// `reduced` of another lane (none: at once).
  constexpr void lower_step(rank_id r, stage_regions const& of, operation const& step,
                            std::int32_t reduced) {
    // Not before the reduction: a peer that still waits for it may yet have to go back to what is
    // kept now.
    auto const keep_and_step = [&](placing const& at) {
      builder_.copy(r, of.state(), of.kept(), at);
      builder_.compute(r, step, {summed_gradient(of), summed_flag(of), of.state()}, {of.state()},
                       at);
    };
    reduced == none ? keep_and_step({}) : keep_and_step({.after = {reduced}});
  }

  pipeline_job const& job_;
  pipeline_schedule const& schedule_;
  pipeline_tensors const& tensors_;
  message_layout layout_;
  gradient_ledger const* kept_;
  program_builder builder_;
  pipeline_cells cell_;
  pipeline_starts starts_;
  pipeline_actions actions_{};
  std::vector<std::int32_t> set_of_{};  // by cell: the set of buffers at its rank
  std::vector<rank_id> host_{};         // by cell: who computes it
  std::vector<std::int8_t> to_come_{};  // by cell: operations not yet in a list
  indexed<stage_id, std::vector<rank_id>> holders_{};
  std::vector<rank_id> live_{};
  indexed<stage_id, group_id> group_of_stage_{};
  group_id all_group_ = none;
  // of the rank being lowered
  std::vector<held_stage> held_{};
  std::vector<buffer_set> sets_{};
  std::vector<std::int32_t>
      free_{};  // sets, in the order in which they were freed, from `first_free_` on
  std::size_t first_free_ = 0;
  std::array<byte_count, 3> largest_{};  // of what arrives, leaves, is stashed
  std::int32_t last_ = none;             // on the lane of computing
  std::int32_t beside_ =
      none;  // the second of a pair that nothing on the lane of computing has waited for yet
  std::int32_t all_ = none;  // the reduction over all ranks
  bool stepping_ = false;
};

}  // namespace detail

/// The program of one iteration. Ranks that are dead in the job have an empty list.
[[nodiscard]] constexpr program lower(pipeline_job const& job, pipeline_schedule const& schedule,
                                      pipeline_tensors const& tensors = {},
                                      message_layout const& layout = {}) {
  validate(job);
  validate(job, tensors);
  if (schedule.order.size() != static_cast<std::size_t>(job.ranks()))
    throw invalid_program(std::to_string(schedule.order.size()) + " lists of operations for " +
                          std::to_string(job.ranks()) + " ranks");
  return detail::pipeline_lowering(job, schedule, tensors, layout).lowered();
}

}  // namespace shunt
