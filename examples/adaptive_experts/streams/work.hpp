#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "../model.hpp"
#include "../training.hpp"
#include "device.hpp"
#include "expert_locations.hpp"
#include "experts.hpp"
#include "memory.hpp"
#include "model_kernels.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/device/adam_step.hpp"
#include "shunt/device/split_layers.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/execute/stream_work.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/lower/expert_buffers.hpp"
#include "shunt/lower/moe_iteration.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/microbatch_owners.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/program/program.hpp"
#include "shunt/train/aligned_bytes.hpp"
#include "shunt/train/fixed_point.hpp"
#include "shunt/train/moe_model.hpp"
#include "shunt/train/moe_training.hpp"
#include "shunt/train/optimizer.hpp"
#include "step.hpp"
#include "text.hpp"
#include "token_routing.hpp"
#include "tokens.hpp"
#include "workspace.hpp"

namespace example::moe {

/// moe_work on the streams of one device, which all ranks share: the same model, the same buffers
/// with the same contents, the same rules. An operation enqueues a row of kernels and matrix
/// products, the same whoever computes it and with the same shapes, and reads the iteration and the
/// numbers of tokens on the device; so losses are the same bits wherever experts are and whoever is
/// lost. They differ from the host's by rounding outside of the experts, whose arithmetic is exact:
/// see `loss_tolerance`.
///
/// A slot's matrices have room for all tokens that it can get: slot_capacity, or all there are
/// where nothing is dropped. A rank computes on one lane, for its operations share a room for what
/// they compute on the way. All but the operations is not to be called while something runs or is
/// captured.
template <device Device>
class stream_work {
 public:
  static constexpr std::int32_t state_planes = moe_work::state_planes;
  using stream_ref = typename Device::system::stream_ref;

  /// As moe_work.
  stream_work(expert_language_model const& model, shunt::moe_training const& training,
              shunt::adam const& optimizer, Device& device)
      : model_(model.of()),
        training_(training),
        sizes_(model.sizes(training.tokens)),
        rule_{.rate = optimizer.rate,
              .beta1 = optimizer.beta1,
              .beta2 = optimizer.beta2,
              .epsilon = optimizer.epsilon},
        choice_(model.text().choice()),
        device_(device),
        stream_(device.streams().make_stream()),
        memory_(device, static_cast<std::size_t>(training.ranks), stepped(model_)),
        rooms_(static_cast<std::size_t>(training.ranks)) {
    moe_work beginning(model, training, optimizer);
    shape_ = beginning.shape();
    shape_.kept_bytes =
        static_cast<shunt::byte_count>(kept_tokens(model_, tokens(), {}).count * sizeof(float));
    shards_ = beginning.shards();
    auto const& text = model.text().bytes();
    device_.write(std::as_bytes(std::span(text)), text_.grow(device_, text.size()));
    for (shunt::rank_id const r : shunt::ids<shunt::rank_id>(training.ranks)) {
      begin_with(beginning, r, buffers::dense);
      for (shunt::layer_id l : shunt::ids<shunt::layer_id>(model_.layers))
        for (auto const b : {buffers::state(l), buffers::weight_shards(l)})
          begin_with(beginning, r, b);
    }
    set_owners(shunt::owners_of(shape_));
  }

  [[nodiscard]] shunt::moe_training const& training() const { return training_; }
  [[nodiscard]] shunt::moe_sizes const& sizes() const { return sizes_; }
  [[nodiscard]] shunt::moe_shape const& shape() const { return shape_; }
  [[nodiscard]] shunt::shard_map const& shards() const { return shards_; }

  void place(shunt::expert_placement placement) {
    locations_.set(device_, shape_, std::move(placement), shape_.owners);
    for (auto& room : rooms_)
      (void)room.grow(device_, workspace(model_, shape_, locations_.placement(), nullptr).bytes);
  }
  void set_owners(shunt::microbatch_owners owners) { shape_.owners = std::move(owners); }

