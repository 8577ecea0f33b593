#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cli.hpp"
#include "language_model.hpp"
#include "language_training.hpp"
#include "model_kernels.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/device/product_shape.hpp"
#include "shunt/train/aligned_bytes.hpp"
#include "shunt/train/stream_pipeline_model.hpp"
#include "shunt/train/stream_pipeline_work.hpp"
#include "shunt/train/training_device.hpp"
#include "text.hpp"

namespace example {

/// Memory of a device that the operations of a rank use one after the other.
struct pass_scratch {
  float* product = nullptr;        ///< batch x the widest matrix
  std::int64_t* starts = nullptr;  ///< batch
  double* losses = nullptr;        ///< batch

  pass_scratch(language_model const& m, std::byte* at)
      : product(reinterpret_cast<float*>(at + 2 * row_bytes(m))),
        starts(reinterpret_cast<std::int64_t*>(at)),
        losses(reinterpret_cast<double*>(at + row_bytes(m))) {}

  static std::size_t bytes(language_model const& m) {
    auto const widest =
        std::max<std::int64_t>({m.width, m.hidden, std::int64_t{m.context} * m.embedding, m.bytes});
    return 2 * row_bytes(m) + static_cast<std::size_t>(m.batch * widest) * sizeof(float);
  }

 private:
  // of a number a row
  static std::size_t row_bytes(language_model const& m) {
    return static_cast<std::size_t>(
        shunt::aligned(m.batch * static_cast<shunt::byte_count>(sizeof(double))));
  }
};

/// The language model's operations on a micro-batch, enqueued on a stream: the formulas of
/// language_model.hpp from and into the same places of parameters, stash and gradient, all in the
/// device's memory. A product goes to scratch and a kernel puts it where it belongs, so that an
/// operation whose condition doesn't hold leaves no trace.
template <shunt::matrix_device Device>
struct model_pass {
  Device& device;
  typename Device::system::stream_ref on;
  std::int64_t const* condition = nullptr;
  language_model const& model;
  shunt::stage_id stage{};
  pass_scratch scratch;
  std::uint8_t const* text = nullptr;
  choose_windows chosen{};  ///< of this micro-batch; starts in scratch

  /// `from` is the previous stage's output (not read on stage 0), `to` this stage's (not written on
  /// the last, which writes the loss).
  void forward(std::span<float const> parameters, float const* from, std::span<float> stash,
               float* to, double* loss) const {
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
    each(1, mean_loss{scratch.losses, model.batch, loss});
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
  std::int64_t rows() const { return model.batch; }
  std::int64_t joined() const { return std::int64_t{model.context} * model.embedding; }
  text_windows windows() const { return {text, scratch.starts}; }

  template <class Items>
  void each(std::int64_t n, Items const& f) const {
    device.each(on, n, f, condition);
  }
  template <class A, class B>
  void multiply(shunt::product_shape const& shape, A const& a, B const& b) const {
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

/// The model and the text that it reads on a device, as the library trains it.
template <shunt::matrix_device Device>
class language_model_on_streams {
 public:
  using place = shunt::stream_place<Device>;

  /// Throws invalid_problem where the training is broken, the text is too short, or operations are
  /// to take a time of their own, which needs threads.
  language_model_on_streams(language_training const& t, text_bytes const& bytes, Device& device)
      : host_(checked(t), bytes),
        model_(t.model),
        inject_(t.inject),
        choice_(text_sampler(bytes, t.model.window(), t.seed).choice()),
        text_(std::make_shared<memory>(device.memory(bytes.size()))),
        bad_(std::make_shared<memory>(device.memory(t.inject.size() * sizeof(bad_gradient)))) {
    refuse_if(t.unit.count() != 0, "op-ms", "operations on streams take what they take");
    device.write(std::as_bytes(std::span(bytes)), text_->bytes());
    device.write(std::as_bytes(std::span(t.inject)), bad_->bytes());
  }

  std::int32_t stages() const { return model_.stages; }
  shunt::stage_sizes sizes(shunt::stage_id s) const { return host_.sizes(s); }
  std::size_t scratch_bytes() const { return pass_scratch::bytes(model_); }
  void initialise(shunt::stage_id s, std::span<float> parameters) const {
    host_.initialise(s, parameters);
  }
  void forward(place const& at, shunt::stream_forward_pass const& p, double* loss) const {
    pass_of(at, p).forward(p.parameters, p.input.data(), p.stash, p.output.data(), loss);
  }
  void backward_input(place const& at, shunt::stream_backward_input_pass const& p) const {
    pass_of(at, p).backward_input(p.parameters, p.output_gradient.data(), p.stash,
                                  p.input_gradient.data());
  }
  void backward_weight(place const& at, shunt::stream_backward_weight_pass const& p) const {
    pass_of(at, p).backward_weight(p.stash, p.gradient);
    auto const here = [&](bad_gradient const& b) {
      return b.stage == p.stage && b.microbatch == p.microbatch;
    };
    if (std::any_of(inject_.begin(), inject_.end(), here))
      at.device.each(at.on, 1,
                     inject_bad_gradient{shunt::as<bad_gradient>(bad_->bytes()).data(),
                                         static_cast<std::int64_t>(inject_.size()), p.stage,
                                         p.iteration, p.microbatch, p.gradient.data()},
                     nullptr);
  }

 private:
  using memory = typename Device::system::memory;

  template <class Pass>
  model_pass<Device> pass_of(place const& at, Pass const& p) const {
    pass_scratch const scratch(model_, at.scratch.data());
    return {at.device,
            at.on,
            at.condition,
            model_,
            p.stage,
            scratch,
            shunt::as<std::uint8_t>(text_->bytes()).data(),
            {choice_, p.iteration, p.microbatch, scratch.starts}};
  }

  language_model_on_text host_;
  language_model model_;
  std::vector<bad_gradient> inject_;
  shunt::window_choice choice_;
  std::shared_ptr<memory> text_, bad_;
};

/// language_work on the streams of one device. Losses differ from the host's by rounding.
template <shunt::matrix_device Device>
class stream_language_work
    : public shunt::stream_pipeline_work<Device, language_model_on_streams<Device>> {
  using base = shunt::stream_pipeline_work<Device, language_model_on_streams<Device>>;

 public:
  /// Most relative difference of a loss from the host's in the first `compared` iterations.
  /// Differences of 1e-8 stay what they are until one of them turns a unit of a ReLU on or off;
  /// later the two trainings part, as any two do that round differently.
  static constexpr double tolerance = 1e-3;
  static constexpr std::size_t compared = 100;

  stream_language_work(language_training const& t, text_bytes const& bytes, Device& device)
      : base(device, {t, bytes, device}, t.settings(), t.optimizer) {}

  using base::parameters;
  /// The parameters of a worker.
  std::vector<float> parameters(shunt::rank_id r) {
    return parameters(r, base::training().job.worker_of(r).stage);
  }
  double computing_share() const { return 0; }  // operations don't wait
};

}  // namespace example
