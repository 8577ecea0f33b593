#pragma once
#include "shunt/lower/moe_iteration.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/program/builder.hpp"

namespace shunt {

SHUNT_CONSTEXPR microbatch_owners owners_of(moe_shape const& shape) {
  return shape.owners.of.empty() ? owners_without({}, shape.experts.ranks) : shape.owners;
}

SHUNT_CONSTEXPR expert_buffers expert_buffers_of(layer_id l) {
  return {.slot_gradients = moe_buffers::slot_gradients(l),
          .shard_gradients = moe_buffers::shard_gradients(l),
          .staged_gradients = moe_buffers::staged,
          .slot_weights = moe_buffers::weights(l),
          .shard_weights = moe_buffers::weight_shards(l)};
}

SHUNT_CONSTEXPR std::int64_t part_tokens(moe_shape const& shape,
                                         expert_placement const& placement) {
  std::int64_t slots = 0;
  for (std::size_t r = 0; r + 1 < placement.first_slot.size(); ++r)
    slots = std::max<std::int64_t>(slots, placement.first_slot[r + 1] - placement.first_slot[r]);
  if (slots == 0 || shape.slot_capacity >= shape.tokens) return shape.tokens;
  return std::min(shape.tokens, slots * shape.slot_capacity);
}

}  // namespace shunt

