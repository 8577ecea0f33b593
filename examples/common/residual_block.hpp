#pragma once
#include <cstdint>

#include "matrix.hpp"

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

}  // namespace example
