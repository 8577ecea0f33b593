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
      index_bits_(static_cast<std::uint64_t>(std::bit_width(experts_ - 1))),
      index_mask_((std::uint64_t{1} << index_bits_) - 1),
      rank_mask_(std::bit_ceil(slots_per_rank.size()) - 1),
      loads_(experts_, 0),
      copies_(experts_, 0),
      order_(room(experts_), 0),
      other_(order_),
      heap_(experts_),
      load_(slots_per_rank.size(), 0),
      keys_(room(std::max(experts_, load_.size())), 0),
      first_(1, 0),
      next_(load_.size(), 0) {
  for (auto const s : slots_per_rank) first_.push_back(slots_ += s);
  share_.resize(static_cast<std::size_t>(slots_), 0);
  name_.resize(share_.size(), expert_id{});
}

SHUNT_CONSTEXPR void eplb_rule::operator()(std::span<std::int64_t const> loads,
                                           std::span<expert_id const> names,
                                           std::span<expert_id> placed) {
  for (std::size_t e = 0; e < experts_; ++e) loads_[e] = static_cast<double>(loads[e]);
  replicate();
  place(names, placed);
}

SHUNT_CONSTEXPR void eplb_rule::sort_experts() {
  std::uint64_t most = 0;
  for (std::size_t e = 0; e < experts_; ++e) {
    auto const load = static_cast<std::uint64_t>(loads_[e]);
    most |= load;
    order_[e] = load << index_bits_ | (index_mask_ - e);
  }
  if (experts_ <= 64) {
    for (std::size_t e = 0; e < experts_; ++e) order_[e] = ~order_[e];
    detail::sort_keys(order_.data(), experts_);
    for (std::size_t e = 0; e < experts_; ++e) order_[e] = ~order_[e];
    return;
  }
  int const bits = static_cast<int>(std::bit_width(most)), passes = (bits + 7) / 8,
            width = passes == 0 ? 0 : (bits + passes - 1) / passes;
  std::size_t const digits = std::size_t{1} << width;
  for (int shift = static_cast<int>(index_bits_), pass = 0; pass < passes; ++pass, shift += width) {
    std::uint32_t start[257] = {};
    for (std::size_t e = 0; e < experts_; ++e)
      ++start[digits - (order_[e] >> shift & (digits - 1))];
    for (std::size_t d = 1; d < digits; ++d) start[d] += start[d - 1];
    for (std::size_t e = 0; e < experts_; ++e)
      other_[start[digits - 1 - (order_[e] >> shift & (digits - 1))]++] = order_[e];
    order_.swap(other_);
  }
}

SHUNT_CONSTEXPR std::int32_t eplb_rule::expert_at(std::size_t i) const {
  return static_cast<std::int32_t>(index_mask_ - (order_[i] & index_mask_));
}

SHUNT_CONSTEXPR double eplb_rule::load_at(std::size_t i) const {
  return static_cast<double>(static_cast<std::int64_t>(order_[i] >> index_bits_));
}

SHUNT_CONSTEXPR void eplb_rule::replicate() {
  sort_experts();
  auto const experts = static_cast<std::int32_t>(experts_);
  std::int32_t spare = slots_ - experts;
  std::fill(copies_.begin(), copies_.end(), 1);
  replicated_ = 0;
  if (spare == 0) return;
  if (load_at(0) == 0) {
    for (std::int32_t e = 0; e < experts; ++e) {
      copies_[static_cast<std::size_t>(e)] = slots_ / experts + (e < slots_ % experts);
      heap_[replicated_++] = {0, e};
    }
    return;
  }

  double const least = nearly_least_share(spare), inverse = 1 / least;
  while (replicated_ < experts_ && load_at(replicated_) > least) ++replicated_;
  for (std::size_t i = 0; i < replicated_; ++i) {
    double const load = load_at(i);
    auto more =
        static_cast<std::int32_t>(load * inverse);  // number of k with load / k > T, or one off
    more -= more > 0 && load / more <= least;
    more += load / (more + 1) > least;
    spare -= more;
    std::int32_t const e = expert_at(i);
    copies_[static_cast<std::size_t>(e)] += more;
    heap_[i] = {load / (more + 1), e};
  }
  if (spare > 0) give_more(spare);
  if (spare < 0) take_back(-spare);
}

SHUNT_CONSTEXPR double eplb_rule::nearly_least_share(std::int32_t spare) const {
  std::size_t const most = std::min(experts_, static_cast<std::size_t>(spare));
  double sum = 0, wanted = spare;
  std::size_t above = 0;
  do {
    sum += load_at(above++);
    wanted += 0.5;
  } while (above < most && load_at(above) * wanted > sum);
  return above < experts_ ? std::max(sum / wanted, load_at(above)) : sum / wanted;
}

SHUNT_CONSTEXPR void eplb_rule::give_more(std::int32_t many) {
  auto const later = [](entry const& a, entry const& b) {
    return a.share < b.share || (a.share == b.share && a.index < b.index);
  };
  std::make_heap(heap_.begin(), heap_end(), later);
  for (; many > 0; --many) {
    // the first unreplicated expert of the order is the largest; among equal ones the rule takes
    // the highest index
    if (replicated_ < experts_ && (replicated_ == 0 || load_at(replicated_) >= heap_[0].share)) {
      std::size_t last = replicated_;
      while (last + 1 < experts_ && load_at(last + 1) == load_at(replicated_)) ++last;
      entry const single{load_at(last), expert_at(last)};
      if (replicated_ == 0 || later(heap_[0], single)) {
        auto const at = order_.begin() + static_cast<std::ptrdiff_t>(replicated_);
        std::rotate(at, order_.begin() + static_cast<std::ptrdiff_t>(last),
                    order_.begin() + static_cast<std::ptrdiff_t>(last) + 1);
        ++copies_[static_cast<std::size_t>(single.index)];
        heap_[replicated_++] = {share_of(single.index), single.index};
        std::push_heap(heap_.begin(), heap_end(), later);
        continue;
      }
    }
    std::pop_heap(heap_.begin(), heap_end(), later);
    entry& item = heap_[replicated_ - 1];
    ++copies_[static_cast<std::size_t>(item.index)];
    item.share = share_of(item.index);
    std::push_heap(heap_.begin(), heap_end(), later);
  }
}

