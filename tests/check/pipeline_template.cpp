#include "shunt/check/pipeline_template.hpp"

#include <gtest/gtest.h>

#include <string>

#include "support/templates.hpp"
#include "support/text.hpp"

namespace shunt::tests::pipeline_template_check {
namespace {

TEST(pipeline_template, each_rule_is_broken_alone) {
  auto const problem = equal_layers(4, 2, 4);
  auto const with = [&](auto const& change) {
    auto set = oobleck_templates{}(problem).plan;
    change(set);
    return lines(check(problem, set));
  };
  EXPECT_EQ(with([](auto&) {}), "");
  EXPECT_EQ(with([](auto& s) { s.templates[0].time += 1; }),
            "template of 1 nodes, time: found 13, wanted 12\n");
  EXPECT_EQ(with([](auto& s) {
              s.templates.erase(s.templates.begin() + 1, s.templates.end());
              s.templates.push_back(s.templates[0]);
            }),
            "template of 1 nodes, nodes: found 1, wanted 2\n");
  EXPECT_EQ(with([](auto& s) { s.templates[1].stages[0].end = 1; }),
            "template of 2 nodes, stage 1, layers: found 2, wanted 1\n");
  EXPECT_EQ(with([](auto& s) { s.templates[1].stages[1].end = 3; }),
            "template of 2 nodes, stage 2, layers: found 3, wanted 4\n");
  EXPECT_EQ(with([](auto& s) { s.templates[1].stages = {{0, 4, 4}}; }),
            "template of 2 nodes, GPUs of all stages: found 4, wanted 8\n");
  EXPECT_EQ(with([](auto& s) { s.templates[0].stages = {{0, 1, 1}, {1, 2, 2}, {2, 4, 1}}; }),
            "template of 1 nodes, stage 1, GPUs: found 2, wanted 4\n");
  EXPECT_EQ(with([](auto& s) { s.templates[0].stages = {{0, 2, 3}, {2, 4, 1}}; }),
            "template of 1 nodes, stage 0, GPUs: found 3, wanted 4\n");
}

// The judge's own 1F1B.
TEST(pipeline_template, makespans_are_played) {
  auto const problem = template_case({{3, 1}, {1, 9}, {2, 2}, {5, 1}}, 3);
  auto set = oobleck_templates{.cost = template_cost::simulated}(problem).plan;
  EXPECT_EQ(lines(check(problem, set)), "");
  set.templates[2].time *= 1.01;
  EXPECT_NE(lines(check(problem, set)).find("template of 3 nodes, time: found"), std::string::npos);
}

}  // namespace
}  // namespace shunt::tests::pipeline_template_check
