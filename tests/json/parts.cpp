#include "shunt/json/parts.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "shunt/core/operation.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/json/pipeline.hpp"
#include "shunt/json/program.hpp"
#include "shunt/json/solution.hpp"
#include "support/json.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::parts_test {

/// {"name": "x", "sums": [[1, 2], [3]]}: sums of lists.
struct sums {
  std::string name{};
  std::vector<int> all{};
  std::size_t left = 0;  // lists that were left to the document
};
inline bool take_part(json_part const& part, sums& value) {
  if (!part.is_element_of("sums")) return false;
  int sum = 0;
  part.after(value.all.size()).each([&](json_reader const& item) { sum += item.integer<int>(); });
  value.all.push_back(sum);
  return true;
}
inline void read_rest(json_reader const& here, sums& value) {
  here.only({"name", "sums", "more"});
  value.name = here["name"].string();
  value.left = here["sums"].size();
}
static_assert(read_in_parts<sums> && read_in_parts<pipeline_schedule> && read_in_parts<timetable> &&
              read_in_parts<program> && read_in_parts<timeline> &&
              read_in_parts<solution<pipeline_schedule>> && !read_in_parts<pipeline_job>);

namespace {

using nlohmann::json;

template <class T>
T read_text(std::string const& text) {
  std::istringstream in(text);
  return read_json<T>(in, "x.json");
}
template <class T>
std::string complaint(std::string const& text) {
  return thrown_by([&] { static_cast<void>(read_text<T>(text)); });
}

TEST(parts, elements_are_taken_and_the_rest_is_left) {
  auto const read = read_text<sums>(R"({"sums": [[1, 2], [], [3]], "name": "x"})");
  EXPECT_EQ(read.all, (std::vector<int>{3, 0, 3}));
  EXPECT_EQ(read.name, "x");
  EXPECT_EQ(read.left, 0u);
  // Only the value's own list is taken, not one of that name below.
  EXPECT_EQ(read_text<sums>(R"({"more": {"sums": [[7]]}, "name": "x", "sums": []})").all,
            std::vector<int>{});
  EXPECT_EQ(read_text<sums>(R"({"name": "x", "sums": {"sums": [[7]]}})").left, 0u);
}

TEST(parts, refusals_name_the_path) {
  EXPECT_EQ(complaint<sums>(R"({"name": "x", "sums": [[1], [2, "3"]]})"),
            "sums[1][1]: must be a whole number, is \"3\"");
  EXPECT_EQ(complaint<sums>(R"({"name": "x", "sums": [[1], 2]})"), "sums[1]: must be a list, is 2");
  EXPECT_EQ(complaint<sums>(R"({"name": "x", "sums": [[1]], "sums": [[2]]})"),
            "sums[0]: is in a second list");
  EXPECT_EQ(complaint<sums>("{\"sums\": [[1]]} {}"), "x.json: has more after its end");
  EXPECT_EQ(complaint<sums>("\x1f\x8b"),
            "x.json: is compressed; unpack it first: gunzip -k x.json");
  std::string const plan =
      R"({"plan": {"order": [[], [{"kind": "forward", "pipeline": 0, "stage": 0}]]}})";
  EXPECT_EQ(complaint<solution<pipeline_schedule>>(plan),
            "plan.order[1][0].microbatch: is missing");
}

// The same complaint as of a document at once.
TEST(parts, text_that_is_no_json) {
  for (std::string const text : {"", "{", "[1, 2", R"({"sums": [[1], [2)", R"({"sums": [[1e999]]})",
                                 R"({"sums" [1]})", R"({"sums": [[1]], "name": "\x"})"}) {
    auto const whole = thrown_by([&] {
      std::istringstream in(text);
      static_cast<void>(parse_json(in, "x.json"));
    });
    EXPECT_EQ(complaint<sums>(text), whole);
    EXPECT_EQ(whole.substr(0, 19), "x.json: is no JSON:") << text;
  }
}

// Plans with one value replaced or removed: in parts or at once, the same plan or complaint.
TEST(parts, plans_of_which_something_is_changed) {
  solution<pipeline_schedule> answer{.status = status::feasible, .objective = 5};
  for (std::int32_t r = 0; r < 3; ++r) {
    answer.plan.order.push_back(
        {operation{op_kind::forward, 0, r, 0}, operation{op_kind::backward, 0, r, 0}});
    answer.plan.overlapped.push_back({r});
  }
  json const document = answer;
  auto const paths = document.flatten();
  std::vector<json> const values{nullptr, true, -1, 7, 2.5, "x", json::array(), json::object()};
  random_cases random(3);
  for (auto const& [path, value] : paths.items())
    for (auto const& instead : values) {
      auto changed = document;
      json::json_pointer at(path);
      for (int up = random.roll(0, 2); up > 0 && !at.empty(); --up) at = at.parent_pointer();
      changed[at] = instead;
      static_cast<void>(refusal<solution<pipeline_schedule>>(changed));
    }
  expect_round_trip(answer);
}

}  // namespace
}  // namespace shunt::tests::parts_test
