#pragma once
/// Forward-backward improvement (justification) of a pipeline schedule, for spans.
///
/// A backward pass runs the operations of every rank from the last to the first, as late as the
/// ends of the stage groups allow. A forward pass runs them from the first to the last, as early as
/// the starts allow. A free rank takes an operation that is available; of several it takes the one
/// that the previous pass ran earlier (later). So each pass keeps the urgency and closes the gaps
/// of the previous one. Before each pass the stage groups with a span too long for the target
/// period get a later start or an earlier end. Ignores caps.
/// Complexity: O(n (log R + n / (64 R))) a pass for n operations on R ranks.
/// Reference: Li and Willis 1992; Valls, Ballestin, Quintanilla 2005.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/search/side_by_side.hpp"
#include "shunt/solve/pipeline/search/winner_tree.hpp"

namespace shunt::detail {

/// Forward and backward passes over one schedule.
class forward_backward {
 public:
  /// Requires an executable schedule without overlapped pairs.
  forward_backward(pipeline_job const& job, pipeline_schedule schedule);

  [[nodiscard]] std::int64_t operations() const { return operations_; }
  [[nodiscard]] shunt::stage_groups const& stage_groups() const { return stage_groups_; }
  /// Returns the earliest start and latest end of each stage group in the last pass.
  [[nodiscard]] std::vector<interval> const& spans() const { return spans_; }

  /// Runs everything as early as possible, stage groups from `start` on. With `patient` a free rank
  /// waits for a more urgent operation that is known to arrive before the available one would end.
  void forwards(std::vector<ticks> const& start, bool patient) { pass<true>(start, patient); }
  /// As `forwards`, but as late as possible; stage groups end by `end`.
  void backwards(std::vector<ticks> const& end, bool patient) { pass<false>(end, patient); }

  /// Returns the orders of the last pass, with the steps.
  [[nodiscard]] pipeline_schedule schedule(bool staggered_step) const;

 private:
  static constexpr std::int32_t nowhere = -1;

  struct node {
    ticks cost = 0;
    std::int32_t rank = nowhere;  // its place in ranks_
    std::int32_t parent = nowhere, child = nowhere, second_child = nowhere;
    // of this pass: its place in the order of urgency, the inputs that are missing, the last one's
    // arrival
    std::int32_t place = 0, missing = 0;
    ticks since = 0;
  };
  struct rank_state {
    rank_id rank{};
    std::int32_t stage_group = 0, all = 0, word = 0, words = 0, player = 0;
    column at{};  // its nodes
    std::int32_t done = 0, coming = 0, there = 0;
    ticks idle_from = 0, began = 0;
  };

  /// Makes the nodes: the k-th operations of a stage group's ranks side by side.
  void make_nodes();

  /// One pass in either direction. `limit`: the start or end of each stage group.
  template <bool Forwards>
  void pass(std::vector<ticks> const& limit, bool patient) {
    clock_.clear();
    std::fill(bits_.begin(), bits_.end(), 0);
    for (auto& s : spans_)
      s = {std::numeric_limits<ticks>::max(), std::numeric_limits<ticks>::min()};
    // the order of the previous pass, in this pass's direction, gives the urgency
    ticks shift = 0;  // clocks run from 0 upwards
    if (!Forwards) shift = *std::max_element(limit.begin(), limit.end());
    for (std::size_t k = 0; k < ranks_.size(); ++k) {
      rank_state& r = ranks_[k];
      // ranks of one moment take turns by number, which patience can tell, or as they lie
      r.player = patient ? r.rank.value() : static_cast<std::int32_t>(k);
      played_[static_cast<std::size_t>(r.player)] = static_cast<std::int32_t>(k);
      r.done = r.coming = r.there = 0;
      for (std::int32_t i = 0; i < r.all; ++i)
        nodes_[static_cast<std::size_t>(sequence_[r.at[i]])].place = Forwards ? i : r.all - 1 - i;
      ticks const at = limit[static_cast<std::size_t>(r.stage_group)];
      r.idle_from = Forwards ? at : shift - at;
    }
    urgent_.swap(sequence_);
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      auto& n = nodes_[i];
      n.since = 0;
      n.missing =
          Forwards ? n.parent != nowhere : (n.child != nowhere) + (n.second_child != nowhere);
      if (n.missing == 0 && n.rank != nowhere)
        put(ranks_[static_cast<std::size_t>(n.rank)], static_cast<std::int32_t>(i));
    }
    for (auto const& r : ranks_)
      if (r.all > 0) clock_.set(r.player, r.idle_from);
    // An operation wakes other ranks later than now: only a backward_weight may take no time.
    for (std::int32_t next = clock_.winner(); clock_[next] != winner_tree::never;) {
      ticks const now = clock_[next];
      rank_state& r = ranks_[static_cast<std::size_t>(played_[static_cast<std::size_t>(next)])];
      arrive(r, now);
      while (r.idle_from <= now && start_something<Forwards>(r, now, patient)) continue;
      clock_.set(next, r.idle_from > now ? (r.done == r.all ? winner_tree::never : r.idle_from)
                                         : next_arrival(r));
      next = clock_.winner_after(next, now);
    }
    for (auto const& r : ranks_) {
      if (r.all == 0) continue;
      auto& span = spans_[static_cast<std::size_t>(r.stage_group)];
      ticks const from = Forwards ? r.began : shift - r.idle_from,
                  to = Forwards ? r.idle_from : shift - r.began;
      span = {std::min(span.start, from), std::max(span.end, to)};
    }
    for (auto& s : spans_)
      if (s.start > s.end) s = {};
  }

