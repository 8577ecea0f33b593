#include "shunt/io/layer_layout.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/layer_jobs.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::layer_layout_test {
namespace {

struct named {
  layer_job job;
  layer_partition plan;
};

named sample(std::vector<std::string> const& names, std::vector<layer_range> const& stages,
             stage_layout const& layout = stage_layout::linear()) {
  named all{.job = {.ranks = static_cast<std::int32_t>(stages.size())}, .plan = {.stages = stages}};
  for (auto const& n : names) all.job.layers.push_back({.name = n});
  all.plan.job.layout = layout;
  return all;
}

TEST(layer_layout, megatron) {
  auto const text = [](named const& n) { return megatron_layout(n.job, n.plan); };
  EXPECT_EQ(
      text(sample({"embedding", "layers.0", "layers.1", "layers.2", "layers.3", "mtp", "loss"},
                  {{0, 1}, {1, 4}, {4, 5}, {5, 7}})),
      "E|t*3|t|mL");
  EXPECT_EQ(text(sample({"E", "t0", "t1", "m", "L"}, {{0, 3}, {3, 5}}, stage_layout::looped(2))),
            "Et*2|mL");
  auto const refusal = [&](named const& n) { return thrown_by([&] { (void)text(n); }); };
  EXPECT_EQ(refusal(sample({"embedding", "norm"}, {{0, 1}, {1, 2}})),
            "layers[1].name: \"norm\" says neither embedding, transformer layer, mtp nor loss");
  EXPECT_EQ(refusal(sample({"t", "embed"}, {{0, 1}, {1, 2}})),
            "layers[1].name: \"embed\" is an embedding and not first");
  EXPECT_EQ(refusal(sample({"loss", "t"}, {{0, 1}, {1, 2}})),
            "layers[0].name: \"loss\" is a loss and not last");
  EXPECT_EQ(refusal(sample({"t", "t"}, {{0, 1}, {1, 2}}, stage_layout::v_shaped())),
            "layout: is wave; Megatron lays its stages round the ranks (linear or looped)");
  EXPECT_EQ(refusal(sample({"embed", "layers.12.mlp"}, {{0, 1}, {1, 2}})),
            "layers[1].name: \"layers.12.mlp\" is a part of layers.12; Megatron cuts between whole "
            "layers");
}

TEST(layer_layout, parts_of_a_layer_become_one) {
  auto const parts = sample({"tok_embeddings", "layers.0.attention", "layers.0.mlp.up",
                             "layers.1.attention", "layers.1", "layers.1.mlp", "model.layers.2.a",
                             "model.layers.2.b", "layers.v2.a", "layers.v2.b", "3.a", "3.b"},
                            {{0, 12}});
  auto job = parts.job;
  ticks cost = 1;
  for (auto& l : job.layers) {
    l.forward = cost, l.backward_input = 100 * cost, l.backward_weight = 10'000 * cost;
    l.state_bytes = 7 * cost, l.activation_bytes = 9 * cost;
    cost *= 2;
  }
  auto const whole = whole_layers(job);
  std::vector<std::string> names;
  std::vector<ticks> costs;
  for (auto const& l : whole.layers) {
    names.push_back(l.name);
    costs.push_back(l.forward);
    EXPECT_EQ(l.backward_input, 100 * l.forward);
    EXPECT_EQ(l.backward_weight, 10'000 * l.forward);
    EXPECT_EQ(l.state_bytes, 7 * l.forward);
    EXPECT_EQ(l.activation_bytes, 9 * l.forward);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"tok_embeddings", "layers.0", "layers.1", "layers.1",
                                             "layers.1", "model.layers.2", "layers.v2.a",
                                             "layers.v2.b", "3"}));
  EXPECT_EQ(costs, (std::vector<ticks>{1, 6, 8, 16, 32, 192, 256, 512, 3072}));
  EXPECT_EQ(whole.ranks, job.ranks);
  EXPECT_EQ(whole_layers(whole), whole);
}

TEST(layer_layout, torchtitan) {
  auto n = sample({"tok_embeddings", "layers.0", "a\"b", "output"}, {{0, 2}, {2, 4}});
  EXPECT_EQ(torchtitan_modules(n.job, n.plan),
            R"([["tok_embeddings","layers.0"],["a\"b","output"]])");
  n.job.layers[2].name.clear();
  EXPECT_EQ(thrown_by([&] { (void)torchtitan_modules(n.job, n.plan); }),
            "layers[2].name: is empty");
  n.job.layers[2].name = "a\nb";
  EXPECT_EQ(thrown_by([&] { (void)torchtitan_modules(n.job, n.plan); }),
            "layers[2].name: has a control character");
  n.plan.job.layout = stage_layout::custom({1, 0});
  EXPECT_EQ(thrown_by([&] { (void)torchtitan_modules(n.job, n.plan); }),
            "layout: is custom; torchtitan lays stages in turns or in a V");
  n.plan.job.layout = stage_layout::wave(4);
  EXPECT_EQ(thrown_by([&] { (void)torchtitan_modules(n.job, n.plan); }),
            "layout: is a wave of 4 chunks; torchtitan's V has two");
  n = sample({"layers.0", "layers.1.attention"}, {{0, 1}, {1, 2}}, stage_layout::v_shaped());
  EXPECT_EQ(thrown_by([&] { (void)torchtitan_modules(n.job, n.plan); }),
            "layers[1].name: \"layers.1.attention\" is a part of layers.1; torchtitan cuts between "
            "whole layers");
}

}  // namespace
}  // namespace shunt::tests::layer_layout_test
