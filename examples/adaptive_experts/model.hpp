#pragma once
#include <cstdint>
#include <random>
#include <span>
#include <type_traits>
#include <vector>

#include "expert.hpp"
#include "grid.hpp"
#include "matrix.hpp"
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

std::int64_t dense_count(moe_model const& m);

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
void initialise(moe_model const& m, std::uint64_t seed, dense_parameters<float>& p);
/// The same of one expert, on the weight grid.
std::vector<float> initial_expert(moe_model const& m, std::uint64_t seed, std::int32_t layer,
                                  std::int32_t expert);

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

shunt::moe_sizes sizes_of(moe_model const& m, std::int64_t tokens);

/// The model on a text, as the library trains it.
class expert_language_model {
 public:
  /// `from`: windows of context and target.
  expert_language_model(moe_model sizes, text_sampler from, std::uint64_t seed)
      : m_(sizes), text_(from), seed_(seed) {}

  moe_model const& of() const { return m_; }
  text_sampler const& text() const { return text_; }

  shunt::moe_sizes sizes(std::int64_t tokens) const { return sizes_of(m_, tokens); }
  void initialise(std::span<float> dense) const;
  void initialise(shunt::layer_id l, shunt::expert_id e, std::span<float> parameters) const;
  void weights(std::span<float const> masters, std::span<float> to) const;

  void embed(shunt::embed_pass const& a) const;
  /// Of experts with equal scores the lowest.
  void route(shunt::route_pass const& a) const;
  void expert_forward(shunt::expert_pass const& a) const;
  void combine(shunt::combine_pass const& a) const;
  double head(shunt::head_pass const& a) const;

  float combine_backward(shunt::combine_backward_pass const& a) const;
  bool expert_backward(shunt::expert_backward_pass const& a) const;
  void route_backward(shunt::route_backward_pass const& a) const;
  void embed_backward(shunt::embed_backward_pass const& a) const;

 private:
  template <class T>
  matrix_in<T> rows(std::span<T> all) const {
    return matrix_in<T>(all.data(), static_cast<Eigen::Index>(all.size()) / m_.expert.width,
                        m_.expert.width);
  }
  template <class T>
  using row_in = Eigen::Map<
      std::conditional_t<std::is_const_v<T>, Eigen::RowVectorXf const, Eigen::RowVectorXf>>;
  template <class T>
  static row_in<T> row(std::span<T> all) {
    return {all.data(), static_cast<Eigen::Index>(all.size())};
  }
  std::vector<std::uint8_t const*> windows(auto const& pass, std::span<float const> hidden) const;

  moe_model m_;
  text_sampler text_;
  std::uint64_t seed_;
};
static_assert(shunt::moe_model<expert_language_model>);

}  // namespace example
