#pragma once
#include "shunt/solve/experts/search/windowed_placement.hpp"

#include <algorithm>
#include <bit>

namespace shunt::detail {

SHUNT_CONSTEXPR windowed_placement::windowed_placement(expert_layers const& problem,
                                                       std::int32_t scored)
    : windows_(static_cast<std::size_t>(scored)),
      experts_(static_cast<std::size_t>(problem.experts)),
      ranks_(static_cast<std::size_t>(problem.ranks())),
      weight_(windows_ * (experts_ + 1), 0),
      load_(windows_ * ranks_, 0),
      has_((experts_ + 1) * ranks_, 0),
      copies_(experts_ + 1, 0),
      tops_(windows_),
      near_{.rank = std::vector<char>(ranks_, 0)} {
  for (std::size_t r = 0; r < ranks_; ++r) {
    rank_of_.insert(rank_of_.end(), static_cast<std::size_t>(problem.slots_per_rank[r]), r);
    live_ += problem.slots_per_rank[r] > 0;
  }
  slots_.resize(rank_of_.size());
}

SHUNT_CONSTEXPR void windowed_placement::load(expert_layers const& problem, layer_id l) {
  visits_ = 0;
  for (std::size_t w = 0; w < windows_; ++w) {
    auto const loads = w == 0
                           ? problem.loads_of(l)
                           : problem.loads_of(l, problem.windows() - static_cast<std::int32_t>(w));
    std::int64_t total = 0;
    for (auto const x : loads) total += x;
    int const shift =
        total == 0 ? 0 : 31 - static_cast<int>(std::bit_width(static_cast<std::uint64_t>(total)));
    std::int64_t sum = 0;
    for (std::size_t e = 0; e < experts_; ++e)
      sum += weight_[w * (experts_ + 1) + e] = shift >= 0 ? loads[e] << shift : loads[e] >> -shift;
    tops_[w].mean = std::max<std::int64_t>(1, sum / std::max(1, live_));
  }
}

SHUNT_CONSTEXPR bool windowed_placement::place(std::span<expert_id const> slots) {
  std::replace_copy(slots.begin(), slots.end(), slots_.begin(), expert_id{-1}, expert_id{experts_});
  std::fill(has_.begin(), has_.end(), 0);
  std::fill(copies_.begin(), copies_.end(), 0);
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    ++has_[slots_[s].index() * ranks_ + rank_of_[s]];
    ++copies_[slots_[s].index()];
  }
  empty_ = copies_[experts_];
  copies_[experts_] += 2;  // so that any of them may go
  add_up();
  return empty_ == 0 && std::count(copies_.begin(), copies_.end(), 0) == 0;
}

SHUNT_CONSTEXPR std::int32_t windowed_placement::held(std::size_t e, std::size_t rank) const {
  return has_[e * ranks_ + rank];
}

SHUNT_CONSTEXPR double windowed_placement::score() const {
  double sum = 0;
  for (std::size_t w = 0; w < windows_; ++w)
    sum += static_cast<double>(load_[w * ranks_ + tops_[w].rank[0]]) /
           static_cast<double>(tops_[w].mean);
  return sum / static_cast<double>(windows_);
}

SHUNT_CONSTEXPR double windowed_placement::score_with(std::size_t s, std::size_t b) const {
  std::size_t const a = slots_[s].index(), r = rank_of_[s];
  double sum = 0;
  for (std::size_t w = 0; w < windows_; ++w) {
    std::int64_t const wa = weight_[w * (experts_ + 1) + a], wb = weight_[w * (experts_ + 1) + b];
    std::int64_t const more = wa / (copies_[a] - 1) - wa / copies_[a], now = wb / (copies_[b] + 1),
                       less = copies_[b] == 0 ? 0 : wb / copies_[b] - now;
    auto const* const load = load_.data() + w * ranks_;
    auto const *const has_a = has_.data() + a * ranks_, *const has_b = has_.data() + b * ranks_;
    std::int64_t most = load[r] + (has_a[r] - 1) * more - wa / copies_[a] + now;
    for (std::size_t q = 0; q < ranks_; ++q)
      if (q != r) most = std::max(most, load[q] + has_a[q] * more - has_b[q] * less);
    sum += static_cast<double>(most) / static_cast<double>(tops_[w].mean);
  }
  return sum / static_cast<double>(windows_);
}

