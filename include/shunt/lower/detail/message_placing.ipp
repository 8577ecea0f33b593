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
  next_.assign((lanes_ == message_lanes::one_per_edge ? 2 : 4) * cell_.count, none);
  state_.assign(2 * cell_.count, 0);
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
    actions_.lists.begin_list();
    write(r);
  }
  return std::move(actions_);
}

constexpr message_placing::crossing message_placing::received(rank_id r,
                                                                    operation const& o) const {
  bool const forward = o.kind == op_kind::forward;
  if (forward ? o.stage == 0 : !makes_gradient(o.kind) || o.stage.index() + 1 == cell_.stages)
    return {};
  std::size_t const c = forward ? cell_(o) - cell_.microbatches : cell_(o) + cell_.microbatches;
  return between(r, host_[c], 2 * c + !forward);
}

constexpr message_placing::crossing message_placing::sent(rank_id r,
                                                                operation const& o) const {
  bool const forward = o.kind == op_kind::forward;
  if (forward ? o.stage.index() + 1 == cell_.stages : !makes_gradient(o.kind) || o.stage == 0)
    return {};
  std::size_t const c = cell_(o);
  if (!forward && takes_gradient_[c - cell_.microbatches] == 0) return {};
  return between(r, host_[forward ? c + cell_.microbatches : c - cell_.microbatches],
                 2 * c + !forward);
}

constexpr message_placing::crossing message_placing::between(rank_id r, rank_id peer,
                                                                   std::size_t output) {
  if (peer == none)
    throw invalid_program("a micro-batch is computed at one stage and not at the next");
  return peer == r ? crossing{} : crossing{output, peer};
}

constexpr void message_placing::queue_edges(std::vector<std::size_t>& sizes) {
  for (rank_id r : ids<rank_id>(sizes.size()))
    for (operation const& o : schedule_.order[r]) {
      auto const m = received(r, o);
      if (m.has_no_peer()) continue;
      ++sizes[r.index()];
      ++sizes[m.peer.index()];
      auto& with = partner_[m.peer.index()];
      if (with.known_to != r) with = {.known_to = r};
      if (with.last != none) {
        next_[static_cast<std::size_t>(with.last)] = static_cast<std::int32_t>(m.output);
        state_[m.output] = behind;
      }
      with.last = static_cast<std::int32_t>(m.output);
    }
}

constexpr void message_placing::queue_by_start(std::vector<std::size_t>& sizes) {
  std::vector<keyed> messages;
  messages.reserve(2 * cell_.count);
  for (rank_id r : ids<rank_id>(sizes.size()))
    for (operation const& o : schedule_.order[r]) {
      auto const m = received(r, o);
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
      std::int32_t const end = 2 * m.message + (m.to == r);
      std::int32_t& last = lanes_ == message_lanes::one_per_rank ? last_of_rank : with.last;
      if (last != none) {
        next_[static_cast<std::size_t>(last)] = end;
        state_[static_cast<std::size_t>(m.message)] |=
            static_cast<std::uint8_t>(behind << (end & 1));
      }
      last = end;
    }
  }
}

constexpr void message_placing::write(rank_id r) {
  auto const& list = schedule_.order[r];
  used_lanes_ = pipeline_lanes::first_of_messages;
  std::int32_t const* pair = nullptr;
  std::int32_t const* no_more = nullptr;
  if (!schedule_.overlapped.empty()) {
    pair = schedule_.overlapped[r].data();
    no_more = pair + schedule_.overlapped[r].size();
  }
  auto const take = [&](operation const& o) {
    auto const m = received(r, o);
    if (m.has_no_peer()) return;
    std::int32_t const from = o.kind == op_kind::forward ? -1 : 1;
    if (lanes_ == message_lanes::one_per_edge)
      return put(r, m, 1, o.pipeline, o.stage.value() + from, o.microbatch);  // in this order
    end_is_ready(r, m, 1, o.pipeline, o.stage.value() + from, o.microbatch);
    if ((state_[m.output] & placed_ << 1) == 0)
      throw invalid_program("the orders of the ranks wait for each other");
  };
  auto const give = [&](operation const& o) {
    if (auto const m = sent(r, o); !m.has_no_peer())
      end_is_ready(r, m, 0, o.pipeline, o.stage, o.microbatch);
  };
  for (std::size_t i = 0; i < list.size(); ++i) {
    bool const two = pair != no_more && *pair == static_cast<std::int32_t>(i);
    take(list[i]);
    if (two) take(list[i + 1]);
    actions_.lists.add().op = list[i];
    if (two) {
      pipeline_action& second = actions_.lists.add();
      second.op = list[i + 1];
      second.lane = pipeline_lanes::second_of_pair;
    }
    give(list[i]);
    if (!two) continue;
    give(list[++i]);
    ++pair;
  }
}

constexpr void message_placing::end_is_ready(rank_id r, crossing m, std::size_t side,
                                                   pipeline_id p, stage_id s, microbatch_id b) {
  state_[m.output] |= static_cast<std::uint8_t>(ready << side);
  bool const edges = lanes_ == message_lanes::one_per_edge;
  while ((state_[m.output] & (ready | behind) << side) == ready << side) {
    state_[m.output] |= static_cast<std::uint8_t>(placed_ << side);
    put(r, m, side, p, s, b);
    std::int32_t const next = next_[edges ? m.output : 2 * m.output + side];
    if (next == none) return;
    m.output = static_cast<std::size_t>(edges ? next : next / 2);
    if (!edges) side = static_cast<std::size_t>(next % 2);
    state_[m.output] &= static_cast<std::uint8_t>(~(behind << side));
    if ((state_[m.output] & ready << side) == 0) return;
    operation const made_by = cell_.output(m.output);
    p = made_by.pipeline;
    s = made_by.stage;
    b = made_by.microbatch;
    std::size_t const c = m.output / 2;
    m.peer = host_[side == 1           ? c
                   : m.output % 2 == 0 ? c + cell_.microbatches
                                       : c - cell_.microbatches];
  }
}

constexpr void message_placing::put(rank_id r, crossing const& m, std::size_t side,
                                          pipeline_id p, stage_id s, microbatch_id b) {
  pipeline_action& a = actions_.lists.add();  // assigned by member, which is faster than as a whole
  a.op.kind = m.output % 2 == 0 ? op_kind::forward : op_kind::backward_input;
  a.op.pipeline = p;
  a.op.stage = s;
  a.op.microbatch = b;
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
  if (own == 0) {
    if (used_lanes_ == pipeline_lanes::most)
      throw invalid_program("rank " + std::to_string(r.value()) +
                            " talks to more ranks than it has lanes");
    own = static_cast<std::uint8_t>(used_lanes_++);
  }
  return own;
}

}  // namespace shunt::detail
