#pragma once
/// Route table: the workers that compute the micro-batches of dead workers.
///
/// See docs/pipeline-solvers.md for the rules.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// How the micro-batches of dead workers are dealt over live workers. Where workers or
/// micro-batches have costs of their own, `by_load` and `pooled` deal all micro-batches of a stage
/// in proportion to the ranks' speed: the longest first, each to the rank that then ends its work
/// first.
enum class routing : std::uint8_t {
  /// In turn over micro-batches, each to the cheapest links among workers with room, then to the
  /// worker with the least work. Where the ranks of a stage hold other stages besides, each to the
  /// rank with the least work, links included.
  by_load,
  /// Pipeline by pipeline, to one live worker after another: the paper's rule.
  round_robin,
  /// Micro-batches of live workers are dealt as well: the live workers of a stage take all of its
  /// micro-batches in turn, so that none waits long.
  pooled,
  own,  ///< all micro-batches stay with their own workers, none of which is dead
};

namespace detail {

/// The worker of every micro-batch at every stage. Keeps a reference to the job.
class routes {
 public:
  /// Deals the micro-batches of all stages. Dealing starts with the `turn`-th live worker of a
  /// stage.
  /// Requires a live worker at every stage.
  SHUNT_CONSTEXPR explicit routes(pipeline_job const& job, routing rule = routing::by_load,
                                  std::int32_t turn = 0);
  /// Returns the pipeline that computes micro-batch `m` of pipeline `p` at stage `s`. This is `p`
  /// itself where its worker is alive, unless the rule is `pooled` or costs differ by worker or
  /// micro-batch.
  [[nodiscard]] SHUNT_CONSTEXPR pipeline_id host(pipeline_id p, stage_id s, microbatch_id m) const;

 private:
  [[nodiscard]] SHUNT_CONSTEXPR std::size_t at(pipeline_id p, stage_id s, microbatch_id m) const;

  /// Finds the stages whose live ranks hold different stages besides, and the work of all ranks.
  SHUNT_CONSTEXPR void find_unlike();
  /// Deals all micro-batches of stage `s` over the live workers in proportion to their speed.
  SHUNT_CONSTEXPR void deal_in_proportion(stage_id s, routing rule, std::size_t first,
                                          std::vector<pipeline_id> const& live);
  /// Deals the micro-batches of stage `s`.
  SHUNT_CONSTEXPR void deal(stage_id s, routing rule, std::int32_t turn);

  pipeline_job const& job_;
  bool uneven_;
  std::vector<pipeline_id> host_{};
  std::vector<char> dead_{};
  std::vector<ticks> busy_{};  // by rank: time of its operations at the stages dealt so far
  // Where a stage has unlike ranks: those stages, and by rank the time of all its operations.
  std::vector<char> unlike_{};
  std::vector<ticks> load_{};
};

}  // namespace detail
}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/routes.ipp"
#endif
