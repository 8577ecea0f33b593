#pragma once
#include "shunt/solve/experts/search/move_walk.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace shunt::detail {

SHUNT_CONSTEXPR move_walk::move_walk(expert_layers const& one, manner const& how,
                                     std::vector<node_id> homes)
    : before_(one.previous),
      load_(one.slots_per_rank.size(), 0),
      copies_(static_cast<std::size_t>(one.experts), 0),
      has_(copies_.size() * load_.size(), 0),
      had_(copies_.size() * load_.size(), 0),
      places_(copies_.size()),
      homes_(std::move(homes)),
      ranks_per_node_(one.ranks_per_node),
      random_{how.seed} {
  for (std::size_t r = 0; r < load_.size(); ++r) {
    auto const many = static_cast<std::size_t>(one.slots_per_rank[r]);
    rank_of_.insert(rank_of_.end(), many, r);
    first_.push_back(first_.back() + many);
    if (many > 0) live_.push_back(r);
  }
  for (std::size_t s = 0; s < before_.size(); ++s)
    if (before_[s] != expert_id{-1}) had_[before_[s].index() * load_.size() + rank_of_[s]] = 1;
  slots_.resize(rank_of_.size());
  best_.resize(slots_.size() + 1);
  std::int64_t total = 0;
  for (auto const w : one.loads) total += w;
  int const shift =
      total == 0 ? 0 : 31 - static_cast<int>(std::bit_width(static_cast<std::uint64_t>(total)));
  std::int64_t sum = 0;
  for (auto const w : one.loads) {
    weight_.push_back(shift >= 0 ? w << shift : w >> -shift);
    sum += weight_.back();
  }
  auto const mean = std::max<std::int64_t>(
      1, sum / static_cast<std::int64_t>(std::max<std::size_t>(1, live_.size())));
  target_ = static_cast<std::int64_t>(static_cast<double>(mean) *
                                      std::min(how.target, static_cast<double>(live_.size())));
  price_ = std::max<std::int64_t>(1, mean / how.price);
  slack_ = mean / how.slack;
}

SHUNT_CONSTEXPR std::size_t move_walk::roll(std::size_t bound) {
  return static_cast<std::size_t>(random_.below(bound));
}

SHUNT_CONSTEXPR bool move_walk::may_go(std::size_t e, std::size_t r) const {
  return homes_.empty() || homes_[e].index() == r / static_cast<std::size_t>(ranks_per_node_);
}

SHUNT_CONSTEXPR void move_walk::add(std::size_t rank, std::int64_t load) {
  above_ -= std::max<std::int64_t>(0, load_[rank] - target_);
  load_[rank] += load;
  above_ += std::max<std::int64_t>(0, load_[rank] - target_);
}

SHUNT_CONSTEXPR void move_walk::hold(std::size_t e, std::size_t r, std::int32_t more) {
  auto& many = has_[e * load_.size() + r];
  bool const held = many > 0;
  many += more;
  if (held != (many > 0) && !had(e, r)) moves_ += more;
}

SHUNT_CONSTEXPR void move_walk::put(std::size_t s, std::size_t b) {
  std::size_t const a = slots_[s], r = rank_of_[s];
  auto& of_a = places_[a];
  auto& of_b = places_[b];
  std::int64_t const old_a = weight_[a] / copies_[a];
  *std::find(of_a.begin(), of_a.end(), s) = of_a.back();
  of_a.pop_back();
  hold(a, r, -1);
  add(r, -old_a);
  if (--copies_[a] > 0)
    for (auto const t : of_a) add(rank_of_[t], weight_[a] / copies_[a] - old_a);
  std::int64_t const old_b = copies_[b] == 0 ? 0 : weight_[b] / copies_[b];
  std::int64_t const new_b = weight_[b] / ++copies_[b];
  for (auto const t : of_b) add(rank_of_[t], new_b - old_b);
  of_b.push_back(s);
  hold(b, r, 1);
  add(r, new_b);
  slots_[s] = b;
}

