#pragma once
#include "shunt/solve/experts/search/eplb_rule.hpp"

#include <bit>
#include <limits>
#include <utility>

#include "shunt/solve/experts/search/sorting_network.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR eplb_rule::eplb_rule(std::int32_t experts,
                                     std::span<std::int32_t const> slots_per_rank)
    : experts_(static_cast<std::size_t>(experts)),
      ranks_(slots_per_rank.size()),
      index_bits_(static_cast<std::uint64_t>(std::bit_width(experts_ - 1))),
      index_mask_((std::uint64_t{1} << index_bits_) - 1),
      rank_mask_(std::bit_ceil(ranks_) - 1),
      order_(room(experts_), 0),
      other_(order_),
      hot_(experts_),
      heap_(experts_),
      load_(ranks_, 0),
      new_load_(ranks_, 0),
      keys_(room(std::max(experts_, ranks_)), 0),
      new_keys_(keys_),
      first_(1, 0),
      next_(ranks_, 0) {
  for (auto const s : slots_per_rank) first_.push_back(slots_ += s);
  alike_ = std::all_of(slots_per_rank.begin(), slots_per_rank.end(),
                       [&](std::int32_t s) { return s == slots_per_rank[0]; });
  share_.resize(static_cast<std::size_t>(slots_ + slack), 0);
  name_.resize(share_.size(), expert_id{});
}

SHUNT_CONSTEXPR void eplb_rule::operator()(std::span<std::int64_t const> loads,
                                           std::span<expert_id const> names,
                                           std::span<expert_id> placed) {
  sort_experts(loads.data());
  replicate();
  list_replicas(names.data());
  place(placed.data());
}

SHUNT_CONSTEXPR void eplb_rule::sort_experts(std::int64_t const* loads) {
  std::uint64_t ones = 0;
  total_ = 0;
  for (std::size_t e = 0; e < experts_; ++e) {
    ones |= static_cast<std::uint64_t>(loads[e]);
    total_ += loads[e];
  }
  int const bits = static_cast<int>(std::bit_width(ones));
  inverse_ = (std::uint64_t{1} << bits) - 1;
  std::uint64_t* from = order_.data();
  auto const key = [&](std::size_t i) {
    return (inverse_ ^ static_cast<std::uint64_t>(loads[i])) << index_bits_ | i;
  };
  if (experts_ <= 64) {
    for (std::size_t i = 0; i < experts_; ++i) from[i] = key(i);
    detail::sort_keys(from, experts_);
    return;
  }
  // Every pass counts the digits of the next one. The keys are taken from both ends, so that
  // equal digits wait half as often for each other's counter.
  int const passes = std::max(1, (bits + 7) / 8), width = (bits + passes - 1) / passes;
  std::size_t const digits = std::size_t{1} << width, last = experts_ - 1, half = experts_ / 2;
  std::uint32_t front[256], back[256], start[256], end[256];
  auto shift = static_cast<int>(index_bits_);
  std::fill_n(front, digits, 0);
  std::fill_n(back, digits, 0);
  for (std::size_t i = 0; i <= last - half; ++i) {
    from[i] = key(i);
    ++front[from[i] >> shift & (digits - 1)];
    if (i == half) break;
    from[last - i] = key(last - i);
    ++back[from[last - i] >> shift & (digits - 1)];
  }
  for (int pass = 0; pass < passes; ++pass, shift += width) {
    std::uint32_t sum = 0;
    for (std::size_t d = 0; d < digits; ++d) {
      start[d] = sum;
      sum += front[d] + back[d];
      end[d] = sum;
      front[d] = back[d] = 0;
    }
    std::uint64_t* const to = other_.data();
    bool const more = pass + 1 < passes;
    for (std::size_t i = 0; i <= last - half; ++i) {
      std::uint64_t const first = from[i];
      to[start[first >> shift & (digits - 1)]++] = first;
      if (more) ++front[first >> (shift + width) & (digits - 1)];
      if (i == half) break;
      std::uint64_t const second = from[last - i];
      to[--end[second >> shift & (digits - 1)]] = second;
      if (more) ++back[second >> (shift + width) & (digits - 1)];
    }
    order_.swap(other_);
    from = order_.data();
  }
}

