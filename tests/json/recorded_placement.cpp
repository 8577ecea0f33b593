#include "shunt/json/recorded_placement.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "support/refusals.hpp"
#include "support/scratch_directory.hpp"

namespace shunt::tests::recorded_placement_test {
namespace {

struct placement_file : testing::Test {
  scratch_directory scratch;
  std::string path = scratch.path + "/map";
  expert_layers const layers{
      .layers = 2, .experts = 3, .loads = {1, 1, 1, 1, 1, 1}, .slots_per_rank = {2, 2}};

  std::vector<expert_id> read_text(std::string const& text) const {
    std::ofstream(path) << text;
    return read_placement_file(path, layers);
  }
  std::string refusal(std::string const& text) const {
    auto const what = thrown_by([&] { (void)read_text(text); });
    return what.starts_with(path) ? what.substr(path.size()) : what;
  }
};

TEST_F(placement_file, all_forms_say_the_same) {
  std::vector<expert_id> const same{0, 2, -1, 1, 1, 1, 2, 0};
  for (std::string const text :
       {"0,2,-1,1\n1,1,2,0\n", "[[0,2,-1,1],[1,1,2,0]]", R"({"phy2log": [[0,2,-1,1],[1,1,2,0]]})",
        R"({"physical_to_logical_map": [[0,2,-1,1],[1,1,2,0]]})",
        R"({"layers": [{"slots": [0,2,-1,1]}, {"slots": [1,1,2,0]}]})",
        R"({"layer_list": [{"device_list": [{"device_expert": [0,2]}, {"device_expert": [-1,1]}]},)"
        R"({"device_list": [{"device_expert": [1,1]}, {"device_expert": [2,0]}]}]})",
        "num_slots: 4\ninitial_global_assignments:\n  1: [0, 2, -1, 1]\n  3: [1, 1, 2, 0]\n"})
    EXPECT_EQ(read_text(text), same) << text;
}

TEST_F(placement_file, refusals_name_file_and_place) {
  EXPECT_EQ(refusal("0,1\n"), " row 1: has 2 slots, the ranks have 4");
  EXPECT_EQ(refusal("0,2,3,1\n1,1,2,0\n"), " row 1, column 3: must be an expert below 3, is 3");
  EXPECT_EQ(refusal("0,2,0,1\n"), " row 1: is the last of 1 layers, the loads have 2");
  EXPECT_EQ(refusal("[[0,2,0,1]]"), ": physical_to_logical_map: has 1 layers, the loads 2");
  EXPECT_EQ(refusal("initial_global_assignments:\n  1: 0\n"),
            ": initial_global_assignments: layer 1 must be a list in brackets");
}

}  // namespace
}  // namespace shunt::tests::recorded_placement_test
