#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests {

inline pipeline_job random_job_of_any_layout(random_cases& d) {
  pipeline_job job{.pipelines = d.roll(1, 3), .stages = d.roll(1, 3), .microbatches = d.roll(1, 4)};
  switch (d.roll(0, 4)) {
    case 0: break;
    case 1: {
      std::int32_t const chunks = d.roll(1, 3);
      job.stages *= chunks;
      job.layout = stage_layout::looped(chunks);
      break;
    }
    case 2: {
      std::int32_t const chunks = d.roll(1, 3);
      job.stages *= chunks;
      job.layout = stage_layout::wave(chunks);
      break;
    }
    case 3:
      job.pipelines = 2;
      job.layout = stage_layout::bidirectional();
      break;
    default: {
      job.stages = d.roll(2, 4);
      std::vector<rank_id> workers;
      std::int32_t const ranks = d.roll(1, job.workers());
      for (std::int32_t i = 0; i < job.workers(); ++i)
        workers.emplace_back(i < ranks ? i : d.roll(0, ranks - 1));
      job.layout = stage_layout::custom(std::move(workers));
    }
  }
  auto const costs = [&](std::int32_t low, std::int32_t high) {
    std::vector<ticks> each;
    for (std::int32_t s = 0; s < job.stages; ++s) each.push_back(d.roll(low, high));
    return per_stage(std::move(each));
  };
  job.costs = {.forward = costs(1, 9),
               .backward_input = costs(1, 9),
               .backward_weight = costs(0, 9),
               .step = costs(0, 9)};
  job.costs.overlap_gain = d.roll(0, 3);
  job.transfer = d.roll(0, 1) == 0 ? transfer_times(d.roll(0, 4))
                                   : transfer_times{d.roll(0, 2), d.roll(2, 6), d.roll(1, 3)};
  if (d.roll(0, 1) == 0 && job.pipelines > 1)
    job.dead.push_back({d.roll(0, job.pipelines - 1), d.roll(0, job.stages - 1)});
  validate(job);
  return job;
}

/// Any order that can run: again and again some operation whose input is there, on some live rank
/// of its stage.
inline pipeline_schedule random_order(pipeline_job const& job, random_cases& d) {
  pipeline_schedule plan{
      .order = indexed<rank_id, std::vector<operation>>(static_cast<std::size_t>(job.ranks())),
      .staggered_step = d.roll(0, 1) == 0};
  struct turn {
    operation op;
    rank_id host;
  };
  std::vector<turn> open;
  auto const host = [&](stage_id s) {
    auto const live = job.live_holders(s);
    return live[static_cast<std::size_t>(d.roll(0, static_cast<std::int32_t>(live.size()) - 1))];
  };
  std::map<std::pair<std::int32_t, operation>, rank_id> hosts;  // of a forward's stash
  std::vector<std::int32_t> left(static_cast<std::size_t>(job.stages), 0);
  bool const split = d.roll(0, 3) > 0;
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (microbatch_id m : ids<microbatch_id>(job.microbatches[p]))
      open.push_back({{op_kind::forward, p, 0, m}, host(0)});
  while (!open.empty()) {
    auto const at = d.roll(0, static_cast<std::int32_t>(open.size()) - 1);
    auto const [o, r] = open[static_cast<std::size_t>(at)];
    open.erase(open.begin() + at);
    plan.order[r].push_back(o);
    operation stash = o;
    stash.kind = op_kind::forward;
    op_kind const gradient = split ? op_kind::backward_input : op_kind::backward;
    if (o.kind == op_kind::forward) {
      hosts[{0, stash}] = r;
      if (o.stage.value() + 1 < job.stages)
        open.push_back({{op_kind::forward, o.pipeline, o.stage.value() + 1, o.microbatch},
                        host(o.stage.value() + 1)});
      else
        open.push_back({{gradient, o.pipeline, o.stage, o.microbatch}, r});
    } else if (o.kind == gradient) {
      if (split) open.push_back({{op_kind::backward_weight, o.pipeline, o.stage, o.microbatch}, r});
      if (o.stage > 0) {
        stash.stage = o.stage.value() - 1;
        open.push_back({{gradient, o.pipeline, stash.stage, o.microbatch}, hosts[{0, stash}]});
      }
    }
  }
  for (rank_id r : ids<rank_id>(job.ranks())) {
    if (!job.alive(r)) continue;
    for (stage_id s : job.stages_of(
             r)) {  // anywhere behind the stage's last operation: behind everything, or at once
      auto& list = plan.order[r];
      auto place = list.size();
      if (d.roll(0, 1) == 0 && plan.staggered_step)
        while (place > 0 && list[place - 1].stage != s) --place;
      list.insert(list.begin() + static_cast<std::ptrdiff_t>(place),
                  {.kind = op_kind::step, .stage = s});
    }
  }
  if (d.roll(0, 1) == 0) return plan;
  plan.overlapped.resize(plan.order.size());
  auto const backward = [](op_kind k) {
    return k == op_kind::backward || k == op_kind::backward_input;
  };
  for (rank_id r : ids<rank_id>(job.ranks())) {
    auto const& list = plan.order[r];
    for (std::size_t i = 0; i + 1 < list.size(); ++i) {
      operation const &a = list[i], &b = list[i + 1];
      bool const kinds = (a.kind == op_kind::forward && backward(b.kind)) ||
                         (b.kind == op_kind::forward && backward(a.kind));
      if (!kinds || (a.pipeline == b.pipeline && a.microbatch == b.microbatch)) continue;
      plan.overlapped[r].push_back(static_cast<std::int32_t>(i++));
    }
  }
  return plan;
}

