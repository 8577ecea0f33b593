#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "expert.hpp"
#include "fixed_point.hpp"
#include "grid.hpp"
#include "matrix.hpp"
#include "product.hpp"

namespace example {

/// A byte-level language model whose non-linear part is mixture-of-experts layers alone: from
/// `context` bytes it predicts the next one.
///
///   h = P [e(byte 1) ... e(byte context)]
///   each layer: x = h / rms(h), p = softmax(R x), the expert of the largest p answers y, h += p y
///   (h stays where the token is dropped) head: softmax(H h / rms(h) + c), cross-entropy
struct moe_model {
  std::int32_t context = 8;     ///< bytes
  std::int32_t embedding = 16;  ///< numbers a byte
  std::int32_t layers = 1;
  std::int32_t experts = 16;
  expert_mlp expert{.width = 32, .hidden = 64};

  static constexpr std::int32_t bytes = 256;
};

/// The replicated parameters, in one run of floats. Over no memory it only counts them. T is
/// `float` or `float const`.
template <class T>
struct dense_parameters {
  dense_parameters(moe_model const& m, span_splitter<T> from)
      : embed(from.matrix(m.bytes, m.embedding)),
        project(from.matrix(m.expert.width, std::int64_t{m.context} * m.embedding)),
        head(from.matrix(m.bytes, m.expert.width)),
        bias(from.matrix(1, m.bytes)) {
    for (std::int32_t l = 0; l < m.layers; ++l)
      router.push_back(from.matrix(m.experts, m.expert.width));
    count = from.used();
  }

  matrix_in<T> embed, project, head, bias;
  std::vector<matrix_in<T>> router;
  std::size_t count = 0;
};

[[nodiscard]] inline std::int64_t dense_count(moe_model const& m) {
  return static_cast<std::int64_t>(dense_parameters<float>(m, {}).count);
}

/// What one layer keeps of one rank's tokens until its backward pass. T as above.
template <class T>
struct kept_tokens {
  kept_tokens(moe_model const& m, std::int64_t tokens, span_splitter<T> from)
      : x(from.matrix(tokens, m.expert.width)),
        probability(from.matrix(tokens, m.experts)),
        inverse_rms(from.matrix(tokens, 1)),
        expert(from.matrix(tokens, 1)),
        place(from.matrix(tokens, 1)),
        gate_gradient(from.matrix(tokens, 1)),
        count(from.used()) {}

