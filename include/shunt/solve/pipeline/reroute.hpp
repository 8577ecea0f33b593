#pragma once
/// Adaptive pipelining (SlipStream, arXiv 2405.14009, section on re-routing): live workers of the
/// same stage compute what a dead one would have.
///
/// The micro-batches of a stage's dead seats are dealt over its live ones, so that no rank gets
/// more than ceil(D M / live ranks of the stage), unless it had more to begin with. Both gradients
/// of a micro-batch follow its forward, for there lies the stash. Every list, healthy or dead,
/// keeps its order; where several meet, the worker runs whatever can start first and never more
/// forwards than the cap allows. O(n (log n + D)) for n operations. Takes any schedule that has all
/// operations of its micro-batches. Infeasible where a stage has no live worker, or where the order
/// of the lists doesn't fit under the cap. Throws invalid_problem where the job is broken.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/search/merge_streams.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// How the micro-batches of dead seats are dealt.
enum class routing : std::uint8_t {
  by_load,  ///< in turn over micro-batches, each to the cheapest links among those with room, then
            ///< to whoever has least to do
  round_robin,  ///< pipeline by pipeline, to one live seat after another: the paper's rule
  pooled,  ///< those of live seats as well: the live seats of a stage take all of its micro-batches
           ///< in turn, so that none waits long
};

/// The seat that computes a micro-batch of a dead one: `host(pipeline, stage, microbatch)`, for
/// live seats themselves.
class routes {
 public:
  /// Every stage has a live seat. `turn`: the first seat in line is the `turn`-th live one.
  constexpr explicit routes(pipeline_job const& job, routing rule = routing::by_load,
                            std::int32_t turn = 0)
      : job_(job) {
    host_.resize(static_cast<std::size_t>(job.seats()) *
                 static_cast<std::size_t>(job.microbatches));
    dead_.resize(static_cast<std::size_t>(job.ranks()), 0);
    busy_.resize(static_cast<std::size_t>(job.ranks()), 0);
    for (worker const& w : job.dead) dead_[job.rank_of(w).index()] = 1;
    for (stage_id s : ids<stage_id>(job.stages)) deal(s, rule, turn);
  }
  [[nodiscard]] constexpr pipeline_id host(pipeline_id p, stage_id s, microbatch_id m) const {
    return host_[at(p, s, m)];
  }

 private:
  [[nodiscard]] constexpr std::size_t at(pipeline_id p, stage_id s, microbatch_id m) const {
    auto const stages = static_cast<std::size_t>(job_.stages),
               microbatches = static_cast<std::size_t>(job_.microbatches);
    return (p.index() * stages + s.index()) * microbatches + m.index();
  }

  constexpr void deal(stage_id s, routing rule, std::int32_t turn) {
    std::vector<pipeline_id> live, lost;
    auto const able = [&](pipeline_id p, bool roomy) {
      rank_id const r = job_.rank_of({p, s});
      return !dead_[r.index()] && (!roomy || job_.stash_limit(r).value_or(job_.stash.forward[s]) >=
                                                 job_.stash.forward[s]);
    };
    bool roomy = false;  // leave out those whose cap is too small for a single micro-batch, unless
                         // all are like that
    for (pipeline_id p : ids<pipeline_id>(job_.pipelines)) roomy = roomy || able(p, true);
    for (pipeline_id p : ids<pipeline_id>(job_.pipelines)) {
      bool const alive = able(p, roomy);
      (alive ? live : lost).push_back(p);
      for (microbatch_id m : ids<microbatch_id>(job_.microbatches)) host_[at(p, s, m)] = p;
      if (alive)
        busy_[job_.rank_of({p, s}).index()] += job_.microbatches * job_.costs.microbatch(s);
    }
    auto const peers = live.size(), first = static_cast<std::size_t>(turn) % peers;
    if (rule == routing::pooled) {
      auto next = first;
      for (microbatch_id m : ids<microbatch_id>(job_.microbatches))
        for (pipeline_id p : ids<pipeline_id>(job_.pipelines))
          host_[at(p, s, m)] = live[next++ % peers];
      return;
    }
    if (rule == routing::round_robin) {
      std::size_t next = first;
      for (pipeline_id const p : lost)
        for (microbatch_id m : ids<microbatch_id>(job_.microbatches))
          host_[at(p, s, m)] = live[next++ % peers];
      return;
    }
    std::vector<rank_id> ranks;  // of the live seats
    std::vector<std::int64_t> here(static_cast<std::size_t>(job_.ranks()),
                                   0);  // micro-batches of this stage on a rank
    std::vector<std::int64_t> seated(peers, job_.microbatches);  // and on a seat
    for (pipeline_id const p : live) {
      ranks.push_back(job_.rank_of({p, s}));
      here[ranks.back().index()] += job_.microbatches;
    }
    std::int64_t holders = 0;
    for (std::int64_t const load : here) holders += load > 0;
    std::int64_t const share = ceil_divide<std::int64_t>(job_.microbatches_in_all(), holders);
    bool const links = job_.transfer.within_node != job_.transfer.between_nodes ||
                       job_.layout.form() != stage_layout::shape::linear;
    for (microbatch_id m : ids<microbatch_id>(job_.microbatches))
      for (pipeline_id const p : lost) {
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
          rank_of_choice const now{here[r] >= share, way, here[r], seated[peer], busy_[r]};
          if (best < peers && now >= least) continue;
          least = now;
          best = peer;
        }
        host_[at(p, s, m)] = live[best];
        ++here[ranks[best].index()];
        ++seated[best];
        busy_[ranks[best].index()] += job_.costs.microbatch(s);
      }
  }

  pipeline_job const& job_;
  std::vector<pipeline_id> host_{};
  std::vector<char> dead_{};
  std::vector<ticks> busy_{};  // what a rank computes in all
};

struct reroute {
  static constexpr std::string_view name = "reroute";

  routing rule = routing::by_load;

  [[nodiscard]] constexpr solution<pipeline_schedule> operator()(pipeline_job const& job,
                                                                 pipeline_schedule schedule) const {
    validate(job);
    if (job.dead.empty() || stage_without_worker(job)) return restate(job, std::move(schedule));
    routes const to(job, rule);
    std::vector<char> dead(static_cast<std::size_t>(job.ranks()), 0);
    for (worker const& w : job.dead) dead[job.rank_of(w).index()] = true;
    indexed<rank_id, operation_streams> streams(static_cast<std::size_t>(job.ranks()));
    for (rank_id r : ids<rank_id>(job.ranks())) {
      std::vector<std::vector<operation>> parts(static_cast<std::size_t>(job.ranks()));
      std::vector<rank_id> used;
      for (operation const& o : schedule.order[r]) {
        if (o.kind == op_kind::step) continue;
        rank_id const host =
            dead[r.index()] ? job.rank_of({to.host(o.pipeline, o.stage, o.microbatch), o.stage})
                            : r;
        if (parts[host.index()].empty()) used.push_back(host);
        parts[host.index()].push_back(o);
      }
      for (rank_id const host : used) streams[host].push_back(std::move(parts[host.index()]));
    }
    if (auto merged = merge_streams(job, streams); merged.complete) {
      merged.schedule.staggered_step = schedule.staggered_step;
      return restate(job, std::move(merged.schedule));
    }
    auto answer = restate(job, std::move(schedule));
    answer.reason = "the orders of re-routed and own micro-batches don't fit under the stash cap";
    return answer;
  }
};
static_assert(transform_for<reroute, pipeline_job, pipeline_schedule>);

}  // namespace shunt
