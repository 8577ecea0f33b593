#pragma once
#include "shunt/check/program_memory.hpp"
#include "shunt/check/program_messages.hpp"
#include "shunt/check/program_order.hpp"
#include "shunt/check/program_shape.hpp"
#include "shunt/check/program_violation.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Everything that is wrong with a program, before it runs; nothing where every executor with
/// buffered sends can run it to its end with one and the same result. Two things only a run can
/// tell: whether an exchange's counts fit its capacity (executors throw where they don't), and what
/// lies beyond those counts, for the whole of what an exchange receives counts as written. Rule by
/// rule in the order of `program_rule`, roughly: first each instruction by itself, and where one is
/// malformed nothing else is asked; then messages, collectives and deadlock; then rank by rank the
/// order and the use of memory. O(n log n) in the number of instructions and regions, times a
/// rank's lanes where it has several.
[[nodiscard]] inline program_violations check(program const& p) {
  program_violations out;
  if (!check_shape(p, out)) return out;
  check_messages(p, out);
  for (rank_id const r : ids<rank_id>(p.ranks.size())) {
    lane_order const order(p.ranks[r]);
    detail::check_unordered(p.ranks[r], r, order, out);
    check_memory(p.ranks[r], r, order, out);
  }
  return out;
}

}  // namespace shunt
