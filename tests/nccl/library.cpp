// The rules of NCCL, as the double of the tests keeps them.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "shunt/nccl/library.hpp"
#include "shunt/program/program.hpp"
#include "support/nccl_double.hpp"
#include "support/nccl_parties.hpp"

namespace shunt::tests::library_test {
namespace {

using namespace detail;
using namespace nccl_parties;

TEST(library, a_call_on_a_communicator_that_is_not_settled) {
  world().reset({.polls = 5});
  nccl_double::device() = 0;
  nccl_double::system system(0);
  auto const stream = system.make_stream();
  nccl_double::member* c = nullptr;
  EXPECT_EQ(api::init(c, 1, api::new_identity(), 0, 0), nccl_status::in_progress);
  word w = 0;
  EXPECT_EQ(api::all_reduce(&w, &w, 1, element::int64, reduction::sum, c, stream),
            nccl_status::invalid_usage);
  EXPECT_EQ(world().mistakes().size(), 1U);
  while (api::state(c) == nccl_status::in_progress) {}
  EXPECT_EQ(api::all_reduce(&w, &w, 1, element::int64, reduction::sum, c, stream),
            nccl_status::in_progress);
  while (api::state(c) == nccl_status::in_progress) {}
  EXPECT_EQ(api::destroy(c), nccl_status::success);
  EXPECT_TRUE(contains(world().mistakes().at(1), "destroyed before it was finalized"));
}

TEST(library, a_stream_that_ends_before_its_communicator) {
  world().reset();
  nccl_double::device() = 0;
  nccl_double::system system(0);
  nccl_double::member* c = nullptr;
  (void)api::init(c, 1, api::new_identity(), 0, 0);
  while (api::state(c) == nccl_status::in_progress) {}
  word w = 0;
  {
    auto const stream = system.make_stream();
    (void)api::all_reduce(&w, &w, 1, element::int64, reduction::sum, c, stream);
    while (api::state(c) == nccl_status::in_progress) {}
    EXPECT_TRUE(ends(system, stream));
  }
  EXPECT_EQ(world().mistakes(),
            std::vector<std::string>{"a stream ends before rank 0 of communicator 0"});
  (void)api::abort(c);
}

}  // namespace
}  // namespace shunt::tests::library_test
