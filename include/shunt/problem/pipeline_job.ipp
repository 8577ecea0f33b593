#pragma once
#include "shunt/problem/pipeline_job.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/stage_runs.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::vector<worker> pipeline_job::workers_of(rank_id r) const {
  return layout.workers_of(r, pipelines, stages);
}

SHUNT_CONSTEXPR worker pipeline_job::worker_of(rank_id r) const {
  if (layout.form() == stage_layout::shape::custom) {
    auto const& all = layout.ranks_of_workers();
    auto const first = std::find(all.begin(), all.end(), r) - all.begin();
    return {first / stages, first % stages};
  }
  std::int32_t const length = stages / layout.chunks(),
                     share = layout.form() == stage_layout::shape::bidirectional ? 2 : 1;
  return {r.value() / length * share, r.value() % length};
}

SHUNT_CONSTEXPR bool pipeline_job::uneven() const {
  auto const by_worker = [&](per_stage const& list) {
    return list.size() > static_cast<std::size_t>(stages);
  };
  return !lengths.empty() || by_worker(costs.forward) || by_worker(costs.backward_input) ||
         by_worker(costs.backward_weight) || by_worker(costs.step);
}

SHUNT_CONSTEXPR pipeline_id pipeline_job::pipeline_of(rank_id r, stage_id s) const {
  std::int32_t first = 0, last = pipelines;
  if (layout.form() != stage_layout::shape::custom) {
    first = worker_of(r).pipeline.value();
    last = first + (layout.form() == stage_layout::shape::bidirectional ? 2 : 1);
  }
  for (std::int32_t p = first; p < last; ++p)
    if (rank_of({p, s}) == r) return p;
  return worker_of(r).pipeline;
}

SHUNT_CONSTEXPR std::vector<stage_id> pipeline_job::stages_of(rank_id r) const {
  std::vector<stage_id> held;
  for (worker const& w : workers_of(r)) held.push_back(w.stage);
  std::sort(held.begin(), held.end());
  held.erase(std::unique(held.begin(), held.end()), held.end());
  return held;
}

SHUNT_CONSTEXPR bool pipeline_job::alive(rank_id r) const {
  return std::none_of(dead.begin(), dead.end(), [&](worker const& w) { return rank_of(w) == r; });
}

SHUNT_CONSTEXPR std::vector<pipeline_id> pipeline_job::live_peers(stage_id s) const {
  std::vector<pipeline_id> live;
  for (std::int32_t p = 0; p < pipelines; ++p)
    if (alive(worker{p, s})) live.push_back(p);
  return live;
}

SHUNT_CONSTEXPR std::vector<rank_id> pipeline_job::live_holders(stage_id s) const {
  std::vector<rank_id> live;
  for (pipeline_id p : live_peers(s)) live.push_back(rank_of({p, s}));
  std::sort(live.begin(), live.end());
  live.erase(std::unique(live.begin(), live.end()), live.end());
  return live;
}

SHUNT_CONSTEXPR std::optional<std::int64_t> pipeline_job::stash_limit(rank_id r) const {
  // More than any rank can stash, and small enough to be added to.
  constexpr std::int64_t most = std::int64_t{1} << 61;
  switch (memory.rule) {
    case stash_cap::kind::none: return std::nullopt;
    case stash_cap::kind::one_f_one_b: {
      worker const own = worker_of(r);
      std::int64_t micro_batch = 0;  // on this rank
      std::int32_t behind = 0;       // ranks after this one, and this one
      for (std::int32_t s = own.stage.value(); s < stages; ++s) {
        rank_id const here = rank_of({own.pipeline, s});
        if (here == r) micro_batch += stash.forward[s];
        if (s == own.stage || here != rank_of({own.pipeline, s - 1})) ++behind;
      }
      return behind * micro_batch;
    }
    case stash_cap::kind::per_worker: return std::min(memory.limit, most);
    case stash_cap::kind::per_rank: return std::min(memory.limits[r.index()], most);
  }
  return std::nullopt;
}