SHUNT_CONSTEXPR void eplb_rule::take_back(std::int32_t many) {
  // undoes the latest gift: the least w / (c - 1), ties to the lowest index
  auto const sooner = [](entry const& a, entry const& b) {
    return a.share > b.share || (a.share == b.share && a.index > b.index);
  };
  auto const last_given = [&](std::int32_t e) {
    std::int32_t const c = copies_[static_cast<std::size_t>(e)];
    return c > 1 ? loads_[static_cast<std::size_t>(e)] / (c - 1)
                 : std::numeric_limits<double>::infinity();
  };
  for (std::size_t i = 0; i < replicated_; ++i) heap_[i].share = last_given(heap_[i].index);
  std::make_heap(heap_.begin(), heap_end(), sooner);
  for (; many > 0; --many) {
    std::pop_heap(heap_.begin(), heap_end(), sooner);
    entry& item = heap_[replicated_ - 1];
    --copies_[static_cast<std::size_t>(item.index)];
    item.share = last_given(item.index);
    std::push_heap(heap_.begin(), heap_end(), sooner);
  }
  for (std::size_t i = 0; i < replicated_; ++i) heap_[i].share = share_of(heap_[i].index);
}

SHUNT_CONSTEXPR double eplb_rule::share_of(std::int32_t e) const {
  return loads_[static_cast<std::size_t>(e)] / copies_[static_cast<std::size_t>(e)];
}

SHUNT_CONSTEXPR void eplb_rule::sort_replicated() {
  for (std::size_t i = 0; i < replicated_; ++i)
    keys_[i] = (~std::bit_cast<std::uint64_t>(heap_[i].share) & ~index_mask_) |
               static_cast<std::uint64_t>(heap_[i].index);
  detail::sort_keys(keys_.data(), replicated_);
  for (std::size_t i = 0; i < replicated_; ++i) {
    auto const e = static_cast<std::int32_t>(keys_[i] & index_mask_);
    entry const item{share_of(e), e};
    std::size_t at = i;
    for (; at > 0 && heap_[at - 1].share < item.share; --at) heap_[at] = heap_[at - 1];
    heap_[at] = item;
  }
}

SHUNT_CONSTEXPR void eplb_rule::list_replicas(std::span<expert_id const> names) {
  sort_replicated();
  std::size_t to = 0, single = replicated_;
  auto const list_singles = [&](auto const& before) {
    for (; single < experts_; ++single) {
      auto const load = load_at(single);
      auto const e = expert_at(single);
      if (!before(load, e)) return;
      share_[to] = load;
      name_[to++] = names[static_cast<std::size_t>(e)];
    }
  };
  for (std::size_t i = 0; i < replicated_; ++i) {
    entry const item = heap_[i];
    list_singles([&](double load, std::int32_t e) {
      return load > item.share || (load == item.share && e < item.index);
    });
    for (std::int32_t k = copies_[static_cast<std::size_t>(item.index)]; k > 0; --k) {
      share_[to] = item.share;
      name_[to++] = names[static_cast<std::size_t>(item.index)];
    }
  }
  list_singles([](double, std::int32_t) { return true; });
}

SHUNT_CONSTEXPR void eplb_rule::place(std::span<expert_id const> names,
                                      std::span<expert_id> placed) {
  list_replicas(names);
  std::size_t const ranks = next_.size();
  std::fill_n(keys_.begin(), ranks + 1, full);
  for (std::size_t r = 0, live = 0; r < ranks; ++r) {
    next_[r] = first_[r];
    load_[r] = 0;
    if (first_[r] < first_[r + 1]) keys_[live++] = r;
  }
  auto const count = static_cast<std::size_t>(slots_);
  for (std::size_t i = 0; i < count; line_up()) {
    std::uint64_t least = full;  // of the ranks served in this round
    std::uint64_t* key = keys_.data();
    double* const load = load_.data();
    std::int32_t* const next = next_.data();
    for (; *key < least; ++key, ++i) {
      auto const r = static_cast<std::size_t>(*key & rank_mask_);
      std::int32_t const slot = next[r]++;
      placed[static_cast<std::size_t>(slot)] = name_[i];
      load[r] += share_[i];
      std::uint64_t const rounded =
          slot + 1 == first_[r + 1] ? full : std::bit_cast<std::uint64_t>(load[r]) & ~rank_mask_;
      *key = rounded | r;
      least = rounded < least ? rounded : least;
    }
  }
}

SHUNT_CONSTEXPR void eplb_rule::line_up() {
  std::size_t const ranks = next_.size();
  detail::sort_keys(keys_.data(), ranks);
  keys_[ranks] = full;
  auto const load = [&](std::size_t i) {
    return load_[static_cast<std::size_t>(keys_[i] & rank_mask_)];
  };
  for (std::size_t i = 1; i < ranks; ++i)
    if ((keys_[i] ^ keys_[i - 1]) <= rank_mask_ && keys_[i] != full)
      for (std::size_t k = i; k > 0 && load(k) < load(k - 1); --k)
        std::swap(keys_[k], keys_[k - 1]);
}

}  // namespace shunt::detail