SHUNT_CONSTEXPR void move_walk::exchange(std::size_t s, std::size_t t) {
  std::size_t const a = slots_[s], b = slots_[t], r = rank_of_[s], q = rank_of_[t];
  std::int64_t const more = weight_[b] / copies_[b] - weight_[a] / copies_[a];
  *std::find(places_[a].begin(), places_[a].end(), s) = t;
  *std::find(places_[b].begin(), places_[b].end(), t) = s;
  hold(a, r, -1);
  hold(b, q, -1);
  hold(b, r, 1);
  hold(a, q, 1);
  add(r, more);
  add(q, -more);
  std::swap(slots_[s], slots_[t]);
}

SHUNT_CONSTEXPR void move_walk::place(std::span<expert_id const> slots) {
  std::fill(has_.begin(), has_.end(), 0);
  std::fill(copies_.begin(), copies_.end(), 0);
  std::fill(load_.begin(), load_.end(), 0);
  for (auto& of : places_) of.clear();
  above_ = moves_ = 0;
  for (std::size_t s = 0; s < slots.size(); ++s) {
    slots_[s] = slots[s].index();
    ++copies_[slots_[s]];
    places_[slots_[s]].push_back(s);
    hold(slots_[s], rank_of_[s], 1);
  }
  for (std::size_t s = 0; s < slots.size(); ++s)
    add(rank_of_[s], weight_[slots_[s]] / copies_[slots_[s]]);
}

SHUNT_CONSTEXPR void move_walk::keep() {
  auto& best = best_[static_cast<std::size_t>(moves_)];
  if (best.above >= 0 && best.above <= above_) return;
  best.above = above_;
  best.slots.assign(slots_.begin(), slots_.end());
}

SHUNT_CONSTEXPR void move_walk::try_put(std::size_t s, std::size_t b, std::int64_t slack) {
  std::size_t const a = slots_[s], r = rank_of_[s];
  if (copies_[a] == 1 || has(b, r) || !may_go(b, r)) return;
  std::int64_t const now = energy();
  put(s, b);
  energy() > now + slack ? put(s, a) : keep();
}

SHUNT_CONSTEXPR void move_walk::try_exchange(std::size_t s, std::size_t t, std::int64_t slack) {
  std::size_t const a = slots_[s], b = slots_[t], r = rank_of_[s], q = rank_of_[t];
  if (r == q || has(a, q) || has(b, r) || !may_go(b, r) || !may_go(a, q)) return;
  std::int64_t const now = energy();
  exchange(s, t);
  energy() > now + slack ? exchange(s, t) : keep();
}

SHUNT_CONSTEXPR void move_walk::step(std::int64_t slack) {
  std::size_t const kind = roll(8), s = roll(slots_.size()), r = rank_of_[s], a = slots_[s];
  if (kind < 3) {  // something that its rank had comes back
    if (had(a, r)) return;
    expert_id const back = before_[first_[r] + roll(first_[r + 1] - first_[r])];
    if (back == expert_id{-1} || has(back.index(), r)) return;
    auto const& of_back = places_[back.index()];
    if (kind == 0)
      try_put(s, back.index(), slack);
    else
      try_exchange(s, of_back[roll(of_back.size())], slack);
  } else if (kind < 6) {  // a rank above the target
    std::size_t full = live_[roll(live_.size())];
    for (int k = 0; k < 8 && load_[full] <= target_; ++k) full = live_[roll(live_.size())];
    std::size_t const t = first_[full] + roll(first_[full + 1] - first_[full]);
    kind == 3 ? try_put(s, slots_[t], slack) : try_exchange(t, s, slack);
  } else if (kind == 6) {
    try_put(s, roll(places_.size()), slack);
  } else {
    try_exchange(s, roll(slots_.size()), slack);
  }
}

SHUNT_CONSTEXPR void move_walk::operator()(std::span<expert_id const> start, std::int64_t steps) {
  place(start);
  keep();
  for (std::int64_t k = 0; k < steps; ++k) step(slack_ * (steps - k) / steps);
}

SHUNT_CONSTEXPR std::vector<std::vector<expert_id>> move_walk::best() const {
  std::vector<std::vector<expert_id>> all;
  std::int64_t least = -1;
  for (auto const& b : best_)
    if (b.above >= 0 && (least < 0 || b.above < least)) {
      least = b.above;
      all.push_back(b.slots);
    }
  return all;
}

}  // namespace shunt::detail
