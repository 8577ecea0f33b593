#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/text_input.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::text_input_test {
namespace {

std::vector<std::string> lines_of(std::string const& text) {
  std::istringstream in(text);
  line_reader reader(in, "x.csv");
  std::vector<std::string> all;
  for (std::string line; reader.next(line);) {
    all.push_back(line);
    EXPECT_EQ(reader.row(), all.size());
  }
  EXPECT_EQ(reader.row(), all.size());
  std::string again;
  EXPECT_FALSE(reader.next(again));
  return all;
}
std::string refused(std::string const& text) {
  return thrown_by([&] { static_cast<void>(lines_of(text)); });
}

TEST(text_input, ends_of_lines) {
  using all = std::vector<std::string>;
  EXPECT_EQ(lines_of(""), all{});
  EXPECT_EQ(lines_of("\n"), all{""});
  EXPECT_EQ(lines_of("a\n\nb"), (all{"a", "", "b"}));
  EXPECT_EQ(lines_of("a\r\nb\r\n"), (all{"a", "b"}));
  EXPECT_EQ(lines_of("a\rb\r"), (all{"a\rb"}));
  EXPECT_EQ(lines_of(std::string("a\0b\n", 4)), (all{std::string("a\0b", 3)}));
  for (std::size_t const n : {65534u, 65535u, 65536u, 65537u, 131070u, 200000u}) {
    std::string const longer(n, 'x');
    EXPECT_EQ(lines_of(longer + "\nb\n"), (all{longer, "b"})) << n;
    EXPECT_EQ(lines_of(longer + "\r\nb"), (all{longer, "b"})) << n;
    EXPECT_EQ(lines_of(longer), (all{longer})) << n;
  }
}

TEST(text_input, marks_at_the_beginning) {
  using all = std::vector<std::string>;
  EXPECT_EQ(lines_of("\xef\xbb\xbf"), all{});
  EXPECT_EQ(lines_of("\xef\xbb\xbf"
                     "a\r\nb"),
            (all{"a", "b"}));
  EXPECT_EQ(lines_of("\xef\xbc\x91"), all{"\xef\xbc\x91"});  // a letter, no mark
  EXPECT_EQ(lines_of("\xef"), all{"\xef"});
  EXPECT_EQ(lines_of("a\xef\xbb\xbf"), all{"a\xef\xbb\xbf"});
  EXPECT_EQ(refused("\xff\xfe"
                    "a"),
            "x.csv: is UTF-16, must be UTF-8");
  EXPECT_EQ(refused("\xfe\xff"), "x.csv: is UTF-16, must be UTF-8");
  EXPECT_EQ(refused("\x1f\x8b\x08"), "x.csv: is compressed; unpack it first: gunzip -k x.csv");
}

TEST(text_input, a_line_without_end_is_refused) {
  std::string const most(line_reader::longest, '1');
  EXPECT_EQ(lines_of(most).front().size(), line_reader::longest);
  EXPECT_EQ(refused("1\n" + most + "1"), "x.csv row 2: is longer than 67108864 bytes");
}

TEST(text_input, files_that_cannot_be_read) {
  EXPECT_EQ(thrown_by([] { static_cast<void>(open_text("/no/such")); }),
            "/no/such: can't be opened");
  EXPECT_EQ(thrown_by([] { static_cast<void>(open_text("/")); }), "/: can't be read");
}

}  // namespace
}  // namespace shunt::tests::text_input_test
