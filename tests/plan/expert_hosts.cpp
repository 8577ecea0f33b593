#include <gtest/gtest.h>

#include <vector>

#include "shunt/plan/expert_hosts.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "support/expert_problems.hpp"

namespace shunt::tests::expert_hosts_test {
namespace {

TEST(expert_hosts, hosts_of_golden_vector_b) {
  auto const plan = shunt::swift_moe{}(one_layer({700, 200, 60, 40}, {2, 2, 2, 2})).plan;
  auto const hosts = shunt::hosts_of(plan, 0);
  using list = std::vector<shunt::expert_host>;
  EXPECT_EQ(hosts[0], (list{{0, {0, 1}}, {1, {0, 1}}, {2, {0}}}));
  EXPECT_EQ(hosts[1], (list{{2, {1}}}));
  EXPECT_EQ(hosts[2], (list{{3, {0}}}));
  EXPECT_EQ(hosts[3], (list{{3, {1}}}));
}

}  // namespace
}  // namespace shunt::tests::expert_hosts_test
