#pragma once
/// A mixture of experts of the standard library alone, which has no more than moe_model names. It
/// predicts a number for each token.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/train/fixed_point.hpp"
#include "shunt/train/moe_model.hpp"
#include "shunt/train/moe_training.hpp"

namespace shunt::tests {

/// h = A f, in each layer h += p (s x + b) with x = h of the token's expert (s, b) and p its
/// probability by the router, loss (w h - target)^2 / 2.
class scaled_experts {
 public:
  explicit scaled_experts(moe_sizes of = {.layers = 2, .experts = 5, .width = 3}) : of_(of) {}

  [[nodiscard]] moe_sizes sizes(std::int64_t tokens) const {
    auto all = of_;
    all.dense = of_.width * (of_.width + of_.layers * of_.experts + 1);
    all.expert = 2 * of_.width;
    all.kept = tokens * of_.experts;
    return all;
  }
  void initialise(std::span<float> dense) const { draw(1, 0.7F, dense); }
  void initialise(layer_id l, expert_id e, std::span<float> parameters) const {
    draw(static_cast<std::uint64_t>(100 * l.value() + e.value() + 2), 0.5F, parameters);
  }
  void weights(std::span<float const> masters, std::span<float> to) const {
    std::copy(masters.begin(), masters.end(), to.begin());
  }

  void embed(embed_pass const& p) const {
    std::fill(p.hidden.begin(), p.hidden.end(), 0.0F);
    for (std::size_t t = 0; t < p.hidden.size() / width(); ++t)
      for (std::size_t d = 0; d < width(); ++d)
        for (std::size_t j = 0; j < width(); ++j)
          p.hidden[t * width() + d] += p.dense[d * width() + j] * feature(p, t, j);
  }
  void route(route_pass const& p) const {
    std::copy(p.hidden.begin(), p.hidden.end(), p.input.begin());
    for (std::size_t t = 0; t < p.expert.size(); ++t) {
      auto const chances = p.kept.subspan(t * experts(), experts());
      for (std::size_t e = 0; e < experts(); ++e) {
        chances[e] = 0;
        for (std::size_t d = 0; d < width(); ++d)
          chances[e] += router(p.dense, p.layer, e)[d] * p.hidden[t * width() + d];
      }
      auto const best = std::max_element(chances.begin(), chances.end());
      p.expert[t] = static_cast<std::int32_t>(best - chances.begin());
      float const most = *best;
      float sum = 0;
      for (float& c : chances) sum += c = std::exp(c - most);
      for (float& c : chances) c /= sum;
      p.gate[t] = *best;
    }
  }
  void expert_forward(expert_pass const& p) const {
    for (std::size_t i = 0; i < p.input.size(); ++i)
      p.output[i] = p.parameters[i % width()] * p.input[i] + p.parameters[width() + i % width()];
  }
  void combine(combine_pass const& p) const {
    for (std::size_t d = 0; d < width(); ++d) p.hidden[d] += p.gate * p.output[d];
  }
  [[nodiscard]] double head(head_pass const& p) const {
    auto const w = p.dense.last(width());
    auto const gradient = p.gradient.last(width());
    double loss = 0;
    for (std::size_t t = 0; t < p.hidden.size() / width(); ++t) {
      auto const h = p.hidden.subspan(t * width(), width());
      float error = -2 * feature(p, t, 0) * feature(p, t, 1);
      for (std::size_t d = 0; d < width(); ++d) error += w[d] * h[d];
      loss += static_cast<double>(error * error) / 2;
      for (std::size_t d = 0; d < width(); ++d) {
        gradient[d] += error * h[d];
        h[d] = error * w[d];
      }
    }
    return loss;
  }
  [[nodiscard]] float combine_backward(combine_backward_pass const& p) const {
    float sum = 0;
    for (std::size_t d = 0; d < width(); ++d) {
      p.output_gradient[d] = p.gate * p.hidden_gradient[d];
      sum += p.hidden_gradient[d] * p.output[d];
    }
    return sum;
  }
  [[nodiscard]] bool expert_backward(expert_backward_pass const& p) const {
    bool exact = true;
    auto const add = [&](std::size_t i, float g) {
      exact = exact && fixed_point::fits(g);
      p.gradient[i] += fixed_point::rounded(g);
    };
    for (std::size_t i = 0; i < p.input.size(); ++i) {
      p.input_gradient[i] = p.parameters[i % width()] * p.output_gradient[i];
      add(i % width(), p.output_gradient[i] * p.input[i]);
      add(width() + i % width(), p.output_gradient[i]);
    }
    return exact;
  }
  void route_backward(route_backward_pass const& p) const {
    for (std::size_t t = 0; t < p.expert.size(); ++t)
      for (std::size_t e = 0; e < experts(); ++e) {
        bool const chosen = e == static_cast<std::size_t>(p.expert[t]);
        float const g =
            p.gate_gradient[t] * p.gate[t] * ((chosen ? 1.0F : 0.0F) - p.kept[t * experts() + e]);
        for (std::size_t d = 0; d < width(); ++d) {
          router(p.gradient, p.layer, e)[d] += g * p.input[t * width() + d];
          p.input_gradient[t * width() + d] += g * router(p.dense, p.layer, e)[d];
        }
      }
    for (std::size_t i = 0; i < p.input_gradient.size(); ++i)
      p.hidden_gradient[i] += p.input_gradient[i];
  }
  void embed_backward(embed_backward_pass const& p) const {
    for (std::size_t t = 0; t < p.hidden_gradient.size() / width(); ++t)
      for (std::size_t d = 0; d < width(); ++d)
        for (std::size_t j = 0; j < width(); ++j)
          p.gradient[d * width() + j] += p.hidden_gradient[t * width() + d] * feature(p, t, j);
  }

 private:
  [[nodiscard]] std::size_t width() const { return static_cast<std::size_t>(of_.width); }
  [[nodiscard]] std::size_t experts() const { return static_cast<std::size_t>(of_.experts); }
  template <class T>
  [[nodiscard]] std::span<T> router(std::span<T> dense, layer_id l, std::size_t e) const {
    return dense.subspan(width() * (width() + l.index() * experts() + e), width());
  }
  // A number in [-1, 1).
  [[nodiscard]] static float number(std::uint64_t seed) {
    seed = (seed + 1) * 0x9e3779b97f4a7c15;
    seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9;
    seed ^= seed >> 29;
    return static_cast<float>(static_cast<std::int32_t>(seed >> 40) - (1 << 23)) * 0x1p-23F;
  }
  static void draw(std::uint64_t seed, float scale, std::span<float> to) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = scale * number(seed * 1000 + i);
  }
  [[nodiscard]] static float feature(auto const& p, std::size_t token, std::size_t j) {
    return number(static_cast<std::uint64_t>(p.iteration * 10007 + p.microbatch * 101) * 1009 +
                  token * 31 + j);
  }

  moe_sizes of_;
};
static_assert(moe_model<scaled_experts>);

/// Five ranks with two slots each, two copies of every shard, no token dropped.
[[nodiscard]] inline moe_training small_moe_training() {
  moe_training t;
  t.ranks = 5;
  t.slots_per_rank = 2;
  t.tokens = 9;
  t.capacity.reset();
  t.copies = 2;
  t.iterations = 6;
  return t;
}

}  // namespace shunt::tests
