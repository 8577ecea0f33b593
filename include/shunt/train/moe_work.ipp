#pragma once
#include "shunt/train/moe_work.hpp"

namespace shunt {
namespace detail {

// The sizes of a model, once they are found sound.
template <class Model>
moe_sizes sound_sizes(Model const& model, moe_training const& training) {
  validate(training);
  auto const sizes = model.sizes(training.tokens);
  validate(sizes);
  if (training.slots() < sizes.experts)
    throw invalid_problem("slots", std::to_string(training.slots()) + " slots for " +
                                       std::to_string(sizes.experts) + " experts");
  return sizes;
}

inline shard_map copied_shards(moe_shape const& shape, std::int32_t copies) {
  auto answer = mirrored_shards{.copies = copies}(shape.experts);
  if (!answer.has_plan()) throw invalid_problem("copies", answer.reason);
  return std::move(answer.plan);
}

// The buffers of all ranks that outlive programs.
inline program persistent_buffers(moe_shape const& shape, shard_map const& shards) {
  using buffers = moe_buffers;
  program all;
  all.ranks.resize(static_cast<std::size_t>(shape.experts.ranks));
  for (rank_id const r : ids<rank_id>(shape.experts.ranks)) {
    auto& declared = all.ranks[r].buffers;
    declared.resize(buffers::recovered(shape.layers - 1).index() + 1);
    declared[buffers::dense].size = shape.dense_bytes;
    auto const held = held_elements(shards, r);
    for (layer_id const l : ids<layer_id>(shape.layers)) {
      declared[buffers::state(l)].size = held * shape.experts.state_bytes;
      declared[buffers::weight_shards(l)].size = held * shape.experts.weight_bytes;
    }
  }
  return all;
}

// Writes the model's parameters into a rank's dense part and the masters of its shards.
template <class Model>
void initialise(Model const& model, moe_sizes const& sizes, shard_map const& shards,
                host_memory& memory, rank_id r) {
  using buffers = moe_buffers;
  model.initialise(
      as<float>(memory(r, buffers::dense)).first(static_cast<std::size_t>(sizes.dense)));
  std::vector<float> drawn(static_cast<std::size_t>(sizes.expert));
  for (layer_id const l : ids<layer_id>(sizes.layers)) {
    auto master = as<float>(memory(r, buffers::state(l))).begin();
    for (expert_id const e : ids<expert_id>(sizes.experts)) {
      auto const held = [&](shard const& s) { return s.held_by(r); };
      auto const& all = shards.shards[e];
      if (std::none_of(all.begin(), all.end(), held)) continue;
      std::fill(drawn.begin(), drawn.end(), 0.0F);
      model.initialise(l, e, drawn);
      for (shard const& s : all)
        if (held(s)) master = std::copy(drawn.begin() + s.begin, drawn.begin() + s.end, master);
    }
  }
}

}  // namespace detail

template <moe_model Model, optimizer Optimizer>
moe_work<Model, Optimizer>::moe_work(Model model, moe_training training, Optimizer optimizer)
    : model_(std::move(model)),
      training_(std::move(training)),
      optimizer_(std::move(optimizer)),
      sizes_(detail::sound_sizes(model_, training_)),
      shape_(shape_of(sizes_, training_, kept_tokens::bytes(sizes_, training_.tokens),
                      Optimizer::moments)),
      shards_(detail::copied_shards(shape_, training_.copies)),
      memory_(static_cast<std::size_t>(training_.ranks), training_.only),
      scratch_(static_cast<std::size_t>(training_.ranks)) {
  memory_.fit(detail::persistent_buffers(shape_, shards_));
  for (rank_id const r : ids<rank_id>(training_.ranks))
    if (has(r)) {
      scratch_[r.index()].dense.resize(dense());
      detail::initialise(model_, sizes_, shards_, memory_, r);
      for (layer_id const l : ids<layer_id>(shape_.layers)) {
        auto const weights = values<float>(r, buffers::weight_shards(l));
        model_.weights(values<float>(r, buffers::state(l)).first(weights.size()), weights);
      }
    }
  set_owners(shunt::owners_of(shape_));
}

template <moe_model Model, optimizer Optimizer>
void moe_work<Model, Optimizer>::set_owners(microbatch_owners owners) {
  shape_.owners = owners;
  routing_.set_owners(std::move(owners));
}

template <moe_model Model, optimizer Optimizer>
void moe_work<Model, Optimizer>::adopt(shard_map shards) {
  shards_ = std::move(shards);
  for (rank_id const r : routing_.live()) {
    if (!has(r)) continue;
    auto const held = static_cast<std::size_t>(held_elements(shards_, r));
    for (layer_id const l : ids<layer_id>(shape_.layers)) {
      std::swap(memory_(r, buffers::state(l)), memory_(r, buffers::recovered(l)));
      memory_(r, buffers::weight_shards(l)).resize(held * sizeof(float));
      model_.weights(values<float>(r, buffers::state(l)).first(held),
                     values<float>(r, buffers::weight_shards(l)));
    }
  }
}

template <moe_model Model, optimizer Optimizer>
void moe_work<Model, Optimizer>::operator()(rank_id r, task const& t) {
  access const on{*this, r, t};
  layer_id const layer = t.op.stage.value();
  switch (t.op.kind) {
    case op_kind::route: return route(on, layer);
    case op_kind::dispatch: return dispatch(on, layer);
    case op_kind::expert_forward: return expert_forward(on, layer);
    case op_kind::combine: return combine(on, layer);
    case op_kind::combine_backward: return combine_backward(on, layer);
    case op_kind::expert_backward: return expert_backward(on, layer);
    case op_kind::dispatch_backward: return dispatch_backward(on, layer);
    case op_kind::step: return layer == sizes_.layers ? step_dense(on) : step(on, layer);
    default:
      throw invalid_program("a MoE iteration has no operation " +
                            std::string(to_string(t.op.kind)));
  }
}

template <moe_model Model, optimizer Optimizer>
std::span<std::byte> moe_work<Model, Optimizer>::access::named(std::span<region const> regions,
                                                               buffer_id b) const {
  for (region const& r : regions)
    if (r.buffer == b) return work.memory_(rank, r);
  throw invalid_program("operation " + std::string(to_string(of.op.kind)) + " needs buffer " +
                        std::to_string(b.value()));
}

template <moe_model Model, optimizer Optimizer>
std::span<float> moe_work<Model, Optimizer>::hidden_of(std::span<float> all,
                                                       std::size_t nth) const {
  return all.subspan(nth * static_cast<std::size_t>(shape_.hidden_bytes) / sizeof(float),
                     tokens() * width());
}

template <moe_model Model, optimizer Optimizer>
void moe_work<Model, Optimizer>::add_dense(access const& on) {
  auto const sums = on.template write<std::int64_t>(buffers::sums);
  auto const count = static_cast<float>(shape_.tokens);
  auto& gradient = scratch_[on.rank.index()].dense;
  std::int64_t bad = 0;
  constexpr std::size_t block = 16;  // most are zeros
  for (std::size_t first = 0; first < gradient.size(); first += block) {
    auto const part = std::span(gradient).subspan(first, std::min(block, gradient.size() - first));
    bool const zeros =
        std::all_of(part.begin(), part.end(), [](float g) { return g == 0; });  // not of a NaN
    if (zeros) continue;
    for (std::size_t i = 0; i < part.size(); ++i) {
      float const g = part[i] / count;
      bad += fixed_point::fits(g) ? 0 : 1;
      sums[first + i] += fixed_point::rounded(g);
      part[i] = 0;
    }
  }
  sums[dense() + 1] += bad;
}

template <moe_model Model, optimizer Optimizer>
void moe_work<Model, Optimizer>::count_bytes(access const& on, layer_id l, bool to_slots) const {
  auto const regions = on.of.op.kind == op_kind::dispatch ? on.of.writes : on.of.reads;
  routing_.count_bytes(as<std::int64_t>(on.named(regions, buffers::shares(l))), on.rank, to_slots,
                       shape_.token_bytes,
                       on.template write<std::int64_t>(buffers::outgoing_counts));
}

template <moe_model Model, optimizer Optimizer>
std::span<float> moe_work<Model, Optimizer>::gather(std::vector<run> const& runs,
                                                    std::span<float const> from,
                                                    floats& rows) const {
  std::size_t count = 0, at = 0;
  for (run const& r : runs) count += static_cast<std::size_t>(r.count);
  if (rows.size() < count * width()) rows.resize(count * width());
  for (run const& r : runs) {
    auto const size = static_cast<std::size_t>(r.count) * width();
    std::copy_n(from.begin() + r.row * sizes_.width, size,
                rows.begin() + static_cast<std::ptrdiff_t>(at));
    at += size;
  }
  return std::span<float>(rows).first(count * width());
}

template <moe_model Model, optimizer Optimizer>
void moe_work<Model, Optimizer>::scatter(std::vector<run> const& runs, std::span<float const> rows,
                                         std::span<float> to) const {
  for (run const& r : runs) {
    auto const size = static_cast<std::size_t>(r.count) * width();
    std::copy_n(rows.begin(), size, to.begin() + r.row * sizes_.width);
    rows = rows.subspan(size);
  }
}

template <moe_model Model, optimizer Optimizer>
void moe_work<Model, Optimizer>::route(access const& on, layer_id l) {
  auto const counts = on.template write<std::int64_t>(buffers::counts(l));
  auto const all = on.template write<float>(buffers::hidden);
  std::fill(counts.begin(), counts.end(), 0);
  for (owned const& c : routing_.owned_by(on.rank)) {
    auto const hidden = hidden_of(all, c.nth);
    if (l == 0) model_.embed({on.of.iteration, c.microbatch, parameters(on), hidden});
    auto const k = kept_of(on.named(on.of.writes, buffers::kept(l)), c.nth);
    model_.route({l, on.of.iteration, c.microbatch, parameters(on), hidden, k.input, k.expert,
                  k.gate, k.own});
    auto const row = counts.subspan(c.nth * static_cast<std::size_t>(sizes_.experts));
    for (std::size_t t = 0; t < tokens(); ++t) {
      if (k.expert[t] < 0 || k.expert[t] >= sizes_.experts)
        throw invalid_problem(
            "route", "layer " + std::to_string(l.value()) + " sends token " + std::to_string(t) +
                         " of micro-batch " + std::to_string(c.microbatch) + " to expert " +
                         std::to_string(k.expert[t]) + " of " + std::to_string(sizes_.experts));
      ++row[static_cast<std::size_t>(k.expert[t])];
    }
  }
}

template <moe_model Model, optimizer Optimizer>
void moe_work<Model, Optimizer>::dispatch(access const& on, layer_id l) {
  auto const shares = on.template write<std::int64_t>(buffers::shares(l));
  routing_.split(l, on.template read<std::int64_t>(buffers::all_counts(l)), shape_.slot_capacity,
                 training_.sources, shares);
  count_bytes(on, l, true);
  auto const outgoing = on.template write<float>(buffers::outgoing);
  auto next = routing_.first_rows();
  for (owned const& c : routing_.owned_by(on.rank)) {
    auto const k = kept_of(on.named(on.of.writes, buffers::kept(l)), c.nth);
    std::vector<std::int64_t> order;
    if (training_.sources)
      order =
          detail::claim_noise::of(training_.sources->seed, on.of.iteration, l.value(), c.microbatch)
              .order(shape_.tokens);
    routing_.take_rows(l, shares, c.microbatch, k.expert, next, k.row, order);
    for (std::size_t t = 0; t < tokens(); ++t)
      if (k.row[t] >= 0)
        std::copy_n(k.input.begin() + static_cast<std::ptrdiff_t>(t * width()), width(),
                    outgoing.begin() + k.row[t] * sizes_.width);
  }
}

template <moe_model Model, optimizer Optimizer>
void moe_work<Model, Optimizer>::expert_forward(access const& on, layer_id l) {
  auto const slots = routing_.arrivals(on.template read<std::int64_t>(buffers::shares(l)), on.rank);
  auto const arrived = on.template read<float>(buffers::arrived(l));
  auto const weights = on.template read<float>(buffers::weights(l));
  auto const outgoing = on.template write<float>(buffers::outgoing);
  auto& own = scratch_[on.rank.index()];
  for (std::size_t s = 0; s < slots.size(); ++s) {
    if (slots[s].empty()) continue;
    auto const input = gather(slots[s], arrived, own.input);
    if (own.output.size() < input.size()) own.output.resize(input.size());
    auto const output = std::span<float>(own.output).first(input.size());
    model_.expert_forward({l, routing_.expert_of(l, on.rank, s),
                           weights.subspan(s * elements(), elements()), input, output});
    scatter(slots[s], output, outgoing);
  }
  count_bytes(on, l, false);
}

template <moe_model Model, optimizer Optimizer>
void moe_work<Model, Optimizer>::combine(access const& on, layer_id l) {
  auto const answers = on.template read<float>(buffers::answers(l));
  auto const all = on.template write<float>(buffers::hidden);
  for (owned const& c : routing_.owned_by(on.rank)) {
    auto const k = kept_of(on.named(on.of.writes, buffers::kept(l)), c.nth);
    auto const hidden = hidden_of(all, c.nth);
    for (std::size_t t = 0; t < tokens(); ++t)
      if (k.row[t] >= 0)
        model_.combine({l, k.gate[t],
                        answers.subspan(static_cast<std::size_t>(k.row[t]) * width(), width()),
                        hidden.subspan(t * width(), width())});
    if (l.value() + 1 < sizes_.layers) continue;

    auto const sum = model_.head(
        {on.of.iteration, c.microbatch, parameters(on), hidden, scratch_[on.rank.index()].dense});
    add_dense(on);
    auto const sums = on.template write<std::int64_t>(buffers::sums);
    auto const loss =
        static_cast<float>(static_cast<double>(sum) / static_cast<double>(shape_.tokens));
    sums[dense() + 1] += fixed_point::fits(loss) ? 0 : 1;
    sums[dense()] += fixed_point::rounded(loss);
  }
}

template <moe_model Model, optimizer Optimizer>
void moe_work<Model, Optimizer>::combine_backward(access const& on, layer_id l) {
  auto const answers = on.template read<float>(buffers::answers(l));
  auto const outgoing = on.template write<float>(buffers::outgoing);
  auto const all = as<float>(on.named(on.of.reads, buffers::hidden));
  for (owned const& c : routing_.owned_by(on.rank)) {
    auto const k = kept_of(on.named(on.of.writes, buffers::kept(l)), c.nth);
    auto const hidden = hidden_of(all, c.nth);
    for (std::size_t t = 0; t < tokens(); ++t) {
      k.gate_gradient[t] = 0;
      if (k.row[t] < 0) continue;
      auto const at = static_cast<std::size_t>(k.row[t]) * width();
      k.gate_gradient[t] = model_.combine_backward({l, k.gate[t], answers.subspan(at, width()),
                                                    hidden.subspan(t * width(), width()),
                                                    outgoing.subspan(at, width())});
    }
  }
  count_bytes(on, l, true);
}

template <moe_model Model, optimizer Optimizer>
void moe_work<Model, Optimizer>::expert_backward(access const& on, layer_id l) {
  auto const slots = routing_.arrivals(on.template read<std::int64_t>(buffers::shares(l)), on.rank);
  auto const arrived = on.template read<float>(buffers::arrived(l)),
             incoming = on.template read<float>(buffers::incoming),
             weights = on.template read<float>(buffers::weights(l));
  auto const outgoing = on.template write<float>(buffers::outgoing);
  auto const gradients = on.named(on.of.writes, buffers::slot_gradients(l));
  auto& misfits = on.template write<std::int64_t>(buffers::sums)[dense() + 1];
  auto const type = training_.collection.type;
  auto const bytes = elements() * static_cast<std::size_t>(size_of(type));
  auto& own = scratch_[on.rank.index()];
  std::fill(gradients.begin(), gradients.end(), std::byte{0});
  for (std::size_t s = 0; s < slots.size(); ++s) {
    if (slots[s].empty()) continue;
    auto const target = gradients.subspan(s * bytes, bytes);
    auto sum = as<std::int64_t>(target);
    if (type != element::int64) {
      own.sums.assign(elements(), 0);
      sum = own.sums;
    }
    auto const input = gather(slots[s], arrived, own.input),
               output_gradient = gather(slots[s], incoming, own.output);
    if (own.gradient.size() < input.size()) own.gradient.resize(input.size());
    auto const input_gradient = std::span<float>(own.gradient).first(input.size());
    misfits += model_.expert_backward({l, routing_.expert_of(l, on.rank, s),
                                       weights.subspan(s * elements(), elements()), input,
                                       output_gradient, input_gradient, sum})
                   ? 0
                   : 1;
    scatter(slots[s], input_gradient, outgoing);
    if (type == element::int64) continue;
    own.mean.resize(std::max(own.mean.size(), elements()));
    auto const rounded = std::span<float>(own.mean).first(elements());
    for (std::size_t i = 0; i < elements(); ++i) rounded[i] = fixed_point::mean(sum[i], 1);
    misfits += add_gradient(type, rounded, target);
  }
  count_bytes(on, l, false);
}

template <moe_model Model, optimizer Optimizer>
void moe_work<Model, Optimizer>::dispatch_backward(access const& on, layer_id l) {
  auto const incoming = on.template read<float>(buffers::incoming);
  auto const all = on.template write<float>(buffers::hidden);
  auto& own = scratch_[on.rank.index()];
  auto const gradient = std::span<float>(own.dense);
  own.input.resize(std::max(own.input.size(), tokens() * width()));
  auto const returned = std::span<float>(own.input).first(tokens() * width());
  for (owned const& c : routing_.owned_by(on.rank)) {
    auto const k = kept_of(on.named(on.of.reads, buffers::kept(l)), c.nth);
    auto const hidden = hidden_of(all, c.nth);
    for (std::size_t t = 0; t < tokens(); ++t) {
      auto const to = returned.subspan(t * width(), width());
      if (k.row[t] >= 0)
        std::copy_n(incoming.begin() + k.row[t] * sizes_.width, width(), to.begin());
      else
        std::fill(to.begin(), to.end(), 0.0F);
    }
    model_.route_backward({l, on.of.iteration, c.microbatch, parameters(on), k.input, k.gate, k.own,
                           k.expert, k.gate_gradient, returned, hidden, gradient});
    if (l == 0)
      model_.embed_backward({on.of.iteration, c.microbatch, parameters(on), hidden, gradient});
    add_dense(on);
  }
}

template <moe_model Model, optimizer Optimizer>
void moe_work<Model, Optimizer>::step_on(access const& on, buffer_id b, element type,
                                         std::span<std::byte const> gradient, std::size_t count,
                                         std::int64_t terms) {
  auto const state = on.template write<float>(b);
  auto& all = scratch_[on.rank.index()].mean;
  all.resize(std::max(all.size(), count));
  auto const mean = std::span<float>(all).first(count);
  if (mean_gradient(type, gradient, terms, mean) > 0)
    for (float& g : mean) g = std::isfinite(g) ? g : 0;
  auto const moments = static_cast<std::size_t>(state_planes - 1);
  optimizer_(state.first(count), state.subspan(count, moments * count), mean, on.of.iteration + 1);
}

template <moe_model Model, optimizer Optimizer>
void moe_work<Model, Optimizer>::step(access const& on, layer_id l) {
  for (buffer_id const b : {buffers::state(l), buffers::weight_shards(l)})
    memory_.keep(on.rank, b, on.of.iteration);
  auto const gradient = on.named(on.of.reads, buffers::shard_gradients(l));
  auto const type = training_.collection.type;
  auto const count = gradient.size() / static_cast<std::size_t>(size_of(type));
  step_on(on, buffers::state(l), type, gradient, count, shape_.tokens * microbatches());
  model_.weights(on.template write<float>(buffers::state(l)).first(count),
                 on.template write<float>(buffers::weight_shards(l)));
}

template <moe_model Model, optimizer Optimizer>
void moe_work<Model, Optimizer>::step_dense(access const& on) {
  memory_.keep(on.rank, buffers::dense, on.of.iteration);
  step_on(on, buffers::dense, element::int64, on.named(on.of.reads, buffers::sums), dense(),
          microbatches());
}

}  // namespace shunt
