#include "shunt/train/stream_moe_model.hpp"

#include <gtest/gtest.h>

#include <cstdint>

#include "support/scaled_experts_on_streams.hpp"

namespace shunt::tests::stream_moe_model_test {
namespace {

static_assert(!stream_moe_model<scaled_experts, least_team_device>);
static_assert(!moe_model<scaled_experts_on_streams>);

TEST(slot_rows, are_found_run_by_run) {
  std::int64_t start[] = {5, 0, 20, 9}, end[] = {2, 2, 6, 7};  // 2, none, 4 and 1
  slot_rows const at{start, end, 4};
  ASSERT_EQ(at.tokens(), 7);
  std::int64_t const rows[] = {5, 6, 20, 21, 22, 23, 9};
  for (std::int64_t i = 0; i < 7; ++i) EXPECT_EQ(at[i], rows[i]) << i;
}

}  // namespace
}  // namespace shunt::tests::stream_moe_model_test