inline ticks slow_cost(pipeline_job const& job, operation const& o) {
  auto const& c = job.costs;
  if (o.kind == op_kind::forward) return c.forward[o.stage];
  if (o.kind == op_kind::backward_input) return c.backward_input[o.stage];
  if (o.kind == op_kind::backward_weight) return c.backward_weight[o.stage];
  if (o.kind == op_kind::backward) return c.backward_input[o.stage] + c.backward_weight[o.stage];
  return c.step[o.stage];
}

/// All iterations of a run, in time that never goes back.
struct slow_clock {
  slow_clock(pipeline_job const& of, pipeline_schedule const& plan, int iterations)
      : job(of), schedule(plan) {
    for (rank_id r : ids<rank_id>(job.ranks()))
      for (std::size_t i = 0; i < plan.order[r].size(); ++i)
        place[{plan.order[r][i].kind == op_kind::step ? r.value() : -1, plan.order[r][i]}] = {r, i};
    start.assign(static_cast<std::size_t>(iterations),
                 indexed<rank_id, std::vector<ticks>>(plan.order.size()));
    end = start;
    for (auto* both : {&start, &end})
      for (auto& lists : *both)
        for (rank_id r : ids<rank_id>(job.ranks())) lists[r].resize(plan.order[r].size(), 0);
    for (std::size_t k = 0; k < start.size(); ++k)
      for (int rounds = 0; round(k); ++rounds)
        if (rounds > 1000) {
          stuck = true;
          return;
        }
  }

  bool round(std::size_t k) {
    bool moved = false;
    for (rank_id r : ids<rank_id>(job.ranks())) {
      auto const& list = schedule.order[r];
      ticks free = k == 0 || list.empty() ? 0 : end[k - 1][r].back();
      for (std::size_t i = 0; i < list.size(); ++i) {
        bool const pair = !schedule.overlapped.empty() &&
                          std::count(schedule.overlapped[r].begin(), schedule.overlapped[r].end(),
                                     static_cast<std::int32_t>(i)) > 0;
        ticks at = std::max(free, input(k, r, list[i])), takes = slow_cost(job, list[i]);
        if (pair) {
          at = std::max(at, input(k, r, list[i + 1]));
          ticks const other = slow_cost(job, list[i + 1]);
          takes = takes + other - std::min({job.costs.overlap_gain, takes, other});
        }
        for (std::size_t part = i; part <= i + pair; ++part) {
          moved = moved || end[k][r][part] != at + takes;
          start[k][r][part] = at;
          end[k][r][part] = at + takes;
        }
        free = at + takes;
        i += pair;
      }
    }
    return moved;
  }

  ticks input(std::size_t k, rank_id r, operation const& o) const {
    auto const made = [&](op_kind kind, std::int32_t stage) {
      auto const found = place.find({-1, {kind, o.pipeline, stage, o.microbatch}});
      if (found == place.end()) return ticks{-1};
      auto const [other, i] = found->second;
      return end[k][other][i] + job.transfer(other, r);
    };
    if (o.kind == op_kind::step) {
      ticks last = 0;
      for (auto const& [what, where] : place)
        if (what.second.kind != op_kind::step &&
            (!schedule.staggered_step || what.second.stage == o.stage))
          last = std::max(last, end[k][where.first][where.second]);
      return last;
    }
    std::int32_t const s = o.stage.value();
    if (o.kind == op_kind::forward) return s == 0 ? 0 : made(op_kind::forward, s - 1);
    if (o.kind == op_kind::backward_weight) return made(op_kind::backward_input, s);
    if (s + 1 == job.stages) return made(op_kind::forward, s);
    return std::max(made(op_kind::backward, s + 1), made(op_kind::backward_input, s + 1));
  }

  pipeline_job const& job;
  pipeline_schedule const& schedule;
  std::map<std::pair<std::int32_t, operation>, std::pair<rank_id, std::size_t>> place;
  std::vector<indexed<rank_id, std::vector<ticks>>> start, end;
  bool stuck = false;
};

}  // namespace shunt::tests