  matrix_in<T> x;              ///< what router and expert read, on the activation grid
  matrix_in<T> probability;    ///< the router's, of every expert
  matrix_in<T> inverse_rms;    ///< 1 / rms(h)
  matrix_in<T> expert;         ///< the expert chosen
  matrix_in<T> place;          ///< where the token travels among the parts; -1 where it was dropped
  matrix_in<T> gate_gradient;  ///< of the loss with respect to the probability of the expert chosen
  std::size_t count;
};

/// x = h / rms(h), row by row; returns 1 / rms(h) in `inverse`.
template <class Hidden, class Target, class Inverse>
void normalise(Hidden const& h, Target&& x, Inverse&& inverse) {
  auto const width = static_cast<float>(h.cols());
  inverse = ((h.rowwise().squaredNorm().array() / width) + 1e-6F).rsqrt().matrix();
  x = h.array().colwise() * inverse.col(0).array();
}

/// Adds to dh the gradient of the loss with respect to h, where x = h / rms(h) and dx is that with
/// respect to x.
template <class X, class Inverse, class Dx, class Dh>
void normalise_backward(X const& x, Inverse const& inverse, Dx const& dx, Dh&& dh) {
  auto const width = static_cast<float>(x.cols());
  Eigen::VectorXf const along = (x.cwiseProduct(dx)).rowwise().sum() / width;
  dh.array() +=
      (dx.array() - x.array().colwise() * along.array()).colwise() * inverse.col(0).array();
}

/// One row of embeddings for each window of text.
inline stored_matrix embedded(moe_model const& m, matrix_in<float const> const& embed,
                              std::span<std::uint8_t const* const> windows) {
  stored_matrix u(static_cast<Eigen::Index>(windows.size()), m.context * m.embedding);
  for (std::size_t t = 0; t < windows.size(); ++t)
    for (std::int32_t c = 0; c < m.context; ++c)
      u.row(static_cast<Eigen::Index>(t)).segment(c * m.embedding, m.embedding) =
          embed.row(windows[t][c]);
  return u;
}

/// Router of a layer: fills x, inverse_rms, probability and expert (the lowest of equal ones) of
/// `kept`.
inline void choose_experts(matrix_in<float const> const& router,
                           matrix_in<float const> const& hidden, kept_tokens<float>& kept) {
  normalise(hidden, kept.x, kept.inverse_rms);
  kept.x = kept.x.unaryExpr(
      [](float v) { return static_cast<float>(activation_grid(static_cast<double>(v))); });
  kept.probability = product_nt(kept.x, router);
  for (Eigen::Index t = 0; t < kept.x.rows(); ++t) {
    auto row = kept.probability.row(t);
    Eigen::Index best = 0;
    auto const most = row.maxCoeff(&best);
    row = (row.array() - most).exp();
    row /= row.sum();
    kept.expert(t, 0) = static_cast<float>(best);
  }
}

/// The backward pass of choose_experts: adds the gradient to `hidden_gradient`, given that with
/// respect to x as experts read it, and returns the router's own.
inline stored_matrix choose_experts_backward(matrix_in<float const> const& router,
                                             kept_tokens<float const> const& kept,
                                             stored_matrix& x_gradient,
                                             matrix_in<float> hidden_gradient) {
  stored_matrix logits = kept.probability;
  for (Eigen::Index t = 0; t < logits.rows(); ++t) {
    auto const chosen = static_cast<Eigen::Index>(kept.expert(t, 0));
    float const through = kept.gate_gradient(t, 0) * kept.probability(t, chosen);
    logits.row(t) *= -through;
    logits(t, chosen) += through;
  }
  x_gradient += product(logits, router);
  normalise_backward(kept.x, kept.inverse_rms, x_gradient, hidden_gradient);
  return product_tn(logits, kept.x);
}

/// Head and loss of one rank's tokens. `hidden` becomes the gradient of the *sum* of losses with
/// respect to it.
struct head_result {
  double loss = 0;  ///< sum over tokens, in nats
  stored_matrix head, bias;
};
inline head_result head_and_loss(moe_model const& m, dense_parameters<float const> const& p,
                                 matrix_in<float> hidden,
                                 std::span<std::uint8_t const* const> windows) {
  head_result result;
  stored_matrix x(hidden.rows(), hidden.cols()), inverse(hidden.rows(), 1);
  normalise(hidden, x, inverse);
  stored_matrix logits = product_nt(x, p.head);
  logits.rowwise() += p.bias.row(0);
  for (Eigen::Index t = 0; t < logits.rows(); ++t) {
    auto const target = windows[static_cast<std::size_t>(t)][m.context];
    auto row = logits.row(t);
    float const most = row.maxCoeff();
    float const own = row(target) - most;
    row = (row.array() - most).exp();
    float const sum = row.sum();
    result.loss += static_cast<double>(std::log(sum) - own);
    row /= sum;
    row(target) -= 1;
  }
  result.head = product_tn(logits, x);
  result.bias = logits.colwise().sum();
  stored_matrix const dx = product(logits, p.head);
  hidden.setZero();
  normalise_backward(x, inverse, dx, hidden);
  return result;
}

/// Uniform numbers in [-1, 1), the same on any platform.
class initial_numbers {
 public:
  explicit initial_numbers(std::uint64_t seed) : bits_(seed) {}
  float operator()() {
    return static_cast<float>(static_cast<double>(bits_() >> 11) * 0x1p-52 - 1.0);
  }

  template <class Matrix>
  void fill(Matrix&& matrix, double scale) {
    for (Eigen::Index i = 0; i < matrix.size(); ++i)
      matrix.data()[i] = static_cast<float>(scale) * (*this)();
  }

 private:
  std::mt19937_64 bits_;
};

/// Parameters before the first iteration: uniform, with the variance that keeps activations near 1;
/// expert biases and the head's are 0.
inline void initialise(moe_model const& m, std::uint64_t seed, dense_parameters<float>& p) {
  initial_numbers draw(seed);
  draw.fill(p.embed, std::sqrt(3.0));
  draw.fill(p.project, std::sqrt(3.0 / (m.context * m.embedding)));
  draw.fill(p.head, 0.5 * std::sqrt(3.0 / m.expert.width));
  p.bias.setZero();
  for (auto& r : p.router) draw.fill(r, std::sqrt(3.0 / m.expert.width));
}
/// The same of one expert, on the weight grid.
inline std::vector<float> initial_expert(moe_model const& m, std::uint64_t seed, std::int32_t layer,
                                         std::int32_t expert) {
  initial_numbers draw(seed + 1 + static_cast<std::uint64_t>(layer) * 1000 +
                       static_cast<std::uint64_t>(expert));
  std::vector<float> parameters(static_cast<std::size_t>(m.expert.elements()), 0.0F);
  auto const block =
      static_cast<std::size_t>(m.expert.width) * static_cast<std::size_t>(m.expert.hidden);
  auto const draw_block = [&](std::size_t from, std::int32_t inputs) {
    double const scale = std::sqrt(3.0 / inputs);
    for (std::size_t i = 0; i < block; ++i)
      parameters[from + i] = static_cast<float>(weight_grid(scale * static_cast<double>(draw())));
  };
  draw_block(0, m.expert.width);
  draw_block(block + static_cast<std::size_t>(m.expert.hidden), m.expert.hidden);
  return parameters;
}

}  // namespace example
