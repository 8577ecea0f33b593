#include "shunt/execute/streams/recent_programs.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "shunt/program/builder.hpp"
#include "support/host_streams.hpp"

namespace shunt::tests::recent_programs_test {
namespace {

using namespace detail;

TEST(recent_programs, the_last_eight_are_prepared_once) {
  std::vector<std::shared_ptr<program const>> all;
  for (int n = 0; n < 9; ++n)
    all.push_back(std::make_shared<program const>(program_builder(1).peek()));
  recent_programs<host_streams> recent;
  auto const first = recent.ready(all[0]);
  EXPECT_EQ(first->bound.handle(), all[0]);
  for (int n = 1; n < 8; ++n) (void)recent.ready(all[static_cast<std::size_t>(n)]);
  EXPECT_EQ(recent.ready(all[0]), first);
  (void)recent.ready(all[8]);  // the first made leaves
  EXPECT_NE(recent.ready(all[0]), first);
}

}  // namespace
}  // namespace shunt::tests::recent_programs_test
