#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <sstream>

#include "shunt/io/gantt.hpp"
#include "shunt/io/text_grid.hpp"
#include "support/charts.hpp"

namespace shunt::tests::text_grid_test {
namespace {

TEST(text_grid, grids_of_chunks_and_directions) {
  EXPECT_EQ(text_of(v_case{}), "               time |0                   5           |\n"
                               "rank 0: stages 0, 3 |F0--F1--....F0b-B0b-----........|\n"
                               "rank 1: stages 1, 2 |....F0--F0b-............F1+B0b--|\n");
  EXPECT_EQ(text_of(both_case{}), "            time |0         |\n"
                                  "rank 0: 0:0, 1:1 |F0---F1:0-|\n"
                                  "rank 1: 0:1, 1:0 |F1:0-F0---|\n");
}

TEST(text_grid, golden) {
  small_case const c;
  std::ostringstream out;
  write_text(out, gantt_of(c.job, c.plan, c.table));
  EXPECT_EQ(out.str(), "time |0                        5                   |\n"
                       " 0:0 |F0---...............B0--------.....S---------|\n"
                       " 0:1 |.....F0---F1:0-I0---I1:0-W0---W1:0-S---------|\n"
                       " 1:0 |F0---....................B0--------S---------|\n"
                       " 1:1 |xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx|\n");
}

TEST(text_grid, narrow_ones_fit) {
  small_case const c;
  auto const chart = gantt_of(c.job, c.plan, c.table);
  std::ostringstream nine, three;
  write_text(nine, chart, 9);
  EXPECT_EQ(nine.str(), "time |0        |\n"
                        " 0:0 |F...B0.S-|\n"
                        " 0:1 |.FFIIWWS-|\n"
                        " 1:0 |F....B0S-|\n"
                        " 1:1 |xxxxxxxxx|\n");
  write_text(three, chart, 3);
  EXPECT_EQ(count(three.str(), "\n"), 5u);
  for (std::int64_t width = 1; width < 60; ++width) {
    std::ostringstream out;
    write_text(out, chart, width);
    EXPECT_LE(out.str().find('\n'), static_cast<std::size_t>(std::max<std::int64_t>(width, 1)) + 7)
        << width;
  }
}

}  // namespace
}  // namespace shunt::tests::text_grid_test
