#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "matrix.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/train/pipeline_model.hpp"
#include "text.hpp"

namespace example {

/// y = x + relu(x W1 + b1) W2 + b2 on a batch of rows: the block that every pipeline stage runs.
/// Forward, the gradient with respect to the input and the gradient with respect to the parameters
/// are three computations, so that a schedule can place the last one anywhere after the second.
/// Each is about 4 * batch * width * hidden floating-point operations.
template <class T>
struct block_parameters {
  matrix_in<T> w1, b1, w2, b2;  ///< width x hidden, 1 x hidden, hidden x width, 1 x width

  block_parameters(span_splitter<T>& deal, std::int64_t width, std::int64_t hidden)
      : w1(deal.matrix(width, hidden)),
        b1(deal.matrix(1, hidden)),
        w2(deal.matrix(hidden, width)),
        b2(deal.matrix(1, width)) {}
};

/// What a block keeps of a micro-batch from its forward to the end of its backward_weight.
template <class T>
struct block_stash {
  matrix_in<T> x, hidden;  ///< set by forward: input, relu(x W1 + b1)
  matrix_in<T> y_slope,
      hidden_slope;  ///< set by backward_input: gradients of the output and of x W1 + b1

  block_stash(span_splitter<T>& deal, std::int64_t batch, std::int64_t width,
              std::int64_t hidden_width)
      : x(deal.matrix(batch, width)),
        hidden(deal.matrix(batch, hidden_width)),
        y_slope(deal.matrix(batch, width)),
        hidden_slope(deal.matrix(batch, hidden_width)) {}
};

/// From stash.x to y.
void forward(block_parameters<float const> const& p, block_stash<float>& stash, matrix_in<float> y);

/// From stash.y_slope to the gradient of x.
void backward_input(block_parameters<float const> const& p, block_stash<float>& stash,
                    matrix_in<float> x_slope);

/// From the stash alone to the gradient of the parameters.
void backward_weight(block_stash<float const> const& stash, block_parameters<float>& gradient);

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

  bool is_first(shunt::stage_id s) const { return s == 0; }
  bool is_last(shunt::stage_id s) const { return s == stages - 1; }
  /// Bytes of text that a sample needs: its context and the byte to predict.
  std::size_t window() const { return static_cast<std::size_t>(context) + 1; }
  /// Floats of the parameters of a stage, gaps for alignment included (they stay zero).
  std::size_t parameters(shunt::stage_id s) const;
  /// Floats of the stash of one micro-batch on a stage.
  std::size_t stash(shunt::stage_id s) const;
  /// Floats of an activation or of its gradient.
  std::size_t message() const;

  /// Normal weights with variance 1 / inputs (a block's second matrix a tenth of that, the
  /// embedding 1), biases zero.
  void initialise(shunt::stage_id s, std::uint64_t seed, std::span<float> parameters) const;

  /// The answer is the micro-batch's loss on the last stage, 0 elsewhere.
  double forward(shunt::forward_pass const& p, text_sampler const& text) const;
  void backward_input(shunt::backward_input_pass const& p) const;
  void backward_weight(shunt::backward_weight_pass const& p, text_sampler const& text) const;

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
  double cross_entropy(float* logits, std::uint8_t target) const;
};

/// Throws invalid_problem, naming the field, where a size is not positive.
void validate(language_model const& m);

}  // namespace example