SHUNT_CONSTEXPR double windowed_placement::least_with(std::size_t s, std::size_t b) const {
  std::size_t const a = slots_[s].index(), r = rank_of_[s];
  double sum = 0;
  for (std::size_t w = 0; w < windows_; ++w) {
    std::int64_t const wa = weight_[w * (experts_ + 1) + a], wb = weight_[w * (experts_ + 1) + b];
    std::int64_t const more = wa / (copies_[a] - 1) - wa / copies_[a], now = wb / (copies_[b] + 1),
                       less = copies_[b] == 0 ? 0 : wb / copies_[b] - now;
    auto const* const load = load_.data() + w * ranks_;
    std::int64_t most = load[r] + (held(a, r) - 1) * more - wa / copies_[a] + now;
    for (auto const q : tops_[w].rank)
      if (q != r) most = std::max(most, load[q] + held(a, q) * more - held(b, q) * less);
    sum += static_cast<double>(most) / static_cast<double>(tops_[w].mean);
  }
  return sum / static_cast<double>(windows_);
}

SHUNT_CONSTEXPR windowed_placement::fullest_ranks const& windowed_placement::mark_fullest() {
  std::fill(near_.rank.begin(), near_.rank.end(), char{0});
  near_.slots.clear();
  near_.experts.clear();
  for (auto const& t : tops_) near_.rank[t.rank[0]] = 1;
  for (std::size_t s = 0; s < slots_.size(); ++s)
    if (near_.rank[rank_of_[s]] != 0) {
      near_.slots.push_back(s);
      near_.experts.push_back(slots_[s].index());
    }
  std::sort(near_.experts.begin(), near_.experts.end());
  near_.experts.erase(std::unique(near_.experts.begin(), near_.experts.end()), near_.experts.end());
  // in a large table every visit waits for memory
  std::size_t const cost = has_.size() > std::size_t{1} << 22 ? 32 : 2;
  visit(cost * near_.slots.size() * (experts_ + 2 * slots_.size()));
  return near_;
}

SHUNT_CONSTEXPR double windowed_placement::score_swapped(std::size_t s, std::size_t t) const {
  std::size_t const a = slots_[s].index(), b = slots_[t].index(), r = rank_of_[s], q = rank_of_[t];
  double sum = 0;
  for (std::size_t w = 0; w < windows_; ++w) {
    std::int64_t const d =
        weight_[w * (experts_ + 1) + a] / copies_[a] - weight_[w * (experts_ + 1) + b] / copies_[b];
    auto const* const load = load_.data() + w * ranks_;
    std::int64_t most = std::max(load[r] - d, load[q] + d);
    for (auto const k : tops_[w].rank)
      if (k != r && k != q) most = std::max(most, load[k]);
    sum += static_cast<double>(most) / static_cast<double>(tops_[w].mean);
  }
  return sum / static_cast<double>(windows_);
}

SHUNT_CONSTEXPR std::int64_t windowed_placement::load_of(std::size_t e) const {
  std::int64_t sum = 0;
  for (std::size_t w = 0; w < windows_; ++w) sum += weight_[w * (experts_ + 1) + e];
  return sum;
}

SHUNT_CONSTEXPR void windowed_placement::give(std::size_t s, std::size_t b) {
  set(s, b);
  add_up();
}

SHUNT_CONSTEXPR void windowed_placement::swap(std::size_t s, std::size_t t) {
  set(t, set(s, slots_[t].index()));
  add_up();
}

SHUNT_CONSTEXPR std::size_t windowed_placement::set(std::size_t s, std::size_t e) {
  std::size_t const old = slots_[s].index();
  --has_[old * ranks_ + rank_of_[s]];
  --copies_[old];
  empty_ -= old == experts_;
  ++has_[e * ranks_ + rank_of_[s]];
  ++copies_[e];
  slots_[s] = e;
  return old;
}

SHUNT_CONSTEXPR void windowed_placement::add_up() {
  std::fill(load_.begin(), load_.end(), 0);
  for (std::size_t w = 0; w < windows_; ++w) {
    auto* const load = load_.data() + w * ranks_;
    for (std::size_t s = 0; s < slots_.size(); ++s)
      load[rank_of_[s]] += weight_[w * (experts_ + 1) + slots_[s].index()] /
                           std::max<std::int64_t>(1, copies_[slots_[s].index()]);
    auto& rank = tops_[w].rank;
    std::size_t found = 0;
    for (std::size_t r = 0; r < ranks_; ++r) {
      std::size_t at = std::min<std::size_t>(found, 3);
      for (; at > 0 && load[rank[at - 1]] < load[r]; --at)
        if (at < 3) rank[at] = rank[at - 1];
      if (at < 3) rank[at] = r;
      ++found;
    }
    for (; found < 3; ++found) rank[found] = rank[0];
  }
}

}  // namespace shunt::detail
