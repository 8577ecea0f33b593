#pragma once
#include "shunt/check/program.hpp"

#include "shunt/check/program_memory.hpp"
#include "shunt/check/program_messages.hpp"
#include "shunt/check/program_order.hpp"
#include "shunt/check/program_shape.hpp"
#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt {

SHUNT_INLINE program_violations check(program const& p) {
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
