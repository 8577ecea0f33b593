#pragma once
/// A model of dense layers that needs the standard library alone: a stage is y = tanh(x W + b), the
/// last one compares with targets. Regression on points drawn by (iteration, micro-batch).
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>

#include "shunt/train/pipeline_model.hpp"

namespace shunt::tests {

struct dense_model {
  std::int32_t count = 2;  ///< stages
  std::int64_t width = 5, batch = 3;

  [[nodiscard]] std::int32_t stages() const { return count; }
  [[nodiscard]] stage_sizes sizes(stage_id) const {
    return {.parameters = width * width + width, .output = batch * width, .stash = batch * width};
  }
  void initialise(stage_id s, std::span<float> parameters) const {
    std::mt19937 random(static_cast<std::uint32_t>(s.value()) + 1);
    for (std::int64_t i = 0; i < width * width; ++i)
      parameters[at(i)] = static_cast<float>(random() % 1000) / 1000.0F - 0.5F;
  }
  double forward(forward_pass const& p) const {
    double loss = 0;
    for (std::int64_t b = 0; b < batch; ++b)
      for (std::int64_t j = 0; j < width; ++j) {
        float sum = p.parameters[at(width * width + j)];
        for (std::int64_t i = 0; i < width; ++i)
          sum += x(p, b, i) * p.parameters[at(i * width + j)];
        float const y = std::tanh(sum);
        p.stash[at(b * width + j)] = y;
        if (!p.output.empty()) p.output[at(b * width + j)] = y;
        double const off = static_cast<double>(y - target(p, b, j));
        loss += off * off;
      }
    return loss / static_cast<double>(batch * width);
  }
  /// Turns the stash from y to the gradient of x W + b.
  void backward_input(backward_input_pass const& p) const {
    for (std::int64_t b = 0; b < batch; ++b)
      for (std::int64_t j = 0; j < width; ++j) {
        float& y = p.stash[at(b * width + j)];
        float const dy = p.output_gradient.empty()
                             ? 2 * (y - target(p, b, j)) / static_cast<float>(batch * width)
                             : p.output_gradient[at(b * width + j)];
        y = dy * (1 - y * y);
      }
    if (p.input_gradient.empty()) return;
    for (std::int64_t b = 0; b < batch; ++b)
      for (std::int64_t i = 0; i < width; ++i) {
        float sum = 0;
        for (std::int64_t j = 0; j < width; ++j)
          sum += p.stash[at(b * width + j)] * p.parameters[at(i * width + j)];
        p.input_gradient[at(b * width + i)] = sum;
      }
  }
  void backward_weight(backward_weight_pass const& p) const {
    for (std::int64_t j = 0; j < width; ++j) {
      for (std::int64_t i = 0; i <= width; ++i) {
        float sum = 0;
        for (std::int64_t b = 0; b < batch; ++b)
          sum += (i == width ? 1 : x(p, b, i)) * p.stash[at(b * width + j)];
        p.gradient[at(i * width + j)] = sum;
      }
    }
  }

 private:
  [[nodiscard]] static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
  template <class Pass>
  [[nodiscard]] float x(Pass const& p, std::int64_t b, std::int64_t i) const {
    if (!p.input.empty()) return p.input[at(b * width + i)];
    return std::sin(static_cast<float>(1 + p.iteration * 31 + p.microbatch * 7 + b * 5 + i));
  }
  template <class Pass>
  [[nodiscard]] static float target(Pass const& p, std::int64_t b, std::int64_t j) {
    return 0.5F * std::sin(static_cast<float>(1 + p.iteration * 31 + p.microbatch * 7 + b * 5 + j));
  }
};
static_assert(pipeline_model<dense_model>);

}  // namespace shunt::tests
