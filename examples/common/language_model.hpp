#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <span>

#include "matrix.hpp"
#include "residual_block.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "text.hpp"

namespace example {

/// A byte-level language model cut into pipeline stages (after Bengio et al., JMLR 2003): the last
/// `context` bytes are embedded, the embeddings of a window joined and projected to `width`; every
/// stage runs one residual block; the last projects to the 256 bytes and takes the mean
/// cross-entropy of the next byte, in nats. Stage 0 also embeds, the last stage also predicts, and
/// a single stage does both.
///
/// All functions are pure: the same parameters, samples and incoming matrix give the same bits.
/// `stash` passes from forward to backward_input to backward_weight of one micro-batch; what passes
/// between stages is one batch x width matrix each way.
struct language_model {
  std::int32_t stages = 1;
  std::int32_t context = 8;
  std::int32_t embedding = 16;
  std::int32_t width = 32;
  std::int32_t hidden = 128;
  std::int32_t batch = 32;  ///< samples (predicted bytes) of a micro-batch

  static constexpr std::int64_t bytes = 256;  ///< the vocabulary

  [[nodiscard]] bool is_first(shunt::stage_id s) const { return s == 0; }
  [[nodiscard]] bool is_last(shunt::stage_id s) const { return s == stages - 1; }
  /// Bytes of text that a sample needs: its context and the byte to predict.
  [[nodiscard]] std::size_t window() const { return static_cast<std::size_t>(context) + 1; }
  /// Floats of the parameters of a stage, gaps for alignment included (they stay zero).
  [[nodiscard]] std::size_t parameters(shunt::stage_id s) const {
    span_splitter<float> count;
    parameters_of<float>(*this, s, count);
    return count.used();
  }
  /// Floats of the stash of one micro-batch on a stage.
  [[nodiscard]] std::size_t stash(shunt::stage_id s) const {
    span_splitter<float> count;
    stash_of<float>(*this, s, count);
    return count.used();
  }
  /// Floats of an activation or of its gradient.
  [[nodiscard]] std::size_t message() const {
    span_splitter<float> count;
    static_cast<void>(count.matrix(batch, width));
    return count.used();
  }

  /// Normal weights with variance 1 / inputs (a block's second matrix a tenth of that, the
  /// embedding 1), biases zero.
  void initialise(shunt::stage_id s, std::uint64_t seed, std::span<float> parameters) const {
    std::fill(parameters.begin(), parameters.end(), 0.0F);
    span_splitter<float> deal(parameters);
    parameters_of<float> p(*this, s, deal);
    std::mt19937_64 random(seed * 1000003 + static_cast<std::uint64_t>(s.value()));
    auto const draw = [&](matrix_in<float>& m, double variance) {
      for (std::int64_t i = 0; i < m.size(); ++i) {
        double sum = 0;  // twelve uniform numbers make one that is normal enough, without a
                         // library's logarithm
        for (int k = 0; k < 12; ++k) sum += static_cast<double>(random() >> 11) * 0x1p-53;
        m.data()[i] = static_cast<float>((sum - 6) * std::sqrt(variance));
      }
    };
    if (p.in) {
      draw(p.in->table, 1);
      draw(p.in->projection, 1.0 / (context * embedding));
    }
    draw(p.block.w1, 1.0 / width);
    draw(p.block.w2, 0.1 / hidden);
    if (p.out) draw(p.out->projection, 1.0 / width);
  }

  /// `from` is the previous stage's output (not read on stage 0), `to` this stage's (not written on
  /// the last). The answer is the micro-batch's loss on the last stage, 0 elsewhere.
  double forward(shunt::stage_id s, std::span<float const> parameters, sampler const& text,
                 std::int64_t iteration, std::int64_t microbatch, std::span<float const> from,
                 std::span<float> stash, std::span<float> to) const {
    span_splitter<float const> deal(parameters);
    parameters_of<float const> const p(*this, s, deal);
    span_splitter<float> deal_stash(stash);
    stash_of<float> kept(*this, s, deal_stash);
    if (kept.in) {
      for (std::int64_t row = 0; row < batch; ++row) {
        auto const* const window = text(iteration, microbatch, row);
        for (std::int64_t at = 0; at < context; ++at)
          kept.in->embedded.block(row, at * embedding, 1, embedding) = p.in->table.row(window[at]);
      }
      kept.block.x.noalias() = kept.in->embedded * p.in->projection;
      kept.block.x.rowwise() += p.in->bias.row(0);
    } else {
      kept.block.x = matrix_in<float const>(from.data(), batch, width);
    }
    if (!kept.out) {
      example::forward(p.block, kept.block, matrix_in<float>(to.data(), batch, width));
      return 0;
    }
    example::forward(p.block, kept.block, kept.out->y);
    kept.out->logit_slope.noalias() = kept.out->y * p.out->projection;
    kept.out->logit_slope.rowwise() += p.out->bias.row(0);
    double loss = 0;
    for (std::int64_t row = 0; row < batch; ++row)
      loss += cross_entropy(kept.out->logit_slope.row(row).data(),
                            text(iteration, microbatch, row)[context]);
    return loss / batch;
  }

