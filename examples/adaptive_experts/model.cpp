#include "model.hpp"

#include <algorithm>
#include <cmath>

namespace example {

namespace {

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
stored_matrix embedded(moe_model const& m, matrix_in<float const> const& embed,
                       std::span<std::uint8_t const* const> windows) {
  stored_matrix u(static_cast<Eigen::Index>(windows.size()), m.context * m.embedding);
  for (std::size_t t = 0; t < windows.size(); ++t)
    for (std::int32_t c = 0; c < m.context; ++c)
      u.row(static_cast<Eigen::Index>(t)).segment(c * m.embedding, m.embedding) =
          embed.row(windows[t][c]);
  return u;
}

}  // namespace

std::int64_t dense_count(moe_model const& m) {
  return static_cast<std::int64_t>(dense_parameters<float>(m, {}).count);
}

void initialise(moe_model const& m, std::uint64_t seed, dense_parameters<float>& p) {
  initial_numbers draw(seed);
  draw.fill(p.embed, std::sqrt(3.0));
  draw.fill(p.project, std::sqrt(3.0 / (m.context * m.embedding)));
  draw.fill(p.head, 0.5 * std::sqrt(3.0 / m.expert.width));
  p.bias.setZero();
  for (auto& r : p.router) draw.fill(r, std::sqrt(3.0 / m.expert.width));
}

std::vector<float> initial_expert(moe_model const& m, std::uint64_t seed, std::int32_t layer,
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

shunt::moe_sizes sizes_of(moe_model const& m, std::int64_t tokens) {
  return {.layers = m.layers,
          .experts = m.experts,
          .width = m.expert.width,
          .dense = dense_count(m),
          .expert = m.expert.elements(),
          .kept = static_cast<std::int64_t>(kept_routing<float>(m, tokens, {}).count)};
}

void expert_language_model::initialise(std::span<float> dense) const {
  dense_parameters<float> p(m_, span_splitter<float>(dense));
  example::initialise(m_, seed_, p);
}

void expert_language_model::initialise(shunt::layer_id l, shunt::expert_id e,
                                       std::span<float> parameters) const {
  auto const drawn = initial_expert(m_, seed_, l.value(), e.value());
  std::copy(drawn.begin(), drawn.end(), parameters.begin());
}

void expert_language_model::weights(std::span<float const> masters, std::span<float> to) const {
  for (std::size_t i = 0; i < masters.size(); ++i)
    to[i] = static_cast<float>(weight_grid(static_cast<double>(masters[i])));
}

void expert_language_model::embed(shunt::embed_pass const& a) const {
  dense_parameters<float const> const p(m_, span_splitter<float const>(a.dense));
  rows(a.hidden) = product_nt(embedded(m_, p.embed, windows(a, a.hidden)), p.project);
}

void expert_language_model::route(shunt::route_pass const& a) const {
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

void expert_language_model::expert_forward(shunt::expert_pass const& a) const {
  auto const count = rows(a.input).rows(), width = rows(a.input).cols();
  m_.expert.forward(a.parameters, {a.input.data(), count, width}, {a.output.data(), count, width});
}

void expert_language_model::combine(shunt::combine_pass const& a) const {
  row(a.hidden) += a.gate * row(a.output);
}

double expert_language_model::head(shunt::head_pass const& a) const {
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

float expert_language_model::combine_backward(shunt::combine_backward_pass const& a) const {
  row(a.output_gradient) = (a.gate * row(a.hidden_gradient)).unaryExpr([](float v) {
    return static_cast<float>(gradient_grid(static_cast<double>(v)));
  });
  return row(a.hidden_gradient).dot(row(a.output));
}

bool expert_language_model::expert_backward(shunt::expert_backward_pass const& a) const {
  auto const count = rows(a.input).rows(), width = rows(a.input).cols();
  return m_.expert.backward(a.parameters, {a.input.data(), count, width},
                            {a.output_gradient.data(), count, width},
                            {a.input_gradient.data(), count, width}, a.gradient);
}

void expert_language_model::route_backward(shunt::route_backward_pass const& a) const {
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

void expert_language_model::embed_backward(shunt::embed_backward_pass const& a) const {
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

std::vector<std::uint8_t const*> expert_language_model::windows(
    auto const& pass, std::span<float const> hidden) const {
  std::vector<std::uint8_t const*> all(hidden.size() / static_cast<std::size_t>(m_.expert.width));
  for (std::size_t t = 0; t < all.size(); ++t)
    all[t] = text_(pass.iteration, pass.microbatch, static_cast<std::int64_t>(t));
  return all;
}

}  // namespace example
