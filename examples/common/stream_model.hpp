#pragma once
#include <algorithm>
#include <cstdint>
#include <span>

#include "language_model.hpp"
#include "model_kernels.hpp"
#include "shunt/core/id.hpp"
#include "training_device.hpp"

namespace example {

/// Memory of a device that one operation after the other uses in passing.
struct pass_scratch {
  float* product = nullptr;        ///< batch x the widest matrix
  std::int64_t* starts = nullptr;  ///< batch
  double* losses = nullptr;        ///< batch

  [[nodiscard]] static std::int64_t product_size(language_model const& m) {
    return m.batch * std::max<std::int64_t>(
                         {m.width, m.hidden, std::int64_t{m.context} * m.embedding, m.bytes});
  }
};

/// The language model's operations on a micro-batch, enqueued on a stream: the formulas of
/// language_model.hpp from and into the same places of parameters, stash and gradient, all in the
/// device's memory. A product goes to scratch and a kernel puts it where it belongs, so that an
/// operation whose condition doesn't hold leaves no trace.
template <training_device Device>
struct model_pass {
  Device& device;
  typename Device::system::stream_ref on;
  std::int64_t const* condition = nullptr;
  language_model const& model;
  shunt::stage_id stage{};
  pass_scratch scratch{};
  std::uint8_t const* text = nullptr;
  choose_windows chosen{};  ///< of this micro-batch; starts in scratch

  /// `from` is the previous stage's output (not read on stage 0), `to` this stage's (not written on
  /// the last, whose loss `note` gets).
  void forward(std::span<float const> parameters, float const* from, std::span<float> stash,
               float* to, note_loss const& note) const {
    span_splitter<float const> deal(parameters);
    language_model::parameters_of<float const> const p(model, stage, deal);
    span_splitter<float> deal_stash(stash);
    language_model::stash_of<float> kept(model, stage, deal_stash);
    if (kept.in || kept.out) device.each(on, rows(), chosen, nullptr);
    if (kept.in) {
      each(rows() * joined(), embed_windows{windows(), p.in->table.data(), model.context,
                                            model.embedding, kept.in->embedded.data()});
      multiply({rows(), joined(), model.width}, kept.in->embedded, p.in->projection);
      store(model.width, {.to = kept.block.x.data(), .bias = p.in->bias.data()});
    } else {
      store(model.width, {.product = from, .to = kept.block.x.data()});
    }
    multiply({rows(), model.width, model.hidden}, kept.block.x, p.block.w1);
    store(model.hidden, {.to = kept.block.hidden.data(), .bias = p.block.b1.data(), .relu = true});
    multiply({rows(), model.hidden, model.width}, kept.block.hidden, p.block.w2);
    store(model.width, {.to = kept.out ? kept.out->y.data() : to,
                        .bias = p.block.b2.data(),
                        .addend = kept.block.x.data()});
    if (!kept.out) return;
    multiply({rows(), model.width, model.bytes}, kept.out->y, p.out->projection);
    each(rows(), predict_bytes{windows(), model.context, rows(), scratch.product,
                               p.out->bias.data(), kept.out->logit_slope.data(), scratch.losses});
    each(1, note);
  }

  /// `to_slope` is the gradient of this stage's output (not read on the last), `from_slope` that of
  /// its input (not written on stage 0).
  void backward_input(std::span<float const> parameters, float const* to_slope,
                      std::span<float> stash, float* from_slope) const {
    span_splitter<float const> deal(parameters);
    language_model::parameters_of<float const> const p(model, stage, deal);
    span_splitter<float> deal_stash(stash);
    language_model::stash_of<float> kept(model, stage, deal_stash);
    if (kept.out) {
      multiply({.rows = rows(), .inner = model.bytes, .columns = model.width, .transpose_b = true},
               kept.out->logit_slope, p.out->projection);
      store(model.width, {.to = kept.block.y_slope.data()});
    } else {
      store(model.width, {.product = to_slope, .to = kept.block.y_slope.data()});
    }
    multiply({.rows = rows(), .inner = model.width, .columns = model.hidden, .transpose_b = true},
             kept.block.y_slope, p.block.w2);
    store(model.hidden, {.to = kept.block.hidden_slope.data(), .mask = kept.block.hidden.data()});
    multiply({.rows = rows(), .inner = model.hidden, .columns = model.width, .transpose_b = true},
             kept.block.hidden_slope, p.block.w1);
    store(model.width, {.to = kept.in ? kept.in->x_slope.data() : from_slope,
                        .addend = kept.block.y_slope.data()});
    if (!kept.in) return;
    multiply({.rows = rows(), .inner = model.width, .columns = joined(), .transpose_b = true},
             kept.in->x_slope, p.in->projection);
    store(joined(), {.to = kept.in->embedded_slope.data()});
  }

  /// Overwrites `gradient`, laid out as the parameters are and nobody's but this operation's:
  /// whatever the condition.
  void backward_weight(std::span<float const> stash, std::span<float> gradient) const {
    span_splitter<float const> deal_stash(stash);
    language_model::stash_of<float const> const kept(model, stage, deal_stash);
    span_splitter<float> deal(gradient);
    language_model::parameters_of<float> g(model, stage, deal);
    layer_gradient(kept.block.x, kept.block.hidden_slope, g.block.w1, g.block.b1);
    layer_gradient(kept.block.hidden, kept.block.y_slope, g.block.w2, g.block.b2);
    if (kept.in) {
      layer_gradient(kept.in->embedded, kept.in->x_slope, g.in->projection, g.in->bias);
      device.each(on, rows(), chosen, nullptr);
      device.each(on, model.bytes * model.embedding,
                  sum_embeddings{windows(), kept.in->embedded_slope.data(), rows(), model.context,
                                 model.embedding, g.in->table.data()},
                  nullptr);
    }
    if (kept.out)
      layer_gradient(kept.out->y, kept.out->logit_slope, g.out->projection, g.out->bias);
  }

 private:
  [[nodiscard]] std::int64_t rows() const { return model.batch; }
  [[nodiscard]] std::int64_t joined() const {
    return std::int64_t{model.context} * model.embedding;
  }
  [[nodiscard]] text_windows windows() const { return {text, scratch.starts}; }

  template <class Items>
  void each(std::int64_t n, Items const& f) const {
    device.each(on, n, f, condition);
  }
  template <class A, class B>
  void multiply(product_shape const& shape, A const& a, B const& b) const {
    device.multiply(on, shape, a.data(), b.data(), scratch.product);
  }
  /// batch x columns numbers; without a source of their own those of the last product.
  void store(std::int64_t columns, store_product s) const {
    if (!s.product) s.product = scratch.product;
    s.columns = columns;
    each(rows() * columns, s);
  }
  /// Of y = x W + b.
  template <class In>
  void layer_gradient(In const& x, In const& y_slope, matrix_in<float>& w,
                      matrix_in<float>& b) const {
    device.multiply(
        on, {.rows = x.cols(), .inner = rows(), .columns = y_slope.cols(), .transpose_a = true},
        x.data(), y_slope.data(), w.data());
    device.each(on, y_slope.cols(), sum_columns{y_slope.data(), rows(), y_slope.cols(), b.data()},
                nullptr);
  }
};

}  // namespace example
