#pragma once
/// An iteration that was stopped is not redone whole: what survivors had finished of it stays
/// finished.
///
/// What counts are the terms of the gradients, one backward_weight for each stage and micro-batch:
/// integers, whose sum doesn't depend on their order, so that it is right when no term is missing
/// or twice in it. Everything else of an iteration serves to make them.
///
/// 1. Out of place. In a program of `lower_salvageable` a stage's sum (and flag) is copied before
/// it is reduced, reductions work on the
///    copy, steps read it, and both persist. So a rank that waits for a dead peer in a reduction
///    still has its own sum, and one that has gone on has the reduced one until its next reduction.
///    It costs a copy and as much memory as the gradients take.
/// 2. Ledger. `kept_gradients` reads from the lists, and from how far each rank came in its own,
/// what each survivor holds. Where some have
///    seen a reduction through, they hold the stage's whole sum, with what the dead had put into
///    it: the lowest of them alone keeps it, and all others begin with zero. Otherwise each keeps
///    its own sum, with the terms that it had finished, and those of the dead are lost. A rank that
///    has neither any more (it went through all of the next iteration while another was still in
///    this one) keeps nothing.
/// 3. The rest. A micro-batch that misses no term isn't computed. Of others all forwards are,
/// gradients from the last stage down to the
///    first that misses its term, and backward_weights that are missing; a fused backward whose
///    term is there becomes a backward_input. A plan holds whichever micro-batch is called which:
///    those that are computed take the lines of the first ones of every pipeline, what misses
///    earlier stages first, for a dead worker's micro-batches were all of one pipeline. What is
///    left of each list stays in its order, so nobody waits for more than in the plan. Every stage
///    reduces and steps as ever.
///
/// The rest can be interrupted in turn: what it began with is then the ledger `before`. States must
/// be those of the iteration's beginning, buffers those of the interrupted program; the buffers of
/// sums are the same under every plan of a job. Linear in the number of instructions, times the
/// stages of a rank. Steps that are validated (lower/step_validation.hpp) are not known here.
///
/// Reference: ReCoVer (arXiv 2605.11215) and Unicron (arXiv 2401.00134) keep finished
/// micro-batches; terms of single stages, and sums that were reduced before a loss, are this
/// library's.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/lower/detail/pipeline_lowering.hpp"
#include "shunt/lower/detail/pipeline_starts.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/lower/pipeline_messages.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/plan/surviving_gradients.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/interrupted.hpp"
#include "shunt/program/program.hpp"