  void fit(shunt::program const& sizes) { memory_.fit(sizes); }
  void forget(shunt::rank_id r) { memory_.forget(r); }
  void restore(shunt::rank_id r, std::int64_t iteration) {
    auto const restored = memory_.restore(r, iteration);
    for (shunt::layer_id l : shunt::ids<shunt::layer_id>(model_.layers))
      if (std::find(restored.begin(), restored.end(), buffers::state(l)) != restored.end())
        weights_of_masters(r, l);
  }
  void adopt(shunt::shard_map shards) {
    shards_ = std::move(shards);
    for (shunt::rank_id const r : shape_.owners.live())
      for (shunt::layer_id l : shunt::ids<shunt::layer_id>(model_.layers)) {
        memory_.swap(r, buffers::state(l), buffers::recovered(l));
        memory_.resize(r, buffers::weight_shards(l),
                       static_cast<std::size_t>(shunt::held_elements(shards_, r)) * sizeof(float));
        weights_of_masters(r, l);
      }
  }

  void operator()(shunt::rank_id rank, shunt::stream_task const& task, stream_ref on) {
    access const a{
        *this, rank, task, on,
        workspace(model_, shape_, locations_.placement(), rooms_[rank.index()].bytes().data())};
    shunt::layer_id const layer = task.op.stage.value();
    switch (task.op.kind) {
      case shunt::op_kind::route: return route(a, layer);
      case shunt::op_kind::dispatch: return dispatch(a, layer);
      case shunt::op_kind::expert_forward: return expert_forward(a, layer);
      case shunt::op_kind::combine: return combine(a, layer);
      case shunt::op_kind::combine_backward: return combine_backward(a, layer);
      case shunt::op_kind::expert_backward: return expert_backward(a, layer);
      case shunt::op_kind::dispatch_backward: return dispatch_backward(a, layer);
      case shunt::op_kind::step: return layer == model_.layers ? step_dense(a) : step(a, layer);
      default:
        throw shunt::invalid_program("a MoE iteration has no operation " +
                                     std::string(to_string(task.op.kind)));
    }
  }

  [[nodiscard]] bool has(shunt::rank_id) const { return true; }
  [[nodiscard]] std::span<std::byte> buffer(shunt::rank_id r, shunt::buffer_id b) {
    return memory_(r, b);
  }
  /// What a buffer holds, on the host.
  template <class T>
  [[nodiscard]] std::vector<T> values(shunt::rank_id r, shunt::buffer_id b) {
    return memory_.template values<T>(r, b);
  }

  [[nodiscard]] double loss(shunt::rank_id r) {
    auto const sum = values<std::int64_t>(r, buffers::sums)[static_cast<std::size_t>(sizes_.dense)];
    return static_cast<double>(sum) / (0x1p40 * static_cast<double>(training_.ranks));
  }
  [[nodiscard]] std::int64_t misfits(shunt::rank_id r) {
    return values<std::int64_t>(r, buffers::sums).back();
  }

 private:
  using buffers = shunt::moe_buffers;
  using owned = typename expert_locations<Device>::owned;

  /// The arrays of a layer and a micro-batch. Over no memory it only counts.
  struct kept_tokens {
    kept_tokens(moe_model const& m, std::int64_t tokens, span_splitter<float> from)
        : arrays{.experts = m.experts,
                 .x = from.matrix(tokens, m.expert.width).data(),
                 .probability = from.matrix(tokens, m.experts).data(),
                 .inverse_rms = from.matrix(tokens, 1).data(),
                 .expert = from.matrix(tokens, 1).data(),
                 .place = from.matrix(tokens, 1).data(),
                 .gate_gradient = from.matrix(tokens, 1).data()},
          count(from.used()) {}

    kept_arrays arrays;
    std::size_t count;
  };

  /// One task's way to the device: only the buffers that it declares, only its stream, nothing
  /// where its condition doesn't hold. Products go into the room alone.
  struct access {
    stream_work& work;
    shunt::rank_id rank;
    shunt::stream_task const& task;
    stream_ref on;
    workspace room;

