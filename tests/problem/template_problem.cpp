#include "shunt/problem/template_problem.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "support/refusals.hpp"
#include "support/templates.hpp"

namespace shunt::tests::template_problem_test {
namespace {

TEST(template_problem, refuse_what_can_not_be) {
  std::string text;
  auto const field = [&](auto const& change) {
    auto problem = template_case({{1, 2}, {3, 4}}, 2, 4, {0.1, 0.2});
    change(problem);
    return field_of([&] { validate(problem); }, &text);
  };
  EXPECT_EQ(field([](auto&) {}), "nothing thrown");
  EXPECT_EQ(field([](auto& p) { p.layers.clear(); }), "layers");
  EXPECT_EQ(field([](auto& p) { p.nodes = 0; }), "nodes");
  EXPECT_EQ(field([](auto& p) { p.gpus = 0; }), "gpus");
  EXPECT_EQ(field([](auto& p) { p.minimum = 0; }), "minimum");
  EXPECT_EQ(field([](auto& p) { p.memory = -1; }), "memory");
  EXPECT_EQ(field([](auto& p) { p.layers[1].forward = 0; }), "layers[1].forward");
  EXPECT_EQ(text, "layers[1].forward: must be above 0 and at most 1e100, is 0");
  EXPECT_EQ(field([](auto& p) { p.layers[0].backward = -1; }), "layers[0].backward");
  EXPECT_EQ(field([](auto& p) { p.layers[0].forward = std::numeric_limits<double>::quiet_NaN(); }),
            "layers[0].forward");
  EXPECT_EQ(field([](auto& p) { p.layers[0].parameters = -1; }), "layers[0].parameters");
  EXPECT_EQ(field([](auto& p) { p.layers[0].activations = -1; }), "layers[0].activations");
  EXPECT_EQ(field([](auto& p) { p.layers[0].all_reduce[1] = -1; }), "layers[0].all_reduce[1]");
  EXPECT_EQ(field([](auto& p) { p.layers[1].all_reduce.pop_back(); }), "layers[1].all_reduce");
  EXPECT_EQ(text, "layers[1].all_reduce: has no time for 4 GPUs");
}

TEST(template_problem, bytes_do_not_wrap) {
  auto problem = equal_layers(2, 1);
  problem.memory = 1;
  problem.layers[1].parameters = std::numeric_limits<byte_count>::max() / 4;
  EXPECT_EQ(field_of([&] { (void)least_nodes(problem); }), "layers[1].parameters");
  problem.layers[1].parameters = std::numeric_limits<byte_count>::max() / 6;
  problem.layers[0].activations = std::numeric_limits<byte_count>::max();
  EXPECT_EQ(field_of([&] { (void)least_nodes(problem); }), "layers");
}

}  // namespace
}  // namespace shunt::tests::template_problem_test
