#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "shunt/io/drawing.hpp"
#include "shunt/io/heat_map.hpp"

#include "support/charts.hpp"
#include "support/text.hpp"

namespace shunt::tests::heat_map_test {
namespace {

TEST(heat_map, equal_neighbours_are_one_rectangle) {
  heat_map const map{
      .title = "load",
      .columns = 4,
      .values = {0, 0, 1, 1, 0.5, 0.5, 0.5, std::numeric_limits<double>::quiet_NaN()}};
  auto const text = svg(map);
  EXPECT_EQ(count(text, "<rect"), 1u + 4u + 64u);  // paper, cells, scale
  EXPECT_EQ(count(text, "fill=\"" + std::string(colour::grid) + "\""), 1u);
  EXPECT_EQ(shade(0), "#440154");
  EXPECT_EQ(shade(1), "#fde725");
  svg(heat_map{});
}

}  // namespace
}  // namespace shunt::tests::heat_map_test
