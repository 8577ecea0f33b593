#pragma once
#include "shunt/solve/pipeline/search/routes.hpp"

#include <algorithm>
#include <tuple>

#include "shunt/core/indexed.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR routes::routes(pipeline_job const& job, routing rule, std::int32_t turn)
    : job_(job), uneven_(job.uneven()) {
  host_.resize(job.cells());
  dead_.resize(static_cast<std::size_t>(job.ranks()), 0);
  busy_.resize(static_cast<std::size_t>(job.ranks()), 0);
  for (worker const& w : job.dead) dead_[job.rank_of(w).index()] = 1;
  if (job.layout.form() == stage_layout::shape::custom) find_unlike();
  for (stage_id s : ids<stage_id>(job.stages)) deal(s, rule, turn);
}

SHUNT_CONSTEXPR void routes::find_unlike() {
  stage_groups const in(job_);
  unlike_.resize(static_cast<std::size_t>(job_.stages), 0);
  load_.resize(dead_.size(), 0);
  for (stage_id s : ids<stage_id>(job_.stages)) {
    std::int32_t group = -1;
    for (pipeline_id p : ids<pipeline_id>(job_.pipelines)) {
      rank_id const r = job_.rank_of({p, s});
      if (dead_[r.index()]) continue;
      load_[r.index()] += job_.microbatches[p] * job_.costs.microbatch(s);
      if (group >= 0 && in.of[r] != group) unlike_[s.index()] = 1;
      group = in.of[r];
    }
  }
}

SHUNT_CONSTEXPR pipeline_id routes::host(pipeline_id p, stage_id s, microbatch_id m) const {
  return host_[at(p, s, m)];
}

SHUNT_CONSTEXPR std::size_t routes::at(pipeline_id p, stage_id s, microbatch_id m) const {
  return job_.cell(p, s, m);
}

SHUNT_CONSTEXPR void routes::deal_in_proportion(stage_id s, routing rule, std::size_t first,
                                                std::vector<pipeline_id> const& live) {
  struct item {
    std::int64_t length;
    microbatch_id microbatch;
    pipeline_id pipeline;
  };
  std::vector<item> all;
  for (pipeline_id p : ids<pipeline_id>(job_.pipelines))
    for (microbatch_id m : ids<microbatch_id>(job_.microbatches[p]))
      all.push_back({job_.length_of(p, m), m, p});
  std::sort(all.begin(), all.end(), [](item const& a, item const& b) {
    return std::tuple(-a.length, a.microbatch, a.pipeline) <
           std::tuple(-b.length, b.microbatch, b.pipeline);
  });
  auto const& c = job_.costs;
  std::vector<rank_id> ranks;  // of the live workers
  std::vector<ticks> pace;
  for (pipeline_id const p : live) {
    ranks.push_back(job_.rank_of({p, s}));
    pace.push_back(c.forward.of(p, s, job_.stages) + c.backward_input.of(p, s, job_.stages) +
                   c.backward_weight.of(p, s, job_.stages));
  }
  for (auto const& [length, m, p] : all) {
    using rank_of_choice = std::tuple<ticks, bool, ticks>;  // end of its work, moved, on the way
    rank_of_choice least{};
    std::size_t best = live.size();
    for (std::size_t i = 0; i < live.size(); ++i) {
      std::size_t const peer = (first + i) % live.size();
      rank_id const r = ranks[peer];
      ticks way = 0;
      if (s > 0)
        way += job_.transfer(job_.rank_of({host_[at(p, s.value() - 1, m)], s.value() - 1}), r);
      if (s.value() + 1 < job_.stages) way += job_.transfer(r, job_.rank_of({p, s.value() + 1}));
      rank_of_choice const now{busy_[r.index()] + length * pace[peer],
                               rule == routing::by_load && live[peer] != p, way};
      if (best < live.size() && now >= least) continue;
      least = now;
      best = peer;
    }
    host_[at(p, s, m)] = live[best];
    busy_[ranks[best].index()] = std::get<0>(least);
    if (rule == routing::pooled) first = best + 1;
  }
}

