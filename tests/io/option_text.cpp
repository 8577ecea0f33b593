#include "shunt/io/option_text.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/problem/per_pipeline.hpp"

namespace shunt::tests::option_text_test {
namespace {

template <class F>
std::string refusal(F&& f) {
  try {
    static_cast<void>(f());
    return "";
  } catch (invalid_problem const& error) {
    return error.what();
  }
}

TEST(option_text, lists) {
  EXPECT_EQ(parse_integers("--forward", "3"), (std::vector<std::int64_t>{3}));
  EXPECT_EQ(parse_integers("--forward", "3,-4,5"), (std::vector<std::int64_t>{3, -4, 5}));
  EXPECT_EQ(parse_workers("--dead", "1:2,0:11"), (std::vector<worker>{{1, 2}, {0, 11}}));
  EXPECT_TRUE(parse_workers("--dead", "").empty());
  EXPECT_EQ(parse_ranks("--dead", "2,0"), (std::vector<rank_id>{2, 0}));
  EXPECT_EQ(parse_counts("--microbatches", "6,6,4"), per_pipeline({6, 6, 4}));
  EXPECT_EQ(text_of(parse_counts("--microbatches", "6,6,4")), "6,6,4");
  EXPECT_EQ(items_of("1,2;3", ';'), (std::vector<std::string_view>{"1,2", "3"}));
  EXPECT_EQ(items_of("a,"), (std::vector<std::string_view>{"a", ""}));
  auto const kills = parse_workers_at("--kill", "1:2@5,0:1@9");
  ASSERT_EQ(kills.size(), 2u);
  EXPECT_EQ(kills[1].who, (worker{0, 1}));
  EXPECT_EQ(kills[1].iteration, 9);
}

TEST(option_text, refusals_name_field_and_value) {
  EXPECT_EQ(refusal([] { return parse_integers("--forward", ""); }), "--forward: is empty");
  EXPECT_EQ(refusal([] { return parse_integers("--forward", "1,2,"); }),
            "--forward[2]: \"\" is not a whole number");
  EXPECT_EQ(refusal([] { return parse_integers("--forward", "0x10"); }),
            "--forward: \"0x10\" is not a whole number");
  EXPECT_EQ(refusal([] { return parse_integers("--forward", "1.5"); }),
            "--forward: \"1.5\" is not a whole number");
  EXPECT_EQ(refusal([] { return parse_integer("--n", "-99999999999999999999", 0); }),
            "--n: must be at least 0, is -99999999999999999999");
  EXPECT_EQ(refusal([] { return parse_integer("--n", "5", 0, 4); }),
            "--n: must be at most 4, is 5");
  EXPECT_EQ(refusal([] { return parse_workers("--dead", "1:2,3"); }),
            "--dead[1]: \"3\" is not pipeline:stage");
  EXPECT_EQ(refusal([] { return parse_workers("--dead", "1:"); }),
            "--dead[0] (stage): \"\" is not a whole number");
  EXPECT_EQ(refusal([] { return parse_workers("--dead", "1:-2"); }),
            "--dead[0] (stage): must be at least 0, is -2");
  EXPECT_EQ(refusal([] { return parse_workers_at("--kill", "1:2"); }),
            "--kill[0]: \"1:2\" is not pipeline:stage@iteration");
  EXPECT_EQ(refusal([] { return parse_workers_at("--kill", "1:2@-1"); }),
            "--kill[0] (iteration): must be at least 0, is -1");
}

TEST(option_text, factors_are_exact) {
  auto const factor = parse_factor("--capacity-factor", "1.25");
  EXPECT_EQ(factor.numerator, 125);
  EXPECT_EQ(factor.denominator, 100);
  EXPECT_EQ(refusal([] { return parse_factor("--capacity-factor", "1e3"); }),
            "--capacity-factor: \"1e3\" is not a number such as 1 or 1.25");
}

TEST(option_text, quotes_are_short_and_of_one_line) {
  EXPECT_EQ(quoted_text("a\nb"), "\"a b\"");
  EXPECT_EQ(quoted_text(std::string(41, 'x')), '"' + std::string(40, 'x') + "…\"");
}

TEST(option_text, sizes_have_units) {
  EXPECT_EQ(parse_size("--memory", "8"), 8);
  EXPECT_EQ(parse_size("--memory", "3K"), 3072);
  EXPECT_EQ(parse_size("--memory", "8G"), std::int64_t{8} << 30);
  EXPECT_EQ(parse_sizes("--memory", "1M,2T"),
            (std::vector<std::int64_t>{1 << 20, std::int64_t{2} << 40}));
  for (char const* text : {"", "G", "8g", "8GB", "1.5G", "8 G"})
    EXPECT_EQ(refusal([&] { return parse_size("--memory", text); }),
              "--memory: \"" + std::string(text) +
                  "\" is not a whole number, with K, M, G or T behind it or without");
  EXPECT_EQ(refusal([] { return parse_size("--memory", "-1K", 1); }),
            "--memory: must be at least 1, is -1K");
  EXPECT_EQ(refusal([] { return parse_size("--memory", "8388608T", 1); }),
            "--memory: must be below 2^63, is 8388608T");
}

TEST(option_text, options_stand_for_fields) {
  auto const refuse = [](std::string const& field) {
    return refusal([&] {
      return naming_options({{"costs.forward", "--forward"}, {"memory", "--memory"}},
                            [&]() -> int { throw invalid_problem(field, "is wrong"); });
    });
  };
  EXPECT_EQ(refuse("costs.forward"), "--forward: is wrong");
  EXPECT_EQ(refuse("costs.forward[2]"), "--forward[2]: is wrong");
  EXPECT_EQ(refuse("costs.forwards"), "costs.forwards: is wrong");
}

}  // namespace
}  // namespace shunt::tests::option_text_test
