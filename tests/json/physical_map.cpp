#include <gtest/gtest.h>

#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "shunt/json/physical_map.hpp"
#include "shunt/plan/physical_map.hpp"

namespace shunt::tests::physical_map_test {
namespace {

std::string refused(std::string const& text) {
  std::istringstream in(text);
  try {
    (void)shunt::read_json<shunt::physical_map>(in);
  } catch (shunt::invalid_problem const& e) {
    return e.what();
  }
  return "nothing thrown";
}

TEST(physical_map, reads_back_equal) {
  shunt::expert_placement const plan{
      .layers = 2, .experts = 3, .first_slot = {0, 2, 4}, .expert_of = {0, 2, 0, 1, 1, 1, 2, 0}};
  auto const map = shunt::physical_map_of(plan);
  nlohmann::json const written = map;
  EXPECT_EQ(written.dump(), R"({"log2phy":[[[0,2],[3,-1],[1,-1]],[[3,-1],[0,1],[2,-1]]],)"
                            R"("logcnt":[[2,1,1],[1,2,1]],"phy2log":[[0,2,0,1],[1,1,2,0]]})");
  std::istringstream in(written.dump());
  EXPECT_EQ(shunt::read_json<shunt::physical_map>(in), map);
  std::istringstream alone(R"({"phy2log": [[0,2,0,1],[1,1,2,0]]})");
  auto const least = shunt::read_json<shunt::physical_map>(alone);
  EXPECT_EQ(least.experts, 3);
  EXPECT_EQ(shunt::placement_of(least, std::vector<std::int32_t>{2, 2}), plan);
  nlohmann::json const short_one = least;
  EXPECT_EQ(short_one.dump(), R"({"phy2log":[[0,2,0,1],[1,1,2,0]]})");
}

TEST(physical_map, names_of_serving_systems_are_read) {
  std::istringstream eplb(
      R"({"phy2log": [[0,1,0]], "log2phy": [[[0,2],[1,-1]]], "logcnt": [[2,1]]})");
  auto const map = shunt::read_json<shunt::physical_map>(eplb);
  for (char const* text : {R"({"physical_to_logical_map": [[0,1,0]], "logical_to_physical_map":
                               [[[0,2],[1,-1]]], "logical_replica_count": [[2,1]]})",
                           R"({"physical_to_logical_map": [[0,1,0]], "logical_to_all_physical_map":
                               [[[0,2],[1,-1]]], "logcnt": [[2,1]]})"}) {
    std::istringstream in(text);
    EXPECT_EQ(shunt::read_json<shunt::physical_map>(in), map);
  }
  EXPECT_EQ(refused(R"({"phy2log": [[0]], "physical_to_logical_map": [[0]]})"),
            "physical_to_logical_map: is phy2log under another name");
  EXPECT_EQ(refused(R"({"physical_to_logical_map": [[0,1],[0]]})"),
            "physical_to_logical_map[1]: has 1 values, the first has 2");
}

TEST(physical_map, what_doesnt_fit_is_named) {
  EXPECT_EQ(refused("{}"), "phy2log: is missing");
  EXPECT_EQ(refused(R"({"phy2log": [[0,1],[0]]})"), "phy2log[1]: has 1 values, the first has 2");
  EXPECT_EQ(refused(R"({"phy2log": [[0,-2]]})"), "phy2log[0][1]: must be at least -1, is -2");
  EXPECT_EQ(refused(R"({"phy2log": [[0,1.5]]})"), "phy2log[0][1]: must be a whole number, is 1.5");
  EXPECT_EQ(refused(R"({"phy2log": [[2147483647]]})"), "phy2log[0][0]: 2147483647 is out of range");
  EXPECT_EQ(refused(R"({"phy2log": [[0,1]], "logcnt": [[1,1],[1,1]]})"),
            "logcnt: has 2 layers, phy2log has 1");
  EXPECT_EQ(refused(R"({"phy2log": [[]]})"), "phy2log[0]: has no values");
  EXPECT_EQ(refused(R"({"phy2log": [[0]], "logcnt": [[]]})"), "logcnt[0]: has no values");
  EXPECT_EQ(refused(R"({"phy2log": [[0]], "log2phy": [[[]]]})"), "log2phy[0][0]: has no values");
  EXPECT_EQ(refused(R"({"phy2log": [[0,1],[1,0]], "logcnt": [[1],[1]]})"),
            "logcnt: has 1 experts, phy2log has 2");
  EXPECT_EQ(refused(R"({"phy2log": [[0]], "logcnt": [[1]], "log2phy": [[[0],[-1]]]})"),
            "log2phy[0]: has 2 experts, must have 1");
  EXPECT_EQ(refused(R"({"phy2log": [[0,1]], "log2phy": []})"),
            "log2phy: has 0 layers, phy2log has 1");
  EXPECT_EQ(refused(R"({"phy2log": [[0,1]], "log2phy": [[[0],[1,0]]]})"),
            "log2phy[0][1]: has 2 values, the first has 1");
  EXPECT_EQ(refused(R"({"phy2log": [[0,1]], "slots": 3})"), "slots: is not known here");
}

}  // namespace
}  // namespace shunt::tests::physical_map_test
