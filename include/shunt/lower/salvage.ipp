#pragma once
#include "shunt/lower/salvage.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/lower/detail/pipeline_lowering.hpp"
#include "shunt/lower/detail/pipeline_starts.hpp"
#include "shunt/plan/mismatch.hpp"

namespace shunt::detail {

// Progress of one stage in the list of one rank.
struct sum_progress {
  bool began = false;     // its sum or its flag was written
  bool opened = true;     // the initial values of both were written
  bool reducing = false;  // a copy to be reduced was written
  bool reduced = true;    // all copies and reductions have ended
  std::vector<operation> terms{};
};

// Reads the progress of stage s from the instructions that ended. `reduced`, `flag`: the regions
// that the stage's step reads.
// Throws invalid_program where the gradient is reduced in place.
SHUNT_INLINE sum_progress progress_of(rank_program const& list, std::vector<bool> const& ran,
                                      stage_id s, region const& reduced, region const& flag) {
  auto const& all = list.instructions;
  std::vector<region> sums;  // regions that are copied to be reduced
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

SHUNT_CONSTEXPR std::vector<operation> terms_of(pipeline_job const& job, stage_id s) {
  std::vector<operation> all;
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (microbatch_id m : ids<microbatch_id>(job.microbatches[p]))
      all.push_back({op_kind::backward_weight, p, s, m});
  return all;
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE surviving_gradients find_surviving_gradients(pipeline_job const& job,
                                                          interrupted_iteration const& at,
                                                          surviving_gradients const& before) {
  surviving_gradients all;
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
  surviving_gradients once;  // no term twice
  for (surviving_gradient const& k : all) {
    auto const whole = std::find_if(all.begin(), all.end(), [&](auto const& other) {
      return other.stage == k.stage && other.reduced;
    });
    if (whole == all.end() || &*whole == &k) once.push_back(k);
  }
  return once;
}

SHUNT_CONSTEXPR pipeline_schedule rest_of(pipeline_job const& job, pipeline_schedule const& plan,
                                          surviving_gradients const& kept) {
  if (auto const wrong = mismatch(job, plan); !wrong.empty()) throw invalid_program(wrong);
  detail::pipeline_cells const cell(job);
  std::vector<std::uint8_t> there(cell.count, 0);
  for (surviving_gradient const& k : kept)
    for (operation const& o : k.terms) there[cell(o)] = 1;

  // Micro-batches take places in the plan: find the place of each, and the first stage
  // that needs its gradient.
  auto const number = [&](operation const& o) {
    return static_cast<std::size_t>(job.number_of(o.pipeline, o.microbatch));
  };
  std::vector<operation> lines, computed;
  for (microbatch_id m : ids<microbatch_id>(job.microbatches.most()))
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      if (m < job.microbatches[p]) lines.push_back({op_kind::forward, p, 0, m});
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
    std::int32_t last = -2;  // index of the previous operation
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

SHUNT_CONSTEXPR program lower_salvageable(pipeline_job const& job, pipeline_schedule const& plan,
                                          surviving_gradients const& kept,
                                          pipeline_tensors const& tensors,
                                          message_layout const& layout) {
  validate(job);
  validate(job, tensors);
  auto const rest = rest_of(job, plan, kept);
  return detail::pipeline_lowering(job, rest, tensors, layout, &kept).lowered();
}

SHUNT_CONSTEXPR std::int64_t terms_in(surviving_gradients const& kept) {
  std::int64_t sum = 0;
  for (surviving_gradient const& k : kept) sum += static_cast<std::int64_t>(k.terms.size());
  return sum;
}

}  // namespace shunt