  /// `to_slope` is the gradient of this stage's output (not read on the last), `from_slope` that of
  /// its input (not written on stage 0).
  void backward_input(shunt::stage_id s, std::span<float const> parameters,
                      std::span<float const> to_slope, std::span<float> stash,
                      std::span<float> from_slope) const {
    span_splitter<float const> deal(parameters);
    parameters_of<float const> const p(*this, s, deal);
    span_splitter<float> deal_stash(stash);
    stash_of<float> kept(*this, s, deal_stash);
    if (kept.out)
      kept.block.y_slope.noalias() = kept.out->logit_slope * p.out->projection.transpose();
    else
      kept.block.y_slope = matrix_in<float const>(to_slope.data(), batch, width);
    if (kept.in) {
      example::backward_input(p.block, kept.block, kept.in->x_slope);
      kept.in->embedded_slope.noalias() = kept.in->x_slope * p.in->projection.transpose();
    } else {
      example::backward_input(p.block, kept.block,
                              matrix_in<float>(from_slope.data(), batch, width));
    }
  }

  /// Overwrites `gradient`, laid out as the parameters are.
  void backward_weight(shunt::stage_id s, sampler const& text, std::int64_t iteration,
                       std::int64_t microbatch, std::span<float const> stash,
                       std::span<float> gradient) const {
    span_splitter<float const> deal_stash(stash);
    stash_of<float const> const kept(*this, s, deal_stash);
    span_splitter<float> deal(gradient);
    parameters_of<float> g(*this, s, deal);
    example::backward_weight(kept.block, g.block);
    if (kept.in) {
      g.in->projection.noalias() = kept.in->embedded.transpose() * kept.in->x_slope;
      g.in->bias = kept.in->x_slope.colwise().sum();
      g.in->table.setZero();
      for (std::int64_t row = 0; row < batch; ++row) {
        auto const* const window = text(iteration, microbatch, row);
        for (std::int64_t at = 0; at < context; ++at)
          g.in->table.row(window[at]) +=
              kept.in->embedded_slope.block(row, at * embedding, 1, embedding);
      }
    }
    if (kept.out) {
      g.out->projection.noalias() = kept.out->y.transpose() * kept.out->logit_slope;
      g.out->bias = kept.out->logit_slope.colwise().sum();
    }
  }

  // --- where everything lies in the floats of parameters and stashes; nothing here reads or writes
  // them

  template <class T>
  struct input_parameters {
    matrix_in<T> table, projection,
        bias;  ///< bytes x embedding, (context * embedding) x width, 1 x width
  };
  template <class T>
  struct output_parameters {
    matrix_in<T> projection, bias;  ///< width x bytes, 1 x bytes
  };
  template <class T>
  struct parameters_of {
    std::optional<input_parameters<T>> in{};
    block_parameters<T> block;
    std::optional<output_parameters<T>> out{};

    parameters_of(language_model const& m, shunt::stage_id s, span_splitter<T>& deal)
        : block(deal, m.width, m.hidden) {
      if (m.is_first(s))
        in.emplace(input_parameters<T>{deal.matrix(bytes, m.embedding),
                                       deal.matrix(m.context * m.embedding, m.width),
                                       deal.matrix(1, m.width)});
      if (m.is_last(s))
        out.emplace(output_parameters<T>{deal.matrix(m.width, bytes), deal.matrix(1, bytes)});
    }
  };
  template <class T>
  struct input_stash {
    matrix_in<T> embedded, x_slope,
        embedded_slope;  ///< batch x (context * embedding), batch x width, as the first
  };
  template <class T>
  struct output_stash {
    matrix_in<T> y, logit_slope;  ///< batch x width, batch x bytes; before the softmax the logits
                                  ///< stand in the second
  };
  template <class T>
  struct stash_of {
    block_stash<T> block;
    std::optional<input_stash<T>> in{};
    std::optional<output_stash<T>> out{};

    stash_of(language_model const& m, shunt::stage_id s, span_splitter<T>& deal)
        : block(deal, m.batch, m.width, m.hidden) {
      auto const joined = m.context * m.embedding;
      if (m.is_first(s))
        in.emplace(input_stash<T>{deal.matrix(m.batch, joined), deal.matrix(m.batch, m.width),
                                  deal.matrix(m.batch, joined)});
      if (m.is_last(s))
        out.emplace(output_stash<T>{deal.matrix(m.batch, m.width), deal.matrix(m.batch, bytes)});
    }
  };

 private:
  /// The loss of one sample; turns its logits into the gradient of the micro-batch's mean loss. One
  /// number after the other: a vectorised exp differs from the plain one.
  double cross_entropy(float* logits, std::uint8_t target) const {
    float const largest = *std::max_element(logits, logits + bytes);
    float const of_target = logits[target] - largest;
    float sum = 0;
    for (std::int64_t b = 0; b < bytes; ++b) {
      logits[b] = std::exp(logits[b] - largest);
      sum += logits[b];
    }
    for (std::int64_t b = 0; b < bytes; ++b) logits[b] /= sum * static_cast<float>(batch);
    logits[target] -= 1 / static_cast<float>(batch);
    return std::log(static_cast<double>(sum)) - static_cast<double>(of_target);
  }
};

/// Throws invalid_problem, naming the field, where a size is not positive.
inline void validate(language_model const& m) {
  auto const positive = [](char const* field, std::int64_t value) {
    if (value < 1)
      throw shunt::invalid_problem(field, "must be at least 1, is " + std::to_string(value));
    if (value > 1 << 16)
      throw shunt::invalid_problem(field, "must be at most 65536, is " + std::to_string(value));
  };
  positive("stages", m.stages);
  positive("context", m.context);
  positive("embedding", m.embedding);
  positive("width", m.width);
  positive("hidden", m.hidden);
  positive("batch", m.batch);
}

}  // namespace example
