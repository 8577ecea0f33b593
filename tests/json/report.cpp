#include "shunt/json/report.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/launch/report_line.hpp"

namespace shunt::tests::report_test {
namespace {

json_report read(report_line const& line) {
  auto text = line.text();
  text.pop_back();
  return json_report::of(text).value();
}

struct seen {
  std::int32_t iteration = 0;
  double loss = 0;
  bool clipped = false;
  std::vector<rank_id> ranks{};
  std::optional<std::int64_t> took{};
  bool operator==(seen const&) const = default;
};
void fields(seen& s, auto const& f) {
  f("iteration", s.iteration), f("loss", s.loss), f("clipped", s.clipped), f("ranks", s.ranks);
  f("took", s.took);
}

TEST(report, objects_read_back) {
  for (seen const& one : {seen{3, 0.1, true, {0, 2}, 5}, seen{-1, 1e300, false, {}, {}}})
    EXPECT_EQ(json_report::of(report_of("seen", one).text())->object<seen>(), one);
}

TEST(report, has_the_same_bits_as_what_was_written) {
  using limits = std::numeric_limits<double>;
  for (double const value :
       {0.0, -0.0, 1.0, -3.0, 0.1, 1e22, 123456789012345683968.0, 1.0 / 3, limits::max(),
        limits::min(), limits::denorm_min(), limits::infinity(), -limits::infinity(),
        limits::quiet_NaN(), -limits::quiet_NaN(), std::bit_cast<double>(0x7ff8000000000123U)}) {
    auto const r = read(report_line("x").with("value", value));
    EXPECT_EQ(std::bit_cast<std::uint64_t>(r.number("value")), std::bit_cast<std::uint64_t>(value))
        << value;
  }
  auto const r = read(report_line("end")
                          .with("hash", 0xfedcba9876543210U)
                          .with("least", std::numeric_limits<std::int64_t>::min())
                          .with("ranks", std::vector<rank_id>{3, 1})
                          .with("bits", std::vector<std::uint32_t>{0xffffffffU})
                          .with("ok", true)
                          .with("why", "a \"b\"\n\xff"));
  EXPECT_EQ(r.what(), "end");
  EXPECT_EQ(r.integer<std::uint64_t>("hash"), 0xfedcba9876543210U);
  EXPECT_EQ(r.integer("least"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(r.list<rank_id>("ranks"), (std::vector<rank_id>{3, 1}));
  EXPECT_EQ(r.list<std::uint32_t>("bits"), std::vector<std::uint32_t>{0xffffffffU});
  EXPECT_TRUE(r.boolean("ok"));
  EXPECT_EQ(r.text("why"), "a \"b\"\n\xef\xbf\xbd");
  EXPECT_TRUE(r.has("ok"));
  EXPECT_FALSE(r.has("other"));
}

TEST(report, names_what_does_not_fit) {
  auto const r = read(report_line("end").with("hash", -1).with("value", "nan:xyz"));
  try {
    (void)r.integer<std::uint64_t>("hash");
    FAIL();
  } catch (invalid_problem const& error) {
    EXPECT_EQ(error.field(), "end.hash");
  }
  EXPECT_THROW((void)r.integer("other"), invalid_problem);
  EXPECT_THROW((void)r.number("value"), invalid_problem);
  EXPECT_THROW((void)r.list("hash"), invalid_problem);
}

TEST(report, is_nothing_but_one) {
  for (auto const* const line :
       {"", "{", "warning: {}", "[]", "{}", "{\"report\":3}", "{\"report\":\"end\"} more", "\xff"})
    EXPECT_FALSE(json_report::of(line)) << line;
}

}  // namespace
}  // namespace shunt::tests::report_test
