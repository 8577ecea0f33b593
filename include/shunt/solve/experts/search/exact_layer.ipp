#pragma once
#include "shunt/solve/experts/search/exact_layer.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR exact_layer::exact_layer(std::span<std::int64_t const> loads,
                                         std::span<std::int32_t const> slots_per_rank, bool repeats)
    : loads_(loads),
      spare_(-static_cast<std::int32_t>(loads.size())),
      repeats_(repeats),
      copies_(loads.size(), 1),
      free_(slots_per_rank.begin(), slots_per_rank.end()),
      order_(loads.size(), 0),
      load_(free_.size(), 0),
      given_(loads.size() * free_.size(), 0) {
  for (auto const s : free_) {
    live_ += s > 0;
    spare_ += s;
  }
}

SHUNT_CONSTEXPR void exact_layer::operator()(double best, double target, std::int64_t effort) {
  best_ = best;
  target_ = target;
  effort_ = effort;
  found_.clear();
  count(0, spare_);
}

SHUNT_CONSTEXPR void exact_layer::count(std::size_t e, std::int32_t spare) {
  if (over()) return;
  --effort_;
  auto const weight = static_cast<double>(loads_[e]);
  if (e + 1 == loads_.size()) {
    copies_[e] = 1 + spare;
    if (hopeless(weight / std::min(copies_[e], live_))) return;
    for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = i;
    std::sort(order_.begin(), order_.end(), [&](auto a, auto b) {
      return share(a) > share(b) || (share(a) == share(b) && a < b);
    });
    place(0, 0, copies_[order_[0]]);
    return;
  }
  for (std::int32_t more = 0; more <= spare; ++more) {
    copies_[e] = 1 + more;
    if (!hopeless(weight / std::min(copies_[e], live_))) count(e + 1, spare - more);
  }
}

SHUNT_CONSTEXPR void exact_layer::place(std::size_t i, std::size_t r, std::int32_t left) {
  if (over()) return;
  --effort_;
  std::size_t const ranks = load_.size();
  if (left == 0) {
    if (i + 1 < order_.size()) return place(i + 1, 0, copies_[order_[i + 1]]);
    best_ = *std::max_element(load_.begin(), load_.end());
    found_.clear();
    for (std::size_t q = 0; q < ranks; ++q)
      for (std::size_t e = 0; e < order_.size(); ++e)
        found_.insert(found_.end(), static_cast<std::size_t>(given_[e * ranks + q]), e);
    return;
  }
  if (r == ranks) return;
  std::size_t const e = order_[i];
  auto* const given = given_.data() + e * ranks;
  double const each = share(e), before = load_[r];
  std::int32_t const room = free_[r];
  std::int32_t most = std::min({room, left, repeats_ ? left : 1});
  for (std::size_t q = r; q-- > 0;)  // the previous equal rank limits this one
    if (free_[q] + given[q] == room && load_[q] - given[q] * each == before) {
      most = std::min(most, given[q]);
      break;
    }
  for (std::int32_t k = most; k >= 0; --k) {
    if (k > 0 && hopeless(before + k * each)) continue;
    given[r] = k;
    free_[r] = room - k;
    load_[r] = before + k * each;
    place(i, r + 1, left - k);
  }
  given[r] = 0;
  free_[r] = room;
  load_[r] = before;
}

}  // namespace shunt::detail
