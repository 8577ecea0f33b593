#include "shunt/check/reconfiguration.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "shunt/solve/pipeline/oobleck_reconfigure.hpp"
#include "support/templates.hpp"
#include "support/text.hpp"

namespace shunt::tests::reconfiguration_check {
namespace {

TEST(reconfiguration, each_rule_is_broken_alone) {
  pipeline_losses const losses{
      .pipelines = {{0, 1, 2}, {3, 4, 5}, {6, 7, 8}}, .lost = {0}, .minimum = 2};
  auto const with = [&](auto const& change) {
    auto plan = oobleck_reconfigure{.templates = templates_of_b()}(losses).plan;
    change(plan);
    return lines(check(losses, templates_of_b(), plan));
  };
  // [1,2][3,4,5][6,7,8]; 0-2: 3>1, 4-5: 1>2
  EXPECT_EQ(with([](auto&) {}), "");
  EXPECT_EQ(with([](auto& p) { p.pipelines.pop_back(); }),
            "rank 6 is in no pipeline\nrank 7 is in no pipeline\nrank 8 is in no pipeline\n");
  EXPECT_EQ(with([](auto& p) { std::swap(p.pipelines[1], p.pipelines[2]); }),
            "pipeline 2 is out of order\n");
  EXPECT_EQ(with([](auto& p) { p.copies.erase(p.copies.begin()); }),
            "layer 0: rank 1 does not receive it once\n");
  EXPECT_EQ(with([](auto& p) { p.copies.push_back(p.copies[0]); }),
            "layer 0: rank 1 does not receive it once\n");
  EXPECT_EQ(with([](auto& p) { p.copies[0].from = 5; }),
            "layer 0: the source, rank 5, has no live copy\n");
  EXPECT_EQ(with([](auto& p) { p.copies[0].from = 0; }),
            "layer 0: the source, rank 0, has no live copy\n");
  EXPECT_EQ(with([](auto& p) { p.copies[0].to.push_back(6); }),
            "layer 0: rank 6 receives it without need\n");
  EXPECT_EQ(with([](auto& p) { p.lost_layers = {3}; }),
            "layer 3: listed as lost and kept, or lost and not listed\n");
  auto const first = [&](auto const& change) {
    auto const all = with(change);
    return all.substr(0, all.find('\n'));
  };
  EXPECT_EQ(first([](auto& p) { p.pipelines[0] = {0, 1, 2}; }),
            "pipeline 0: rank 0 is not a live one");
  EXPECT_EQ(first([](auto& p) { p.pipelines[0] = {1, 1, 2}; }), "pipeline 0: rank 1 stands twice");
  EXPECT_EQ(first([](auto& p) { p.pipelines = {{1}, {2, 3, 4, 5}, {6, 7, 8}}; }),
            "pipeline 0 is too short");
  EXPECT_EQ(first([](auto& p) { p.pipelines = {{1, 2, 3, 4, 5, 6, 7, 8, 9}}; }),
            "pipeline 0: rank 9 is not a live one");
}

}  // namespace
}  // namespace shunt::tests::reconfiguration_check
