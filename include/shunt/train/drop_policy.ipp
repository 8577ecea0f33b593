#pragma once
#include "shunt/train/drop_policy.hpp"

#include <algorithm>

#include "shunt/core/config.hpp"
#include "shunt/core/text.hpp"

namespace shunt {

SHUNT_INLINE solution<arrangement> drop_rule::operator()(situation const& s) const {
  solution<arrangement> answer{.plan = {}, .status = status::infeasible};
  auto workers = workers_of(s.now);
  std::erase_if(workers, [&](auto const& ranks) {
    return std::any_of(ranks.begin(), ranks.end(), [&](rank_id r) { return s.is_dead(r); });
  });
  if (workers.empty()) {
    answer.reason = text("every pipeline has lost a rank");
    return answer;
  }
  answer.plan =
      arranged(s.start, workers, even_shares(s.start.total_microbatches(), workers.size()));
  answer.status = status::feasible;
  return answer;
}

}  // namespace shunt
