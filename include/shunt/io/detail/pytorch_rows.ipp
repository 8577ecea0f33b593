#pragma once
#include "shunt/io/detail/pytorch_rows.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <tuple>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/plan/mismatch.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt::detail {

SHUNT_INLINE std::vector<rank_id> pytorch_ranks(pipeline_job const& job,
                                                pipeline_schedule const& plan,
                                                pipeline_id pipeline) {
  validate(job);
  if (pipeline < 0 || pipeline >= job.pipelines)
    throw invalid_problem("pipeline", std::to_string(pipeline.value()) + " is none of " +
                                          std::to_string(job.pipelines));
  if (plan.order.size() != static_cast<std::size_t>(job.ranks()))
    throw invalid_problem("plan", "has " + std::to_string(plan.order.size()) + " lists for " +
                                      std::to_string(job.ranks()) + " ranks");
  std::vector<rank_id> ranks;
  for (stage_id s : ids<stage_id>(job.stages)) ranks.push_back(job.rank_of({pipeline, s}));
  std::sort(ranks.begin(), ranks.end());
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  std::int32_t last_forward = -1;
  for (rank_id const r : ranks) {
    auto const name = "rank " + std::to_string(r.value());
    if (!job.alive(r))
      throw invalid_problem("dead", name + " of pipeline " + std::to_string(pipeline.value()) +
                                        " is dead: a CSV has no re-routing");
    for (worker const& w : job.workers_of(r))
      if (w.pipeline != pipeline)
        throw invalid_problem("layout", name + " holds stages of two pipelines: a CSV has one");
    for (operation const& o : plan.order[r]) {
      if (o.kind == op_kind::step) continue;
      if (o.pipeline != pipeline)
        throw invalid_problem("plan", name + " computes for pipeline " +
                                          std::to_string(o.pipeline.value()) +
                                          ": a CSV has no re-routing");
      if (o.kind > op_kind::step || o.stage < 0 || o.stage >= job.stages || o.microbatch < 0 ||
          o.microbatch >= job.microbatches[pipeline])
        throw invalid_problem("plan", name + " has an operation that the job doesn't know");
      if (o.kind != op_kind::forward || o.stage.value() + 1 < job.stages) continue;
      if (o.microbatch.value() < last_forward)
        throw invalid_problem("plan", "the last stage runs the forward of micro-batch " +
                                          std::to_string(o.microbatch.value()) + " after that of " +
                                          std::to_string(last_forward) +
                                          ": torch numbers losses in the order of these forwards");
      last_forward = o.microbatch.value();
    }
  }
  if (auto const wrong = mismatch(job, plan); !wrong.empty()) throw invalid_problem("plan", wrong);
  return ranks;
}

SHUNT_INLINE pytorch_action pytorch_action_of(operation const& o) {
  return {static_cast<pytorch_action::kind>(o.kind), o.stage, o.microbatch};
}

SHUNT_INLINE void pytorch_rows::add_transfers(timetable const& table, pipeline_id pipeline) {
  if (table.times.size() != plan_.order.size())
    throw invalid_problem("table", "has times for another number of ranks");
  auto const a_stage = static_cast<std::size_t>(job_.microbatches[pipeline]),
             cells = static_cast<std::size_t>(job_.stages) * a_stage;
  indexed<rank_id, std::vector<std::int32_t>> left(
      plan_.order.size(), std::vector<std::int32_t>(static_cast<std::size_t>(job_.stages), 0));
  // Positions in their lists.
  std::vector<std::int32_t> forward(cells, -1), gradient(cells, -1);
  auto const cell = [&](stage_id s, microbatch_id m) { return s.index() * a_stage + m.index(); };
  for (rank_id const r : ranks_) {
    if (table.times[r].size() != plan_.order[r].size())
      throw invalid_problem("table", "has times for another number of operations on rank " +
                                         std::to_string(r.value()));
    for (std::size_t i = 0; i < plan_.order[r].size(); ++i) {
      operation const& o = plan_.order[r][i];
      if (o.kind == op_kind::forward)
        forward[cell(o.stage, o.microbatch)] = static_cast<std::int32_t>(i);
      if (o.kind == op_kind::backward || o.kind == op_kind::backward_input)
        gradient[cell(o.stage, o.microbatch)] = static_cast<std::int32_t>(i);
      left[r][o.stage.index()] += o.kind == op_kind::backward || o.kind == op_kind::backward_weight;
    }
  }
  for (rank_id const r : ranks_) {
    auto const& list = plan_.order[r];
    for (std::size_t i = 0; i < list.size(); ++i) {
      operation const& o = list[i];
      auto const after = static_cast<std::int32_t>(i) + 1 + starts_pair(r, i);
      if ((o.kind == op_kind::backward || o.kind == op_kind::backward_weight) &&
          --left[r][o.stage.index()] == 0)
        extras_.push_back(
            {r, after, std::numeric_limits<ticks>::max(), 0, {kind::reduce_grad, o.stage}});
      bool const up = o.kind == op_kind::forward;
      if (!up && o.kind != op_kind::backward && o.kind != op_kind::backward_input) continue;
      auto const to = o.stage.value() + (up ? 1 : -1);
      if (to < 0 || to >= job_.stages) continue;
      rank_id const peer = job_.rank_of({pipeline, to});
      if (peer == r) continue;
      auto const consumer = (up ? forward : gradient)[cell(to, o.microbatch)];
      auto const ready = table.times[r][i].end;
      auto const& starts = table.times[peer];
      auto const at = std::partition_point(starts.begin(), starts.end(),
                                           [&](interval const& t) { return t.start < ready; }) -
                      starts.begin();
      if (consumer < 0 || at > consumer)
        throw invalid_problem("table", "what " + to_string(pytorch_action_of(o)) +
                                           " makes is not ready when it is needed");
      auto const message = static_cast<std::int64_t>(extras_.size());
      extras_.push_back(
          {r, after, ready, message, {up ? kind::send_f : kind::send_b, o.stage, o.microbatch}});
      extras_.push_back({peer,
                         static_cast<std::int32_t>(at),
                         ready,
                         message,
                         {up ? kind::recv_f : kind::recv_b, to, o.microbatch}});
    }
  }
  std::sort(extras_.begin(), extras_.end());
}

