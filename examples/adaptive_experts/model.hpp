#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <span>
#include <type_traits>
#include <vector>

#include "expert.hpp"
#include "grid.hpp"
#include "matrix.hpp"
#include "product.hpp"
#include "shunt/core/id.hpp"
#include "shunt/train/moe_model.hpp"
#include "text.hpp"

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

/// What a layer keeps of a micro-batch beside what the library does. Over no memory it only counts.
template <class T>
struct kept_routing {
  kept_routing(moe_model const& m, std::int64_t tokens, span_splitter<T> from)
      : probability(from.matrix(tokens, m.experts)),
        inverse_rms(from.matrix(tokens, 1)),
        count(from.used()) {}

  matrix_in<T> probability;  ///< the router's, of every expert
  matrix_in<T> inverse_rms;  ///< 1 / rms(h)
  std::size_t count;
};

[[nodiscard]] inline shunt::moe_sizes sizes_of(moe_model const& m, std::int64_t tokens) {
  return {.layers = m.layers,
          .experts = m.experts,
          .width = m.expert.width,
          .dense = dense_count(m),
          .expert = m.expert.elements(),
          .kept = static_cast<std::int64_t>(kept_routing<float>(m, tokens, {}).count)};
}

/// The model on a text, as the library trains it.
class expert_language_model {
 public:
  /// `from`: windows of context and target.
  expert_language_model(moe_model sizes, sampler from, std::uint64_t seed)
      : m_(sizes), text_(from), seed_(seed) {}

  [[nodiscard]] moe_model const& of() const { return m_; }
  [[nodiscard]] sampler const& text() const { return text_; }

  [[nodiscard]] shunt::moe_sizes sizes(std::int64_t tokens) const { return sizes_of(m_, tokens); }
  void initialise(std::span<float> dense) const {
    dense_parameters<float> p(m_, span_splitter<float>(dense));
    example::initialise(m_, seed_, p);
  }
  void initialise(shunt::layer_id l, shunt::expert_id e, std::span<float> parameters) const {
    auto const drawn = initial_expert(m_, seed_, l.value(), e.value());
    std::copy(drawn.begin(), drawn.end(), parameters.begin());
  }
  void weights(std::span<float const> masters, std::span<float> to) const {
    for (std::size_t i = 0; i < masters.size(); ++i)
      to[i] = static_cast<float>(weight_grid(static_cast<double>(masters[i])));
  }

  void embed(shunt::embed_pass const& a) const {
    dense_parameters<float const> const p(m_, span_splitter<float const>(a.dense));
    rows(a.hidden) = product_nt(embedded(m_, p.embed, windows(a, a.hidden)), p.project);
  }
  /// Of experts with equal scores the lowest.
  void route(shunt::route_pass const& a) const {
    dense_parameters<float const> const p(m_, span_splitter<float const>(a.dense));
    auto x = rows(a.input);
    kept_routing<float> k(m_, x.rows(), span_splitter<float>(a.kept));
    normalise(rows(a.hidden), x, k.inverse_rms);
    x = x.unaryExpr(
        [](float v) { return static_cast<float>(activation_grid(static_cast<double>(v))); });
    k.probability = product_nt(x, p.router[a.layer.index()]);
    for (Eigen::Index t = 0; t < x.rows(); ++t) {
      auto row = k.probability.row(t);
      Eigen::Index best = 0;
      auto const most = row.maxCoeff(&best);
      row = (row.array() - most).exp();
      row /= row.sum();
      a.expert[static_cast<std::size_t>(t)] = static_cast<std::int32_t>(best);
      a.gate[static_cast<std::size_t>(t)] = row(best);
    }
  }
  void expert_forward(shunt::expert_pass const& a) const {
    auto const count = rows(a.input).rows(), width = rows(a.input).cols();
    m_.expert.forward(a.parameters, {a.input.data(), count, width},
                      {a.output.data(), count, width});
  }
  void combine(shunt::combine_pass const& a) const { row(a.hidden) += a.gate * row(a.output); }
  [[nodiscard]] double head(shunt::head_pass const& a) const {
    dense_parameters<float const> const p(m_, span_splitter<float const>(a.dense));
    dense_parameters<float> gradient(m_, span_splitter<float>(a.gradient));
    auto hidden = rows(a.hidden);
    auto const text = windows(a, a.hidden);
    stored_matrix x(hidden.rows(), hidden.cols()), inverse(hidden.rows(), 1);
    normalise(hidden, x, inverse);
    stored_matrix logits = product_nt(x, p.head);
    logits.rowwise() += p.bias.row(0);
    double loss = 0;
    for (Eigen::Index t = 0; t < logits.rows(); ++t) {
      auto const target = text[static_cast<std::size_t>(t)][m_.context];
      auto scores = logits.row(t);
      float const most = scores.maxCoeff();
      float const own = scores(target) - most;
      scores = (scores.array() - most).exp();
      float const sum = scores.sum();
      loss += static_cast<double>(std::log(sum) - own);
      scores /= sum;
      scores(target) -= 1;
    }
    gradient.head = product_tn(logits, x);
    gradient.bias = logits.colwise().sum();
    stored_matrix const dx = product(logits, p.head);
    hidden.setZero();
    normalise_backward(x, inverse, dx, hidden);
    return loss;
  }

