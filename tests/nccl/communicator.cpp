#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "shunt/nccl/communicator.hpp"
#include "shunt/nccl/library.hpp"
#include "support/nccl_parties.hpp"

namespace shunt::tests::communicator_test {
namespace {

using namespace detail;
using namespace nccl_parties;

/// A call that NCCL has not ended still writes to the handle that it was given, so nothing may be
/// left of it.
TEST(communicator, members_that_do_not_come_leave_nothing_behind) {
  world().reset();
  auto errors = together(
      1, [&](rank_id) { nccl_communicator<api>(api::new_identity(), every_rank(2), 0, quick); });
  EXPECT_EQ(errors[0], "rank 0 waited 300 ms to join a communicator of ranks 0 1");
  EXPECT_EQ(world().live_communicators(), 0U);

  for (bool const shrinks : {false, true}) {
    int const identity = api::new_identity();
    errors = together(2, [&](rank_id r) {
      nccl_communicator<api> c(identity, every_rank(2), r, patient);
      if (r == 1) return;
      std::vector<std::vector<rank_id>> const parts{{0, 1}};
      EXPECT_THROW((void)(shrinks ? c.shrunk({}, quick) : c.split(parts, quick)), nccl_error);
      EXPECT_TRUE(c.members().empty());
    });
    EXPECT_EQ(errors, nothing(2));
    EXPECT_EQ(world().live_communicators(), 0U);
  }
  EXPECT_EQ(world().mistakes(), std::vector<std::string>{});
}

}  // namespace
}  // namespace shunt::tests::communicator_test
