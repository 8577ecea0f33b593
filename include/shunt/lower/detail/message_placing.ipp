#pragma once
#include "shunt/lower/detail/message_placing.hpp"

#include <numeric>
#include <string>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR pipeline_actions message_placing::placed() && {
  auto const ranks = static_cast<std::size_t>(job_.ranks());
  host_.assign(cell_.count, rank_id{none});
  takes_gradient_.assign(cell_.count, 0);
  queue_.resize(end(2 * cell_.count, 0));  // all ends
  partner_.assign(ranks, {});
  actions_.lanes = lanes_;
  for (rank_id r : ids<rank_id>(ranks))
    for (operation const& o : schedule_.order[r])
      if (o.kind == op_kind::forward)
        host_[cell_(o)] = r;
      else if (makes_gradient(o.kind))
        takes_gradient_[cell_(o)] = 1;
  std::vector<std::size_t> sizes(ranks, 0);
  for (rank_id r : ids<rank_id>(ranks)) sizes[r.index()] = schedule_.order[r].size();
  if (lanes_ == message_lanes::one_per_edge)
    queue_edges(sizes);
  else
    queue_by_start(sizes);
  for (auto& p : partner_) p = {};
  actions_.lists.reserve(ranks, std::accumulate(sizes.begin(), sizes.end(), std::size_t{0}));
  for (rank_id r : ids<rank_id>(ranks)) {
    out_ = actions_.lists.add(sizes[r.index()]).data();
    write(r);
  }
  return std::move(actions_);
}

constexpr message_placing::crossing message_placing::received(rank_id r, operation const& o,
                                                              std::size_t c) const {
  bool const forward = o.kind == op_kind::forward;
  if (forward ? o.stage == 0 : !makes_gradient(o.kind) || o.stage.index() + 1 == cell_.stages)
    return {};
  std::size_t const apart = cell_.of_stage(o.pipeline), from = forward ? c - apart : c + apart;
  return between(r, host_[from], 2 * from + !forward, o.stage.value() + (forward ? -1 : 1));
}

constexpr message_placing::crossing message_placing::sent(rank_id r, operation const& o,
                                                          std::size_t c) const {
  bool const forward = o.kind == op_kind::forward;
  if (forward ? o.stage.index() + 1 == cell_.stages : !makes_gradient(o.kind) || o.stage == 0)
    return {};
  std::size_t const apart = cell_.of_stage(o.pipeline), to = forward ? c + apart : c - apart;
  if (!forward && takes_gradient_[to] == 0) return {};
  return between(r, host_[to], 2 * c + !forward, o.stage);
}

constexpr message_placing::crossing message_placing::between(rank_id r, rank_id peer,
                                                             std::size_t output, stage_id stage) {
  if (peer == none)
    throw invalid_program("a micro-batch is computed at one stage and not at the next");
  return peer == r ? crossing{} : crossing{output, peer, stage};
}

SHUNT_CONSTEXPR void message_placing::queue_edges(std::vector<std::size_t>& sizes) {
  for (rank_id r : ids<rank_id>(sizes.size()))
    for (operation const& o : schedule_.order[r]) {
      auto const m = received(r, o, cell_(o));
      if (m.has_no_peer()) continue;
      ++sizes[r.index()];
      ++sizes[m.peer.index()];
      auto& with = partner_[m.peer.index()];
      if (with.known_to != r) with = {.known_to = r};
      put_behind(with.last, m.output);
    }
}

SHUNT_CONSTEXPR void message_placing::queue_by_start(std::vector<std::size_t>& sizes) {
  std::vector<keyed> messages;
  messages.reserve(2 * cell_.count);
  for (rank_id r : ids<rank_id>(sizes.size()))
    for (operation const& o : schedule_.order[r]) {
      auto const m = received(r, o, cell_(o));
      if (m.has_no_peer()) continue;
      ++sizes[r.index()];
      ++sizes[m.peer.index()];
      auto const& starts = o.kind == op_kind::forward ? starts_->forward : starts_->gradient;
      messages.push_back({starts[cell_(o)], static_cast<std::int32_t>(m.output), m.peer, r});
    }
  sort_by_key(messages, starts_->latest);
  std::vector<std::size_t> begin(sizes.size() + 1, 0);  // by rank: its messages in that order
  for (keyed const& m : messages) {
    ++begin[m.from.index() + 1];
    ++begin[m.to.index() + 1];
  }
  for (std::size_t r = 0; r < sizes.size(); ++r) begin[r + 1] += begin[r];
  std::vector<std::int32_t> of_rank(begin.back());
  auto at = begin;
  for (std::size_t k = 0; k < messages.size(); ++k)
    for (rank_id const r : {messages[k].from, messages[k].to})
      of_rank[at[r.index()]++] = static_cast<std::int32_t>(k);
  for (rank_id r : ids<rank_id>(sizes.size())) {
    std::int32_t last_of_rank = none;
    for (std::size_t k = begin[r.index()]; k < begin[r.index() + 1]; ++k) {
      keyed const& m = messages[static_cast<std::size_t>(of_rank[k])];
      auto& with = partner_[(m.from == r ? m.to : m.from).index()];
      if (with.known_to != r) with = {.known_to = r};
      put_behind(lanes_ == message_lanes::one_per_rank ? last_of_rank : with.last,
                 end(static_cast<std::size_t>(m.message), m.to == r));
    }
  }
}

