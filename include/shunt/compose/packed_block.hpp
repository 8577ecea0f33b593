#pragma once
/// Blocks laid out by modulo scheduling: every operation as early as it finds its place modulo T,
/// which keeps lifespans and so memory short.
/// Reference: Rau, MICRO 1994.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shunt/compose/building_block.hpp"
#include "shunt/compose/detail/block_placement.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// Least waiting time of each operation after its input is available, in ticks: one value a chunk
/// of the layout, 0 beyond the end. Waiting lengthens lifespans and takes memory, but moves work of
/// the steady state to the idle times of warm-up and cool-down.
struct block_pace {
  std::vector<ticks> forward{};
  std::vector<ticks> backward_input{};
  bool operator==(block_pace const&) const = default;
};

/// Lays out a block: each operation as early as its input and the rank's other operations, modulo
/// the period, allow. Forwards of micro-batch 0 go from the first stage to the last, input
/// gradients back again; each backward_weight follows as soon as there is room.
/// Without `period` the least period is used for which this finds places for all.
/// Throws invalid_problem where `period` is too short.
[[nodiscard]] inline building_block packed_block(pipeline_job const& job,
                                                 std::optional<ticks> period = {},
                                                 block_pace const& pace = {}) {
  validate(job);
  building_block block{std::vector<block_offsets>(static_cast<std::size_t>(job.workers()))};
  ticks const step = detail::common_divisor(job);
  for (ticks t = period.value_or(detail::busiest_rank(job));; t += step) {
    indexed<rank_id, std::vector<detail::placed>> taken(static_cast<std::size_t>(job.ranks()));
    bool all = t >= 1;
    auto const place = [&](worker w, op_kind kind, ticks ready, ticks& start) {
      auto const found =
          all ? detail::first_place(taken[job.rank_of(w)], ready,
                                    cost_of(job, {.kind = kind, .stage = w.stage}), t)
              : std::nullopt;
      all = found.has_value();
      start = found.value_or(ready);
    };
    for (pipeline_id p : ids<pipeline_id>(job.pipelines)) {
      auto const at = [&](std::int32_t s) -> block_offsets& {
        return block
            .stages[p.index() * static_cast<std::size_t>(job.stages) + static_cast<std::size_t>(s)];
      };
      auto const chunked = [&](std::vector<ticks> const& waits, std::int32_t s) {
        auto const chunk = static_cast<std::size_t>(s / (job.stages / job.layout.chunks()));
        return chunk < waits.size() ? waits[chunk] : 0;
      };
      auto const between = [&](std::int32_t a, std::int32_t b) {
        return job.transfer(job.rank_of({p, a}), job.rank_of({p, b}));
      };
      for (std::int32_t s = 0; s < job.stages; ++s)
        place({p, s}, op_kind::forward,
              s == 0 ? 0
                     : at(s - 1).forward + job.costs.forward[s - 1] + between(s - 1, s) +
                           chunked(pace.forward, s),
              at(s).forward);
      ticks gradient = at(job.stages - 1).forward + job.costs.forward[job.stages - 1];
      for (std::int32_t s = job.stages; s-- > 0;) {
        place({p, s}, op_kind::backward_input, gradient + chunked(pace.backward_input, s),
              at(s).backward_input);
        if (s > 0)
          gradient = at(s).backward_input + job.costs.backward_input[s] + between(s, s - 1);
      }
      for (std::int32_t s = job.stages; s-- > 0;)
        place({p, s}, op_kind::backward_weight, at(s).backward_input + job.costs.backward_input[s],
              at(s).backward_weight);
    }
    if (all) return block;
    if (period)
      throw invalid_problem("period",
                            "of " + std::to_string(t) + " is too short for what a rank does");
  }
}

}  // namespace shunt