    template <class T>
    [[nodiscard]] T const* read(shunt::buffer_id b) const {
      return reinterpret_cast<T const*>(declared(task.reads, b).data());
    }
    template <class T>
    [[nodiscard]] T* write(shunt::buffer_id b) const {
      return reinterpret_cast<T*>(declared(task.writes, b).data());
    }
    [[nodiscard]] std::span<std::byte> declared(std::span<shunt::region const> regions,
                                                shunt::buffer_id b) const {
      for (auto const& r : regions)
        if (r.buffer == b)
          return work.buffer(rank, b).subspan(static_cast<std::size_t>(r.offset),
                                              static_cast<std::size_t>(r.size));
      throw shunt::invalid_program("operation " + std::string(to_string(task.op.kind)) +
                                   " needs buffer " + std::to_string(b.value()));
    }

    template <class F>
    void each(std::int64_t n, F const& f) const {
      if (n > 0) work.device_.each(on, n, f, task.condition);
    }
    template <class F>
    void team(F const& f) const {
      work.device_.team(on, f, task.condition);
    }
    template <class T>
    void multiply(product_shape const& shape, std::type_identity_t<T> const* a,
                  std::type_identity_t<T> const* b, T* c) const {
      work.device_.multiply(on, shape, a, b, c);
    }
    void copy(float const* from, float* to, std::int64_t count) const {
      shunt::stream_part const part{.from = reinterpret_cast<std::byte const*>(from),
                                    .to = reinterpret_cast<std::byte*>(to),
                                    .bytes = count * static_cast<std::int64_t>(sizeof(float))};
      work.device_.streams().move(on, {&part, 1}, task.condition);
    }
  };

  [[nodiscard]] static std::vector<shunt::buffer_id> stepped(moe_model const& m) {
    std::vector<shunt::buffer_id> all{buffers::dense};
    for (shunt::layer_id l : shunt::ids<shunt::layer_id>(m.layers))
      all.push_back(buffers::state(l));
    return all;
  }
  void begin_with(moe_work& beginning, shunt::rank_id r, shunt::buffer_id b) {
    auto const from = beginning.buffer(r, b);
    memory_.resize(r, b, from.size());
    if (!from.empty()) device_.write(from, buffer(r, b));
  }
  void weights_of_masters(shunt::rank_id r, shunt::layer_id l) {
    auto const weights = buffer(r, buffers::weight_shards(l));
    if (weights.empty()) return;
    device_.each(stream_, static_cast<std::int64_t>(weights.size() / sizeof(float)),
                 round_weights{reinterpret_cast<float const*>(buffer(r, buffers::state(l)).data()),
                               reinterpret_cast<float*>(weights.data())},
                 nullptr);
    device_.settle();
  }

  [[nodiscard]] std::int64_t tokens() const { return shape_.tokens; }
  [[nodiscard]] std::int64_t width() const { return model_.expert.width; }
  [[nodiscard]] std::int64_t inner() const { return model_.expert.hidden; }
  [[nodiscard]] std::int64_t experts() const { return model_.experts; }
  [[nodiscard]] std::int64_t inputs() const {
    return std::int64_t{model_.context} * model_.embedding;
  }
  [[nodiscard]] std::int32_t window() const { return model_.context + 1; }
  static constexpr std::int64_t bytes = moe_model::bytes;

