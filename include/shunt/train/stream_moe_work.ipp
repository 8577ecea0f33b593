#pragma once
#include "shunt/train/stream_moe_work.hpp"

namespace shunt {

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
stream_moe_work<Device, Model>::stream_moe_work(Device& device, Model model, moe_training training,
                                                adam const& optimizer)
    : device_(device),
      model_(std::move(model)),
      training_(std::move(training)),
      rule_{.rate = optimizer.rate,
            .beta1 = optimizer.beta1,
            .beta2 = optimizer.beta2,
            .epsilon = optimizer.epsilon},
      sizes_(detail::sound_sizes(model_, training_)),
      shape_(
          shape_of(sizes_, training_, kept_tokens::bytes(sizes_, training_.tokens), adam::moments)),
      shards_(detail::copied_shards(shape_, training_.copies)),
      stream_(device_.streams().make_stream()),
      memory_(device_, static_cast<std::size_t>(training_.ranks), stepped(sizes_.layers)),
      scratch_(static_cast<std::size_t>(training_.ranks)),
      model_scratch_(scratch_.size()) {
  if (training_.only) throw invalid_problem("only", "ranks on streams are all in one process");
  if (training_.collection.type != element::int64)
    throw invalid_problem("collection.type", "on streams gradients are int64");
  host_memory initial(static_cast<std::size_t>(training_.ranks));
  initial.fit(detail::persistent_buffers(shape_, shards_));
  for (rank_id const r : ids<rank_id>(training_.ranks)) {
    detail::initialise(model_, sizes_, shards_, initial, r);
    auto const begin_with = [&](buffer_id b) {
      auto const from = std::span<std::byte>(initial(r, b));
      memory_.resize(r, b, from.size());
      if (!from.empty()) device_.write(from, buffer(r, b));
    };
    begin_with(buffers::dense);
    for (layer_id const l : ids<layer_id>(sizes_.layers)) {
      begin_with(buffers::state(l));
      begin_with(buffers::weight_shards(l));
      weights_of_masters(r, l);
    }
  }
  set_owners(shunt::owners_of(shape_));
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
std::vector<buffer_id> stream_moe_work<Device, Model>::stepped(std::int32_t layers) {
  std::vector<buffer_id> all{buffers::dense};
  for (layer_id const l : ids<layer_id>(layers)) all.push_back(buffers::state(l));
  return all;
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
stream_moe_work<Device, Model>::scratch::scratch(moe_sizes const& sizes, moe_shape const& shape,
                                                 std::int64_t slots, std::byte* at) {
  auto const take = [&]<class T>(T*& array, std::int64_t count) {
    array = at == nullptr ? nullptr : reinterpret_cast<T*>(at + bytes);
    bytes += static_cast<std::size_t>(aligned(count * static_cast<std::int64_t>(sizeof(T))));
  };
  std::int64_t const microbatches = shape.experts.ranks, experts = sizes.experts;
  take(gradient, sizes.dense);
  take(unfit, lanes);
  take(loss, 1);
  take(counts, microbatches * experts);
  take(dropped, microbatches * experts);
  take(rest, microbatches * experts);
  take(hosted, slots);
  take(hosted_end, experts);
  take(row, slots);
  take(start, slots * microbatches);
  take(end, slots * microbatches);
  take(clock, 1);
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
std::span<std::byte> stream_moe_work<Device, Model>::access::named(std::span<region const> regions,
                                                                   buffer_id b) const {
  for (region const& r : regions)
    if (r.buffer == b)
      return work.buffer(rank, b).subspan(static_cast<std::size_t>(r.offset),
                                          static_cast<std::size_t>(r.size));
  throw invalid_program("operation " + std::string(to_string(of.op.kind)) + " needs buffer " +
                        std::to_string(b.value()));
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
void stream_moe_work<Device, Model>::place(expert_placement placement) {
  tables_.set(device_, shape_, std::move(placement), shape_.owners);
  scratch const room(sizes_, shape_, tables_.placement().slots(), nullptr);
  for (auto& own : scratch_) static_cast<void>(own.grow(device_, room.bytes));
  for (auto& own : model_scratch_)
    static_cast<void>(own.grow(device_, model_.scratch_bytes(training_.tokens, most())));
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
void stream_moe_work<Device, Model>::restore(rank_id r, std::int64_t iteration) {
  auto const restored = memory_.restore(r, iteration);
  for (layer_id const l : ids<layer_id>(sizes_.layers))
    if (std::find(restored.begin(), restored.end(), buffers::state(l)) != restored.end())
      weights_of_masters(r, l);
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
void stream_moe_work<Device, Model>::adopt(shard_map shards) {
  shards_ = std::move(shards);
  for (rank_id const r : shape_.owners.live())
    for (layer_id const l : ids<layer_id>(sizes_.layers)) {
      memory_.swap(r, buffers::state(l), buffers::recovered(l));
      memory_.resize(r, buffers::weight_shards(l),
                     static_cast<std::size_t>(held_elements(shards_, r)) * sizeof(float));
      weights_of_masters(r, l);
    }
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
void stream_moe_work<Device, Model>::weights_of_masters(rank_id r, layer_id l) {
  auto const weights = as<float>(buffer(r, buffers::weight_shards(l)));
  if (weights.empty()) return;
  model_.weights(moe_stream_place<Device>{device_, stream_},
                 as<float>(buffer(r, buffers::state(l))).first(weights.size()), weights);
  device_.settle();
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
void stream_moe_work<Device, Model>::operator()(rank_id r, stream_task const& t, stream_ref on) {
  access const a{
      *this,
      r,
      t,
      {device_, on, t.condition, model_scratch_[r.index()].bytes()},
      scratch(sizes_, shape_, tables_.placement().slots(), scratch_[r.index()].bytes().data())};
  layer_id const layer = t.op.stage.value();
  switch (t.op.kind) {
    case op_kind::route: return route(a, layer);
    case op_kind::dispatch: return dispatch(a, layer);
    case op_kind::expert_forward: return expert_forward(a, layer);
    case op_kind::combine: return combine(a, layer);
    case op_kind::combine_backward: return combine_backward(a, layer);
    case op_kind::expert_backward: return expert_backward(a, layer);
    case op_kind::dispatch_backward: return dispatch_backward(a, layer);
    case op_kind::step: return step(a, layer);
    default:
      throw invalid_program("a MoE iteration has no operation " +
                            std::string(to_string(t.op.kind)));
  }
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
template <class T>
std::span<T> stream_moe_work<Device, Model>::hidden_of(std::span<T> all, owned const& c) const {
  auto const size = static_cast<std::size_t>(shape_.hidden_bytes) / sizeof(float);
  return all.subspan(static_cast<std::size_t>(c.nth) * size,
                     static_cast<std::size_t>(shape_.tokens * sizes_.width));
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
auto stream_moe_work<Device, Model>::kept_of(access const& on, layer_id l, owned const& c) const
    -> kept_tokens {
  auto const regions = on.of.op.kind == op_kind::dispatch_backward ? on.of.reads : on.of.writes;
  auto const size = static_cast<std::size_t>(shape_.kept_bytes);
  return kept_tokens::in(
      on.named(regions, buffers::kept(l)).subspan(static_cast<std::size_t>(c.nth) * size, size),
      sizes_, shape_.tokens);
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
void stream_moe_work<Device, Model>::add_dense(access const& on) {
  device_.each(
      on.at.on, lanes,
      detail::add_dense_gradient{.gradient = on.own.gradient,
                                 .size = dense(),
                                 .lanes = lanes,
                                 .tokens = static_cast<float>(shape_.tokens),
                                 .sums = on.template write<std::int64_t>(buffers::sums).data(),
                                 .unfit = on.own.unfit,
                                 .condition = on.of.condition},
      nullptr);
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
void stream_moe_work<Device, Model>::count_bytes(access const& on, layer_id l,
                                                 std::int64_t const* shares, bool to_slots) {
  on.at.each(tables_.live(),
             detail::count_routed{
                 .to = tables_.tables(l),
                 .shares = shares,
                 .self = tables_.peer_of(on.rank),
                 .to_slots = to_slots,
                 .token_bytes = shape_.token_bytes,
                 .bytes = on.template write<std::int64_t>(buffers::outgoing_counts).data()});
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
void stream_moe_work<Device, Model>::route(access const& on, layer_id l) {
  auto const all = on.template write<float>(buffers::hidden);
  auto const counts = on.template write<std::int64_t>(buffers::counts(l));
  on.fill(std::as_writable_bytes(counts));
  if (l == 0) {  // an iteration that was given up may have left something
    on.fill(std::as_writable_bytes(gradient(on)));
    on.fill(std::as_writable_bytes(std::span(on.own.unfit, static_cast<std::size_t>(lanes))));
  }
  for (owned const& c : owned_by(on)) {
    auto const hidden = hidden_of(all, c);
    if (l == 0) model_.embed(on.at, {on.of.iteration, c.microbatch, parameters(on), hidden});
    auto const k = kept_of(on, l, c);
    model_.route(on.at, {l, on.of.iteration, c.microbatch, parameters(on), hidden, k.input,
                         k.expert, k.gate, k.own});
    on.at.each(sizes_.experts, detail::count_choices{k.expert.data(), shape_.tokens,
                                                     counts.data() + c.nth * sizes_.experts});
  }
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
void stream_moe_work<Device, Model>::dispatch(access const& on, layer_id l) {
  auto const to = tables_.tables(l);
  auto const& own = on.own;
  auto* const shares = on.template write<std::int64_t>(buffers::shares(l)).data();
  auto* const outgoing = on.template write<float>(buffers::outgoing).data();
  on.at.each(std::int64_t{to.microbatches} * to.experts,
             detail::order_counts{to, on.template read<std::int64_t>(buffers::all_counts(l)).data(),
                                  own.counts});
  on.at.team(split_layers{.ranks = to.microbatches,
                          .experts = to.experts,
                          .slots = to.slots,
                          .capacity = shape_.slot_capacity,
                          .first_slot = tables_.first_slot_of_rank(),
                          .expert_of = to.expert_of,
                          .counts = own.counts,
                          .tokens = shares,
                          .dropped = own.dropped,
                          .hosted = own.hosted,
                          .hosted_end = own.hosted_end,
                          .first_row = own.row,  // of one micro-batch a rank: see first_rows
                          .rest = own.rest});
  if (training_.sources)
    on.at.each(std::int64_t{to.microbatches} * to.slots,
               detail::take_source_room{.to = to,
                                        .room = training_.sources->room(shape_.tokens, to.experts),
                                        .first_slot_of_rank = tables_.first_slot_of_rank(),
                                        .counts = own.counts,
                                        .hosted = own.hosted,
                                        .hosted_end = own.hosted_end,
                                        .shares = shares});
  count_bytes(on, l, shares, true);
  for (owned const& c : owned_by(on)) {
    auto const k = kept_of(on, l, c);
    detail::random_claims claims;
    if (training_.sources)
      claims = {.iteration = on.of.iteration,
                .seed = training_.sources->seed,
                .layer = l.value(),
                .microbatch = c.microbatch};
    on.at.each(to.slots, detail::first_rows{.to = to,
                                            .shares = shares,
                                            .self = tables_.peer_of(on.rank),
                                            .nth = c.nth,
                                            .row = own.row});
    on.at.each(shape_.tokens,
               detail::place_token{.expert = k.expert.data(),
                                   .place = k.row.data(),
                                   .tokens = shares + std::int64_t{c.microbatch} * to.slots,
                                   .row = own.row,
                                   .hosted = own.hosted,
                                   .hosted_end = own.hosted_end,
                                   .count = shape_.tokens,
                                   .claims = claims});
    on.at.each(shape_.tokens * sizes_.width,
               detail::send_tokens{k.input.data(), k.row.data(), sizes_.width, outgoing});
  }
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
template <class Each>
void stream_moe_work<Device, Model>::for_slots(access const& on, layer_id l,
                                               std::int64_t const* shares, Each const& each) {
  auto const self = tables_.peer_of(on.rank);
  auto const first = tables_.placement().first_slot[on.rank.index()];
  detail::find_arrivals const find{.to = tables_.tables(l),
                                   .shares = shares,
                                   .self = self,
                                   .start = on.own.start,
                                   .end = on.own.end};
  on.at.each(tables_.slots_of(self), find);
  for (std::int32_t s = 0; s < tables_.slots_of(self); ++s)
    each(static_cast<std::size_t>(s),
         tables_.placement().layer(l)[static_cast<std::size_t>(first + s)], find.of(s));
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
void stream_moe_work<Device, Model>::expert_forward(access const& on, layer_id l) {
  auto const* const shares = on.template read<std::int64_t>(buffers::shares(l)).data();
  auto const* const arrived = on.template read<float>(buffers::arrived(l)).data();
  auto const weights = on.template read<float>(buffers::weights(l));
  auto* const outgoing = on.template write<float>(buffers::outgoing).data();
  auto const elements = static_cast<std::size_t>(sizes_.expert);
  for_slots(on, l, shares, [&](std::size_t s, expert_id e, slot_rows const& at) {
    model_.expert_forward(
        on.at, {l, e, weights.subspan(s * elements, elements), at, most(), arrived, outgoing});
  });
  count_bytes(on, l, shares, false);
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
void stream_moe_work<Device, Model>::combine(access const& on, layer_id l) {
  auto const* const answers = on.template read<float>(buffers::answers(l)).data();
  auto const all = on.template write<float>(buffers::hidden);
  for (owned const& c : owned_by(on)) {
    auto const k = kept_of(on, l, c);
    auto const hidden = hidden_of(all, c);
    model_.combine(on.at, {l, k.gate, k.row, answers, hidden});
    if (l.value() + 1 < sizes_.layers) continue;
    auto* const sums = on.template write<std::int64_t>(buffers::sums).data();
    model_.head(on.at, {on.of.iteration, c.microbatch, parameters(on), hidden, gradient(on)},
                on.own.loss);
    add_dense(on);
    on.at.each(1, detail::add_loss{.loss = on.own.loss,
                                   .tokens = static_cast<double>(shape_.tokens),
                                   .sum = sums + dense(),
                                   .misfits = sums + dense() + 1});
  }
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
void stream_moe_work<Device, Model>::combine_backward(access const& on, layer_id l) {
  auto const* const answers = on.template read<float>(buffers::answers(l)).data();
  auto const all = on.template read<float>(buffers::hidden);
  auto* const outgoing = on.template write<float>(buffers::outgoing).data();
  for (owned const& c : owned_by(on)) {
    auto const k = kept_of(on, l, c);
    model_.combine_backward(
        on.at, {l, k.gate, k.row, answers, hidden_of(all, c), k.gate_gradient, outgoing});
  }
  count_bytes(on, l, on.template read<std::int64_t>(buffers::shares(l)).data(), true);
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
void stream_moe_work<Device, Model>::expert_backward(access const& on, layer_id l) {
  auto const* const shares = on.template read<std::int64_t>(buffers::shares(l)).data();
  auto const* const arrived = on.template read<float>(buffers::arrived(l)).data();
  auto const* const incoming = on.template read<float>(buffers::incoming).data();
  auto const weights = on.template read<float>(buffers::weights(l));
  auto const gradients = on.template write<std::int64_t>(buffers::slot_gradients(l));
  auto* const outgoing = on.template write<float>(buffers::outgoing).data();
  auto* const misfits = on.template write<std::int64_t>(buffers::sums).data() + dense() + 1;
  auto const elements = static_cast<std::size_t>(sizes_.expert);
  for_slots(on, l, shares, [&](std::size_t s, expert_id e, slot_rows const& at) {
    model_.expert_backward(on.at, {l, e, weights.subspan(s * elements, elements), at, most(),
                                   arrived, incoming, outgoing,
                                   gradients.subspan(s * elements, elements), misfits});
  });
  count_bytes(on, l, shares, false);
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
void stream_moe_work<Device, Model>::dispatch_backward(access const& on, layer_id l) {
  auto const* const incoming = on.template read<float>(buffers::incoming).data();
  auto const all = on.template write<float>(buffers::hidden);
  for (owned const& c : owned_by(on)) {
    auto const k = kept_of(on, l, c);
    auto const hidden = hidden_of(all, c);
    model_.route_backward(on.at,
                          {l, on.of.iteration, c.microbatch, parameters(on), k.input, k.gate, k.own,
                           k.expert, k.gate_gradient, k.row, incoming, hidden, gradient(on)});
    if (l == 0)
      model_.embed_backward(on.at,
                            {on.of.iteration, c.microbatch, parameters(on), hidden, gradient(on)});
    add_dense(on);
  }
  if (l == 0)
    on.at.team(detail::add_unfit{
        on.own.unfit, lanes, on.template write<std::int64_t>(buffers::sums).data() + dense() + 1});
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
void stream_moe_work<Device, Model>::step_on(access const& on, buffer_id b, std::int64_t count,
                                             std::int64_t const* gradient, std::int64_t terms) {
  auto const kept = memory_.before_step(on.rank, b);
  auto const state = [&](float* at) { return adam_state{at, at + count, at + 2 * count}; };
  on.at.each(1, detail::begin_step{.rule = rule_,
                                   .iteration = on.of.iteration,
                                   .clock = on.own.clock,
                                   .kept = kept.iteration});
  on.at.each(count, detail::step_element{{.rule = rule_,
                                          .elements = count,
                                          .state = state(on.template write<float>(b).data()),
                                          .gradient = gradient,
                                          .unit = fixed_point::one * static_cast<double>(terms),
                                          .clock = on.own.clock,
                                          .kept = state(reinterpret_cast<float*>(kept.bytes))}});
}

template <team_device Device, class Model>
  requires stream_moe_model<Model, Device>
void stream_moe_work<Device, Model>::step(access const& on, layer_id l) {
  if (l == sizes_.layers)
    return step_on(on, buffers::dense, dense(),
                   on.template read<std::int64_t>(buffers::sums).data(), training_.ranks);
  auto const gradient = on.template read<std::int64_t>(buffers::shard_gradients(l));
  step_on(on, buffers::state(l), std::ssize(gradient), gradient.data(),
          shape_.tokens * training_.ranks);
  model_.weights(on.at, on.template write<float>(buffers::state(l)).first(gradient.size()),
                 on.template write<float>(buffers::weight_shards(l)));
}

}  // namespace shunt
