#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include "../model.hpp"
#include "experts.hpp"
#include "model_kernels.hpp"
#include "shunt/core/id.hpp"
#include "shunt/device/product_shape.hpp"
#include "shunt/train/stream_moe_model.hpp"
#include "shunt/train/stream_moe_work.hpp"
#include "shunt/train/training_device.hpp"
#include "tokens.hpp"
#include "workspace.hpp"

namespace example::moe {

/// What this training asks of a device: teams, and products of floats and of doubles.
template <class D>
concept device =
    shunt::matrix_device<D> && shunt::matrix_device<D, double> && shunt::team_device<D>;

/// expert_language_model on the streams of a device. An operation is a row of kernels and matrix
/// products of the same shapes on every rank. Losses differ from the host's by rounding outside of
/// the experts, whose arithmetic is exact: see `loss_tolerance`.
///
/// A slot's matrices have room for all tokens that it can get. Products take no condition, so they
/// go into the scratch and into gradients alone.
template <device Device>
class stream_language_model {
 public:
  using place = shunt::moe_stream_place<Device>;

  stream_language_model(Device& on, expert_language_model of)
      : host_(std::move(of)), m_(host_.of()), text_(on.memory(host_.text().bytes().size())) {
    on.write(std::as_bytes(std::span(host_.text().bytes())), text_.bytes());
  }

  [[nodiscard]] shunt::moe_sizes sizes(std::int64_t tokens) const { return host_.sizes(tokens); }
  [[nodiscard]] std::size_t scratch_bytes(std::int64_t tokens, std::int64_t most) const {
    return workspace(m_, tokens, most, nullptr).bytes;
  }
  void initialise(std::span<float> dense) const { host_.initialise(dense); }
  void initialise(shunt::layer_id l, shunt::expert_id e, std::span<float> parameters) const {
    host_.initialise(l, e, parameters);
  }
  void weights(place const& on, std::span<float const> masters, std::span<float> to) const {
    on.each(size(to), round_weights{masters.data(), to.data()});
  }

  void embed(place const& on, shunt::stream_embed_pass const& a) const {
    auto const room = room_of(on, tokens_of(a.hidden), 0);
    auto const n = tokens_of(a.hidden);
    embed_text(on, room, a, n);
    multiply(on, {.rows = n, .inner = inputs(), .columns = width(), .transpose_b = true},
             room.embedded, parameters(a.dense).project.data(), room.x);
    on.copy({room.x, a.hidden.size()}, a.hidden);
  }
  void route(place const& on, shunt::stream_route_pass const& a) const {
    auto const n = tokens_of(a.hidden);
    auto const room = room_of(on, n, 0);
    kept_routing<float> k(m_, n, span_splitter<float>(a.kept));
    on.each(n, normalise_rows{.hidden = a.hidden.data(),
                              .width = width(),
                              .on_grid = true,
                              .x = a.input.data(),
                              .inverse = k.inverse_rms.data()});
    multiply(on, {.rows = n, .inner = width(), .columns = m_.experts, .transpose_b = true},
             a.input.data(), parameters(a.dense).router[a.layer.index()].data(), room.scores);
    on.each(n, choose_expert{.scores = room.scores,
                             .experts = m_.experts,
                             .probability = k.probability.data(),
                             .expert = a.expert.data(),
                             .gate = a.gate.data()});
  }
  void expert_forward(place const& on, shunt::stream_expert_pass const& a) const {
    auto const room = room_of(on, 0, a.most);
    look_inside(on, room, a);
    multiply(on,
             {.rows = room.slot_rows, .inner = inner(), .columns = width(), .transpose_b = true},
             room.inner, room.parameters.w2, room.below);
    on.each(room.slot_rows * width(), scatter_slot<on_activation_grid>{
                                          a.at, room.below, room.parameters.b2, width(), a.output});
  }
  void combine(place const& on, shunt::stream_combine_pass const& a) const {
    on.each(size(a.hidden),
            combine_answers{a.gate.data(), a.row.data(), a.output, width(), a.hidden.data()});
  }
  void head(place const& on, shunt::stream_head_pass const& a, double* loss) const {
    auto const n = tokens_of(a.hidden);
    auto const room = room_of(on, n, 0);
    auto const p = parameters(a.dense);
    dense_parameters<float> gradient(m_, span_splitter<float>(a.gradient));
    choose_windows_of(on, room, a, n);
    on.each(n,
            normalise_rows{
                .hidden = a.hidden.data(), .width = width(), .x = room.x, .inverse = room.inverse});
    multiply(on, {.rows = n, .inner = width(), .columns = m_.bytes, .transpose_b = true}, room.x,
             p.head.data(), room.scores);
    on.each(n, score_tokens{p.bias.data(), windows(room), m_.context, room.scores, room.losses});
    multiply(on, {.rows = m_.bytes, .inner = n, .columns = width(), .transpose_a = true},
             room.scores, room.x, gradient.head.data());
    on.each(m_.bytes, sum_columns{room.scores, n, m_.bytes, gradient.bias.data()});
    on.each(1, sum_losses{room.losses, n, loss});
    multiply(on, {.rows = n, .inner = m_.bytes, .columns = width()}, room.scores, p.head.data(),
             room.dx);
    on.each(n, normalise_rows_backward{.x = room.x,
                                       .inverse = room.inverse,
                                       .dx = room.dx,
                                       .width = width(),
                                       .add = false,
                                       .dh = a.hidden.data()});
  }

