#pragma once
#include "shunt/solve/pipeline/search/merge_streams.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <tuple>
#include <utility>

#include "shunt/core/units.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/solve/pipeline/search/winner_tree.hpp"

namespace shunt::detail {

// One merge of the streams of all ranks.
class stream_merger {
 public:
  SHUNT_CONSTEXPR stream_merger(pipeline_job const& job,
                                indexed<rank_id, operation_streams> const& streams)
      : job_(job), streams_(streams), clock_(static_cast<std::size_t>(job.ranks())) {
    auto const ranks = static_cast<std::size_t>(job.ranks());
    auto const cells = job.cells();
    for (auto* table : {&forward_, &gradient_, &weight_}) table->resize(cells, unknown);
    host_.resize(cells, rank_id{-1});
    next_.resize(ranks);
    idle_from_.resize(ranks, 0);
    stashed_.resize(ranks, 0);
    if (job.memory.rule != stash_cap::kind::none)
      for (rank_id r : ids<rank_id>(job.ranks())) caps_.push_back(*job.stash_limit(r));
    schedule_.order.resize(ranks);
    for (rank_id r : ids<rank_id>(job.ranks())) {
      next_[r].resize(streams[r].size(), 0);
      std::size_t const before = left_;
      for (auto const& stream : streams[r]) {
        left_ += stream.size();
        for (operation const& o : stream)
          if (o.kind == op_kind::forward) {
            host_[cell(o, o.stage)] = r;
            if (o.stage == 0) forward_[cell(o, o.stage)] = 0;
          }
      }
      schedule_.order[r].reserve(left_ - before);
      if (left_ > before) clock_.set(r.value(), 0);
    }
  }

  // Returns the merged schedule. Consumes the merger.
  [[nodiscard]] SHUNT_CONSTEXPR merged_streams merged() && {
    // An operation wakes other ranks later than now: only a backward_weight may take no time.
    for (std::int32_t rank = clock_.winner(); clock_[rank] != winner_tree::never;) {
      rank_id const r = rank;
      ticks const now = clock_[rank];
      while (idle_from_[r.index()] <= now && start_something(r, now)) continue;
      clock_.set(rank, idle_from_[r.index()] > now ? idle_from_[r.index()] : next_input(r, now));
      rank = clock_.winner_after(rank, now);
    }
    if (left_ > 0) return {};
    append_steps(stage_groups(job_), schedule_);
    return {std::move(schedule_), true};
  }

 private:
  static constexpr ticks unknown = -1;

  [[nodiscard]] SHUNT_CONSTEXPR std::size_t cell(operation const& o, stage_id s) const {
    return job_.cell(o.pipeline, s, o.microbatch);
  }

  // Returns when the input of an operation arrives, or `unknown`.
  [[nodiscard]] SHUNT_CONSTEXPR ticks ready(operation const& o) const {
    auto const& table = o.kind == op_kind::forward           ? forward_
                        : o.kind == op_kind::backward_weight ? weight_
                                                             : gradient_;
    return table[cell(o, o.stage)];
  }

  // Returns when the next input of a stream arrives at an idle rank, as far as it is known.
  [[nodiscard]] SHUNT_CONSTEXPR ticks next_input(rank_id r, ticks now) const {
    ticks least = winner_tree::never;
    for (std::size_t s = 0; s < streams_[r].size(); ++s) {
      if (next_[r][s] == streams_[r][s].size()) continue;
      if (ticks const when = ready(streams_[r][s][next_[r][s]]); when > now)
        least = std::min(least, when);
    }
    return least;
  }

  // Starts the most urgent operation of an idle rank. Returns false where none can start.
  SHUNT_CONSTEXPR bool start_something(rank_id r, ticks now) {
    auto const urgency = [](op_kind k) {
      return k == op_kind::forward ? 1 : k == op_kind::backward_weight ? 2 : 0;
    };
    using rank_of_choice = std::tuple<int, ticks, microbatch_id, pipeline_id>;
    std::optional<std::pair<rank_of_choice, std::size_t>> best;
    for (std::size_t s = 0; s < streams_[r].size(); ++s) {
      if (next_[r][s] == streams_[r][s].size()) continue;
      operation const& o = streams_[r][s][next_[r][s]];
      ticks const since = ready(o);
      if (since == unknown || since > now) continue;
      if (o.kind == op_kind::forward && !caps_.empty() &&
          stashed_[r.index()] + job_.stash.forward[o.stage] > caps_[r.index()])
        continue;
      std::pair const choice{rank_of_choice{urgency(o.kind), since, o.microbatch, o.pipeline}, s};
      if (!best || choice < *best) best = choice;
    }
    if (best) start(r, streams_[r][best->second][next_[r][best->second]++], now);
    return best.has_value();
  }

  // Starts an operation and passes its result on.
  SHUNT_CONSTEXPR void start(rank_id r, operation const& o, ticks now) {
    ticks const end = now + cost_of(job_, o, r);
    auto const hand_on = [&](std::vector<ticks>& table, stage_id to) {
      auto const target = cell(o, to);
      rank_id const host = host_[target];
      ticks const when = table[target] = end + (host == r ? 0 : job_.transfer(r, host));
      if (host != r && host >= 0 && when < clock_[host.value()] && idle_from_[host.index()] <= when)
        clock_.set(host.value(), when);
    };
    schedule_.order[r].push_back(o);
    --left_;
    idle_from_[r.index()] = end;
    if (o.kind == op_kind::forward) {
      stashed_[r.index()] += job_.stash.forward[o.stage];
      if (o.stage.value() + 1 < job_.stages)
        hand_on(forward_, o.stage.value() + 1);
      else
        gradient_[cell(o, o.stage)] = end;
    } else if (o.kind == op_kind::backward_weight) {
      stashed_[r.index()] -= job_.stash.forward[o.stage] - job_.stash.backward_input[o.stage];
    } else {
      stashed_[r.index()] -=
          (o.kind == op_kind::backward ? job_.stash.forward : job_.stash.backward_input)[o.stage];
      weight_[cell(o, o.stage)] = end;
      if (o.stage > 0) hand_on(gradient_, o.stage.value() - 1);
    }
  }

  pipeline_job const& job_;
  indexed<rank_id, operation_streams> const& streams_;
  std::vector<ticks> forward_{}, gradient_{}, weight_{};  // arrival of the inputs
  std::vector<rank_id> host_{};
  indexed<rank_id, std::vector<std::size_t>> next_{};
  std::vector<ticks> idle_from_{};
  std::vector<std::int64_t> stashed_{}, caps_{};  // by rank; no caps where there are none
  winner_tree clock_;
  std::size_t left_ = 0;
  pipeline_schedule schedule_{};
};

SHUNT_CONSTEXPR merged_streams merge_streams(pipeline_job const& job,
                                             indexed<rank_id, operation_streams> const& streams) {
  return stream_merger(job, streams).merged();
}

}  // namespace shunt::detail