SHUNT_CONSTEXPR std::int32_t eplb_rule::expert_at(std::size_t i) const {
  return static_cast<std::int32_t>(order_[i] & index_mask_);
}

SHUNT_CONSTEXPR double eplb_rule::load_at(std::size_t i) const {
  return static_cast<double>(static_cast<std::int64_t>(inverse_ ^ (order_[i] >> index_bits_)));
}

SHUNT_CONSTEXPR void eplb_rule::replicate() {
  auto const experts = static_cast<std::int32_t>(experts_);
  std::int32_t spare = slots_ - experts;
  replicated_ = 0;
  if (spare == 0) return;
  if (load_at(0) == 0) {
    for (std::int32_t e = 0; e < experts; ++e)
      hot_[replicated_++] = {0, 0, slots_ / experts + (e < slots_ % experts)};
    return;
  }

  double const least = nearly_least_share(spare), inverse = 1 / least;
  for (double load = 0; replicated_ < experts_ && (load = load_at(replicated_)) > least;) {
    // more: the number of k with load / k > T
    double const quotient = load * inverse;
    auto more = static_cast<std::int32_t>(quotient);
    double const beyond = quotient - more;
    if (beyond < 1e-6 || beyond > 1 - 1e-6) {  // perhaps one off
      more -= more > 0 && load / more <= least;
      more += load / (more + 1) > least;
    }
    spare -= more;
    hot_[replicated_++] = {load / (more + 1), load, more + 1};
  }
  if (spare > 0) give_more(spare);
  if (spare < 0) take_back(-spare);
}

SHUNT_CONSTEXPR double eplb_rule::nearly_least_share(std::int32_t spare) const {
  std::size_t const most = std::min(experts_, static_cast<std::size_t>(spare));
  double const close = 1.0 / (6.0 * spare);
  double sum = 0, wanted = 0, n = 0;
  std::size_t above = 0;
  do {
    sum += load_at(above++);
    n += 1;
    wanted = spare + n * (0.5 - n * close);
  } while (above < most && load_at(above) * wanted > sum);
  return above < experts_ ? std::max(sum / wanted, load_at(above)) : sum / wanted;
}

SHUNT_CONSTEXPR void eplb_rule::give_more(std::int32_t many) {
  auto const before = [this](std::size_t a, std::size_t b) {
    double const x = hot_[a].share, y = hot_[b].share;
    return x > y || (x == y && expert_at(a) > expert_at(b));
  };
  // the first unreplicated expert of the order is the largest; among equal ones the rule takes
  // the highest index
  auto const adopt = [this](std::size_t first) {
    if (replicated_ == experts_) return false;
    double const load = load_at(replicated_);
    if (replicated_ > 0 && load < hot_[first].share) return false;
    std::size_t last = replicated_;
    while (last + 1 < experts_ && load_at(last + 1) == load) ++last;
    if (replicated_ > 0 && load == hot_[first].share && expert_at(last) < expert_at(first))
      return false;
    auto const at = order_.begin();
    std::rotate(at + static_cast<std::ptrdiff_t>(replicated_),
                at + static_cast<std::ptrdiff_t>(last), at + static_cast<std::ptrdiff_t>(last + 1));
    hot_[replicated_++] = {load / 2, load, 2};
    return true;
  };
  change_first(many, before, adopt,
               [](replicated& r) { r.share = r.load / static_cast<double>(++r.copies); });
}

