#pragma once
#include "shunt/solve/experts/flexmoe.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/experts/search/flexmoe_layer.hpp"
#include "shunt/solve/experts/search/placement_changes.hpp"
#include "shunt/solve/experts/uniform.hpp"

namespace shunt {

struct flexmoe::change {
  std::size_t slot = 0, other = 0;  // may be equal
  expert_id expert{}, others{};     // the experts that they take
  detail::flexmoe_layer::state then{};
  std::int64_t moved = 0;
  // Over the horizon: its iterations and the moves.
  std::int64_t price = std::numeric_limits<std::int64_t>::max();
};

// The basis on which steps are compared.
struct flexmoe::costs {
  detail::flexmoe_layer::state now{};  // before the step
  std::int64_t sync = 0, move = 0;
};

SHUNT_CONSTEXPR solution<expert_placement> flexmoe::operator()(expert_layers const& problem) const {
  auto answer = uniform{}(problem);
  if (!(trigger >= 1)) throw invalid_problem("trigger", "must be at least 1");
  if (steps < 0) throw invalid_problem("steps", "must be at least 0, is " + std::to_string(steps));
  if (sync_cost < 0)
    throw invalid_problem("sync_cost", "must be at least 0, is " + std::to_string(sync_cost));
  if (move_cost < 0)
    throw invalid_problem("move_cost", "must be at least 0, is " + std::to_string(move_cost));
  if (horizon < 1 || horizon > 4096)
    throw invalid_problem("horizon", "must be from 1 to 4096, is " + std::to_string(horizon));
  if (!answer.has_plan()) return answer;
  detail::flexmoe_layer layer(problem.slots_per_rank, static_cast<std::size_t>(problem.experts));
  for (layer_id l : ids<layer_id>(problem.layers)) {
    auto const slots = answer.plan.layer(l);
    if (!problem.previous.empty()) {
      auto const whole = detail::completed_previous(problem, l);
      std::copy(whole.begin(), whole.end(), slots.begin());
    }
    layer.load(problem.loads_of(l), slots);
    adjust(layer);
    std::copy(layer.slots().begin(), layer.slots().end(), slots.begin());
  }
  return evaluated(problem, std::move(answer.plan));
}

SHUNT_CONSTEXPR void flexmoe::offer(detail::flexmoe_layer& layer, costs const& c, change step,
                                    change& best) const {
  step.then = layer.measure(c.sync);
  step.price = step.then.time * horizon + c.move * step.moved;
  if (!(step.then < c.now)) return;
  if (step.price < best.price ||
      (step.price == best.price && step.then.slowest < best.then.slowest))
    best = step;
}

SHUNT_CONSTEXPR void flexmoe::adjust(detail::flexmoe_layer& layer) const {
  std::int64_t const sync = layer.scaled(sync_cost), move = layer.scaled(move_cost);
  auto now = layer.measure(sync);
  auto paid = now;
  auto paid_slots = layer.slots();
  std::int64_t moved = 0;  // since paid
  for (std::int32_t step = 0; step < steps && layer.out_of_balance(now, trigger); ++step) {
    change best;
    expand_and_shrink(layer, {now, sync, move}, best);
    migrate(layer, {now, sync, move}, best);
    if (best.price == std::numeric_limits<std::int64_t>::max()) break;
    auto& slots = layer.slots();
    slots[best.slot] = best.expert;
    slots[best.other] = best.others;
    now = best.then;
    moved += best.moved;
    if ((paid.time - now.time) * horizon <= move * moved) continue;
    paid = now;
    paid_slots = slots;
    moved = 0;
  }
  layer.slots() = paid_slots;
}

SHUNT_CONSTEXPR void flexmoe::expand_and_shrink(detail::flexmoe_layer& layer, costs const& c,
                                                change& best) const {
  auto& slots = layer.slots();
  layer.measure(c.sync);
  auto const replicas = layer.replicas(), hosts = layer.hosts();
  auto const shares = layer.shares();
  std::size_t const none = shares.size();
  std::size_t hot = none, cold = none;
  for (std::size_t e = 0; e < none; ++e)
    if (hosts[e] < layer.live() && (hot == none || shares[e] > shares[hot])) hot = e;
  for (std::size_t e = 0; e < none; ++e)
    if (e != hot && replicas[e] > 1 && (cold == none || shares[e] < shares[cold])) cold = e;
  if (hot == none || cold == none) return;
  for (std::size_t s = 0; s < slots.size(); ++s) {
    if (slots[s] != expert_id{cold}) continue;
    slots[s] = hot;
    offer(
        layer, c,
        {.slot = s, .other = s, .expert = hot, .others = hot, .moved = !layer.held_beside(s, hot)},
        best);
    for (std::size_t t = 0; t < slots.size(); ++t) {
      expert_id const moves = slots[t];
      if (layer.rank_of(t) == layer.rank_of(s) || moves == expert_id{hot} ||
          moves == expert_id{cold})
        continue;
      slots[s] = moves;
      slots[t] = hot;
      std::int64_t const moved =
          std::int64_t{!layer.held_beside(s, moves)} + !layer.held_beside(t, hot);
      offer(layer, c, {.slot = s, .other = t, .expert = moves, .others = hot, .moved = moved},
            best);
      slots[t] = moves;
    }
    slots[s] = cold;
  }
}

SHUNT_CONSTEXPR void flexmoe::migrate(detail::flexmoe_layer& layer, costs const& c,
                                      change& best) const {
  auto& slots = layer.slots();
  layer.measure(c.sync);
  std::vector<std::int64_t> const times(layer.times().begin(), layer.times().end());
  for (std::size_t a = 0; a < slots.size(); ++a) {
    if (times[static_cast<std::size_t>(layer.rank_of(a))] != c.now.time)
      continue;  // only a slowest rank can help
    for (std::size_t b = 0; b < slots.size(); ++b) {
      if (layer.rank_of(a) == layer.rank_of(b) || slots[a] == slots[b]) continue;
      std::swap(slots[a], slots[b]);
      std::int64_t const moved =
          std::int64_t{!layer.held_beside(a, slots[a])} + !layer.held_beside(b, slots[b]);
      offer(layer, c,
            {.slot = a, .other = b, .expert = slots[a], .others = slots[b], .moved = moved}, best);
      std::swap(slots[a], slots[b]);
    }
  }
}

}  // namespace shunt