SHUNT_INLINE void pytorch_rows::add_waits(pipeline_id pipeline) {
  constexpr auto first = std::numeric_limits<ticks>::min(),
                 last = std::numeric_limits<ticks>::max();
  auto const a_stage = static_cast<std::size_t>(job_.microbatches[pipeline]);
  auto const cell = [&](stage_id s, microbatch_id m) { return s.index() * a_stage + m.index(); };
  std::vector<std::int32_t> behind(static_cast<std::size_t>(job_.stages) * a_stage);  // backwards
  for (rank_id const r : ranks_)
    for (std::size_t i = 0; i < plan_.order[r].size(); ++i)
      if (operation const& o = plan_.order[r][i];
          o.kind == op_kind::backward || o.kind == op_kind::backward_input)
        behind[cell(o.stage, o.microbatch)] = static_cast<std::int32_t>(i) + 1 + starts_pair(r, i);
  std::vector<extra> waits;
  for (extra const& e : extras_) {
    auto const& [what, stage, microbatch] = e.action;
    auto const end = static_cast<std::int32_t>(plan_.order[e.rank].size());
    auto const nth = static_cast<std::int64_t>(waits.size()) + 2;  // behind all reductions
    if (what == kind::send_f)
      waits.push_back({e.rank,
                       behind[cell(stage, microbatch)],
                       first,
                       nth,
                       {kind::wait_send_f, stage, microbatch}});
    else if (what == kind::send_b)
      waits.push_back({e.rank, end, last, nth, {kind::wait_send_b, stage, microbatch}});
    else if (what == kind::reduce_grad)
      waits.push_back({e.rank, e.before, last, 1, {kind::wait_reduce_grad, stage}});
  }
  extras_.insert(extras_.end(), waits.begin(), waits.end());
  std::sort(extras_.begin(), extras_.end());
}

SHUNT_INLINE void pytorch_rows::write(std::ostream& out) const {
  for (rank_id const r : ranks_) {
    char const* separator = "";
    auto const put = [&](auto const& action) {
      out << separator << to_string(action);
      separator = ",";
    };
    auto next = std::partition_point(extras_.begin(), extras_.end(),
                                     [&](extra const& e) { return e.rank < r; });
    auto const& list = plan_.order[r];
    for (std::size_t i = 0; i <= list.size(); ++i) {
      for (;
           next != extras_.end() && next->rank == r && next->before <= static_cast<std::int32_t>(i);
           ++next)
        put(next->action);
      if (i == list.size() || list[i].kind == op_kind::step) continue;
      pytorch_cell one{.first = pytorch_action_of(list[i])};
      if (starts_pair(r, i)) one.second = pytorch_action_of(list[++i]);
      put(one);
    }
    out << '\n';
  }
}

SHUNT_INLINE bool pytorch_rows::extra::operator<(extra const& other) const {
  return std::tie(rank, before, ready, message) <
         std::tie(other.rank, other.before, other.ready, other.message);
}

SHUNT_INLINE bool pytorch_rows::starts_pair(rank_id r, std::size_t i) const {
  return !plan_.overlapped.empty() &&
         std::binary_search(plan_.overlapped[r].begin(), plan_.overlapped[r].end(),
                            static_cast<std::int32_t>(i));
}

}  // namespace shunt::detail
