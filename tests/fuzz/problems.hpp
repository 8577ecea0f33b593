#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "bytes.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt::tests::fuzz {

/// A job of few operations with numbers of any size; it need not be valid.
inline pipeline_job any_job(bytes& in) {
  pipeline_job job{
      .pipelines = in.roll(1, 3), .stages = in.roll(1, 5), .microbatches = in.roll(1, 4)};
  bool const wild = in.roll(0, 7) == 0;
  auto const costs = [&](std::int32_t least) {
    std::vector<ticks> each;
    for (std::int32_t n = in.flip() ? 1 : job.stages; n-- > 0;)
      each.push_back(wild ? in.any() : in.roll(least, 9));
    return per_stage(std::move(each));
  };
  job.costs = {costs(1), costs(1), costs(0), costs(0)};
  job.costs.overlap_gain = in.roll(0, 3);
  switch (in.roll(0, 5)) {
    case 1: job.layout = stage_layout::looped(in.roll(1, 3)); break;
    case 2: job.layout = stage_layout::wave(in.roll(1, 3)); break;
    case 3: job.layout = stage_layout::bidirectional(); break;
    case 4: {
      std::vector<rank_id> ranks;
      for (std::int32_t w = job.pipelines * job.stages; w-- > 0;)
        ranks.push_back(in.roll(wild ? -1 : 0, 4));
      job.layout = stage_layout::custom(std::move(ranks));
      break;
    }
    default: break;
  }
  job.transfer = in.flip() ? transfer_times(in.roll(0, 3))
                           : transfer_times{in.roll(0, 2), in.roll(0, 5), in.roll(0, 4)};
  switch (in.roll(0, 4)) {
    case 1: job.memory = stash_cap::per_worker(wild ? in.any() : in.roll(1, 9)); break;
    case 2: job.memory = stash_cap::one_f_one_b(); break;
    case 3: {
      std::vector<std::int64_t> limits;
      for (std::int32_t n = in.roll(1, 9); n-- > 0;)
        limits.push_back(wild ? in.any() : in.roll(1, 20));
      job.memory = stash_cap::per_rank(std::move(limits));
      break;
    }
    default: break;
  }
  if (in.roll(0, 3) == 0) job.stash = {.forward = costs(1), .backward_input = costs(0)};
  if (in.roll(0, 3) == 0) {
    std::vector<std::int32_t> counts;
    for (std::int32_t n = in.roll(0, 7) == 0 ? 2 : job.pipelines; n-- > 0;)
      counts.push_back(in.roll(wild ? -1 : 1, 4));
    job.microbatches = per_pipeline(std::move(counts));
  }
  for (std::int32_t n = in.roll(0, 4); n-- > 1;)
    job.dead.push_back({in.roll(0, job.pipelines - 1), in.roll(0, job.stages - 1)});
  return job;
}

/// Changes a schedule in a few places.
inline void change(bytes& in, pipeline_schedule& plan) {
  for (std::int32_t n = in.roll(0, 3); n-- > 0 && !plan.order.empty();) {
    if (in.roll(0, 19) == 0) plan.order.resize(static_cast<std::size_t>(in.roll(0, 6)));
    if (plan.order.empty()) return;
    auto& list = plan.order[rank_id(in.roll(0, static_cast<int>(plan.order.size()) - 1))];
    if (list.empty()) continue;
    auto const last = static_cast<int>(list.size()) - 1;
    auto const at = static_cast<std::size_t>(in.roll(0, last));
    auto const other = static_cast<std::size_t>(in.roll(0, last));
    switch (in.roll(0, 7)) {
      case 0: list.erase(list.begin() + static_cast<std::ptrdiff_t>(at)); break;
      case 1: std::swap(list[at], list[other]); break;
      case 2: list[at].kind = static_cast<op_kind>(in.roll(0, 15)); break;
      case 3: list[at].stage = in.roll(-1, 5); break;
      case 4: list[at].microbatch = in.roll(-1, 4); break;
      case 5: list[at].pipeline = in.roll(-1, 3); break;
      case 6: list.push_back(list[at]); break;
      default: {
        auto& pairs = plan.overlapped;
        if (pairs.empty()) pairs.resize(plan.order.size());
        pairs[rank_id(in.roll(0, static_cast<int>(pairs.size()) - 1))].push_back(in.roll(-1, 9));
      }
    }
  }
}

/// Layers of few experts with loads of any size; they need not be valid.
inline expert_layers any_layers(bytes& in) {
  expert_layers p{.layers = in.roll(1, 3), .experts = in.roll(1, 10)};
  std::int32_t const size = in.roll(0, 3);  // how large loads are
  auto const load = [&]() -> std::int64_t {
    switch (size) {
      case 0: return in.any();
      case 1: return std::int64_t{in.roll(0, 255)} << in.roll(0, 40);
      default: return in.roll(0, 999);
    }
  };
  for (std::int32_t n = p.layers * p.experts; n-- > 0;) p.loads.push_back(load());
  for (std::int32_t r = in.roll(1, 6); r-- > 0;) p.slots_per_rank.push_back(in.roll(0, 5));
  p.ranks_per_node = in.roll(0, 3);
  p.groups = in.roll(0, 4);
  auto const slots = p.slots();
  if (in.roll(0, 2) == 0)
    for (std::int32_t n = p.layers * slots; n-- > 0;)
      p.previous.emplace_back(in.roll(0, p.experts - 1));
  if (in.roll(0, 3) == 0)
    for (std::int32_t n = p.layers * p.experts * in.roll(1, 3); n-- > 0;)
      p.history.push_back(load());
  if (in.roll(0, 3) == 0) {  // sources: the loads, dealt to ranks
    auto const ranks = p.slots_per_rank.size(), experts = static_cast<std::size_t>(p.experts);
    p.sources.assign(p.loads.size() * ranks, 0);
    for (std::size_t i = 0; i < p.loads.size(); ++i) {
      auto const l = i / experts, e = i % experts;
      auto left = p.loads[i];
      for (std::size_t r = 0; r < ranks; ++r) {
        auto const mine = r + 1 == ranks ? left : left / 2;
        p.sources[(l * ranks + r) * experts + e] = mine;
        left -= mine;
      }
    }
  }
  return p;
}

}  // namespace shunt::tests::fuzz
