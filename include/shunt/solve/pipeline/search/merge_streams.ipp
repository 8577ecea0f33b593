#pragma once
#include "shunt/solve/pipeline/search/merge_streams.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <tuple>
#include <utility>

#include "shunt/core/units.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/measure/stage_groups.hpp"

namespace shunt::detail {

// One merge of the streams of all ranks.
class stream_merger {
 public:
  SHUNT_CONSTEXPR stream_merger(pipeline_job const& job,
                                indexed<rank_id, operation_streams> const& streams)
      : job_(job), streams_(streams) {
    auto const ranks = static_cast<std::size_t>(job.ranks());
    auto const cells = job.cells();
    for (auto* table : {&forward_, &gradient_, &weight_}) table->resize(cells, unknown);
    host_.resize(cells, rank_id{-1});
    next_.resize(ranks);
    idle_from_.resize(ranks, 0);
    stashed_.resize(ranks, 0);
    schedule_.order.resize(ranks);
    for (rank_id r : ids<rank_id>(job.ranks())) {
      next_[r].resize(streams[r].size(), 0);
      for (auto const& stream : streams[r]) {
        left_ += stream.size();
        for (operation const& o : stream)
          if (o.kind == op_kind::forward) {
            host_[cell(o, o.stage)] = r;
            if (o.stage == 0) forward_[cell(o, o.stage)] = 0;
          }
      }
    }
  }

  // Returns the merged schedule. Consumes the merger.
  [[nodiscard]] SHUNT_CONSTEXPR merged_streams merged() && {
    for (rank_id r : ids<rank_id>(job_.ranks())) wake(0, r);
    while (!events_.empty()) {
      auto const [now, rank] = events_.front();
      std::pop_heap(events_.begin(), events_.end(), std::greater<>{});
      events_.pop_back();
      rank_id const r = rank;
      // handle all arrivals of this moment first: the choice must not depend on the event order
      if (!events_.empty() && events_.front() == std::pair{now, rank}) continue;
      if (idle_from_[r.index()] <= now) start_something(r, now);
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

  // Schedules a look at rank `r`.
  SHUNT_CONSTEXPR void wake(ticks when, rank_id r) {
    events_.emplace_back(when, r.value());
    std::push_heap(events_.begin(), events_.end(), std::greater<>{});
  }

  // Returns when the input of an operation arrives, or `unknown`.
  [[nodiscard]] SHUNT_CONSTEXPR ticks ready(operation const& o) const {
    auto const& table = o.kind == op_kind::forward           ? forward_
                        : o.kind == op_kind::backward_weight ? weight_
                                                             : gradient_;
    return table[cell(o, o.stage)];
  }

  // Starts the most urgent operation of an idle rank, if one can start.
  SHUNT_CONSTEXPR void start_something(rank_id r, ticks now) {
    auto const urgency = [](op_kind k) {
      return k == op_kind::forward ? 1 : k == op_kind::backward_weight ? 2 : 0;
    };
    auto const cap = job_.stash_limit(r);
    using rank_of_choice = std::tuple<int, ticks, microbatch_id, pipeline_id>;
    std::optional<std::pair<rank_of_choice, std::size_t>> best;
    for (std::size_t s = 0; s < streams_[r].size(); ++s) {
      if (next_[r][s] == streams_[r][s].size()) continue;
      operation const& o = streams_[r][s][next_[r][s]];
      ticks const since = ready(o);
      if (since == unknown || since > now) continue;
      if (o.kind == op_kind::forward && cap &&
          stashed_[r.index()] + job_.stash.forward[o.stage] > *cap)
        continue;
      std::pair const choice{rank_of_choice{urgency(o.kind), since, o.microbatch, o.pipeline}, s};
      if (!best || choice < *best) best = choice;
    }
    if (best) start(r, streams_[r][best->second][next_[r][best->second]++], now);
  }

  // Starts an operation and passes its result on.
  SHUNT_CONSTEXPR void start(rank_id r, operation const& o, ticks now) {
    ticks const end = now + cost_of(job_, o, r);
    auto const hand_on = [&](std::vector<ticks>& table, stage_id to) {
      auto const target = cell(o, to);
      bool const stays = host_[target] == r;
      table[target] = end + (stays ? 0 : job_.transfer(r, host_[target]));
      if (!stays && host_[target] >= 0) wake(table[target], host_[target]);
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
    wake(end, r);
  }

  pipeline_job const& job_;
  indexed<rank_id, operation_streams> const& streams_;
  std::vector<ticks> forward_{}, gradient_{}, weight_{};  // arrival of the inputs
  std::vector<rank_id> host_{};
  indexed<rank_id, std::vector<std::size_t>> next_{};
  std::vector<ticks> idle_from_{};
  std::vector<std::int64_t> stashed_{};
  std::vector<std::pair<ticks, std::int32_t>> events_{};
  std::size_t left_ = 0;
  pipeline_schedule schedule_{};
};

SHUNT_CONSTEXPR merged_streams merge_streams(pipeline_job const& job,
                                             indexed<rank_id, operation_streams> const& streams) {
  return stream_merger(job, streams).merged();
}

}  // namespace shunt::detail
