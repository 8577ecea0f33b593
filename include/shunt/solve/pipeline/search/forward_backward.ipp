#pragma once
#include "shunt/solve/pipeline/search/forward_backward.hpp"

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/measure/operation_graph.hpp"

namespace shunt::detail {

SHUNT_INLINE forward_backward::forward_backward(pipeline_job const& job,
                                                pipeline_schedule const& schedule)
    : job_(job), stage_groups_(job), clock_(static_cast<std::size_t>(job.ranks())) {
  ranks_.resize(static_cast<std::size_t>(job.ranks()));
  spans_.resize(stage_groups_.all.size());
  auto const cell = [&](operation const& o, stage_id s) {
    return job.cell(o.pipeline, s, o.microbatch);
  };
  auto const cells = job.cells();
  std::vector<std::int32_t> forward(cells, nowhere), gradient(cells, nowhere);
  for (rank_id r : ids<rank_id>(job.ranks())) {
    auto& rank = ranks_[r.index()];
    rank.stage_group = stage_groups_.of[r];
    rank.first = static_cast<std::int32_t>(nodes_.size());
    for (operation const& o : schedule.order[r]) {
      if (o.kind == op_kind::step) continue;
      auto const own = static_cast<std::int32_t>(nodes_.size());
      if (o.kind == op_kind::forward) forward[cell(o, o.stage)] = own;
      if (o.kind == op_kind::backward || o.kind == op_kind::backward_input)
        gradient[cell(o, o.stage)] = own;
      nodes_.push_back({.what = o, .rank = r.value(), .cost = cost_of(job, o, r)});
      sequence_.push_back(own);
    }
    rank.all = static_cast<std::int32_t>(nodes_.size()) - rank.first;
    rank.word = static_cast<std::int32_t>(bits_.size());
    rank.words = (rank.all + 63) / 64;
    bits_.resize(bits_.size() + static_cast<std::size_t>(rank.words));
  }
  for (auto& n : nodes_) {
    operation const& o = n.what;
    switch (o.kind) {
      case op_kind::forward:
        n.parent = o.stage > 0 ? forward[cell(o, o.stage.value() - 1)] : nowhere;
        break;
      case op_kind::backward_weight: n.parent = gradient[cell(o, o.stage)]; break;
      default:
        n.parent = o.stage.value() + 1 < job.stages ? gradient[cell(o, o.stage.value() + 1)]
                                                    : forward[cell(o, o.stage)];
    }
    if (n.parent == nowhere) continue;
    auto& p = nodes_[static_cast<std::size_t>(n.parent)];
    n.delay = job.transfer(rank_id{p.rank}, rank_id{n.rank});
    (p.child == nowhere ? p.child : p.second_child) = static_cast<std::int32_t>(&n - nodes_.data());
  }
  coming_.resize(nodes_.size());
  place_.resize(nodes_.size());
  since_.resize(nodes_.size());
  missing_.resize(nodes_.size());
}

SHUNT_INLINE pipeline_schedule forward_backward::schedule(bool staggered_step) const {
  pipeline_schedule plan{.order = indexed<rank_id, std::vector<operation>>(ranks_.size()),
                         .staggered_step = staggered_step};
  for (rank_id r : ids<rank_id>(job_.ranks())) {
    auto const& from = ranks_[r.index()];
    for (std::int32_t i = 0; i < from.all; ++i)
      plan.order[r].push_back(
          nodes_[static_cast<std::size_t>(sequence_[static_cast<std::size_t>(from.first + i)])]
              .what);
  }
  append_steps(stage_groups_, plan);
  return plan;
}

SHUNT_INLINE void forward_backward::put(rank_state& r, std::int32_t n) {
  auto const place = static_cast<std::uint32_t>(place_[static_cast<std::size_t>(n)]);
  bits_[static_cast<std::size_t>(r.word) + place / 64] |= std::uint64_t{1} << place % 64;
  ++r.there;
}

SHUNT_INLINE void forward_backward::arrive(rank_state& r, ticks now) {
  auto* const list = coming_.data() + r.first;
  for (std::int32_t i = 0; i < r.coming;) {
    if (since_[static_cast<std::size_t>(list[i])] > now) {
      ++i;
      continue;
    }
    put(r, list[i]);
    list[i] = list[--r.coming];
  }
}

SHUNT_INLINE ticks forward_backward::next_arrival(rank_state const& r) const {
  ticks least = winner_tree::never;
  for (std::int32_t i = 0; i < r.coming; ++i)
    least = std::min(
        least, since_[static_cast<std::size_t>(coming_[static_cast<std::size_t>(r.first + i)])]);
  return least;
}

}  // namespace shunt::detail
