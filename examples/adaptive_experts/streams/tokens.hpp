#pragma once
/// What a micro-batch's tokens go through outside of the experts, as function objects for the items
/// of a device: model.hpp, row by row. All matrices are row-major without gaps. Every sum is made
/// by one thread in ascending order, so that it has the same bits wherever it is made.
#include <cmath>
#include <cstdint>

#include "../grid.hpp"
#include "model_kernels.hpp"
#include "shunt/core/host_device.hpp"

namespace example::moe {

/// x = h / rms(h). An item is a token.
struct normalise_rows {
  float const* hidden = nullptr;
  std::int64_t width = 1;
  bool on_grid = false;  ///< x on the activation grid
  float* x = nullptr;
  float* inverse = nullptr;  ///< 1 / rms(h)

  SHUNT_HD void operator()(std::int64_t t) const {
    float const* const h = hidden + t * width;
    float squares = 0;
    for (std::int64_t d = 0; d < width; ++d) squares += h[d] * h[d];
    float const scale = 1 / std::sqrt(squares / static_cast<float>(width) + 1e-6F);
    inverse[t] = scale;
    for (std::int64_t d = 0; d < width; ++d) {
      float const v = h[d] * scale;
      x[t * width + d] =
          on_grid ? static_cast<float>(on_activation_grid{}(static_cast<double>(v))) : v;
    }
  }
};

/// Adds to dh the gradient of the loss with respect to h, where x = h / rms(h) and dx is that with
/// respect to x. An item is a token.
struct normalise_rows_backward {
  float const* x = nullptr;
  float const* inverse = nullptr;
  float const* dx = nullptr;
  std::int64_t width = 1;
  bool add = true;  ///< else dh is overwritten
  float* dh = nullptr;

  SHUNT_HD void operator()(std::int64_t t) const {
    std::int64_t const first = t * width;
    float along = 0;
    for (std::int64_t i = first; i < first + width; ++i) along += x[i] * dx[i];
    along /= static_cast<float>(width);
    for (std::int64_t i = first; i < first + width; ++i)
      dh[i] = (add ? dh[i] : 0) + (dx[i] - x[i] * along) * inverse[t];
  }
};

/// The router's softmax, and the expert of the largest probability, of equal ones the lowest. An
/// item is a token.
struct choose_expert {
  float const* scores = nullptr;  ///< tokens x experts
  std::int64_t experts = 1;
  float* probability = nullptr;  ///< tokens x experts, written
  std::int32_t* expert = nullptr;
  float* gate = nullptr;

  SHUNT_HD void operator()(std::int64_t t) const {
    float const* const score = scores + t * experts;
    float* const row = probability + t * experts;
    std::int64_t best = 0;
    for (std::int64_t e = 1; e < experts; ++e)
      if (score[e] > score[best]) best = e;
    float sum = 0;
    for (std::int64_t e = 0; e < experts; ++e) sum += row[e] = std::exp(score[e] - score[best]);
    for (std::int64_t e = 0; e < experts; ++e) row[e] /= sum;
    expert[t] = static_cast<std::int32_t>(best);
    gate[t] = row[best];
  }
};

/// h += p y where a token has an answer. Items: tokens x width.
struct combine_answers {
  float const* gate = nullptr;
  std::int64_t const* place = nullptr;  ///< the row of the answer; -1: none
  float const* answers = nullptr;       ///< rows that travelled
  std::int64_t width = 1;
  float* hidden = nullptr;

  SHUNT_HD void operator()(std::int64_t i) const {
    std::int64_t const t = i / width;
    if (place[t] >= 0) hidden[i] += gate[t] * answers[place[t] * width + i % width];
  }
};

/// Its backward pass: the gates' gradients, and the answers', on their grid, where the tokens were.
/// An item is a token.
struct combine_answers_backward {
  float const* gate = nullptr;
  std::int64_t const* place = nullptr;
  float const* answers = nullptr;
  float const* above = nullptr;  ///< gradient with respect to h
  std::int64_t width = 1;
  float* outgoing = nullptr;
  float* gate_gradient = nullptr;

  SHUNT_HD void operator()(std::int64_t t) const {
    std::int64_t const row = place[t];
    float sum = 0;
    if (row >= 0) {
      for (std::int64_t d = 0; d < width; ++d) {
        float const v = above[t * width + d];
        sum += v * answers[row * width + d];
        outgoing[row * width + d] =
            static_cast<float>(on_gradient_grid{}(static_cast<double>(gate[t] * v)));
      }
    }
    gate_gradient[t] = sum;
  }
};

/// Scores without bias become the gradient of the sum of losses with respect to them. An item is a
/// token.
struct score_tokens {
  static constexpr std::int64_t bytes = 256;
  float const* bias = nullptr;
  text_windows windows{};
  std::int64_t context = 1;
  float* scores = nullptr;   ///< tokens x bytes
  double* losses = nullptr;  ///< of each token, in nats

  SHUNT_HD void operator()(std::int64_t t) const {
    float* const row = scores + t * bytes;
    std::int64_t const target = windows.byte(t, context);
    float most = row[0] + bias[0];
    for (std::int64_t b = 0; b < bytes; ++b) {
      row[b] += bias[b];
      if (row[b] > most) most = row[b];
    }
    float const own = row[target] - most;
    float sum = 0;
    for (std::int64_t b = 0; b < bytes; ++b) sum += row[b] = std::exp(row[b] - most);
    losses[t] = static_cast<double>(std::log(sum) - own);
    for (std::int64_t b = 0; b < bytes; ++b) row[b] /= sum;
    row[target] -= 1;
  }
};

/// One item.
struct sum_losses {
  double const* losses = nullptr;
  std::int64_t tokens = 1;
  double* sum = nullptr;

  SHUNT_HD void operator()(std::int64_t) const {
    double all = 0;
    for (std::int64_t t = 0; t < tokens; ++t) all += losses[t];
    *sum = all;
  }
};

/// The gradient of the loss with respect to the router's scores. An item is a token.
struct choose_expert_backward {
  std::int64_t experts = 1;
  float const *probability = nullptr, *gate = nullptr, *gate_gradient = nullptr;
  std::int32_t const* expert = nullptr;
  float* scores = nullptr;  ///< tokens x experts, written

  SHUNT_HD void operator()(std::int64_t t) const {
    float const through = gate_gradient[t] * gate[t];
    for (std::int64_t e = 0; e < experts; ++e)
      scores[t * experts + e] =
          (e == expert[t] ? through : 0) - through * probability[t * experts + e];
  }
};

/// What comes back from the experts is added to what came through the router. Items: tokens x
/// width.
struct add_returned {
  std::int64_t const* place = nullptr;
  float const* incoming = nullptr;  ///< rows that travelled
  std::int64_t width = 1;
  float* dx = nullptr;

  SHUNT_HD void operator()(std::int64_t i) const {
    std::int64_t const row = place[i / width];
    if (row >= 0) dx[i] += incoming[row * width + i % width];
  }
};

}  // namespace example::moe
