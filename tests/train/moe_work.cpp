#include "shunt/train/moe_work.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/train/moe_run.hpp"
#include "shunt/train/optimizer.hpp"
#include "support/scaled_experts.hpp"

namespace shunt::tests::moe_work_test {
namespace {

static_assert(restorable_work<moe_work<scaled_experts>>);
static_assert(restorable_work<moe_work<scaled_experts, sgd>>);
static_assert(moe_trainee<moe_work<scaled_experts>>);

template <class Call>
std::string refusal(Call const& call) {
  try {
    call();
  } catch (std::exception const& e) {
    return e.what();
  }
  return "nothing";
}

TEST(moe_work, begins_with_shards_of_the_models_parameters) {
  scaled_experts const model;
  auto const training = small_moe_training();
  moe_work work(model, training);
  EXPECT_EQ(work.sizes().dense, 42);
  EXPECT_EQ(work.shape().experts.elements, 6);
  std::vector<float> dense(42), expert(6);
  model.initialise(dense);
  for (rank_id const r : ids<rank_id>(training.ranks)) {
    auto const own = work.values<float>(r, moe_buffers::dense);
    EXPECT_TRUE(std::equal(dense.begin(), dense.end(), own.begin()));
    EXPECT_EQ(own[42], 0);
    for (layer_id const l : ids<layer_id>(2)) {
      std::size_t at = 0;
      auto const masters = work.values<float>(r, moe_buffers::state(l)),
                 weights = work.values<float>(r, moe_buffers::weight_shards(l));
      for (expert_id const e : ids<expert_id>(5)) {
        std::fill(expert.begin(), expert.end(), 0.0F);
        model.initialise(l, e, expert);
        for (shard const& s : work.shards().shards[e])
          for (auto i = s.begin; s.held_by(r) && i < s.end; ++i, ++at) {
            EXPECT_EQ(masters[at], expert[static_cast<std::size_t>(i)]);
            EXPECT_EQ(weights[at], expert[static_cast<std::size_t>(i)]);
          }
      }
      EXPECT_EQ(at, weights.size());
      EXPECT_EQ(3 * at, masters.size());
    }
  }
}

TEST(moe_work, of_one_rank_keeps_the_memory_of_no_other) {
  auto training = small_moe_training();
  training.only = rank_id(2);
  moe_work work(scaled_experts{}, training);
  for (rank_id const r : ids<rank_id>(training.ranks)) {
    EXPECT_EQ(work.has(r), r == 2);
    EXPECT_EQ(work.buffer(r, moe_buffers::dense).empty(), r != 2);
  }
}

TEST(moe_work, refuses_what_does_not_fit_in_a_line) {
  auto const training = small_moe_training();
  auto const why = [&](moe_sizes const& of, moe_training const& t) {
    return refusal([&] { moe_work(scaled_experts(of), t); });
  };
  EXPECT_EQ(why({.layers = 2, .experts = 5, .width = 3}, training), "nothing");
  EXPECT_EQ(why({.layers = 0}, training), "layers: must be at least 1, is 0");
  EXPECT_EQ(why({.width = -1}, training), "width: must be at least 1, is -1");
  EXPECT_EQ(why({.experts = 11}, training), "slots: 10 slots for 11 experts");
  auto broken = training;
  broken.tokens = 0;
  EXPECT_EQ(why({}, broken), "tokens: must be at least 1, is 0");
  broken = training;
  broken.copies = 6;
  EXPECT_EQ(why({}, broken), "copies: 6 copies need as many ranks, there are 5");
}

/// Goes wrong in one function, in layer 1 of iteration 1.
struct failing : scaled_experts {
  std::string in;
  void check(char const* here, std::int64_t iteration = 1, layer_id l = 1) const {
    if (in == here && iteration == 1 && l == 1)
      throw std::runtime_error(in + " of the model went wrong");
  }
  void embed(embed_pass const& p) const {
    check("embed", p.iteration);
    scaled_experts::embed(p);
  }
  void route(route_pass const& p) const {
    check("route", p.iteration, p.layer);
    scaled_experts::route(p);
    if (in == "wild" && p.iteration == 1 && p.layer == 1 && p.microbatch == 3) p.expert[4] = 5;
    if (in == "negative" && p.iteration == 1 && p.layer == 0 && p.microbatch == 2) p.expert[8] = -2;
  }
  void expert_forward(expert_pass const& p) const {
    check("expert_forward", 1, p.layer);
    scaled_experts::expert_forward(p);
  }
  [[nodiscard]] double head(head_pass const& p) const {
    check("head", p.iteration);
    return in == "nan" ? std::nan("") : scaled_experts::head(p);
  }
  [[nodiscard]] bool expert_backward(expert_backward_pass const& p) const {
    check("expert_backward", 1, p.layer);
    return scaled_experts::expert_backward(p) && in != "inexact";
  }
};

TEST(moe_work, passes_on_what_a_model_throws_in_the_middle_of_an_operation) {
  auto const why = [](char const* in, auto const& executor) {
    failing model;
    model.in = in;
    moe_work work(model, small_moe_training());
    moe_run run(work);
    return refusal([&] { run(executor); });
  };
  for (auto const* in : {"embed", "route", "expert_forward", "head", "expert_backward"}) {
    EXPECT_EQ(why(in, inline_executor{}), std::string(in) + " of the model went wrong");
    EXPECT_EQ(why(in, thread_executor{}), std::string(in) + " of the model went wrong");
  }
  EXPECT_EQ(why("wild", inline_executor{}),
            "route: layer 1 sends token 4 of micro-batch 3 to expert 5 of 5");
  EXPECT_EQ(why("negative", thread_executor{}),
            "route: layer 0 sends token 8 of micro-batch 2 to expert -2 of 5");
}

TEST(moe_work, counts_what_does_not_fit) {
  auto const misfits = [](char const* in) {
    failing model;
    model.in = in;
    moe_work work(model, small_moe_training());
    moe_run run(work);
    return run.iterate(inline_executor{}).misfits;
  };
  EXPECT_EQ(misfits(""), 0);
  EXPECT_EQ(misfits("nan"), 5);  // losses, one a micro-batch
  EXPECT_GT(misfits("inexact"), 2);
}

TEST(moe_work, reaches_no_buffer_that_an_operation_does_not_name) {
  moe_work work(scaled_experts{}, small_moe_training());
  moe_run run(work);
  static_cast<void>(run.iterate(inline_executor{}));
  for (auto const kind : {op_kind::route, op_kind::dispatch, op_kind::expert_forward,
                          op_kind::combine, op_kind::combine_backward, op_kind::expert_backward,
                          op_kind::dispatch_backward, op_kind::step, op_kind::backward})
    EXPECT_THROW(work(0, {.op = {.kind = kind}}), invalid_program) << to_string(kind);
}

struct trained {
  std::vector<double> losses{};
  std::vector<float> parameters{};
  phase_bytes gradients{};
  bool operator==(trained const&) const = default;
};
template <class Optimizer = adam>
trained train(element type, collection_form form, Optimizer const& optimizer = {}) {
  auto training = small_moe_training();
  training.collection.type = type;
  training.collection.form = form;
  moe_work<scaled_experts, Optimizer> work(scaled_experts{}, training, optimizer);
  moe_run run(work);
  trained all;
  run.on_iteration = [&](std::int64_t t, moe_record const& r) {
    EXPECT_EQ(t, std::ssize(all.losses));
    EXPECT_EQ(r.misfits, 0);
    EXPECT_TRUE(r.gradients.holds());
    all.losses.push_back(r.loss);
    all.gradients = r.gradients;
  };
  EXPECT_TRUE(check(run.iteration_program()).empty());
  run(inline_executor{});
  all.parameters = run.parameters();
  return all;
}

TEST(moe_work, sums_gradients_in_the_type_of_the_collection) {
  for (auto const form : {collection_form::direct, collection_form::reduce_then_gather}) {
    auto const exact = train(element::int64, form);
    ASSERT_EQ(exact.losses.size(), 6U);
    EXPECT_LT(exact.losses.back(), exact.losses.front());
    std::set<std::vector<float>> different{exact.parameters};
    struct kind {
      element type;
      std::int64_t bytes;
      double near;
    };
    for (auto const& k : {kind{element::float64, 8, 1e-5}, kind{element::float32, 4, 1e-4},
                          kind{element::float16, 2, 2e-2}, kind{element::bfloat16, 2, 5e-2}}) {
      auto const found = train(k.type, form);
      EXPECT_EQ(found, train(k.type, form)) << to_string(k.type);  // from run to run
      EXPECT_EQ(found.gradients.formula * 8, exact.gradients.formula * k.bytes);
      for (std::size_t t = 0; t < 6; ++t)
        EXPECT_NEAR(found.losses[t] / exact.losses[t], 1, k.near) << to_string(k.type) << t;
      different.insert(found.parameters);
    }
    EXPECT_GE(different.size(), 3U);
  }
}

TEST(moe_work, trains_with_any_optimizer) {
  auto const found = train(element::int64, collection_form::direct, sgd{.rate = 0.05F});
  EXPECT_LT(found.losses.back(), found.losses.front());
  EXPECT_NE(found.losses, train(element::int64, collection_form::direct).losses);
}

}  // namespace
}  // namespace shunt::tests::moe_work_test