  [[nodiscard]] std::vector<owned> owned_by(access const& on) const {
    return locations_.owned_by(locations_.peer_of(on.rank));
  }
  /// Where the parameters are on the device.
  [[nodiscard]] dense_parameters<float const> parameters(access const& on) const {
    return {model_, span_splitter<float const>({on.template read<float>(buffers::dense),
                                                static_cast<std::size_t>(sizes_.dense)})};
  }
  template <class T>
  [[nodiscard]] T* hidden(T* all, owned const& c) const {
    return all + c.nth * shape_.hidden_bytes / static_cast<std::int64_t>(sizeof(float));
  }
  [[nodiscard]] kept_arrays kept(access const& on, shunt::layer_id l, owned const& c) const {
    auto const size = static_cast<std::size_t>(shape_.kept_bytes);
    auto const regions =
        on.task.op.kind == shunt::op_kind::dispatch_backward ? on.task.reads : on.task.writes;
    auto const part = on.declared(regions, buffers::kept(l))
                          .subspan(static_cast<std::size_t>(c.nth) * size, size);
    return kept_tokens(model_, tokens(), span_splitter<float>(shunt::as<float>(part))).arrays;
  }
  void read_text(access const& on, owned const& c) {
    on.each(tokens(),
            read_windows{.text = reinterpret_cast<std::uint8_t const*>(text_.bytes().data()),
                         .choice = choice_,
                         .iteration = on.task.iteration,
                         .microbatch = c.microbatch,
                         .window = window(),
                         .windows = on.room.windows});
  }
  void embed(access const& on, dense_parameters<float const> const& p) {
    on.each(tokens() * inputs(), embed_windows{p.embed.data(), on.room.windows, window(),
                                               model_.embedding, on.room.embedded});
  }
  void count_bytes(access const& on, shunt::layer_id l, std::int64_t const* shares, bool to_slots) {
    on.each(locations_.live(),
            count_routed{.to = locations_.tables(l),
                         .shares = shares,
                         .self = locations_.peer_of(on.rank),
                         .to_slots = to_slots,
                         .token_bytes = shape_.token_bytes,
                         .bytes = on.template write<std::int64_t>(buffers::outgoing_counts)});
  }

  /// Adds a gradient of the sum of a micro-batch's losses, in the room, to the sums of its
  /// parameters, as the gradient of the mean.
  template <class Matrix>
  void add_gradient(access const& on, float const* gradient, Matrix const& parameters,
                    float const* first) {
    auto* const sums = on.template write<std::int64_t>(buffers::sums);
    on.team(add_in_fixed_point{.gradient = gradient,
                               .count = parameters.size(),
                               .terms = static_cast<float>(tokens()),
                               .sums = sums + (parameters.data() - first),
                               .misfits = sums + sizes_.dense + 1});
  }

  void route(access const& on, shunt::layer_id l) {
    auto const p = parameters(on);
    auto* const above = on.template write<float>(buffers::hidden);
    auto* const counts = on.template write<std::int64_t>(buffers::counts(l));
    device_.streams().fill(on.on, on.declared(on.task.writes, buffers::counts(l)),
                           on.task.condition);
    for (auto const& c : owned_by(on)) {
      if (l == 0) {
        read_text(on, c);
        embed(on, p);
        on.multiply({.rows = tokens(), .inner = inputs(), .columns = width(), .transpose_b = true},
                    on.room.embedded, p.project.data(), on.room.x);
        on.copy(on.room.x, hidden(above, c), tokens() * width());
      }
      auto const k = kept(on, l, c);
      on.each(tokens(), normalise_rows{.hidden = hidden(above, c),
                                       .width = width(),
                                       .on_grid = true,
                                       .x = k.x,
                                       .inverse = k.inverse_rms});
      on.multiply({.rows = tokens(), .inner = width(), .columns = experts(), .transpose_b = true},
                  k.x, p.router[l.index()].data(), on.room.scores);
      on.each(tokens(), choose_expert{on.room.scores, k});
      on.each(experts(), count_choices{k, tokens(), counts + c.nth * experts()});
    }
  }