namespace shunt {
namespace detail {

/// How far one stage came on one rank, of one list.
struct sum_progress {
  bool began = false;     // its sum or its flag was written
  bool opened = true;     // what they begin with is there
  bool reducing = false;  // the copies that are reduced were written
  bool reduced = true;    // copies and reductions have all ended
  std::vector<operation> terms{};
};

/// `reduced`, `flag`: the regions that the stage's step reads.
[[nodiscard]] inline sum_progress progress_of(rank_program const& list,
                                              std::vector<bool> const& ran, stage_id s,
                                              region const& reduced, region const& flag) {
  auto const& all = list.instructions;
  std::vector<region> sums;  // what is copied to be reduced
  for (instruction const& i : all)
    if (i.code == opcode::copy && (list.writes(i)[0] == reduced || list.writes(i)[0] == flag))
      sums.push_back(list.reads(i)[0]);
  if (sums.size() != 2)
    throw invalid_program("stage " + std::to_string(s.value()) +
                          " reduces its gradient in place: nothing of it can be kept");
  auto const begins_at = [](region const& a, region const& b) {
    return a.buffer == b.buffer && a.offset == b.offset;
  };
  sum_progress p;
  for (std::size_t n = 0; n < all.size(); ++n) {
    auto const& i = all[n];
    auto const writes = list.writes(i);
    if (i.code == opcode::compute) {
      if (ran[n] && i.op.stage == s &&
          (i.op.kind == op_kind::backward || i.op.kind == op_kind::backward_weight))
        p.terms.push_back({op_kind::backward_weight, i.op.pipeline, s, i.op.microbatch});
    } else if (!writes.empty() && (writes[0] == reduced || writes[0] == flag)) {
      p.reducing = p.reducing || ran[n];
      p.reduced = p.reduced && ran[n];
    } else if (!writes.empty() && std::any_of(sums.begin(), sums.end(), [&](region const& x) {
                 return begins_at(writes[0], x);
               })) {
      p.began = p.began || ran[n];
      p.opened = p.opened && ran[n];
    }
  }
  return p;
}

/// The backward_weights of a stage, ascending.
[[nodiscard]] constexpr std::vector<operation> terms_of(pipeline_job const& job, stage_id s) {
  std::vector<operation> all;
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (microbatch_id m : ids<microbatch_id>(job.microbatches))
      all.push_back({op_kind::backward_weight, p, s, m});
  return all;
}

}  // namespace detail

/// What the ranks that live in `job` hold of an iteration that was interrupted under programs of
/// `lower_salvageable`. `before`: what it began with, where that was the rest of an iteration.
/// Throws invalid_program where a gradient is reduced in place.
[[nodiscard]] inline gradient_ledger kept_gradients(pipeline_job const& job,
                                                    interrupted_iteration const& at,
                                                    gradient_ledger const& before = {}) {
  gradient_ledger all;
  for (rank_id r : ids<rank_id>(job.ranks())) {
    if (!job.alive(r)) continue;
    auto const &list = at.plan.ranks[r], &next = at.next.ranks[r];
    std::vector<instruction> steps;
    for (instruction const& i : list.instructions)
      if (i.code == opcode::compute && i.op.kind == op_kind::step) steps.push_back(i);
    std::sort(steps.begin(), steps.end(),
              [](auto const& a, auto const& b) { return a.op.stage < b.op.stage; });
    for (instruction const& step : steps) {
      stage_id const s = step.op.stage;
      auto const reads = list.reads(step);
      auto now = detail::progress_of(list, at.ran[r], s, reads[0], reads[1]);
      auto const then = detail::progress_of(next, at.ran_next[r], s, reads[0], reads[1]);
      auto const old = std::find_if(before.begin(), before.end(),
                                    [&](auto const& k) { return k.rank == r && k.stage == s; });
      bool const was_there = old != before.end();
      if ((now.reduced || (was_there && old->reduced && !now.reducing)) && !then.reducing) {
        all.push_back({r, s, true, detail::terms_of(job, s)});
      } else if (now.opened && !then.began) {
        if (was_there) now.terms.insert(now.terms.end(), old->terms.begin(), old->terms.end());
        std::sort(now.terms.begin(), now.terms.end());
        if (!now.terms.empty()) all.push_back({r, s, false, std::move(now.terms)});
      }
    }
  }
  gradient_ledger once;  // no term twice
  for (kept_gradient const& k : all) {
    auto const whole = std::find_if(all.begin(), all.end(), [&](auto const& other) {
      return other.stage == k.stage && other.reduced;
    });
    if (whole == all.end() || &*whole == &k) once.push_back(k);
  }
  return once;
}

/// What is left of a plan of one iteration where these gradients are kept. With none it is the
/// plan.
[[nodiscard]] constexpr pipeline_schedule rest_of(pipeline_job const& job,
                                                  pipeline_schedule const& plan,
                                                  gradient_ledger const& kept) {
  detail::pipeline_cells const cell(job);
  std::vector<std::uint8_t> there(cell.count, 0);
  for (kept_gradient const& k : kept)
    for (operation const& o : k.terms) there[cell(o)] = 1;

  // Micro-batches stand in lines of the plan: which takes which line, and from which stage on its
  // gradients are needed.
  auto const number = [&](operation const& o) {
    return o.pipeline.index() * cell.microbatches + o.microbatch.index();
  };
  std::vector<operation> lines, computed;
  for (microbatch_id m : ids<microbatch_id>(job.microbatches))
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      lines.push_back({op_kind::forward, p, 0, m});
  std::vector<std::int32_t> lowest(lines.size(), job.stages), taken_by(lines.size(), -1);
  for (std::int32_t s = job.stages; s-- > 0;)
    for (operation const& line : lines)
      if (there[cell({op_kind::forward, line.pipeline, s, line.microbatch})] == 0)
        lowest[number(line)] = s;
  for (std::int32_t s = 0; s < job.stages; ++s)
    for (operation const& line : lines)
      if (lowest[number(line)] == s) computed.push_back(line);
  for (std::size_t n = 0; n < computed.size(); ++n)
    taken_by[number(lines[n])] = static_cast<std::int32_t>(n);

  pipeline_schedule rest{.staggered_step = plan.staggered_step};
  rest.order.resize(plan.order.size());
  if (!plan.overlapped.empty()) rest.overlapped.resize(plan.order.size());
  for (rank_id r : ids<rank_id>(plan.order.size())) {
    auto const& list = plan.order[r];
    std::int32_t last = -2;  // where the operation before stood
    std::size_t pair = 0;
    for (std::int32_t n = 0; n < static_cast<std::int32_t>(list.size()); ++n) {
      operation o = list[static_cast<std::size_t>(n)];
      if (o.kind != op_kind::step) {
        auto const taker = taken_by[number(o)];
        if (taker < 0) continue;
        auto const& line = computed[static_cast<std::size_t>(taker)];
        o.pipeline = line.pipeline;
        o.microbatch = line.microbatch;
        if (detail::makes_gradient(o.kind) && o.stage < lowest[number(o)]) continue;
        if (o.kind == op_kind::backward_weight && there[cell(o)] != 0) continue;
        if (o.kind == op_kind::backward && there[cell(o)] != 0) o.kind = op_kind::backward_input;
      }
      if (!plan.overlapped.empty()) {
        auto const& pairs = plan.overlapped[r];
        while (pair < pairs.size() && pairs[pair] + 1 < n) ++pair;
        if (pair < pairs.size() && pairs[pair] + 1 == n && last == n - 1)
          rest.overlapped[r].push_back(static_cast<std::int32_t>(rest.order[r].size()) - 1);
      }
      rest.order[r].push_back(o);
      last = n;
    }
  }
  return rest;
}

/// As `lower`, for iterations of which something is to be kept if they are interrupted, and for
/// what is then left of them: `kept` are the gradients it begins with.
[[nodiscard]] constexpr program lower_salvageable(pipeline_job const& job,
                                                  pipeline_schedule const& plan,
                                                  gradient_ledger const& kept = {},
                                                  pipeline_tensors const& tensors = {},
                                                  message_layout const& layout = {}) {
  validate(job);
  validate(job, tensors);
  if (plan.order.size() != static_cast<std::size_t>(job.ranks()))
    throw invalid_program(std::to_string(plan.order.size()) + " lists of operations for " +
                          std::to_string(job.ranks()) + " ranks");
  auto const rest = rest_of(job, plan, kept);
  return detail::pipeline_lowering(job, rest, tensors, layout, &kept).lowered();
}

/// How many terms are kept, of `job.seats() * job.microbatches`.
[[nodiscard]] constexpr std::int64_t terms_in(gradient_ledger const& kept) {
  std::int64_t sum = 0;
  for (kept_gradient const& k : kept) sum += static_cast<std::int64_t>(k.terms.size());
  return sum;
}

}  // namespace shunt
