#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "language_model.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/train/aligned_bytes.hpp"
#include "text.hpp"

namespace example::tests::language_model_test {
namespace {

using shunt::stage_id;
using floats = std::vector<float, shunt::aligned_allocator<float>>;

text_bytes some_text(std::size_t size) {
  std::mt19937_64 random(7);
  text_bytes t(size);
  for (auto& byte : t) byte = static_cast<std::uint8_t>('a' + random() % 11);
  return t;
}

/// All stages of a model with what one micro-batch leaves on each.
struct whole_model {
  language_model model;
  std::vector<floats> parameters, stash, outputs, slopes, gradients;

  explicit whole_model(language_model const& m, std::uint64_t seed = 1) : model(m) {
    for (stage_id s : shunt::ids<stage_id>(m.stages)) {
      parameters.emplace_back(m.parameters(s));
      m.initialise(s, seed, parameters.back());
      stash.emplace_back(m.stash(s));
      outputs.emplace_back(m.message());
      slopes.emplace_back(m.message());
      gradients.emplace_back(m.parameters(s));
    }
  }
  double forward(text_sampler const& text, std::int64_t iteration, std::int64_t microbatch) {
    double loss = 0;
    for (std::size_t s = 0; s < parameters.size(); ++s)
      loss += model.forward(
          {.stage = s,
           .iteration = iteration,
           .microbatch = microbatch,
           .parameters = parameters[s],
           .input = s ? std::span<float const>(outputs[s - 1]) : std::span<float const>(),
           .output = outputs[s],
           .stash = stash[s]},
          text);
    return loss;
  }
  void backward(text_sampler const& text, std::int64_t iteration, std::int64_t microbatch,
                bool weights_late) {
    auto const weight = [&](std::size_t s) {
      model.backward_weight({.stage = s,
                             .iteration = iteration,
                             .microbatch = microbatch,
                             .stash = stash[s],
                             .gradient = gradients[s]},
                            text);
    };
    for (std::size_t s = parameters.size(); s-- > 0;) {
      model.backward_input({.stage = s,
                            .parameters = parameters[s],
                            .stash = stash[s],
                            .output_gradient = s + 1 < parameters.size()
                                                   ? std::span<float const>(slopes[s + 1])
                                                   : std::span<float const>(),
                            .input_gradient = slopes[s]});
      if (!weights_late) weight(s);
    }
    if (weights_late)
      for (std::size_t s = 0; s < parameters.size(); ++s) weight(s);
  }
};

language_model small(std::int32_t stages) {
  return {.stages = stages, .context = 3, .embedding = 4, .width = 6, .hidden = 10, .batch = 5};
}

TEST(language_model, gradient_equals_finite_differences) {
  auto const bytes = some_text(200);
  for (std::int32_t stages : {1, 2, 3}) {
    whole_model all(small(stages));
    text_sampler const text(bytes, all.model.window(), 3);
    all.forward(text, 2, 1);
    all.backward(text, 2, 1, false);
    std::mt19937_64 random(11);
    double worst = 0;
    for (std::size_t s = 0; s < all.parameters.size(); ++s) {
      // along a random direction over the whole stage: every parameter takes part
      floats direction(all.parameters[s].size());
      for (auto& d : direction)
        d = static_cast<float>(static_cast<double>(random() >> 11) * 0x1p-53 - 0.5);
      double along = 0;
      for (std::size_t i = 0; i < direction.size(); ++i)
        along += static_cast<double>(direction[i]) * static_cast<double>(all.gradients[s][i]);
      auto const origin = all.parameters[s];
      auto const loss_at = [&](double h) {
        for (std::size_t i = 0; i < direction.size(); ++i)
          all.parameters[s][i] = origin[i] + static_cast<float>(h) * direction[i];
        return all.forward(text, 2, 1);
      };
      double const h = 0x1p-9;
      double const slope = (loss_at(h) - loss_at(-h)) / (2 * h);
      all.parameters[s] = origin;
      EXPECT_GT(std::abs(along), 1e-2) << "stage " << s << " of " << stages;
      worst = std::max(worst, std::abs(slope - along) / std::abs(along));
    }
    EXPECT_LT(worst, 5e-3) << stages << " stages";
  }
}

TEST(language_model, single_parameters_equal_finite_differences) {
  auto const bytes = some_text(200);
  whole_model all(small(2));
  text_sampler const text(bytes, all.model.window(), 3);
  all.forward(text, 0, 0);
  all.backward(text, 0, 0, false);
  for (std::size_t s = 0; s < 2; ++s) {
    std::size_t seen = 0;
    for (std::size_t i = 0; i < all.parameters[s].size(); i += 7) {
      auto const at = all.parameters[s][i];
      auto const loss_at = [&](float value) {
        all.parameters[s][i] = value;
        return all.forward(text, 0, 0);
      };
      float const h = 0x1p-10F;
      double const slope = (loss_at(at + h) - loss_at(at - h)) / static_cast<double>(2 * h);
      all.parameters[s][i] = at;
      EXPECT_NEAR(slope, static_cast<double>(all.gradients[s][i]), 2e-3)
          << "stage " << s << " parameter " << i;
      seen += std::abs(all.gradients[s][i]) > 1e-3F;
    }
    EXPECT_GT(seen, 20U);
  }
}

TEST(language_model, weights_late_give_the_same_bits) {
  auto const bytes = some_text(500);
  for (std::int32_t stages : {1, 3}) {
    whole_model early(small(stages)), late(small(stages));
    text_sampler const text(bytes, early.model.window(), 5);
    for (std::int64_t g = 0; g < 4; ++g) {
      EXPECT_EQ(early.forward(text, 1, g), late.forward(text, 1, g));
      early.backward(text, 1, g, false);
      late.backward(text, 1, g, true);
      for (std::size_t s = 0; s < early.gradients.size(); ++s)
        EXPECT_EQ(early.gradients[s], late.gradients[s]);
    }
  }
}

TEST(language_model, a_microbatch_gives_the_same_bits_in_any_memory) {
  // Another worker has its buffers elsewhere and has held other micro-batches in them before.
  auto const bytes = some_text(500);
  language_model const shape{.stages = 2};
  whole_model one(shape), other(shape);
  text_sampler const text(bytes, shape.window(), 5);
  for (std::int64_t g = 9; g > 3; --g) {
    other.forward(text, 0, g);
    other.backward(text, 0, g, false);
  }
  for (auto* grown : {&other.stash, &other.outputs, &other.slopes, &other.gradients})
    for (auto& memory : *grown) memory = floats(memory.begin(), memory.end());
  auto const a = one.forward(text, 0, 2), b = other.forward(text, 0, 2);
  EXPECT_EQ(a, b);
  one.backward(text, 0, 2, false);
  other.backward(text, 0, 2, true);
  EXPECT_EQ(one.gradients, other.gradients);
}

TEST(text, the_default_is_fixed) { EXPECT_EQ(load_text("").size(), 131'058U); }

}  // namespace
}  // namespace example::tests::language_model_test
