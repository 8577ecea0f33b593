#pragma once
#include "shunt/lower/validated_join.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/lower/detail/validated_step.hpp"
#include "shunt/program/builder.hpp"

namespace shunt {

SHUNT_INLINE program validated_join(program const& iteration, rank_id joining) {
  auto const name = "rank " + std::to_string(joining.value());
  program_builder b(static_cast<std::int32_t>(iteration.ranks.size()));
  auto const declare = [&](rank_id r) {
    auto const& table = iteration.ranks[r].buffers;
    for (buffer_id const n : ids<buffer_id>(table.size()))
      if (table[n].persistent) b.buffer(r, n, table[n].size, true);
  };
  auto const records = [&](rank_id r, detail::validated_step const& s) {
    auto const& own = iteration.ranks[r];
    auto const step = own.writes(own.instructions[static_cast<std::size_t>(s.step)]);
    if (step.size() < 2)
      throw invalid_program(name + " joins an iteration whose steps aren't validated");
    return step[1];
  };
  auto const mine = detail::steps_of(iteration.ranks[joining], joining);
  if (mine.empty()) throw invalid_program(name + " takes no part in the iteration that it joins");
  declare(joining);
  std::vector<bool> declared(iteration.ranks.size(), false);
  for (auto const& s : mine) {
    bool found = false;
    for (rank_id r : ids<rank_id>(iteration.ranks.size())) {
      if (r == joining || found) continue;
      for (auto const& peer : detail::steps_of(iteration.ranks[r], r)) {
        if (peer.stage != s.stage) continue;
        if (!declared[r.index()]) declare(r);
        declared[r.index()] = found = true;
        b.message(r, peer.state, joining, s.state);
        b.message(r, peer.kept, joining, s.kept);
        b.message(r, peer.gradient, joining, s.gradient);
        b.message(r, records(r, peer), joining, records(joining, s));
      }
    }
    if (!found)
      throw invalid_program(name + " has no peer at stage " + std::to_string(s.stage.value()) +
                            " to take the state from");
  }
  return std::move(b).finish();
}

}  // namespace shunt
