// What the programs share at their edges: values of options, and the one line of an error.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli.hpp"
#include "moe_system.hpp"
#include "shunt/core/error.hpp"

namespace example::tests::command_line_test {
namespace {

template <class F>
std::string refusal(F&& f) {
  try {
    static_cast<void>(f());
    return "";
  } catch (shunt::invalid_problem const& error) {
    return error.what();
  }
}

TEST(command_line, lists) {
  EXPECT_EQ(parse_integers("--forward", "3"), (std::vector<std::int64_t>{3}));
  EXPECT_EQ(parse_integers("--forward", "3,-4,5"), (std::vector<std::int64_t>{3, -4, 5}));
  EXPECT_EQ(parse_workers("--dead", "1:2,0:11"), (std::vector<shunt::worker>{{1, 2}, {0, 11}}));
  EXPECT_TRUE(parse_workers("--dead", "").empty());
  auto const kills = parse_workers_at("--kill", "1:2@5,0:1@9");
  ASSERT_EQ(kills.size(), 2u);
  EXPECT_EQ(kills[1].who, (shunt::worker{0, 1}));
  EXPECT_EQ(kills[1].iteration, 9);
}

TEST(command_line, refusals_name_field_and_value) {
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

TEST(command_line, sizes_have_units) {
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

TEST(command_line, options_stand_for_fields) {
  auto const refuse = [](std::string const& field) {
    return refusal([&] {
      return naming_options({{"costs.forward", "--forward"}, {"memory", "--memory"}},
                            [&]() -> int { throw shunt::invalid_problem(field, "is wrong"); });
    });
  };
  EXPECT_EQ(refuse("costs.forward"), "--forward: is wrong");
  EXPECT_EQ(refuse("costs.forward[2]"), "--forward[2]: is wrong");
  EXPECT_EQ(refuse("costs.forwards"), "costs.forwards: is wrong");
}

TEST(command_line, unknown_options_are_told_the_nearest) {
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("microbatch", "microbatches"), 2u);
  auto const said = [](std::vector<char const*> arguments) -> std::string {
    argument_parser app;
    std::int32_t n = 0, secret = 0;
    add_integer(app, "--microbatches,--batches", n, "", 0);
    add_integer(app, "--comm", n, "", 0);
    add_integer(app, "--secret", secret, "", 0)->group("");
    arguments.insert(arguments.begin(), "program");
    try {
      static_cast<void>(app.parse(static_cast<int>(arguments.size()), arguments.data()));
      return "nothing";
    } catch (std::exception const& error) {
      return error.what();
    }
  };
  EXPECT_EQ(said({"--microbatch", "3"}),
            "--microbatch: is no option here, did you mean --microbatches?");
  EXPECT_EQ(said({"--batch=3"}), "--batch: is no option here, did you mean --batches?");
  EXPECT_EQ(said({"--com", "3"}), "--com: is no option here, did you mean --comm?");
  EXPECT_EQ(said({"--secre", "3"}), "--secre: is no option here; --help lists all");
  EXPECT_EQ(said({"--comm", "3"}), "nothing");
  EXPECT_EQ(said({"--comm", "x"}), "--comm: \"x\" is not a whole number");
  EXPECT_EQ(said({"3", "-4"}).find("did you mean"), std::string::npos);
}

TEST(command_line, errors_are_one_line_and_status_2) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(guarded([] { return 7; }), 7);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  testing::internal::CaptureStderr();
  EXPECT_EQ(guarded([]() -> int { throw std::runtime_error("two\nlines"); }), 2);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "error: two lines\n");
}

TEST(moe_system, by_name) {
  auto const all = parse_moe_systems("--policy", "swift_moe,deepspeed,flexmoe-50");
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(names_of(all), (std::vector<std::string>{"swift_moe", "deepspeed", "flexmoe-50"}));
  EXPECT_EQ(named(all, "flexmoe-50").every, 50);
  EXPECT_EQ(named(all, "flexmoe-50").solver, "flexmoe");
  EXPECT_EQ(all[1].every, 0);
  EXPECT_TRUE(all[1].per_source);
  EXPECT_FALSE(all[0].per_source);
  for (auto const* const text : {"uniform", "flexmoe", "flexmoe-", "flexmoe-0", "flexmoe-1000001",
                                 "swift_moe,", ",deepspeed"})
    EXPECT_THROW(static_cast<void>(parse_moe_systems("--policy", text)), shunt::invalid_problem)
        << text;
}

}  // namespace
}  // namespace example::tests::command_line_test
