#pragma once
#include "shunt/train/bamboo_policy.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/text.hpp"
#include "shunt/plan/redundancy.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/solve/pipeline/redundant_forward.hpp"
#include "shunt/train/regroup_policy.hpp"

namespace shunt::detail {

// Every rank of one stage shadows the next one.
SHUNT_INLINE held_stages ring_shadows(pipeline_job const& job) {
  held_stages all;
  if (job.stages > 1)
    for (rank_id const r : ids<rank_id>(job.ranks()))
      all.push_back({(job.worker_of(r).stage.value() + 1) % job.stages});
  return all;
}

// The takeovers after a loss.
class shadow_takeovers {
 public:
  explicit shadow_takeovers(situation const& s) : s_(s), workers_(workers_of(s.now)) {}

  // Gives the stages of dead ranks to their shadows. Returns why that is not possible, or nothing.
  text take_over() {
    auto const& job = s_.now.job;
    for (rank_id const r : ids<rank_id>(job.ranks())) {
      rank_id const lost = s_.now.members[r.index()];
      if (!s_.is_dead(lost)) continue;
      auto const of = job.workers_of(r);
      if (of.size() > 1)
        return text("rank ") + text::of(lost.value()) + " is lost, which has two stages";
      auto const shadow = shadow_rank(of.front());
      if (!shadow)
        return text("rank ") + text::of(lost.value()) + " is lost, and no shadow of it is left";
      workers_[of.front().pipeline.index()][of.front().stage.index()] = *shadow;
      taken_.push_back(*shadow);
    }
    return {};
  }

  // What the live ranks go on with. Shadows stay but for what they compute now.
  [[nodiscard]] arrangement next() const {
    std::vector<std::int32_t> counts;
    for (pipeline_id const p : ids<pipeline_id>(s_.now.job.pipelines))
      counts.push_back(s_.now.job.microbatches[p]);
    auto all = arranged(s_.start, workers_, std::move(counts));
    for (rank_id const r : ids<rank_id>(all.job.ranks())) {
      auto const& known = s_.now.members;
      auto const at = std::find(known.begin(), known.end(), all.members[r.index()]);
      auto& own =
          all.shadows.emplace_back(s_.now.shadows[static_cast<std::size_t>(at - known.begin())]);
      for (stage_id const s : all.job.stages_of(r)) std::erase(own, s);
    }
    return all;
  }

  // The pipelines with each rank in one place. The others are empty.
  [[nodiscard]] worker_ranks places() const {
    worker_ranks all = workers_of(s_.now);
    std::int32_t empty = 0;
    for (auto& ranks : all)
      for (std::size_t s = 0; s < ranks.size(); ++s)
        if (auto& next = ranks[(s + 1) % ranks.size()]; ranks.size() > 1 && next == ranks[s])
          next = --empty;
    return all;
  }

  [[nodiscard]] bamboo_nodes nodes(arrangement const& next) const {
    std::int64_t const stages = next.job.stages, pipelines = next.job.pipelines;
    std::int64_t const active = next.job.ranks();
    return {.pipelines = pipelines,
            .stages = stages,
            .overloaded = pipelines * stages - active,
            .waiting = live() - active};
  }

  // Ranks that are alive.
  [[nodiscard]] std::int64_t live() const {
    return std::int64_t{s_.start.ranks()} - std::ssize(s_.dead);
  }

 private:
  // The live rank that shadows a worker and has one stage.
  [[nodiscard]] std::optional<rank_id> shadow_rank(worker w) const {
    for (rank_id const r : ids<rank_id>(s_.now.shadows.size())) {
      auto const& shadowed = s_.now.shadows[r.index()];
      auto const of = s_.now.job.workers_of(r);
      rank_id const member = s_.now.members[r.index()];
      if (of.size() == 1 && of.front().pipeline == w.pipeline && !s_.is_dead(member) &&
          std::find(shadowed.begin(), shadowed.end(), w.stage) != shadowed.end() &&
          std::find(taken_.begin(), taken_.end(), member) == taken_.end())
        return member;
    }
    return std::nullopt;
  }

  situation const& s_;
  worker_ranks workers_;          // without the dead, once their stages are taken over
  std::vector<rank_id> taken_{};  // shadows that have two stages now
};

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE arrangement bamboo_rule::start(pipeline_job const& job) const {
  auto all = starting_arrangement(job);
  validate(all.job);
  if (all.job.ranks() != all.job.pipelines * all.job.stages)
    throw invalid_problem("layout", "must have one stage a rank for bamboo");
  if (job.memory.rule != stash_cap::kind::none)
    throw invalid_problem("memory", "must be none for bamboo: a shadow may have two stages");
  all.shadows = detail::ring_shadows(all.job);
  return all;
}

SHUNT_INLINE std::optional<redundant_schedule> bamboo_rule::repeated(
    arrangement const& a, pipeline_schedule const& plain) const {
  bool const one_stage_a_rank = a.job.ranks() == a.job.workers();
  if (!repeats_forwards || a.job.stages < 2 || !one_stage_a_rank ||
      a.shadows != detail::ring_shadows(a.job))
    return std::nullopt;
  return redundant_forward::insert(a.job, plain);
}

SHUNT_INLINE solution<arrangement> bamboo_rule::operator()(situation const& s) const {
  solution<arrangement> answer{.plan = {}, .status = status::feasible};
  detail::shadow_takeovers takeovers(s);
  std::int64_t const live = takeovers.live(), stages = s.start.stages;
  bool const lost = has_lost(s.now, s.dead);
  text const fatal = lost ? takeovers.take_over() : text();
  if (lost && fatal.empty()) {
    answer.plan = takeovers.next();
    answer.plan.interim =
        live >= stages && rendezvous(takeovers.nodes(answer.plan)) != rendezvous_cause::none;
    return answer;
  }
  auto const places = takeovers.places();
  auto const kept = std::min(static_cast<std::size_t>(live / stages), places.size());
  if (kept == 0) {
    answer.status = status::infeasible;
    answer.reason = (fatal.empty() ? text() : fatal + "; ") + text::of(live) +
                    " live ranks don't fill a pipeline of " + text::of(stages);
    return answer;
  }
  auto const next = refilled(places, kept, s);
  answer.plan = arranged(s.start, next, even_shares(s.start.total_microbatches(), next.size()));
  answer.plan.shadows = detail::ring_shadows(answer.plan.job);
  return answer;
}

}  // namespace shunt
