// Loads at the ends of what there is: every solver has a valid placement.
#include <gtest/gtest.h>

#include <cstdint>

#include "shunt/check/placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/flexmoe.hpp"
#include "shunt/solve/experts/incremental.hpp"
#include "shunt/solve/experts/lazarus.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt::tests::degenerate_loads_test {
namespace {

TEST(degenerate_loads, have_a_valid_placement) {
  constexpr std::int32_t experts = 16;
  expert_layers p{.layers = 4, .experts = experts, .slots_per_rank = deal_slots(64, 16)};
  for (std::int32_t e = 0; e < experts; ++e) p.loads.push_back(e == 5 ? 65536 : 0);  // one has all
  for (std::int32_t e = 0; e < experts; ++e) p.loads.push_back(0);                   // none has any
  for (std::int32_t e = 0; e < experts; ++e) p.loads.push_back(4096);
  for (std::int32_t e = 0; e < experts; ++e) p.loads.push_back(e < 8 ? 8192 : 0);
  auto const judge = [&](auto const& solver) {
    auto const answer = shunt::solve(p, solver);
    EXPECT_TRUE(answer.has_plan()) << solver.name;
    if (answer.has_plan()) {
      EXPECT_TRUE(shunt::check(p, answer.plan).empty()) << solver.name;
    }
  };
  judge(uniform{});
  judge(swift_moe{});
  judge(eplb{});
  judge(lazarus{});
  judge(flexmoe{});
  judge(balanced{});
  judge(incremental{});
}

}  // namespace
}  // namespace shunt::tests::degenerate_loads_test
