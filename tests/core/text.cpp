#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <sstream>
#include <string>

#include "shunt/core/text.hpp"

namespace shunt::tests::text_test {
namespace {

TEST(text, numbers_are_written_as_std_to_string_writes_them) {
  for (std::int64_t const n :
       {std::int64_t{0}, std::int64_t{-1}, std::int64_t{907},
        std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()})
    EXPECT_EQ(text::of(n), std::to_string(n));
}

TEST(text, is_put_together_and_searched) {
  text const built = text("worker ") + text::of(1) + ":" + text::of(2);
  EXPECT_EQ(built, "worker 1:2");
  EXPECT_EQ(built.size(), 10u);
  EXPECT_EQ(built.find("1:2"), 7u);
  EXPECT_EQ(built.find("3"), text::npos);
  EXPECT_EQ(std::string(built), "worker 1:2");
  std::ostringstream out;
  out << built;
  EXPECT_EQ(out.str(), "worker 1:2");
  EXPECT_TRUE(text().empty());
}

}  // namespace
}  // namespace shunt::tests::text_test
