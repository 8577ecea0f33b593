#pragma once
#include "shunt/solve/pipeline/search/forward_backward.hpp"

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/measure/operation_graph.hpp"

namespace shunt::detail {

SHUNT_INLINE forward_backward::forward_backward(pipeline_job const& job, pipeline_schedule schedule)
    : job_(job),
      source_(std::move(schedule)),
      stage_groups_(job),
      clock_(static_cast<std::size_t>(job.ranks())) {
  for (rank_id r : ids<rank_id>(job.ranks())) {
    rank_state rank{.rank = r, .stage_group = stage_groups_.of[r]};
    for (operation const& o : source_.order[r]) rank.all += o.kind != op_kind::step;
    operations_ += rank.all;
    ranks_.push_back(rank);
  }
  std::sort(ranks_.begin(), ranks_.end(), [](rank_state const& a, rank_state const& b) {
    return std::pair(a.stage_group, a.rank) < std::pair(b.stage_group, b.rank);
  });
  played_.resize(ranks_.size());
  make_nodes();
  spans_.resize(stage_groups_.all.size());
}

SHUNT_INLINE void forward_backward::make_nodes() {
  std::vector<grouped_list> lists;
  std::int32_t next_word = 0;
  for (auto& r : ranks_) {
    lists.push_back({r.stage_group, r.all});
    r.word = next_word;
    r.words = (r.all + 63) / 64;
    next_word += r.words;
  }
  bits_.resize(static_cast<std::size_t>(next_word));
  side_by_side const table(lists, stage_groups_.all.size());
  for (std::size_t r = 0; r < ranks_.size(); ++r) ranks_[r].at = table.columns[r];
  for (auto* list : {&sequence_, &urgent_, &coming_}) list->resize(table.entries);
  nodes_.resize(table.entries);
  auto const cell = [&](operation const& o, stage_id s) {
    return job_.cell(o.pipeline, s, o.microbatch);
  };
  auto const cells = job_.cells();
  std::vector<std::int32_t> forward(cells, nowhere), gradient(cells, nowhere);
  auto const each = [&](auto const& visit) {
    for (auto const& r : ranks_) {
      std::int32_t i = 0;
      for (operation const& o : source_.order[r.rank])
        if (o.kind != op_kind::step) visit(r, static_cast<std::int32_t>(r.at[i++]), o);
    }
  };
  each([&](rank_state const& r, std::int32_t own, operation const& o) {
    if (o.kind == op_kind::forward) forward[cell(o, o.stage)] = own;
    if (o.kind == op_kind::backward || o.kind == op_kind::backward_input)
      gradient[cell(o, o.stage)] = own;
    auto& n = nodes_[static_cast<std::size_t>(own)];
    n.rank = static_cast<std::int32_t>(&r - ranks_.data());
    n.cost = cost_of(job_, o, r.rank);
    sequence_[static_cast<std::size_t>(own)] = own;
  });
  each([&](rank_state const&, std::int32_t own, operation const& o) {
    auto& n = nodes_[static_cast<std::size_t>(own)];
    switch (o.kind) {
      case op_kind::forward:
        n.parent = o.stage > 0 ? forward[cell(o, o.stage.value() - 1)] : nowhere;
        break;
      case op_kind::backward_weight: n.parent = gradient[cell(o, o.stage)]; break;
      default:
        n.parent = o.stage.value() + 1 < job_.stages ? gradient[cell(o, o.stage.value() + 1)]
                                                     : forward[cell(o, o.stage)];
    }
    if (n.parent == nowhere) return;
    auto& p = nodes_[static_cast<std::size_t>(n.parent)];
    (p.child == nowhere ? p.child : p.second_child) = own;
  });
}

SHUNT_INLINE pipeline_schedule forward_backward::schedule(bool staggered_step) const {
  pipeline_schedule plan{.order = indexed<rank_id, std::vector<operation>>(ranks_.size()),
                         .staggered_step = staggered_step};
  for (rank_state const& r : ranks_) {
    auto& list = plan.order[r.rank];
    auto const& from = source_.order[r.rank];  // its steps stand at the end
    list.reserve(from.size());
    for (std::int32_t i = 0; i < r.all; ++i)
      list.push_back(from[r.at.place_of(static_cast<std::size_t>(sequence_[r.at[i]]))]);
  }
  append_steps(stage_groups_, plan);
  return plan;
}

SHUNT_INLINE void forward_backward::put(rank_state& r, std::int32_t n) {
  auto const place = static_cast<std::uint32_t>(nodes_[static_cast<std::size_t>(n)].place);
  bits_[static_cast<std::size_t>(r.word) + place / 64] |= std::uint64_t{1} << place % 64;
  ++r.there;
}

SHUNT_INLINE void forward_backward::arrive(rank_state& r, ticks now) {
  for (std::int32_t i = 0; i < r.coming;) {
    std::int32_t& next = coming_[r.at[i]];
    if (nodes_[static_cast<std::size_t>(next)].since > now) {
      ++i;
      continue;
    }
    put(r, next);
    next = coming_[r.at[--r.coming]];
  }
}

SHUNT_INLINE ticks forward_backward::next_arrival(rank_state const& r) const {
  ticks least = winner_tree::never;
  for (std::int32_t i = 0; i < r.coming; ++i)
    least = std::min(least, nodes_[static_cast<std::size_t>(coming_[r.at[i]])].since);
  return least;
}

}  // namespace shunt::detail