SHUNT_CONSTEXPR void routes::deal(stage_id s, routing rule, std::int32_t turn) {
  std::vector<pipeline_id> live, lost;
  auto const able = [&](pipeline_id p, bool roomy) {
    rank_id const r = job_.rank_of({p, s});
    return !dead_[r.index()] &&
           (!roomy || job_.stash_limit(r).value_or(job_.stash.forward[s]) >= job_.stash.forward[s]);
  };
  bool roomy = false;  // skips workers with a cap below one micro-batch, unless all are such
  for (pipeline_id p : ids<pipeline_id>(job_.pipelines)) roomy = roomy || able(p, true);
  for (pipeline_id p : ids<pipeline_id>(job_.pipelines)) {
    bool const alive = able(p, roomy);
    (alive ? live : lost).push_back(p);
    for (microbatch_id m : ids<microbatch_id>(job_.microbatches[p])) host_[at(p, s, m)] = p;
    if (alive && !uneven_)
      busy_[job_.rank_of({p, s}).index()] += job_.microbatches[p] * job_.costs.microbatch(s);
  }
  if (rule == routing::own) return;
  auto const peers = live.size(), first = static_cast<std::size_t>(turn) % peers;
  if (rule != routing::round_robin && uneven_) return deal_in_proportion(s, rule, first, live);
  if (rule == routing::pooled) {
    auto next = first;
    for (microbatch_id m : ids<microbatch_id>(job_.microbatches.most()))
      for (pipeline_id p : ids<pipeline_id>(job_.pipelines))
        if (m < job_.microbatches[p]) host_[at(p, s, m)] = live[next++ % peers];
    return;
  }
  if (rule == routing::round_robin) {
    std::size_t next = first;
    for (pipeline_id const p : lost)
      for (microbatch_id m : ids<microbatch_id>(job_.microbatches[p]))
        host_[at(p, s, m)] = live[next++ % peers];
    return;
  }
  std::vector<rank_id> ranks;  // of the live workers
  // micro-batches of this stage, by rank
  std::vector<std::int64_t> here(static_cast<std::size_t>(job_.ranks()),
                                 0);  // micro-batches of this stage on a rank
  // micro-batches of this stage, by live worker
  std::vector<std::int64_t> placed;
  for (pipeline_id const p : live) {
    ranks.push_back(job_.rank_of({p, s}));
    placed.push_back(job_.microbatches[p]);
    here[ranks.back().index()] += job_.microbatches[p];
  }
  std::int64_t holders = 0;
  for (std::int64_t const load : here) holders += load > 0;
  std::int64_t const share = ceil_divide<std::int64_t>(job_.total_microbatches(), holders);
  bool const links = !job_.transfer.alike() || job_.layout.form() != stage_layout::shape::linear;
  for (microbatch_id m : ids<microbatch_id>(job_.microbatches.most()))
    for (pipeline_id const p : lost) {
      if (m >= job_.microbatches[p]) continue;
      using rank_of_choice = std::tuple<bool, ticks, std::int64_t, std::int64_t, ticks>;
      rank_of_choice least{};
      std::size_t best = peers;
      for (std::size_t i = 0; i < peers; ++i) {
        std::size_t const peer = (first + i) % peers;
        auto const r = ranks[peer].index();
        ticks way = 0;
        if (links) {
          if (s > 0)
            way += job_.transfer(job_.rank_of({host_[at(p, s.value() - 1, m)], s.value() - 1}),
                                 ranks[peer]);
          if (s.value() + 1 < job_.stages)
            way += job_.transfer(ranks[peer], job_.rank_of({p, s.value() + 1}));
        }
        bool const unlike = !unlike_.empty() && unlike_[s.index()];
        rank_of_choice const now =
            unlike ? rank_of_choice{false, load_[r] + way, here[r], placed[peer], busy_[r]}
                   : rank_of_choice{here[r] >= share, way, here[r], placed[peer], busy_[r]};
        if (best < peers && now >= least) continue;
        least = now;
        best = peer;
      }
      host_[at(p, s, m)] = live[best];
      ++here[ranks[best].index()];
      ++placed[best];
      busy_[ranks[best].index()] += job_.costs.microbatch(s);
      if (!load_.empty()) load_[ranks[best].index()] += job_.costs.microbatch(s);
    }
}

}  // namespace shunt::detail
