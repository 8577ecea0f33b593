#include "shunt/execute/transport.hpp"

#include <gtest/gtest.h>

namespace shunt::tests::transport_test {
namespace {

TEST(transport, errors_say_who_is_lost) {
  EXPECT_STREQ(peer_lost(7).what(), "rank 7 is lost");
  EXPECT_EQ(peer_lost(7).peer(), 7);
  EXPECT_STREQ(run_aborted().what(), "the run was called off after a rank was lost");
}

}  // namespace
}  // namespace shunt::tests::transport_test
