#include "residual_block.hpp"

namespace example {

void forward(block_parameters<float const> const& p, block_stash<float>& stash,
             matrix_in<float> y) {
  stash.hidden.noalias() = stash.x * p.w1;
  stash.hidden.rowwise() += p.b1.row(0);
  stash.hidden = stash.hidden.cwiseMax(0.0F);
  y.noalias() = stash.hidden * p.w2;
  y.rowwise() += p.b2.row(0);
  y += stash.x;
}

void backward_input(block_parameters<float const> const& p, block_stash<float>& stash,
                    matrix_in<float> x_slope) {
  stash.hidden_slope.noalias() = stash.y_slope * p.w2.transpose();
  stash.hidden_slope.array() *= (stash.hidden.array() > 0.0F).cast<float>();
  x_slope.noalias() = stash.hidden_slope * p.w1.transpose();
  x_slope += stash.y_slope;
}

void backward_weight(block_stash<float const> const& stash, block_parameters<float>& gradient) {
  gradient.w1.noalias() = stash.x.transpose() * stash.hidden_slope;
  gradient.b1 = stash.hidden_slope.colwise().sum();
  gradient.w2.noalias() = stash.hidden.transpose() * stash.y_slope;
  gradient.b2 = stash.y_slope.colwise().sum();
}

}  // namespace example
