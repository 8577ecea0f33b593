#include "shunt/launch/report_line.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "shunt/core/id.hpp"

namespace shunt::tests::report_line_test {
namespace {

struct seen {
  std::int64_t iteration = 0;
  std::optional<double> took{};
};
void fields(seen& s, auto const& f) { f("iteration", s.iteration), f("took", s.took); }

TEST(report_line, of_an_object) {
  EXPECT_EQ(report_of("seen", seen{3, 0.5}).text(),
            "{\"report\":\"seen\",\"iteration\":3,\"took\":0.5}\n");
  EXPECT_EQ(report_of("seen", seen{4}).text(), "{\"report\":\"seen\",\"iteration\":4}\n");
}

TEST(report_line, what_it_reports_is_read_back) {
  EXPECT_EQ(reported(report_line("kill_request").text()), "kill_request");
  EXPECT_EQ(reported(report_line("end").with("why", "x").text()), "end");
  for (auto const* line : {"", "end", "{\"report\":\"end", "{\"rank\":1}"})
    EXPECT_EQ(reported(line), "") << line;
}

TEST(report_line, is_one_object_of_json) {
  EXPECT_EQ(report_line("end").text(), "{\"report\":\"end\"}\n");
  EXPECT_EQ(report_line("iteration")
                .with("iteration", 3)
                .with("loss", 2.5)
                .with("whole", 4.0)
                .with("left_out", false)
                .with("hash", std::numeric_limits<std::uint64_t>::max())
                .with("ranks", std::vector<rank_id>{0, 2})
                .with("none", std::vector<std::int64_t>{})
                .with("why", std::string("it \"broke\""))
                .text(),
            "{\"report\":\"iteration\",\"iteration\":3,\"loss\":2.5,\"whole\":4.0,\"left_out\":"
            "false,\"hash\":18446744073709551615,\"ranks\":[0,2],\"none\":[],\"why\":\"it "
            "\\\"broke\\\"\"}\n");
}

TEST(report_line, has_no_line_end_and_no_broken_character_inside) {
  EXPECT_EQ(report_line("error")
                .with("why", "a\nb\\c\x01"
                             "ü\xff\xe2\x82")
                .text(),
            "{\"report\":\"error\",\"why\":\"a\\u000ab\\\\c\\u0001ü\\ufffd\\ufffd\\ufffd\"}\n");
}

TEST(report_line, is_written_at_once) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  report_to(ends[1])(report_line("end"));
  char bytes[64];
  EXPECT_EQ(std::string(bytes, static_cast<std::size_t>(::read(ends[0], bytes, sizeof bytes))),
            "{\"report\":\"end\"}\n");
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_THROW(report_to(ends[1])(report_line("end")), std::runtime_error);
}

}  // namespace
}  // namespace shunt::tests::report_line_test
