#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>

#include <nlohmann/json.hpp>

#include "fuzz/bytes.hpp"
#include "fuzz/read.hpp"
#include "shunt/json/parts.hpp"
#include "shunt/json/pipeline.hpp"
#include "shunt/json/reader.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::reader_test {
namespace {

using nlohmann::json;

TEST(reader, text_that_is_no_json) {
  for (char const* text : {"", "{", "[1, 2", "{} {}"}) {
    std::istringstream in(text);
    EXPECT_THROW(static_cast<void>(read_json<pipeline_job>(in, "job.json")), invalid_problem)
        << text;
  }
}

TEST(reader, marks_are_read_past_and_what_stands_behind_is_refused) {
  auto const read = [](std::string const& text) {
    std::istringstream in(text);
    return parse_json(in, "x.json");
  };
  EXPECT_EQ(read("\xef\xbb\xbf{\"a\": 1}\r\n"), json({{"a", 1}}));
  EXPECT_EQ(thrown_by([&] { static_cast<void>(read("{} 1")); }), "x.json: has more after its end");
  EXPECT_EQ(thrown_by([&] { static_cast<void>(read("\x1f\x8b")); }),
            "x.json: is compressed; unpack it first: gunzip -k x.json");
}

TEST(reader, unknown_names_are_shown_in_one_line) {
  auto const refusal = [](json const& document) {
    return thrown_by([&] { json_reader(document, "x").only({"known"}); });
  };
  EXPECT_EQ(refusal({{"knwon", 1}}), "x.knwon: is not known here");
  EXPECT_EQ(refusal({{"r\nks", 1}}), "x.\"r\\nks\": is not known here");
  EXPECT_EQ(refusal({{"\x1b[2J\xc3\xa4", 1}}), "x.\"\\u001b[2J\\u00e4\": is not known here");
  EXPECT_EQ(refusal({{std::string(1000, 'k'), 1}}),
            "x.\"" + std::string(39, 'k') + "...: is not known here");
}

// Every reader has a text that it takes, from which the fuzz harness starts.
TEST(reader, seeds_of_the_harness_are_read) {
  std::set<int> kinds;
  for (auto const& file :
       std::filesystem::directory_iterator(SHUNT_TEST_DATA "/../fuzz/seeds/readers")) {
    std::ifstream in(file.path(), std::ios::binary);
    std::string const text(std::istreambuf_iterator<char>(in), {});
    fuzz::bytes input(reinterpret_cast<std::uint8_t const*>(text.data()), text.size());
    int const kind = input.roll(0, fuzz::kinds - 1);
    EXPECT_NO_THROW(fuzz::read(kind, input.text())) << file.path();
    kinds.insert(kind);
  }
  EXPECT_EQ(std::ssize(kinds), fuzz::kinds);
}

}  // namespace
}  // namespace shunt::tests::reader_test