  void dispatch(access const& on, shunt::layer_id l) {
    auto const to = locations_.tables(l);
    auto const& room = on.room;
    auto* const shares = on.template write<std::int64_t>(buffers::shares(l));
    on.each(to.microbatches * experts(),
            order_counts{to, on.template read<std::int64_t>(buffers::all_counts(l)), room.counts});
    on.team(shunt::split_layers{
        .ranks = to.microbatches,
        .experts = to.experts,
        .slots = to.slots,
        .capacity = shape_.slot_capacity,
        .first_slot = locations_.first_slot_of_rank(),
        .expert_of = to.expert_of,
        .counts = room.counts,
        .tokens = shares,
        .dropped = room.dropped,
        .hosted = room.hosted,
        .hosted_end = room.hosted_end,
        .first_row = room.row,  // of one micro-batch a rank: first_rows finds those of several
        .rest = room.rest});
    count_bytes(on, l, shares, true);
    auto* const outgoing = on.template write<float>(buffers::outgoing);
    for (auto const& c : owned_by(on)) {
      auto const k = kept(on, l, c);
      on.each(to.slots, first_rows{.to = to,
                                   .shares = shares,
                                   .self = locations_.peer_of(on.rank),
                                   .nth = c.nth,
                                   .row = room.row});
      on.each(tokens(), place_token{k, shares + std::int64_t{c.microbatch} * to.slots, room.row,
                                    room.hosted, room.hosted_end});
      on.each(tokens() * width(), send_tokens{k, width(), outgoing});
    }
  }

  /// Calls each(slot, its tokens among what arrived) for the rank's slots, its parameters taken
  /// over.
  template <class Each>
  void for_slots(access const& on, shunt::layer_id l, std::int64_t const* shares,
                 Each const& each) {
    auto const self = locations_.peer_of(on.rank);
    find_arrivals const find{.to = locations_.tables(l),
                             .shares = shares,
                             .self = self,
                             .start = on.room.start,
                             .end = on.room.end};
    on.each(locations_.slots_of(self), find);
    auto const elements = model_.expert.elements();
    auto const* const weights = on.template read<float>(buffers::weights(l));
    for (std::int32_t s = 0; s < locations_.slots_of(self); ++s) {
      on.each(elements, take_parameters{weights + s * elements, on.room.parameters});
      each(s, find.of(s));
    }
  }
  /// A slot's tokens, and what is inside the expert for them.
  void look_inside(access const& on, slot_arrivals const& at, float const* arrived) {
    auto const& room = on.room;
    on.each(room.slot_rows * width(), gather_slot{at, arrived, width(), room.tokens_of_slot});
    on.multiply({.rows = room.slot_rows, .inner = width(), .columns = inner(), .transpose_b = true},
                room.tokens_of_slot, room.parameters.w1, room.inner);
    on.each(room.slot_rows * inner(), activate{at, room.parameters.b1, inner(), room.inner});
  }

  void expert_forward(access const& on, shunt::layer_id l) {
    auto const& room = on.room;
    auto const* const shares = on.template read<std::int64_t>(buffers::shares(l));
    auto const* const arrived = on.template read<float>(buffers::arrived(l));
    auto* const outgoing = on.template write<float>(buffers::outgoing);
    for_slots(on, l, shares, [&](std::int32_t, slot_arrivals const& at) {
      look_inside(on, at, arrived);
      on.multiply(
          {.rows = room.slot_rows, .inner = inner(), .columns = width(), .transpose_b = true},
          room.inner, room.parameters.w2, room.below);
      on.each(room.slot_rows * width(), scatter_slot<on_activation_grid>{
                                            at, room.below, room.parameters.b2, width(), outgoing});
    });
    count_bytes(on, l, shares, false);
  }

