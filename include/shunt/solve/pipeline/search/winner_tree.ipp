#pragma once
#include "shunt/solve/pipeline/search/winner_tree.hpp"

#include <algorithm>
#include <bit>

namespace shunt::detail {

SHUNT_CONSTEXPR winner_tree::winner_tree(std::size_t players) {
  for (std::size_t width = players; levels_.empty() || width > 1;) {
    width = (width + 7) / 8;
    levels_.emplace_back(8 * width, never);
  }
}

SHUNT_CONSTEXPR void winner_tree::clear() {
  for (auto& level : levels_) std::fill(level.begin(), level.end(), never);
}

SHUNT_CONSTEXPR std::int32_t winner_tree::winner() const {
  std::size_t at = 0;
  ticks const first = least(levels_.back().data());
  for (std::size_t l = levels_.size(); l-- > 0;)
    at = 8 * at + first_at(levels_[l].data() + 8 * at, first);
  return static_cast<std::int32_t>(at);
}

SHUNT_CONSTEXPR std::int32_t winner_tree::winner_after(std::int32_t last, ticks when) const {
  std::int32_t const block = last / 8 * 8;
  auto const in_block = static_cast<std::int32_t>(first_at(levels_[0].data() + block, when));
  return in_block < 8 ? block + in_block : winner();
}

SHUNT_CONSTEXPR unsigned winner_tree::first_at(ticks const* c, ticks when) {
  auto const same = [&](std::size_t i) { return static_cast<unsigned>(c[i] == when) << i; };
  return static_cast<unsigned>(std::countr_zero(same(0) | same(1) | same(2) | same(3) | same(4) |
                                                same(5) | same(6) | same(7)));
}

SHUNT_CONSTEXPR ticks winner_tree::operator[](std::int32_t player) const {
  return levels_[0][static_cast<std::size_t>(player)];
}

SHUNT_CONSTEXPR void winner_tree::set(std::int32_t player, ticks when) {
  auto at = static_cast<std::size_t>(player);
  for (auto& level : levels_) {
    if (level[at] == when) return;
    level[at] = when;
    at /= 8;
    when = least(level.data() + 8 * at);
  }
}

SHUNT_CONSTEXPR ticks winner_tree::least(ticks const* c) {
  return std::min(std::min(std::min(c[0], c[1]), std::min(c[2], c[3])),
                  std::min(std::min(c[4], c[5]), std::min(c[6], c[7])));
}

}  // namespace shunt::detail