  [[nodiscard]] float combine_backward(shunt::combine_backward_pass const& a) const {
    row(a.output_gradient) = (a.gate * row(a.hidden_gradient)).unaryExpr([](float v) {
      return static_cast<float>(gradient_grid(static_cast<double>(v)));
    });
    return row(a.hidden_gradient).dot(row(a.output));
  }
  [[nodiscard]] bool expert_backward(shunt::expert_backward_pass const& a) const {
    auto const count = rows(a.input).rows(), width = rows(a.input).cols();
    return m_.expert.backward(a.parameters, {a.input.data(), count, width},
                              {a.output_gradient.data(), count, width},
                              {a.input_gradient.data(), count, width}, a.gradient);
  }
  void route_backward(shunt::route_backward_pass const& a) const {
    dense_parameters<float const> const p(m_, span_splitter<float const>(a.dense));
    dense_parameters<float> gradient(m_, span_splitter<float>(a.gradient));
    auto const x = rows(a.input);
    kept_routing<float const> const k(m_, x.rows(), span_splitter<float const>(a.kept));
    stored_matrix logits = k.probability;
    for (Eigen::Index t = 0; t < logits.rows(); ++t) {
      auto const at = static_cast<std::size_t>(t);
      float const through = a.gate_gradient[at] * a.gate[at];
      logits.row(t) *= -through;
      logits(t, a.expert[at]) += through;
    }
    auto dx = rows(a.input_gradient);
    dx += product(logits, p.router[a.layer.index()]);
    normalise_backward(x, k.inverse_rms, dx, rows(a.hidden_gradient));
    gradient.router[a.layer.index()] = product_tn(logits, x);
  }
  void embed_backward(shunt::embed_backward_pass const& a) const {
    dense_parameters<float const> const p(m_, span_splitter<float const>(a.dense));
    dense_parameters<float> gradient(m_, span_splitter<float>(a.gradient));
    auto const above = rows(a.hidden_gradient);
    auto const text = windows(a, a.hidden_gradient);
    gradient.project = product_tn(above, embedded(m_, p.embed, text));
    stored_matrix const du = product(above, p.project);
    for (std::size_t t = 0; t < text.size(); ++t)
      for (std::int32_t b = 0; b < m_.context; ++b)
        gradient.embed.row(text[t][b]) +=
            du.row(static_cast<Eigen::Index>(t)).segment(b * m_.embedding, m_.embedding);
  }

 private:
  template <class T>
  [[nodiscard]] matrix_in<T> rows(std::span<T> all) const {
    return matrix_in<T>(all.data(), static_cast<Eigen::Index>(all.size()) / m_.expert.width,
                        m_.expert.width);
  }
  template <class T>
  using row_in = Eigen::Map<
      std::conditional_t<std::is_const_v<T>, Eigen::RowVectorXf const, Eigen::RowVectorXf>>;
  template <class T>
  [[nodiscard]] static row_in<T> row(std::span<T> all) {
    return {all.data(), static_cast<Eigen::Index>(all.size())};
  }
  [[nodiscard]] std::vector<std::uint8_t const*> windows(auto const& pass,
                                                         std::span<float const> hidden) const {
    std::vector<std::uint8_t const*> all(hidden.size() / static_cast<std::size_t>(m_.expert.width));
    for (std::size_t t = 0; t < all.size(); ++t)
      all[t] = text_(pass.iteration, pass.microbatch, static_cast<std::int64_t>(t));
    return all;
  }

  moe_model m_;
  sampler text_;
  std::uint64_t seed_;
};
static_assert(shunt::moe_model<expert_language_model>);

}  // namespace example