  void combine(access const& on, shunt::layer_id l) {
    auto const* const answers = on.template read<float>(buffers::answers(l));
    auto* const all = on.template write<float>(buffers::hidden);
    for (auto const& c : owned_by(on)) {
      on.each(tokens() * width(),
              combine_answers{kept(on, l, c), answers, width(), hidden(all, c)});
      if (l.value() + 1 == model_.layers) predict(on, c, hidden(all, c));
    }
  }
  /// Head and loss of a micro-batch; `above` becomes the gradient of the sum of losses with respect
  /// to it.
  void predict(access const& on, owned const& c, float* above) {
    auto const p = parameters(on);
    auto const& room = on.room;
    auto* const sums = on.template write<std::int64_t>(buffers::sums);
    read_text(on, c);
    on.each(tokens(), normalise_rows{
                          .hidden = above, .width = width(), .x = room.x, .inverse = room.inverse});
    on.multiply({.rows = tokens(), .inner = width(), .columns = bytes, .transpose_b = true}, room.x,
                p.head.data(), room.scores);
    on.each(tokens(),
            score_tokens{p.bias.data(), room.windows, window(), room.scores, room.losses});
    on.multiply({.rows = bytes, .inner = tokens(), .columns = width(), .transpose_a = true},
                room.scores, room.x, room.gradient);
    add_gradient(on, room.gradient, p.head, p.embed.data());
    on.each(bytes, sum_columns{room.scores, tokens(), bytes, room.column});
    add_gradient(on, room.column, p.bias, p.embed.data());
    on.each(1, mean_loss{room.losses, tokens(), room.loss});
    on.team(add_in_fixed_point{.gradient = room.loss,
                               .count = 1,
                               .sums = sums + sizes_.dense,
                               .misfits = sums + sizes_.dense + 1});
    on.multiply({.rows = tokens(), .inner = bytes, .columns = width()}, room.scores, p.head.data(),
                room.dx);
    on.each(tokens(), normalise_rows_backward{.x = room.x,
                                              .inverse = room.inverse,
                                              .dx = room.dx,
                                              .width = width(),
                                              .add = false,
                                              .dh = above});
  }

  void combine_backward(access const& on, shunt::layer_id l) {
    auto const* const answers = on.template read<float>(buffers::answers(l));
    auto const* const all = on.template read<float>(buffers::hidden);
    auto* const outgoing = on.template write<float>(buffers::outgoing);
    for (auto const& c : owned_by(on))
      on.each(tokens(),
              combine_answers_backward{kept(on, l, c), answers, hidden(all, c), width(), outgoing});
    count_bytes(on, l, on.template read<std::int64_t>(buffers::shares(l)), true);
  }

  void expert_backward(access const& on, shunt::layer_id l) {
    auto const& room = on.room;
    auto const rows = room.slot_rows;
    auto const elements = model_.expert.elements();
    auto const* const shares = on.template read<std::int64_t>(buffers::shares(l));
    auto const* const arrived = on.template read<float>(buffers::arrived(l));
    auto const* const incoming = on.template read<float>(buffers::incoming);
    auto* const gradients = on.template write<std::int64_t>(buffers::slot_gradients(l));
    auto* const outgoing = on.template write<float>(buffers::outgoing);
    auto* const misfits = on.template write<std::int64_t>(buffers::sums) + sizes_.dense + 1;
    double *const x = room.tokens_of_slot, *const above = room.above, *const inside = room.inner,
                  *const through = room.through;
    for_slots(on, l, shares, [&](std::int32_t s, slot_arrivals const& at) {
      look_inside(on, at, arrived);
      on.each(rows * width(), gather_slot{at, incoming, width(), above});
      on.multiply({.rows = rows, .inner = width(), .columns = inner()}, above, room.parameters.w2,
                  through);
      on.each(rows * inner(), activate_backward{inside, through});
      on.multiply({.rows = rows, .inner = inner(), .columns = width()}, through, room.parameters.w1,
                  room.below);
      on.each(rows * width(),
              scatter_slot<on_gradient_grid>{
                  .arrivals = at, .rows = room.below, .width = width(), .to = outgoing});
      on.multiply({.rows = inner(), .inner = rows, .columns = width(), .transpose_a = true},
                  through, x, room.sums.w1);
      on.multiply({.rows = width(), .inner = rows, .columns = inner(), .transpose_a = true}, above,
                  inside, room.sums.w2);
      on.each(width(), measure_columns{at, x, width(), nullptr, room.x_squares});
      on.each(width(), measure_columns{at, above, width(), room.sums.b2, room.above_squares});
      on.each(inner(), measure_columns{at, inside, inner(), nullptr, room.inner_squares});
      on.each(inner(), measure_columns{at, through, inner(), room.sums.b1, room.through_squares});
      on.team(keep_expert_gradient{.arrivals = at,
                                   .sums = room.sums,
                                   .x = room.x_squares,
                                   .inner = room.inner_squares,
                                   .through = room.through_squares,
                                   .above = room.above_squares,
                                   .gradient = gradients + s * elements,
                                   .misfits = misfits});
    });
    count_bytes(on, l, shares, false);
  }

