// What the programs share at their edges: values of options, and the one line of an error.
#include <gtest/gtest.h>

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