  /// Adds an operation to the available ones of its rank.
  void put(rank_state& r, std::int32_t n);

  /// Makes the operations available that have their inputs by `now`.
  void arrive(rank_state& r, ticks now);
  /// Returns the next arrival at a rank, or `never`.
  [[nodiscard]] ticks next_arrival(rank_state const& r) const;

  /// Starts the most urgent available operation. Returns false where none is started.
  template <bool Forwards>
  bool start_something(rank_state& r, ticks now, bool patient) {
    if (r.there == 0) return false;
    auto w = static_cast<std::size_t>(r.word);
    while (bits_[w] == 0) ++w;
    auto const place = static_cast<std::int32_t>(w - static_cast<std::size_t>(r.word)) * 64 +
                       std::countr_zero(bits_[w]);
    auto const own = static_cast<std::size_t>(urgent_[r.at[Forwards ? place : r.all - 1 - place]]);
    node const& n = nodes_[own];
    if (patient)  // a more urgent operation arrives before this one would end
      for (std::int32_t i = 0; i < r.coming; ++i) {
        auto const other = static_cast<std::size_t>(coming_[r.at[i]]);
        if (nodes_[other].place < place && nodes_[other].since < now + n.cost) return false;
      }
    bits_[w] &= bits_[w] - 1;
    --r.there;
    if (r.done == 0) r.began = now;
    sequence_[r.at[Forwards ? r.done : r.all - 1 - r.done]] = static_cast<std::int32_t>(own);
    ++r.done;
    ticks const end = now + n.cost;
    r.idle_from = end;
    auto const hand_on = [&](std::int32_t to) {
      if (to == nowhere) return;
      node& next = nodes_[static_cast<std::size_t>(to)];
      auto& there = ranks_[static_cast<std::size_t>(next.rank)];
      next.since = std::max(next.since, end + (Forwards ? job_.transfer(r.rank, there.rank)
                                                        : job_.transfer(there.rank, r.rank)));
      if (--next.missing > 0) return;
      if (&there == &r && next.since <= end) return put(r, to);
      coming_[there.at[there.coming++]] = to;
      if (next.since < clock_[there.player] && there.idle_from <= next.since)
        clock_.set(there.player, next.since);
    };
    if (Forwards) {
      hand_on(n.child);
      hand_on(n.second_child);
    } else {
      hand_on(n.parent);
    }
    return true;
  }

  pipeline_job const& job_;
  pipeline_schedule source_;
  std::int64_t operations_ = 0;
  shunt::stage_groups stage_groups_;
  winner_tree clock_;
  std::vector<rank_state> ranks_{};     // group by group
  std::vector<std::int32_t> played_{};  // by player of the clock: its rank
  std::vector<node> nodes_{};
  // by rank: the order of the last pass, and of the one before
  std::vector<std::int32_t> sequence_{}, urgent_{};
  std::vector<std::int32_t> coming_{};
  std::vector<std::uint64_t> bits_{};
  std::vector<interval> spans_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/forward_backward.ipp"
#endif
