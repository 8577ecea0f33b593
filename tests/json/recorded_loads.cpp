#include "shunt/json/recorded_loads.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "support/refusals.hpp"
#include "support/scratch_directory.hpp"

namespace shunt::tests::recorded_loads_test {
namespace {

using numbers = std::vector<std::int64_t>;

struct recorded_loads_file : testing::Test {
  scratch_directory scratch;
  std::string path = scratch.path + "/loads";

  recorded_loads read_text(std::string const& text, std::int32_t experts = 0) const {
    std::ofstream(path) << text;
    return read_recorded_loads_file(path, experts, "rows are wanted");
  }
  std::string refusal(std::string const& text, std::int32_t experts = 0) const {
    auto const what = thrown_by([&] { (void)read_text(text, experts); });
    return what.starts_with(path) ? what.substr(path.size()) : what;
  }
};

TEST_F(recorded_loads_file, tables_and_rows_of_sglang) {
  EXPECT_EQ(read_text("1,2,3\n4,5,6\n").table.values, (numbers{1, 2, 3, 4, 5, 6}));
  auto const rows = read_text("layer_id,expert_id,count\n3,1,5\n7,0,2\n3,1,1\n", 3);
  EXPECT_EQ(rows.table.columns, 3);
  EXPECT_EQ(rows.table.values, (numbers{0, 6, 0, 2, 0, 0}));
  EXPECT_EQ(rows.layers, (numbers{3, 7}));
}

TEST_F(recorded_loads_file, the_last_window_counts_and_those_before_are_history) {
  auto const snapshots =
      read_text("{\"window_expert_load\": [[1,2,3]], \"physical_to_logical_map\": [[0,1,0]]}\n"
                "{\"logical_expert_load\": [[7, 9]]}\n");
  EXPECT_EQ(snapshots.table.values, (numbers{7, 9}));
  EXPECT_EQ(snapshots.history, (numbers{4, 2}));
  auto const passes = read_text("{\"logical_count\": [[[1, 2.0]], [[3, 4]]]}");
  EXPECT_EQ(passes.table.values, (numbers{4, 6}));
  EXPECT_TRUE(passes.history.empty());
}

TEST_F(recorded_loads_file, refusals_name_file_and_place) {
  EXPECT_EQ(refusal("a,b\n1,2\n").substr(0, 7), " row 1:");
  EXPECT_NE(refusal("a,b\n1,2\n").find("rows are wanted"), std::string::npos);
  EXPECT_EQ(refusal("1,2\n", 3), "experts: is 3, " + path + " has 2");
  EXPECT_EQ(refusal("layer_id,expert_id,count\n0,3,1\n", 3),
            " row 2, column 2: must be below 3, is 3");
  EXPECT_EQ(refusal("{\"loads\": 1}").substr(0, 6), " row 1");
  EXPECT_EQ(refusal("[[1,2],[3]]"), " row 1: [1]: has 1 values, the first has 2");
}

}  // namespace
}  // namespace shunt::tests::recorded_loads_test