  void combine_backward(place const& on, shunt::stream_combine_backward_pass const& a) const {
    on.each(tokens_of(a.hidden_gradient),
            combine_answers_backward{a.gate.data(), a.row.data(), a.output,
                                     a.hidden_gradient.data(), width(), a.output_gradient,
                                     a.gate_gradient.data()});
  }
  void expert_backward(place const& on, shunt::stream_expert_backward_pass const& a) const {
    auto const room = room_of(on, 0, a.most);
    auto const rows = room.slot_rows;
    double *const x = room.tokens_of_slot, *const above = room.above, *const inside = room.inner,
                  *const through = room.through;
    look_inside(on, room, a);
    on.each(rows * width(), gather_slot{a.at, a.output_gradient, width(), above});
    multiply(on, {.rows = rows, .inner = width(), .columns = inner()}, above, room.parameters.w2,
             through);
    on.each(rows * inner(), activate_backward{inside, through});
    multiply(on, {.rows = rows, .inner = inner(), .columns = width()}, through, room.parameters.w1,
             room.below);
    on.each(rows * width(),
            scatter_slot<on_gradient_grid>{
                .arrivals = a.at, .rows = room.below, .width = width(), .to = a.input_gradient});
    multiply(on, {.rows = inner(), .inner = rows, .columns = width(), .transpose_a = true}, through,
             x, room.sums.w1);
    multiply(on, {.rows = width(), .inner = rows, .columns = inner(), .transpose_a = true}, above,
             inside, room.sums.w2);
    on.each(width(), measure_columns{a.at, x, width(), nullptr, room.x_squares});
    on.each(width(), measure_columns{a.at, above, width(), room.sums.b2, room.above_squares});
    on.each(inner(), measure_columns{a.at, inside, inner(), nullptr, room.inner_squares});
    on.each(inner(), measure_columns{a.at, through, inner(), room.sums.b1, room.through_squares});
    on.team(keep_expert_gradient{.arrivals = a.at,
                                 .sums = room.sums,
                                 .x = room.x_squares,
                                 .inner = room.inner_squares,
                                 .through = room.through_squares,
                                 .above = room.above_squares,
                                 .gradient = a.gradient.data(),
                                 .misfits = a.inexact});
  }
  void route_backward(place const& on, shunt::stream_route_backward_pass const& a) const {
    auto const n = tokens_of(a.input);
    auto const room = room_of(on, n, 0);
    kept_routing<float const> const k(m_, n, span_splitter<float const>(a.kept));
    dense_parameters<float> gradient(m_, span_splitter<float>(a.gradient));
    on.each(n, choose_expert_backward{.experts = m_.experts,
                                      .probability = k.probability.data(),
                                      .gate = a.gate.data(),
                                      .gate_gradient = a.gate_gradient.data(),
                                      .expert = a.expert.data(),
                                      .scores = room.scores});
    multiply(on, {.rows = n, .inner = m_.experts, .columns = width()}, room.scores,
             parameters(a.dense).router[a.layer.index()].data(), room.dx);
    on.each(n * width(), add_returned{a.row.data(), a.returned, width(), room.dx});
    on.each(n, normalise_rows_backward{.x = a.input.data(),
                                       .inverse = k.inverse_rms.data(),
                                       .dx = room.dx,
                                       .width = width(),
                                       .dh = a.hidden_gradient.data()});
    multiply(on, {.rows = m_.experts, .inner = n, .columns = width(), .transpose_a = true},
             room.scores, a.input.data(), gradient.router[a.layer.index()].data());
  }
  void embed_backward(place const& on, shunt::stream_embed_backward_pass const& a) const {
    auto const n = tokens_of(a.hidden_gradient);
    auto const room = room_of(on, n, 0);
    dense_parameters<float> gradient(m_, span_splitter<float>(a.gradient));
    embed_text(on, room, a, n);
    multiply(on, {.rows = width(), .inner = n, .columns = inputs(), .transpose_a = true},
             a.hidden_gradient.data(), room.embedded, gradient.project.data());
    multiply(on, {.rows = n, .inner = width(), .columns = inputs()}, a.hidden_gradient.data(),
             parameters(a.dense).project.data(), room.embedded);
    on.each(std::int64_t{m_.bytes} * m_.embedding,
            sum_embeddings{windows(room), room.embedded, n, m_.context, m_.embedding,
                           gradient.embed.data()});
  }