SHUNT_CONSTEXPR void validate(pipeline_job const& job) {
  auto const positive = [](char const* field, std::int64_t value) {
    if (value < 1) throw invalid_problem(field, "must be at least 1, is " + std::to_string(value));
  };
  positive("pipelines", job.pipelines);
  positive("stages", job.stages);
  auto const counts = job.microbatches.values();
  if (counts.size() == 1) {
    positive("microbatches", counts[0]);
  } else {
    if (counts.size() != static_cast<std::size_t>(job.pipelines))
      throw invalid_problem("microbatches", "has " + std::to_string(counts.size()) +
                                                " values for " + std::to_string(job.pipelines) +
                                                " pipelines");
    for (std::size_t p = 0; p < counts.size(); ++p)
      if (counts[p] < 1)
        throw invalid_problem("microbatches[" + std::to_string(p) + "]",
                              "must be at least 1, is " + std::to_string(counts[p]));
  }
  auto const workers = checked_multiply(job.pipelines, job.stages);
  auto const cells = checked_multiply(job.microbatches.before(job.pipelines), job.stages);
  constexpr std::int64_t most = std::int64_t{1} << 31;
  if (*workers >= most) throw invalid_problem("pipelines", "pipelines x stages is beyond 32 bits");
  if (!cells || *cells >= most)
    throw invalid_problem("microbatches",
                          counts.size() == 1 ? "pipelines x stages x microbatches is beyond 32 bits"
                                             : "their sum x stages is beyond 32 bits");
  validate(job.layout, job.pipelines, job.stages);

  // The work of every stage for every micro-batch, with transfers: the longest schedule without
  // idle time.
  std::int64_t busiest = 0;
  auto const grow = [&](auto const& field, std::int64_t cost, std::int64_t times) {
    auto const product = checked_multiply(cost, times);
    auto const sum = product ? checked_add(busiest, *product) : std::nullopt;
    if (!sum || *sum >= (std::int64_t{1} << 62))
      throw invalid_problem(field(), "is " + std::to_string(cost) +
                                         ": the times of one iteration add up beyond 62 bits");
    busiest = *sum;
  };
  auto const check = [&](char const* kind, per_stage const& costs, ticks least,
                         std::int64_t times) {
    bool const by_worker = costs.size() == static_cast<std::size_t>(*workers);
    if (costs.size() != 1 && costs.size() != static_cast<std::size_t>(job.stages) && !by_worker)
      throw invalid_problem(
          std::string("costs.") + kind,
          "has " + std::to_string(costs.size()) + " values for " + std::to_string(job.stages) +
              " stages" +
              (job.pipelines == 1 ? "" : " and " + std::to_string(*workers) + " workers"));
    auto const rows = costs.size() > static_cast<std::size_t>(job.stages) ? job.pipelines : 1;
    auto const row = static_cast<std::int32_t>(costs.size()) / rows;
    for (std::int32_t s = 0; s < row; ++s) {
      ticks largest = least;  // over the workers of a stage
      std::int32_t slowest = 0;
      auto const field = [&](std::int32_t p) {
        std::string const whole = std::string("costs.") + kind;
        return costs.size() == 1 ? whole : whole + "[" + std::to_string(p * row + s) + "]";
      };
      for (std::int32_t p = 0; p < rows; ++p) {
        ticks const cost = costs.of(p, s, job.stages);
        if (cost < least)
          throw invalid_problem(field(p), "must be at least " + std::to_string(least) + ", is " +
                                              std::to_string(cost));
        if (cost > largest) slowest = p;
        largest = std::max(largest, cost);
        if (rows > 1)
          if (pipeline_id const other = job.pipeline_of(job.rank_of({p, s}), s);
              costs.of(other, s, job.stages) != cost)
            throw invalid_problem(field(p), "is " + std::to_string(cost) + ", and " +
                                                std::to_string(costs.of(other, s, job.stages)) +
                                                " in pipeline " + std::to_string(other.value()) +
                                                " on the same rank");
      }
      grow([&] { return field(slowest); }, largest, costs.size() == 1 ? times * job.stages : times);
    }
  };
  std::int64_t all = job.total_microbatches();
  if (!job.lengths.empty()) {
    if (job.lengths.size() != static_cast<std::size_t>(all))
      throw invalid_problem("lengths", "has " + std::to_string(job.lengths.size()) +
                                           " values for " + std::to_string(all) + " micro-batches");
    all = 0;
    for (std::size_t n = 0; n < job.lengths.size(); ++n) {
      if (job.lengths[n] < 1)
        throw invalid_problem("lengths[" + std::to_string(n) + "]",
                              "must be at least 1, is " + std::to_string(job.lengths[n]));
      all += job.lengths[n];
    }
    if (!checked_multiply(all, job.stages))
      throw invalid_problem("lengths", "their sum x stages is beyond 63 bits");
  }
  check("forward", job.costs.forward, 1, all);
  check("backward_input", job.costs.backward_input, 1, all);
  check("backward_weight", job.costs.backward_weight, 0, all);
  check("step", job.costs.step, 0, 1);
  if (job.costs.overlap_gain < 0)
    throw invalid_problem("costs.overlap_gain",
                          "must be at least 0, is " + std::to_string(job.costs.overlap_gain));
  auto const& matrix = job.transfer.matrix;
  if (!matrix.empty() || job.transfer.ranks != 0) {
    if (auto const ranks = static_cast<std::size_t>(job.ranks());
        job.transfer.ranks != job.ranks() || matrix.size() != ranks * ranks)
      throw invalid_problem("transfer", "has " + std::to_string(matrix.size()) + " values for " +
                                            std::to_string(ranks) + " x " + std::to_string(ranks) +
                                            " ranks");
    if (job.transfer.within_node != 0 || job.transfer.between_nodes != 0 ||
        job.transfer.ranks_per_node != 0)
      throw invalid_problem("transfer", "must have no classes beside a matrix");
    for (rank_id from = 0; from < job.ranks(); from = from.value() + 1)
      for (rank_id to = 0; to < job.ranks(); to = to.value() + 1)
        if (ticks const time = job.transfer(from, to); time < 0)
          throw invalid_problem("transfer", "from rank " + std::to_string(from.value()) + " to " +
                                                std::to_string(to.value()) +
                                                " must be at least 0, is " + std::to_string(time));
  }
  ticks const within = job.transfer.within_node, between = job.transfer.between_nodes;
  if (within < 0 || between < 0)
    throw invalid_problem("transfer",
                          "must be at least 0, is " + std::to_string(std::min(within, between)));
  if (job.transfer.ranks_per_node < 0)
    throw invalid_problem("transfer.ranks_per_node",
                          "must be at least 0, is " + std::to_string(job.transfer.ranks_per_node));
  if (within != between && job.transfer.ranks_per_node == 0)
    throw invalid_problem("transfer.ranks_per_node",
                          "must be given where links within and between nodes differ");
  auto const links = job.transfer.values();
  grow([] { return "transfer"; }, *std::max_element(links.begin(), links.end()), 2 * *cells);

  auto const weigh = [&](char const* kind, per_stage const& weights, ticks least) {
    auto const field = [&] { return std::string("stash.") + kind; };
    if (weights.size() != 1 && weights.size() != static_cast<std::size_t>(job.stages))
      throw invalid_problem(field(), "has " + std::to_string(weights.size()) + " values for " +
                                         std::to_string(job.stages) + " stages");
    for (std::int64_t const w : weights.values()) {
      if (w < least)
        throw invalid_problem(field(), "must be at least " + std::to_string(least) + ", is " +
                                           std::to_string(w));
      auto const sum = checked_multiply(w, *cells);
      if (!sum || *sum > (std::int64_t{1} << 61))
        throw invalid_problem(field(), "is " + std::to_string(w) +
                                           ": the stashes of one iteration add up beyond 61 bits");
    }
  };
  weigh("forward", job.stash.forward, 1);
  weigh("backward_input", job.stash.backward_input, 0);
  for (std::int32_t s = 0; s < job.stages; ++s)
    if (job.stash.backward_input[s] > job.stash.forward[s])
      throw invalid_problem("stash.backward_input",
                            "gives back " + std::to_string(job.stash.backward_input[s]) + " of " +
                                std::to_string(job.stash.forward[s]) + " at stage " +
                                std::to_string(s));
  switch (job.memory.rule) {
    case stash_cap::kind::none: break;
    case stash_cap::kind::one_f_one_b:
      if (job.layout.form() != stage_layout::shape::linear &&
          (job.layout.form() != stage_layout::shape::custom || runs_of(job).empty()))
        throw invalid_problem("memory",
                              "1f1b is for linear layouts, and for custom ones whose ranks have "
                              "consecutive stages of one pipeline");
      break;
    case stash_cap::kind::per_worker: positive("memory", job.memory.limit); break;
    case stash_cap::kind::per_rank:
      if (job.memory.limits.size() != static_cast<std::size_t>(job.ranks()))
        throw invalid_problem("memory", "has " + std::to_string(job.memory.limits.size()) +
                                            " limits for " + std::to_string(job.ranks()) +
                                            " ranks");
      for (std::int64_t const limit : job.memory.limits) positive("memory", limit);
      break;
  }
  for (std::size_t i = 0; i < job.dead.size(); ++i) {
    worker const w = job.dead[i];
    auto const refuse = [&](std::string const& why) {
      throw invalid_problem("dead[" + std::to_string(i) + "]",
                            "worker " + std::to_string(w.pipeline.value()) + ":" +
                                std::to_string(w.stage.value()) + " " + why);
    };
    if (w.pipeline < 0 || w.pipeline >= job.pipelines || w.stage < 0 || w.stage >= job.stages)
      refuse("is not one of " + std::to_string(job.pipelines) + " pipelines x " +
             std::to_string(job.stages) + " stages");
    if (std::any_of(job.dead.begin(), job.dead.begin() + static_cast<std::ptrdiff_t>(i),
                    [&](worker const& other) { return job.rank_of(other) == job.rank_of(w); }))
      refuse("is named twice");
  }
}

SHUNT_CONSTEXPR std::optional<stage_id> stage_without_worker(pipeline_job const& job) {
  for (std::int32_t s = 0; s < job.stages; ++s)
    if (job.live_peers(s).empty()) return stage_id{s};
  return std::nullopt;
}

}  // namespace shunt