namespace shunt::detail {

SHUNT_CONSTEXPR void validate(moe_shape const& shape) {
  auto const positive = [](char const* field, std::int64_t value) {
    if (value < 1) throw invalid_problem(field, "must be at least 1, is " + std::to_string(value));
  };
  positive("layers", shape.layers);
  positive("tokens", shape.tokens);
  positive("token_bytes", shape.token_bytes);
  positive("hidden_bytes", shape.hidden_bytes);
  positive("kept_bytes", shape.kept_bytes);
  positive("dense_bytes", shape.dense_bytes);
  positive("sums", shape.sums);
  if (shape.slot_capacity < 0)
    throw invalid_problem("slot_capacity",
                          "must be at least 0, is " + std::to_string(shape.slot_capacity));
}

SHUNT_CONSTEXPR void validate(microbatch_owners const& owners, expert_placement const& placement,
                              shard_map const& map) {
  if (owners.microbatches() != placement.ranks())
    throw invalid_problem("owners", "has " + std::to_string(owners.microbatches()) +
                                        " micro-batches for " + std::to_string(placement.ranks()) +
                                        " ranks");
  for (std::size_t k = 0; k < owners.of.size(); ++k)
    if (owners.of[k] < 0 || owners.of[k].value() >= placement.ranks())
      throw invalid_problem("owners[" + std::to_string(k) + "]",
                            "is rank " + std::to_string(owners.of[k].value()) + " of " +
                                std::to_string(placement.ranks()));
  for (rank_id r : ids<rank_id>(placement.ranks())) {
    if (owners.alive(r)) continue;
    bool const slots = placement.first_slot[r.index()] < placement.first_slot[r.index() + 1];
    if (slots || held_elements(map, r) > 0)
      throw invalid_problem("owners", "rank " + std::to_string(r.value()) +
                                          " carries no micro-batch and still has " +
                                          (slots ? "slots" : "shards"));
  }
}

// Declares all buffers of both programs on every live rank.
// Throws invalid_problem where the owners of micro-batches don't fit.
SHUNT_CONSTEXPR void declare_moe_buffers(program_builder& b, moe_shape const& shape,
                                         expert_placement const& placement, shard_map const& map) {
  using buffers = moe_buffers;
  auto const word = size_of(element::int64);
  auto const owners = owners_of(shape);
  validate(owners, placement, map);
  auto const live = owners.live();
  byte_count const ranks = static_cast<byte_count>(live.size()), owned = owners.most(),
                   counts = owned * shape.experts.experts * word;
  byte_count const parts = ranks * owned * part_tokens(shape, placement) * shape.token_bytes;
  for (rank_id const r : live) {
    b.buffer(r, buffers::dense, shape.dense_bytes, true);
    b.buffer(r, buffers::sums, shape.sums * word);
    b.buffer(r, buffers::hidden, owned * shape.hidden_bytes);
    for (buffer_id const all : {buffers::outgoing, buffers::incoming}) b.buffer(r, all, parts);
    for (buffer_id const all : {buffers::outgoing_counts, buffers::incoming_counts})
      b.buffer(r, all, ranks * word);
    for (layer_id l : ids<layer_id>(shape.layers)) {
      b.buffer(r, buffers::kept(l), owned * shape.kept_bytes);
      b.buffer(r, buffers::counts(l), counts);
      b.buffer(r, buffers::all_counts(l), ranks * counts);
      b.buffer(r, buffers::shares(l), byte_count{owners.microbatches()} * placement.slots() * word);
      b.buffer(r, buffers::arrived(l), parts);
      b.buffer(r, buffers::answers(l), parts);
      b.buffer(r, buffers::state(l), held_elements(map, r) * shape.experts.state_bytes, true);
    }
  }
  for (layer_id l : ids<layer_id>(shape.layers)) {
    declare_gradient_buffers(b, shape.experts, placement, map, expert_buffers_of(l));
    declare_weight_buffers(b, shape.experts, placement, map, expert_buffers_of(l));
    for (rank_id const r : live)  // both are made by the program itself
      for (buffer_id const own : {buffers::slot_gradients(l), buffers::shard_gradients(l)})
        b.buffer(r, own, b.all_of(r, own).size, false);
  }
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR program lower(moe_shape const& shape, expert_placement const& placement,
                              shard_map const& map, gradient_collection how) {
  using buffers = moe_buffers;
  detail::validate(shape);
  if (placement.layers != shape.layers)
    throw invalid_problem("placement.layers", "must be " + std::to_string(shape.layers) + ", is " +
                                                  std::to_string(placement.layers));
  for (layer_id l : ids<layer_id>(shape.layers)) detail::match(shape.experts, placement, l, map);

  program_builder b(placement.ranks());
  detail::declare_moe_buffers(b, shape, placement, map);
  auto const every_rank = owners_of(shape).live();
  group_id const all = b.group(every_rank);

  auto const compute = [&](rank_id r, op_kind kind, std::int32_t layer,
                           std::vector<buffer_id> const& reads,
                           std::vector<buffer_id> const& writes) {
    std::vector<region> in, out;
    for (buffer_id const x : reads) in.push_back(b.all_of(r, x));
    for (buffer_id const x : writes) out.push_back(b.all_of(r, x));
    b.compute(r, {.kind = kind, .stage = layer}, program_builder::regions(in),
              program_builder::regions(out));
  };
  auto const exchange = [&](rank_id r, buffer_id to, buffer_id to_counts) {
    b.exchange(r, all, b.all_of(r, buffers::outgoing), b.all_of(r, buffers::outgoing_counts),
               b.all_of(r, to), b.all_of(r, to_counts));
  };

  for (rank_id r : every_rank) {
    b.fill(r, b.all_of(r, buffers::sums));
    for (std::int32_t l = 0; l < shape.layers; ++l) {
      buffer_id const kept = buffers::kept(l), counts = buffers::counts(l),
                      all_counts = buffers::all_counts(l);
      buffer_id const shares = buffers::shares(l), arrived = buffers::arrived(l),
                      answers = buffers::answers(l);
      bool const last = l + 1 == shape.layers;
      if (l == 0)
        compute(r, op_kind::route, l, {buffers::dense}, {buffers::hidden, kept, counts});
      else
        compute(r, op_kind::route, l, {buffers::dense, buffers::hidden},
                {buffers::hidden, kept, counts});
      b.all_gather(r, all, b.all_of(r, counts), b.all_of(r, all_counts));
      compute(r, op_kind::dispatch, l, {kept, all_counts},
              {kept, shares, buffers::outgoing, buffers::outgoing_counts});
      exchange(r, arrived, buffers::incoming_counts);
      compute(r, op_kind::expert_forward, l, {arrived, shares, buffers::weights(l)},
              {buffers::outgoing, buffers::outgoing_counts});
      exchange(r, answers, buffers::incoming_counts);
      if (last)
        compute(r, op_kind::combine, l,
                {answers, shares, buffers::hidden, kept, buffers::dense, buffers::sums},
                {buffers::hidden, kept, buffers::sums});
      else
        compute(r, op_kind::combine, l, {answers, shares, buffers::hidden, kept},
                {buffers::hidden, kept});
    }
    for (std::int32_t l = shape.layers - 1; l >= 0; --l) {
      buffer_id const kept = buffers::kept(l), shares = buffers::shares(l);
      compute(r, op_kind::combine_backward, l, {buffers::answers(l), shares, buffers::hidden, kept},
              {kept, buffers::outgoing, buffers::outgoing_counts});
      exchange(r, buffers::incoming, buffers::incoming_counts);
      compute(
          r, op_kind::expert_backward, l,
          {buffers::arrived(l), buffers::incoming, shares, buffers::weights(l), buffers::sums},
          {buffers::slot_gradients(l), buffers::outgoing, buffers::outgoing_counts, buffers::sums});
      exchange(r, buffers::incoming, buffers::incoming_counts);
      compute(r, op_kind::dispatch_backward, l,
              {buffers::incoming, shares, kept, buffers::hidden, buffers::dense, buffers::sums},
              {buffers::hidden, buffers::sums});
    }
    b.all_reduce(r, all, element::int64, reduction::sum, b.all_of(r, buffers::sums));
  }
  for (layer_id l : ids<layer_id>(shape.layers)) {
    how(b, shape.experts, placement, l, map, expert_buffers_of(l));
    ++how.batch;
  }
  for (rank_id r : every_rank) {
    for (std::int32_t l = 0; l < shape.layers; ++l)
      compute(r, op_kind::step, l, {buffers::shard_gradients(l), buffers::state(l)},
              {buffers::state(l), buffers::weight_shards(l)});
    compute(r, op_kind::step, shape.layers, {buffers::sums, buffers::dense}, {buffers::dense});
  }
  return std::move(b).finish();
}

SHUNT_CONSTEXPR program lower(moe_shape const& shape, expert_placement const& next,
                              shard_map const& map, weight_scatter how) {
  detail::validate(shape);
  if (next.layers != shape.layers)
    throw invalid_problem("placement.layers", "must be " + std::to_string(shape.layers) + ", is " +
                                                  std::to_string(next.layers));
  program_builder b(next.ranks());
  for (layer_id l : ids<layer_id>(shape.layers)) detail::match(shape.experts, next, l, map);
  detail::declare_moe_buffers(b, shape, next, map);
  for (layer_id l : ids<layer_id>(shape.layers)) {
    how(b, shape.experts, next, l, map, expert_buffers_of(l));
    ++how.batch;
  }
  return std::move(b).finish();
}

SHUNT_CONSTEXPR program lower(moe_shape const& shape, shard_map const& before,
                              shard_recovery const& recovery, state_recovery how) {
  detail::validate(shape);
  program_builder b(shape.experts.ranks);
  for (layer_id l : ids<layer_id>(shape.layers)) {
    how(b, shape.experts, before, recovery, moe_buffers::state(l), moe_buffers::recovered(l));
    ++how.batch;
  }
  return std::move(b).finish();
}

}  // namespace shunt