SHUNT_CONSTEXPR void message_placing::write(rank_id r) {
  auto const& list = schedule_.order[r];
  used_lanes_ = pipeline_lanes::first_of_messages;
  std::int32_t const* pair = nullptr;
  std::int32_t const* no_more = nullptr;
  if (!schedule_.overlapped.empty()) {
    pair = schedule_.overlapped[r].data();
    no_more = pair + schedule_.overlapped[r].size();
  }
  auto const take = [&](operation const& o, std::size_t c) {
    auto const m = received(r, o, c);
    if (m.has_no_peer()) return;
    if (lanes_ == message_lanes::one_per_edge) return place(r, m, 1, o);  // in this order
    if (!end_is_ready(r, m, 1, o))
      throw invalid_program("the orders of the ranks wait for each other");
  };
  auto const give = [&](operation const& o, std::size_t c) {
    if (auto const m = sent(r, o, c); !m.has_no_peer()) (void)end_is_ready(r, m, 0, o);
  };
  for (std::size_t i = 0; i < list.size(); ++i) {
    operation const& o = list[i];
    std::size_t const c = cell_(o);
    take(o, c);
    if (pair != no_more && *pair == static_cast<std::int32_t>(i)) {
      operation const& second = list[++i];
      ++pair;
      take(second, cell_(second));
      (out_++)->op = o;
      out_->op = second;
      (out_++)->lane = pipeline_lanes::second_of_pair;
      give(o, c);
      give(second, cell_(second));
    } else {
      (out_++)->op = o;
      give(o, c);
    }
  }
}

constexpr void message_placing::put_behind(std::int32_t& last, std::size_t end) {
  if (last != none) {
    queue_[static_cast<std::size_t>(last)].next = static_cast<std::int32_t>(end);
    queue_[end].behind = true;
  }
  last = static_cast<std::int32_t>(end);
}

constexpr bool message_placing::end_is_ready(rank_id r, crossing m, std::size_t side,
                                             operation const& o) {
  queued* last = &queue_[end(m.output, side)];
  last->ready = true;
  if (last->behind) return false;
  place(r, m, side, o);
  while (last->next != none) {
    auto const at = static_cast<std::size_t>(last->next);
    last = &queue_[at];
    last->behind = false;
    if (!last->ready) break;
    bool const edges = lanes_ == message_lanes::one_per_edge;
    std::size_t const output = edges ? at : at / 2, c = output / 2;
    operation const made_by = cell_.output(output);
    rank_id const peer =
        host_[!edges && at % 2 == 1              ? c
              : made_by.kind == op_kind::forward ? c + cell_.of_stage(made_by.pipeline)
                                                 : c - cell_.of_stage(made_by.pipeline)];
    place(r, {output, peer, made_by.stage}, edges ? 0 : at % 2, made_by);
  }
  return true;
}

constexpr void message_placing::place(rank_id r, crossing m, std::size_t side, operation const& o) {
  pipeline_action& a = *out_++;  // assigned by member, which is faster than as a whole
  a.op.kind = m.output % 2 == 0 ? op_kind::forward : op_kind::backward_input;
  a.op.pipeline = o.pipeline;
  a.op.stage = m.stage;
  a.op.microbatch = o.microbatch;
  a.peer = m.peer;
  a.kind = side == 1 ? action_kind::receive : action_kind::send;
  a.lane = lane(r, m.peer, side);
}

constexpr std::uint8_t message_placing::lane(rank_id r, rank_id peer, std::size_t side) {
  if (lanes_ == message_lanes::one_per_rank) return pipeline_lanes::first_of_messages;
  auto& with = partner_[peer.index()];
  if (with.known_to != r) with = {.known_to = r};
  std::uint8_t& own =
      side == 1 && lanes_ == message_lanes::one_per_edge ? with.receive_lane : with.send_lane;
  if (own == 0) own = new_lane(r);
  return own;
}

SHUNT_CONSTEXPR std::uint8_t message_placing::new_lane(rank_id r) {
  if (used_lanes_ == pipeline_lanes::most)
    throw invalid_program("rank " + std::to_string(r.value()) +
                          " talks to more ranks than it has lanes");
  return static_cast<std::uint8_t>(used_lanes_++);
}

}  // namespace shunt::detail