 private:
  [[nodiscard]] std::int64_t width() const { return m_.expert.width; }
  [[nodiscard]] std::int64_t inner() const { return m_.expert.hidden; }
  [[nodiscard]] std::int64_t inputs() const { return std::int64_t{m_.context} * m_.embedding; }
  [[nodiscard]] static std::int64_t size(std::span<float const> all) { return std::ssize(all); }
  [[nodiscard]] std::int64_t tokens_of(std::span<float const> rows) const {
    return size(rows) / width();
  }
  [[nodiscard]] workspace room_of(place const& on, std::int64_t tokens, std::int64_t most) const {
    return {m_, tokens, most, on.scratch.data()};
  }
  /// Where the parameters are on the device.
  [[nodiscard]] dense_parameters<float const> parameters(std::span<float const> dense) const {
    return {m_, span_splitter<float const>(dense)};
  }
  template <class T>
  void multiply(place const& on, shunt::product_shape const& shape,
                std::type_identity_t<T> const* a, std::type_identity_t<T> const* b, T* c) const {
    on.device.multiply(on.on, shape, a, b, c);
  }
  [[nodiscard]] text_windows windows(workspace const& room) const {
    return {reinterpret_cast<std::uint8_t const*>(text_.bytes().data()), room.starts};
  }
  void choose_windows_of(place const& on, workspace const& room, auto const& pass,
                         std::int64_t tokens) const {
    on.each(tokens,
            choose_windows{host_.text().choice(), pass.iteration, pass.microbatch, room.starts});
  }
  /// The text of a micro-batch, embedded.
  void embed_text(place const& on, workspace const& room, auto const& pass,
                  std::int64_t tokens) const {
    choose_windows_of(on, room, pass, tokens);
    on.each(tokens * inputs(), embed_windows{windows(room), parameters(pass.dense).embed.data(),
                                             m_.context, m_.embedding, room.embedded});
  }
  /// A slot's parameters and tokens, and what is inside the expert for them.
  void look_inside(place const& on, workspace const& room, auto const& a) const {
    on.each(m_.expert.elements(), take_parameters{a.parameters.data(), room.parameters});
    on.each(room.slot_rows * width(), gather_slot{a.at, a.input, width(), room.tokens_of_slot});
    multiply(on,
             {.rows = room.slot_rows, .inner = width(), .columns = inner(), .transpose_b = true},
             room.tokens_of_slot, room.parameters.w1, room.inner);
    on.each(room.slot_rows * inner(), activate{a.at, room.parameters.b1, inner(), room.inner});
  }

  expert_language_model host_;
  moe_model m_;
  mutable typename Device::system::memory text_;
};

/// The work of the model on a device, made as moe_work is.
template <device Device>
struct stream_work : shunt::stream_moe_work<Device, stream_language_model<Device>> {
  stream_work(expert_language_model const& model, shunt::moe_training const& training,
              shunt::adam const& optimizer, Device& on)
      : shunt::stream_moe_work<Device, stream_language_model<Device>>(
            on, stream_language_model<Device>(on, model), training, optimizer) {}
};

}  // namespace example::moe