SHUNT_CONSTEXPR void eplb_rule::take_back(std::int32_t many) {
  auto const last_given = [](replicated const& r) {
    return r.copies > 1 ? r.load / (r.copies - 1) : std::numeric_limits<double>::infinity();
  };
  for (std::size_t i = 0; i < replicated_; ++i) hot_[i].given = last_given(hot_[i]);
  auto const before = [this](std::size_t a, std::size_t b) {
    double const x = hot_[a].given, y = hot_[b].given;
    return x < y || (x == y && expert_at(a) < expert_at(b));
  };
  change_first(
      many, before, [](std::size_t) { return false; },
      [&](replicated& r) {
        --r.copies;
        r.share = r.given;
        r.given = last_given(r);
      });
}

SHUNT_CONSTEXPR void eplb_rule::sort_replicated() {
  std::uint64_t* const keys = keys_.data();
  for (std::size_t i = 0; i < replicated_; ++i)
    keys[i] = (~std::bit_cast<std::uint64_t>(hot_[i].share) & ~index_mask_) | i;
  detail::sort_keys(keys, replicated_);
  // shares that differ in the lowest bits only
  auto const before = [this](std::uint64_t a, std::uint64_t b) {
    double const x = hot_[a & index_mask_].share, y = hot_[b & index_mask_].share;
    return x > y || (x == y && expert_at(a & index_mask_) < expert_at(b & index_mask_));
  };
  for (std::size_t i = 1; i < replicated_; ++i)
    for (std::size_t k = i;
         k > 0 && (keys[k] ^ keys[k - 1]) <= index_mask_ && before(keys[k], keys[k - 1]); --k)
      std::swap(keys[k], keys[k - 1]);
}

SHUNT_CONSTEXPR void eplb_rule::list_replicas(expert_id const* names) {
  sort_replicated();
  double* share = share_.data();
  expert_id* name = name_.data();
  std::uint64_t const index_mask = index_mask_, inverse = inverse_;
  auto const bits = index_bits_;
  std::uint64_t const* single = order_.data() + replicated_;
  order_[experts_] = full;  // ends the list
  auto const list_singles = [&](std::uint64_t later) {
    for (; *single < later; ++single) {
      *share++ = static_cast<double>(static_cast<std::int64_t>(inverse ^ (*single >> bits)));
      *name++ = names[*single & index_mask];
    }
  };
  for (std::size_t i = 0; i < replicated_; ++i) {
    auto const at = keys_[i] & index_mask;
    double const its_share = hot_[at].share;
    auto const whole = static_cast<std::int64_t>(its_share);
    auto const e = order_[at] & index_mask;
    // the least key that an expert with one replica has if it comes later
    list_singles((inverse ^ static_cast<std::uint64_t>(whole)) << bits |
                 e * static_cast<std::uint64_t>(static_cast<double>(whole) == its_share));
    // room for a few more than there are saves a branch on their number
    expert_id const its_name = names[e];
    std::int32_t const copies = hot_[at].copies;
    for (std::int32_t k = 0; k < slack; ++k) {
      share[k] = its_share;
      name[k] = its_name;
    }
    for (std::int32_t k = slack; k < copies; ++k) {
      share[k] = its_share;
      name[k] = its_name;
    }
    share += copies;
    name += copies;
  }
  list_singles(full);
}

SHUNT_CONSTEXPR void eplb_rule::place(expert_id* placed) {
  std::fill_n(keys_.begin(), ranks_, full);
  live_ = 0;
  for (std::size_t r = 0; r < ranks_; ++r) {
    load_[r] = 0;
    next_[r] = first_[r];
    if (first_[r] < first_[r + 1]) keys_[live_++] = r;
  }
  std::size_t from = 0;
  if (alike_) from = place_full_rounds(placed);
  place_rest(placed, from);
}

