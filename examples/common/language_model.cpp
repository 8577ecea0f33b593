#include "language_model.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "cli.hpp"

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

std::size_t language_model::parameters(shunt::stage_id s) const {
  span_splitter<float> count;
  parameters_of<float>(*this, s, count);
  return count.used();
}

std::size_t language_model::stash(shunt::stage_id s) const {
  span_splitter<float> count;
  stash_of<float>(*this, s, count);
  return count.used();
}

std::size_t language_model::message() const {
  span_splitter<float> count;
  static_cast<void>(count.matrix(batch, width));
  return count.used();
}

void language_model::initialise(shunt::stage_id s, std::uint64_t seed,
                                std::span<float> parameters) const {
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

double language_model::forward(shunt::forward_pass const& a, text_sampler const& text) const {
  span_splitter<float const> deal(a.parameters);
  parameters_of<float const> const p(*this, a.stage, deal);
  span_splitter<float> deal_stash(a.stash);
  stash_of<float> kept(*this, a.stage, deal_stash);
  if (kept.in) {
    for (std::int64_t row = 0; row < batch; ++row) {
      auto const* const window = text(a.iteration, a.microbatch, row);
      for (std::int64_t at = 0; at < context; ++at)
        kept.in->embedded.block(row, at * embedding, 1, embedding) = p.in->table.row(window[at]);
    }
    kept.block.x.noalias() = kept.in->embedded * p.in->projection;
    kept.block.x.rowwise() += p.in->bias.row(0);
  } else {
    kept.block.x = matrix_in<float const>(a.input.data(), batch, width);
  }
  if (!kept.out) {
    example::forward(p.block, kept.block, matrix_in<float>(a.output.data(), batch, width));
    return 0;
  }
  example::forward(p.block, kept.block, kept.out->y);
  kept.out->logit_slope.noalias() = kept.out->y * p.out->projection;
  kept.out->logit_slope.rowwise() += p.out->bias.row(0);
  double loss = 0;
  for (std::int64_t row = 0; row < batch; ++row)
    loss += cross_entropy(kept.out->logit_slope.row(row).data(),
                          text(a.iteration, a.microbatch, row)[context]);
  return loss / batch;
}

void language_model::backward_input(shunt::backward_input_pass const& a) const {
  span_splitter<float const> deal(a.parameters);
  parameters_of<float const> const p(*this, a.stage, deal);
  span_splitter<float> deal_stash(a.stash);
  stash_of<float> kept(*this, a.stage, deal_stash);
  if (kept.out)
    kept.block.y_slope.noalias() = kept.out->logit_slope * p.out->projection.transpose();
  else
    kept.block.y_slope = matrix_in<float const>(a.output_gradient.data(), batch, width);
  if (kept.in) {
    example::backward_input(p.block, kept.block, kept.in->x_slope);
    kept.in->embedded_slope.noalias() = kept.in->x_slope * p.in->projection.transpose();
  } else {
    example::backward_input(p.block, kept.block,
                            matrix_in<float>(a.input_gradient.data(), batch, width));
  }
}

void language_model::backward_weight(shunt::backward_weight_pass const& a,
                                     text_sampler const& text) const {
  span_splitter<float const> deal_stash(a.stash);
  stash_of<float const> const kept(*this, a.stage, deal_stash);
  span_splitter<float> deal(a.gradient);
  parameters_of<float> g(*this, a.stage, deal);
  example::backward_weight(kept.block, g.block);
  if (kept.in) {
    g.in->projection.noalias() = kept.in->embedded.transpose() * kept.in->x_slope;
    g.in->bias = kept.in->x_slope.colwise().sum();
    g.in->table.setZero();
    for (std::int64_t row = 0; row < batch; ++row) {
      auto const* const window = text(a.iteration, a.microbatch, row);
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

double language_model::cross_entropy(float* logits, std::uint8_t target) const {
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

void validate(language_model const& m) {
  auto const positive = [](char const* field, std::int64_t value) {
    refuse_if(value < 1, field, "must be at least 1, is " + std::to_string(value));
    refuse_if(value > 1 << 16, field, "must be at most 65536, is " + std::to_string(value));
  };
  positive("stages", m.stages);
  positive("context", m.context);
  positive("embedding", m.embedding);
  positive("width", m.width);
  positive("hidden", m.hidden);
  positive("batch", m.batch);
}

}  // namespace example
