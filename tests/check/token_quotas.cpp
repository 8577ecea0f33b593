#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/check/token_quotas.hpp"

namespace shunt::tests::token_quotas_test {
namespace {

TEST(token_quotas, finds_what_is_wrong) {
  using kind = shunt::quota_violation::kind;
  expert_layers const p{.experts = 2, .loads = {6, 2}, .slots_per_rank = {1, 1, 0}};
  auto const only = [&](std::vector<shunt::expert_copy> copies) {
    auto const found = shunt::check(
        p, shunt::token_quotas{.first_copy = {0, static_cast<std::int32_t>(copies.size())},
                               .copies = copies});
    EXPECT_EQ(found.size(), 1u);
    return found.at(0).what;
  };
  EXPECT_TRUE(
      shunt::check(p, shunt::token_quotas{.first_copy = {0, 1}, .copies = {{0, 1, 2}}}).empty());
  EXPECT_EQ(only({}), kind::over_cap);
  EXPECT_EQ(only({{0, 1, 1}, {0, 1, 1}}), kind::twice);
  EXPECT_EQ(only({{0, 1, 2}, {0, 2, 1}}), kind::unknown);
  EXPECT_EQ(only({{0, 1, 2}, {2, 1, 1}}), kind::unknown);
  EXPECT_EQ(only({{0, 1, 2}, {1, 0, 0}}), kind::not_positive);
  EXPECT_EQ(only({{0, 1, 2}, {1, 1, 1}}), kind::at_home);
  EXPECT_EQ(only({{0, 1, 5}, {1, 0, 3}}), kind::too_many);
  EXPECT_EQ(shunt::check(p, shunt::token_quotas{})[0].what, kind::shape);
  EXPECT_EQ(shunt::check(p, shunt::token_quotas{.first_copy = {0, 2}, .copies = {}})[0].what,
            kind::shape);
  auto without_homes = p;
  without_homes.slots_per_rank = {1, 0, 0};
  auto const found =
      shunt::check(without_homes, shunt::token_quotas{.first_copy = {0, 0}, .copies = {}});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].what, kind::no_homes);
  EXPECT_EQ(to_string(found[0]), "slots that are homes: found 1, wanted 2");
}

}  // namespace
}  // namespace shunt::tests::token_quotas_test
