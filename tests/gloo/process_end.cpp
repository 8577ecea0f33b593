#include "shunt/gloo/process_end.hpp"

#include <gtest/gtest.h>

#include "shunt/gloo/config.hpp"
#include "support/scratch_directory.hpp"

namespace shunt::tests::process_end_test {
namespace {

TEST(process_end, is_that_of_the_latest_process_of_a_rank) {
  scratch_directory const here;
  gloo_config const at{.directory = here.path};
  EXPECT_FALSE(has_ended(at, 3));
  report_end(at, 3);
  report_end(at, 3);
  EXPECT_TRUE(has_ended(at, 3));
  EXPECT_FALSE(has_ended(at, 30));
  report_start(at, 3);
  EXPECT_FALSE(has_ended(at, 3));
}

}  // namespace
}  // namespace shunt::tests::process_end_test
