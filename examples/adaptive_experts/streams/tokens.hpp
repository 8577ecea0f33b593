#pragma once
/// What a micro-batch's tokens go through outside of the experts, as function objects for the items
/// of a device: model.hpp, row by row. All matrices are row-major without gaps. Every sum is made
/// by one thread in ascending order, so that it has the same bits wherever it is made.
#include <cmath>
#include <cstdint>

#include "../grid.hpp"
#include "shunt/core/host_device.hpp"
#include "shunt/train/fixed_point.hpp"
#include "window_choice.hpp"

namespace example::moe {

/// The bytes that each token sees, and behind them the one to predict. An item is a token.
struct read_windows {
  std::uint8_t const* text = nullptr;
  window_choice choice{};
  std::int64_t const* iteration = nullptr;
  std::int32_t microbatch = 0;
  std::int32_t window = 1;          ///< bytes: context and target
  std::uint8_t* windows = nullptr;  ///< tokens x window, written

  SHUNT_HD void operator()(std::int64_t t) const {
    std::uint8_t const* const from = text + choice(*iteration, microbatch, t);
    for (std::int32_t b = 0; b < window; ++b) windows[t * window + b] = from[b];
  }
};

/// Items: tokens x context x embedding.
struct embed_windows {
  float const* table = nullptr;  ///< bytes x embedding
  std::uint8_t const* windows = nullptr;
  std::int32_t window = 1, embedding = 1;
  float* embedded = nullptr;  ///< written

  SHUNT_HD void operator()(std::int64_t i) const {
    std::int64_t const inputs = std::int64_t{window - 1} * embedding, t = i / inputs,
                       at = i % inputs;
    embedded[i] =
        table[std::int64_t{windows[t * window + at / embedding]} * embedding + at % embedding];
  }
};

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

/// What one layer keeps of one micro-batch.
struct kept_arrays {
  std::int64_t experts = 1;
  float *x = nullptr, *probability = nullptr, *inverse_rms = nullptr, *expert = nullptr,
        *place = nullptr, *gate_gradient = nullptr;

  [[nodiscard]] SHUNT_HD std::int64_t chosen(std::int64_t t) const {
    return static_cast<std::int64_t>(expert[t]);
  }
  /// The probability of the expert chosen.
  [[nodiscard]] SHUNT_HD float gate(std::int64_t t) const {
    return probability[t * experts + chosen(t)];
  }
};

/// The router's softmax, and the expert of the largest probability, of equal ones the lowest. An
/// item is a token.
struct choose_expert {
  float const* scores = nullptr;  ///< tokens x experts
  kept_arrays kept{};

  SHUNT_HD void operator()(std::int64_t t) const {
    float const* const score = scores + t * kept.experts;
    float* const row = kept.probability + t * kept.experts;
    std::int64_t best = 0;
    for (std::int64_t e = 1; e < kept.experts; ++e)
      if (score[e] > score[best]) best = e;
    float sum = 0;
    for (std::int64_t e = 0; e < kept.experts; ++e)
      sum += row[e] = std::exp(score[e] - score[best]);
    for (std::int64_t e = 0; e < kept.experts; ++e) row[e] /= sum;
    kept.expert[t] = static_cast<float>(best);
  }
};

/// How many tokens chose each expert. An item is an expert.
struct count_choices {
  kept_arrays kept{};
  std::int64_t tokens = 0;
  std::int64_t* counts = nullptr;

  SHUNT_HD void operator()(std::int64_t e) const {
    std::int64_t sum = 0;
    for (std::int64_t t = 0; t < tokens; ++t) sum += kept.chosen(t) == e;
    counts[e] = sum;
  }
};

/// h += p y where a token has an answer. Items: tokens x width.
struct combine_answers {
  kept_arrays kept{};
  float const* answers = nullptr;  ///< rows that travelled
  std::int64_t width = 1;
  float* hidden = nullptr;

  SHUNT_HD void operator()(std::int64_t i) const {
    std::int64_t const t = i / width, place = static_cast<std::int64_t>(kept.place[t]);
    if (place >= 0) hidden[i] += kept.gate(t) * answers[place * width + i % width];
  }
};

/// Its backward pass: the gates' gradients, and the answers', on their grid, where the tokens were.
/// An item is a token.
struct combine_answers_backward {
  kept_arrays kept{};
  float const* answers = nullptr;
  float const* above = nullptr;  ///< gradient with respect to h
  std::int64_t width = 1;
  float* outgoing = nullptr;

