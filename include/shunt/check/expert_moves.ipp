#pragma once
#include "shunt/check/expert_moves.hpp"

#include <cstddef>

namespace shunt {

SHUNT_INLINE std::string to_string(move_violation const& v) {
  std::string const place =
      "layer " + std::to_string(v.layer.value()) + ", slot " + std::to_string(v.slot.value());
  std::string const move =
      "move " + std::to_string(v.move) + " (" + place + "): expert " + to_string(v.expert);
  switch (v.what) {
    case move_violation::kind::no_slot: return move + " goes to or comes from no slot of its rank";
    case move_violation::kind::other_expert: return move + " isn't what the placement has there";
    case move_violation::kind::no_change: return move + " is there already";
    case move_violation::kind::moved_twice: return move + " has a move already";
    case move_violation::kind::not_held: return move + " isn't in the slot that it comes from";
    case move_violation::kind::needless_fetch: return move + " is fetched, a live rank holds it";
    case move_violation::kind::no_move:
      return place + ": gets expert " + to_string(v.expert) + " without a move";
  }
  return "unknown violation";
}

SHUNT_CONSTEXPR std::vector<move_violation> check(expert_layers const& problem,
                                                  expert_placement const& plan,
                                                  std::span<expert_move const> moves) {
  using kind = move_violation::kind;
  std::vector<move_violation> found;
  auto const slots = static_cast<std::size_t>(plan.slots()),
             experts = static_cast<std::size_t>(plan.experts),
             layers = static_cast<std::size_t>(plan.layers);
  std::vector<char> held(layers * experts, 0), filled(layers * slots, 0);
  for (std::size_t i = 0; i < problem.previous.size(); ++i)
    if (problem.previous[i].value() >= 0)
      held[i / slots * experts + problem.previous[i].index()] = 1;
  auto const owns = [&](rank_id r, slot_id s) {
    return r.value() >= 0 && r.value() < plan.ranks() && s.value() >= plan.first_slot[r.index()] &&
           s.value() < plan.first_slot[r.index() + 1];
  };
  for (std::size_t i = 0; i < moves.size(); ++i) {
    auto const& m = moves[i];
    auto const refuse = [&](kind what) {
      found.push_back({.what = what,
                       .move = static_cast<std::int32_t>(i),
                       .layer = m.layer,
                       .slot = m.to,
                       .expert = m.expert});
    };
    bool const fetched = m.from.value() == -1 && m.sender.value() == -1;
    if (m.layer.value() < 0 || m.layer.index() >= layers || !owns(m.receiver, m.to) ||
        (!fetched && !owns(m.sender, m.from))) {
      refuse(kind::no_slot);
      continue;
    }
    std::size_t const row = m.layer.index() * slots, to = row + m.to.index();
    if (plan.expert_of[to] != m.expert) {
      refuse(kind::other_expert);
      continue;
    }
    if (problem.previous[to] == m.expert) {
      refuse(kind::no_change);
      continue;
    }
    if (filled[to] != 0) {
      refuse(kind::moved_twice);
      continue;
    }
    filled[to] = 1;
    if (fetched) {
      if (held[m.layer.index() * experts + m.expert.index()] != 0) refuse(kind::needless_fetch);
      continue;
    }
    std::size_t const from = row + m.from.index();
    bool const copied = filled[from] != 0 && from != to && m.sender == m.receiver;
    if (problem.previous[from] != m.expert && !(copied && plan.expert_of[from] == m.expert))
      refuse(kind::not_held);
  }
  for (std::size_t i = 0; i < plan.expert_of.size(); ++i)
    if (plan.expert_of[i] != problem.previous[i] && filled[i] == 0)
      found.push_back({.what = kind::no_move,
                       .layer = i / slots,
                       .slot = i % slots,
                       .expert = plan.expert_of[i]});
  return found;
}

}  // namespace shunt