  void dispatch_backward(access const& on, shunt::layer_id l) {
    auto const p = parameters(on);
    auto const& room = on.room;
    auto const& router = p.router[l.index()];
    float const* const first = p.embed.data();
    auto const* const incoming = on.template read<float>(buffers::incoming);
    auto* const all = on.template write<float>(buffers::hidden);
    for (auto const& c : owned_by(on)) {
      auto const k = kept(on, l, c);
      float* const above = hidden(all, c);
      on.each(tokens(), choose_expert_backward{k, room.scores});
      on.multiply({.rows = tokens(), .inner = experts(), .columns = width()}, room.scores,
                  router.data(), room.dx);
      on.each(tokens() * width(), add_returned{k, incoming, width(), room.dx});
      on.each(
          tokens(),
          normalise_rows_backward{
              .x = k.x, .inverse = k.inverse_rms, .dx = room.dx, .width = width(), .dh = above});
      on.multiply({.rows = experts(), .inner = tokens(), .columns = width(), .transpose_a = true},
                  room.scores, k.x, room.gradient);
      add_gradient(on, room.gradient, router, first);
      if (l != 0) continue;

      read_text(on, c);
      embed(on, p);
      on.multiply({.rows = width(), .inner = tokens(), .columns = inputs(), .transpose_a = true},
                  above, room.embedded, room.gradient);
      add_gradient(on, room.gradient, p.project, first);
      on.multiply({.rows = tokens(), .inner = width(), .columns = inputs()}, above,
                  p.project.data(), room.embedded);
      on.each(bytes * model_.embedding,
              embed_windows_backward{room.embedded, room.windows, tokens(), window(),
                                     model_.embedding, room.gradient});
      add_gradient(on, room.gradient, p.embed, first);
    }
  }

  /// A step on `count` parameters and both their moments behind them, whose gradients are sums over
  /// `terms`.
  void step(access const& on, shunt::buffer_id b, std::int64_t count, std::int64_t const* gradient,
            std::int64_t terms) {
    auto const kept = memory_.before_step(on.rank, b);
    auto const state = [&](float* at) { return shunt::adam_state{at, at + count, at + 2 * count}; };
    on.each(1, begin_step{.rule = rule_,
                          .iteration = on.task.iteration,
                          .clock = on.room.clock,
                          .kept = kept.iteration});
    on.each(count, step_element{{.rule = rule_,
                                 .elements = count,
                                 .state = state(on.template write<float>(b)),
                                 .gradient = gradient,
                                 .unit = shunt::fixed_point::one * static_cast<double>(terms),
                                 .clock = on.room.clock,
                                 .kept = state(reinterpret_cast<float*>(kept.bytes))}});
  }
  void step(access const& on, shunt::layer_id l) {
    auto const count = static_cast<std::int64_t>(
        on.declared(on.task.reads, buffers::shard_gradients(l)).size() / sizeof(std::int64_t));
    step(on, buffers::state(l), count, on.template read<std::int64_t>(buffers::shard_gradients(l)),
         tokens() * training_.ranks);
    on.each(count, round_weights{on.template write<float>(buffers::state(l)),
                                 on.template write<float>(buffers::weight_shards(l))});
  }
  void step_dense(access const& on) {
    step(on, buffers::dense, sizes_.dense, on.template read<std::int64_t>(buffers::sums),
         training_.ranks);
  }

  moe_model model_;
  shunt::moe_training training_;
  shunt::moe_sizes sizes_;
  shunt::moe_shape shape_{};
  shunt::shard_map shards_{};
  shunt::adam_rule rule_;
  window_choice choice_;
  Device& device_;
  typename Device::system::stream stream_;
  grown_memory<Device> text_{};
  expert_locations<Device> locations_{};
  stream_memory<Device> memory_;
  std::vector<grown_memory<Device>> rooms_;  // by rank
};

}  // namespace example::moe
