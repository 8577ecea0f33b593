#include <gtest/gtest.h>

#include <barrier>
#include <string>
#include <vector>

#include "shunt/nccl/communicator.hpp"
#include "shunt/nccl/library.hpp"
#include "support/nccl_double.hpp"
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

TEST(communicator, shrinks_only_when_its_last_call_has_returned) {
  world().reset({.notices_death = false});
  int const identity = api::new_identity();
  nccl_config const hasty{.patience = 20ms, .silence = 20ms};
  std::barrier step(2);
  auto const errors = together(2, [&](rank_id r) {
    nccl_double::system system(r.value());
    auto const stream = system.make_stream();
    nccl_communicator<api> c(identity, every_rank(2), r, patient);
    step.arrive_and_wait();
    if (r == 0) {
      word came = 0;  // never
      EXPECT_EQ(api::receive(&came, 8, element::bytes, 1, c.get(), stream),
                nccl_status::in_progress);
      rank_id const dead[] = {1};
      try {
        (void)c.shrunk(dead, hasty);
        ADD_FAILURE();
      } catch (nccl_error const& e) {
        EXPECT_STREQ(e.what(), "rank 0 waited 20 ms for its last call, to go on without rank 1");
      }
      EXPECT_TRUE(c.members().empty());
    }
    step.arrive_and_wait();
  });
  EXPECT_EQ(errors, nothing(2));
  EXPECT_EQ(world().mistakes(), std::vector<std::string>{});
}

}  // namespace
}  // namespace shunt::tests::communicator_test