SHUNT_CONSTEXPR std::size_t eplb_rule::place_full_rounds(expert_id* placed) {
  std::size_t const ranks = ranks_;
  std::uint64_t const mask = rank_mask_;
  std::int32_t const rounds = first_[1];
  std::int32_t const* const first = first_.data();
  double const* share = share_.data();
  expert_id const* name = name_.data();
  for (std::int32_t round = 0; round < rounds; ++round, share += ranks, name += ranks) {
    std::uint64_t const* const keys = keys_.data();
    std::uint64_t* const new_keys = new_keys_.data();
    double const* const load = load_.data();
    double* const new_load = new_load_.data();
    std::uint64_t least = full, last = full;
    for (std::size_t i = 0; i < ranks; ++i) {
      std::uint64_t const r = keys[i] & mask;
      placed[first[r] + round] = name[i];
      double const sum = load[r] + share[i];
      new_load[r] = sum;
      least = last < least ? last : least;
      last = (std::bit_cast<std::uint64_t>(sum) & ~mask) | r;
      new_keys[i] = last;
    }
    if (keys[ranks - 1] >= least) {
      for (std::size_t r = 0; r < ranks; ++r) next_[r] += round;
      return static_cast<std::size_t>(round) * ranks;
    }
    keys_.swap(new_keys_);
    load_.swap(new_load_);
    if (round + 1 < rounds) line_up();
  }
  return static_cast<std::size_t>(slots_);
}

SHUNT_CONSTEXPR void eplb_rule::place_rest(expert_id* placed, std::size_t from) {
  auto const count = static_cast<std::size_t>(slots_);
  std::uint64_t* const keys = keys_.data();
  for (std::size_t i = from; i < count;) {
    std::uint64_t least = full;  // of the ranks served in this round
    std::size_t served = 0;
    for (; served < live_ && keys[served] < least; ++served, ++i) {
      auto const r = static_cast<std::size_t>(keys[served] & rank_mask_);
      std::int32_t const slot = next_[r]++;
      placed[slot] = name_[i];
      load_[r] += share_[i];
      std::uint64_t const rounded =
          slot + 1 == first_[r + 1] ? full : std::bit_cast<std::uint64_t>(load_[r]) & ~rank_mask_;
      keys[served] = rounded | r;
      least = rounded < least ? rounded : least;
    }
    if (served * 8 <= live_) {
      while (served > 0) insert(--served);
      drop_full();
    } else {
      line_up();
    }
  }
}

SHUNT_CONSTEXPR void eplb_rule::line_up() {
  std::uint64_t* const keys = keys_.data();
  detail::sort_keys(keys, live_);
  drop_full();
  std::size_t const live = live_;
  std::uint64_t const mask = rank_mask_;
  double const* const load = load_.data();
  std::int64_t wrong = 0, before_it = 0;  // negative, where a load is below the one before it
  for (std::size_t i = 0; i < live; ++i) {
    auto const it = std::bit_cast<std::int64_t>(load[keys[i] & mask]);
    wrong |= it - before_it;
    before_it = it;
  }
  if (wrong >= 0) return;
  for (std::size_t i = 1; i < live; ++i)
    for (std::size_t k = i; k > 0 && before(keys[k], keys[k - 1]); --k)
      std::swap(keys[k], keys[k - 1]);
}

SHUNT_CONSTEXPR void eplb_rule::drop_full() {
  while (live_ > 0 && keys_[live_ - 1] == full) --live_;
}

SHUNT_CONSTEXPR void eplb_rule::insert(std::size_t i) {
  for (; i + 1 < live_ && before(keys_[i + 1], keys_[i]); ++i) std::swap(keys_[i], keys_[i + 1]);
}

SHUNT_CONSTEXPR bool eplb_rule::before(std::uint64_t a, std::uint64_t b) const {
  if ((a ^ b) > rank_mask_ || a == full) return a < b;
  double const x = load_[static_cast<std::size_t>(a & rank_mask_)],
               y = load_[static_cast<std::size_t>(b & rank_mask_)];
  return x < y || (x == y && a < b);
}

}  // namespace shunt::detail
