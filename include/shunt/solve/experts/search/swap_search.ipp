#pragma once
#include "shunt/solve/experts/search/swap_search.hpp"

#include <algorithm>
#include <utility>

namespace shunt::detail {

SHUNT_CONSTEXPR swap_search::swap_search(std::size_t experts,
                                         std::span<std::int32_t const> slots_per_rank)
    : experts_(experts),
      ranks_(slots_per_rank.size()),
      first_(ranks_ + 1, 0),
      end_(ranks_, 0),
      load_(ranks_, 0),
      has_(ranks_ * experts_, 0) {
  for (std::size_t r = 0; r < ranks_; ++r)
    first_[r + 1] = first_[r] + static_cast<std::size_t>(slots_per_rank[r]);
  held_.resize(first_[ranks_]);
  for (auto const s : slots_per_rank)
    most_slots_ = std::max(most_slots_, static_cast<std::size_t>(s));
  theirs_.reserve(most_slots_);
}

SHUNT_CONSTEXPR void swap_search::clear() {
  std::fill(has_.begin(), has_.end(), char{0});
  std::fill(load_.begin(), load_.end(), load_type{0});
  std::copy(first_.begin(), first_.end() - 1, end_.begin());
}

SHUNT_CONSTEXPR void swap_search::put(std::size_t rank, std::size_t expert, load_type share) {
  held_[end_[rank]++] = expert;
  load_[rank] += share;
  has_[rank * experts_ + expert] = 1;
}

SHUNT_CONSTEXPR swap_search::load_type swap_search::operator()(std::span<load_type const> share,
                                                               load_type enough, load_type best,
                                                               std::int64_t& steps,
                                                               std::int64_t effort) {
  share_ = share;
  steps_ = &steps;
  effort_ = effort;
  for (std::size_t r = 0; r < ranks_; ++r) sort_rank(r);
  for (;;) {
    std::size_t const fullest =
        static_cast<std::size_t>(std::max_element(load_.begin(), load_.end()) - load_.begin());
    load_type const top = load_[fullest];
    if (top <= enough || steps >= effort) return top;
    load_type least = top;
    std::size_t best_rank = ranks_, out = 0, in = 0;
    auto const emptiest =
        static_cast<std::size_t>(std::min_element(load_.begin(), load_.end()) - load_.begin());
    // the emptiest rank first: its best swap rules out most others
    for (std::size_t k = 0; k < ranks_; ++k) {
      std::size_t const q = k == 0 ? emptiest : k <= emptiest ? k - 1 : k;
      load_type const gap = top - load_[q];
      if (gap <= 1 || top - gap / 2 >= least) continue;
      std::size_t j = first_[q];
      for (std::size_t i = first_[fullest]; i < first_[fullest + 1]; ++i) {
        std::size_t const a = held_[i];
        if (has_[q * experts_ + a]) continue;
        load_type const wish = share_[a] - gap / 2;
        while (j + 1 < first_[q + 1] && share_[held_[j]] > wish) ++j;
        for (std::size_t m = j > first_[q] ? j - 1 : j; m <= j; ++m) {
          std::size_t const b = held_[m];
          load_type const d = share_[a] - share_[b];
          load_type const after = std::max(top - d, load_[q] + d);
          if (after < least && !has_[fullest * experts_ + b]) {
            least = after;
            best_rank = q;
            out = i;
            in = m;
          }
        }
      }
      *steps_ += static_cast<std::int64_t>(first_[fullest + 1] - first_[fullest] + first_[q + 1] -
                                           first_[q]);
    }
    if (best_rank != ranks_)
      swap(fullest, out, best_rank, in);
    else if (top - best > best / 512 || !swap_two(fullest))
      return top;
  }
}

SHUNT_CONSTEXPR bool swap_search::swap_two(std::size_t fullest) {
  struct pair {
    std::size_t rank, out[2], in[2];
  };
  load_type const top = load_[fullest];
  load_type least = top;
  pair best{};
  for (std::size_t q = 0; q < ranks_; ++q) {
    load_type const gap = top - load_[q];
    if (gap <= 1 || top - gap / 2 >= least || *steps_ >= effort_) continue;
    theirs_.clear();
    for (std::size_t k = first_[q]; k < first_[q + 1]; ++k)
      if (!has_[fullest * experts_ + held_[k]]) theirs_.push_back(k);
    for (std::size_t i = first_[fullest]; i < first_[fullest + 1]; ++i) {
      if (has_[q * experts_ + held_[i]]) continue;
      for (std::size_t j = i + 1; j < first_[fullest + 1]; ++j) {
        if (has_[q * experts_ + held_[j]]) continue;
        load_type const mine = share_[held_[i]] + share_[held_[j]];
        for (std::size_t k = 0; k < theirs_.size(); ++k)
          for (std::size_t m = k + 1; m < theirs_.size(); ++m) {
            load_type const d = mine - share_[held_[theirs_[k]]] - share_[held_[theirs_[m]]];
            load_type const after = std::max(top - d, load_[q] + d);
            if (after >= least) continue;
            least = after;
            best = {q, {i, j}, {theirs_[k], theirs_[m]}};
          }
        *steps_ += static_cast<std::int64_t>(theirs_.size() * theirs_.size() / 4);
        if (*steps_ >= effort_) break;
      }
    }
  }
  if (least == top) return false;
  std::size_t const a = held_[best.out[1]], b = held_[best.in[1]];
  swap(fullest, best.out[0], best.rank, best.in[0]);
  swap(fullest, where(fullest, a), best.rank, where(best.rank, b));
  return true;
}

SHUNT_CONSTEXPR std::size_t swap_search::where(std::size_t r, std::size_t e) const {
  std::size_t at = first_[r];
  while (held_[at] != e) ++at;
  return at;
}

SHUNT_CONSTEXPR void swap_search::swap(std::size_t r, std::size_t i, std::size_t q, std::size_t k) {
  std::size_t const a = held_[i], b = held_[k];
  load_type const d = share_[a] - share_[b];
  load_[r] -= d;
  load_[q] += d;
  has_[r * experts_ + a] = has_[q * experts_ + b] = 0;
  has_[r * experts_ + b] = has_[q * experts_ + a] = 1;
  std::swap(held_[i], held_[k]);
  sort_rank(r);
  sort_rank(q);
}

SHUNT_CONSTEXPR void swap_search::sort_rank(std::size_t r) {
  for (std::size_t i = first_[r] + 1; i < first_[r + 1]; ++i) {
    std::size_t const e = held_[i];
    std::size_t at = i;
    for (; at > first_[r] && share_[held_[at - 1]] < share_[e]; --at) held_[at] = held_[at - 1];
    held_[at] = e;
  }
}

}  // namespace shunt::detail