  SHUNT_HD void operator()(std::int64_t t) const {
    auto const place = static_cast<std::int64_t>(kept.place[t]);
    float sum = 0;
    if (place >= 0) {
      float const gate = kept.gate(t);
      for (std::int64_t d = 0; d < width; ++d) {
        float const v = above[t * width + d];
        sum += v * answers[place * width + d];
        outgoing[place * width + d] =
            static_cast<float>(on_gradient_grid{}(static_cast<double>(gate * v)));
      }
    }
    kept.gate_gradient[t] = sum;
  }
};

/// Scores without bias become the gradient of the sum of losses with respect to them. An item is a
/// token.
struct score_tokens {
  static constexpr std::int64_t bytes = 256;
  float const* bias = nullptr;
  std::uint8_t const* windows = nullptr;
  std::int32_t window = 1;
  float* scores = nullptr;   ///< tokens x bytes
  double* losses = nullptr;  ///< of each token, in nats

  SHUNT_HD void operator()(std::int64_t t) const {
    float* const row = scores + t * bytes;
    std::int64_t const target = windows[t * window + window - 1];
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
struct mean_loss {
  double const* losses = nullptr;
  std::int64_t tokens = 1;
  float* mean = nullptr;

  SHUNT_HD void operator()(std::int64_t) const {
    double sum = 0;
    for (std::int64_t t = 0; t < tokens; ++t) sum += losses[t];
    *mean = static_cast<float>(sum / static_cast<double>(tokens));
  }
};

/// The gradient of the loss with respect to the router's scores. An item is a token.
struct choose_expert_backward {
  kept_arrays kept{};
  float* scores = nullptr;  ///< tokens x experts, written

  SHUNT_HD void operator()(std::int64_t t) const {
    float const through = kept.gate_gradient[t] * kept.gate(t);
    for (std::int64_t e = 0; e < kept.experts; ++e)
      scores[t * kept.experts + e] =
          (e == kept.chosen(t) ? through : 0) - through * kept.probability[t * kept.experts + e];
  }
};

/// What comes back from the experts is added to what came through the router. Items: tokens x
/// width.
struct add_returned {
  kept_arrays kept{};
  float const* incoming = nullptr;  ///< rows that travelled
  std::int64_t width = 1;
  float* dx = nullptr;

  SHUNT_HD void operator()(std::int64_t i) const {
    auto const place = static_cast<std::int64_t>(kept.place[i / width]);
    if (place >= 0) dx[i] += incoming[place * width + i % width];
  }
};

/// The gradient of the table of embeddings. Items: bytes x embedding.
struct embed_windows_backward {
  float const* gradient =
      nullptr;  ///< with respect to what was embedded, tokens x context x embedding
  std::uint8_t const* windows = nullptr;
  std::int64_t tokens = 0;
  std::int32_t window = 1, embedding = 1;
  float* table = nullptr;  ///< written

  SHUNT_HD void operator()(std::int64_t i) const {
    std::int64_t const byte = i / embedding, column = i % embedding, context = window - 1;
    float sum = 0;
    for (std::int64_t t = 0; t < tokens; ++t)
      for (std::int64_t b = 0; b < context; ++b)
        if (windows[t * window + b] == byte)
          sum += gradient[(t * context + b) * embedding + column];
    table[i] = sum;
  }
};

/// Adds a gradient over `terms` to its sums in fixed point, and what doesn't fit to a count. A
/// team.
struct add_in_fixed_point {
  float const* gradient = nullptr;
  std::int64_t count = 0;
  float terms = 1;
  std::int64_t* sums = nullptr;
  std::int64_t* misfits = nullptr;

  [[nodiscard]] SHUNT_HD constexpr std::int64_t shared_bytes() const { return 0; }
  template <class Team>
  SHUNT_HD void operator()(Team const& team, std::int32_t, unsigned char*) const {
    std::int64_t const bad = team.sum([&](std::int32_t thread) {
      std::int64_t mine = 0;
      for (std::int64_t i = thread; i < count; i += team.size()) {
        float const g = gradient[i] / terms;
        mine += !shunt::fixed_point::fits(g);
        sums[i] += shunt::fixed_point::rounded(g);
      }
      return mine;
    });
    team.each([&](std::int32_t thread) {
      if (thread == 0) *misfits += bad;
    });
  }
};

}  // namespace example::moe
