#include "shunt/gloo/config.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace shunt::tests::config_test {
namespace {

TEST(config, an_error_knows_who_is_absent_and_whether_all_came) {
  rendezvous_failed const absent("run: these ranks did not come", {1, 4}), apart("why", {}, true);
  EXPECT_STREQ(absent.what(), "run: these ranks did not come");
  EXPECT_EQ(absent.absent(), (std::vector<rank_id>{1, 4}));
  EXPECT_FALSE(absent.unconnected());
  EXPECT_TRUE(apart.unconnected());
}

}  // namespace
}  // namespace shunt::tests::config_test
