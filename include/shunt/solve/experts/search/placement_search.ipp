#pragma once
#include "shunt/solve/experts/search/placement_search.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace shunt::detail {

SHUNT_CONSTEXPR placement_search::placement_search(std::int32_t experts,
                                                   std::vector<std::int32_t> slots_per_rank)
    : experts_(static_cast<std::size_t>(experts)),
      ranks_(slots_per_rank.size()),
      slots_of_(std::move(slots_per_rank)),
      weight_(experts_, 0),
      share_(experts_, 0),
      copies_(experts_, 0),
      order_(experts_, 0),
      position_(experts_, 0),
      host_first_(experts_, 0),
      queue_(ranks_, 0),
      moved_(ranks_, 0),
      free_(ranks_, 0),
      first_(ranks_ + 1, 0),
      load_(ranks_, 0),
      swaps_(experts_, slots_of_),
      packing_(slots_of_),
      best_copies_(experts_, 0) {
  for (std::size_t r = 0; r < ranks_; ++r)
    first_[r + 1] = first_[r] + static_cast<std::size_t>(slots_of_[r]);
  for (auto const s : slots_of_) most_slots_ = std::max(most_slots_, static_cast<std::size_t>(s));
  hosts_.resize(first_[ranks_]);
  best_.resize(first_[ranks_]);
  fullest_.reserve(most_slots_);
  large_.reserve(experts_);
  heap_.reserve(experts_);
  by_weight_.reserve(experts_);
}

SHUNT_CONSTEXPR bool placement_search::operator()(std::span<load_type const> loads,
                                                  std::int64_t effort, double goal, double enough,
                                                  std::uint64_t seed) {
  load_type total = 0;
  for (auto const w : loads) total += w;
  int const shift =
      total == 0 ? 0 : 31 - static_cast<int>(std::bit_width(static_cast<std::uint64_t>(total)));
  sum_ = 0;
  for (std::size_t e = 0; e < experts_; ++e)
    sum_ += weight_[e] = shift >= 0 ? loads[e] << shift : loads[e] >> -shift;
  goal_ = times_mean(goal);
  enough_ = std::max(goal_, times_mean(enough));
  best_load_ = none;
  steps_ = 0;
  effort_ = effort;
  random_ = {seed};
  greedy_counts();
  order_all();
  if (attempt(none - 1) == none && !ordered_by_counts()) return false;
  keep_if_best(improve());
  if (best_load_ > enough_) search();
  return true;
}

SHUNT_CONSTEXPR placement_search::load_type placement_search::times_mean(double factor) const {
  double const load = static_cast<double>(sum_) / static_cast<double>(ranks_) * factor;
  return load < static_cast<double>(sum_) ? static_cast<load_type>(load) : sum_;
}

SHUNT_CONSTEXPR void placement_search::search() {
  bool const spare = first_[ranks_] > experts_;
  begin_phases();
  if (spare) park_spare();
  for (std::int64_t end = first_round; steps_ < effort_ && best_load_ > enough_;
       end = end < longest_round ? end * 5 : end + longest_round) {
    if (steps_ >= end) continue;
    std::int64_t const begin = steps_;
    pack(begin + (end - begin) / 4 * 3);
    if (!spare && steps_ == begin) return;
    if (!spare) continue;
    pin_hottest(end == first_round ? end : steps_ + (end - steps_) / 2);
    start_from_best();
    walk(end);
  }
}

SHUNT_CONSTEXPR void placement_search::begin_phases() {
  by_weight_ = order_;
  std::sort(by_weight_.begin(), by_weight_.end(), [&](auto a, auto b) {
    return weight_[a] > weight_[b] || (weight_[a] == weight_[b] && a < b);
  });
  large_.clear();
  rest_ = sum_;
  for (std::size_t i = 0; i + most_slots_ < experts_ && weight_[by_weight_[i]] > mean() / 32; ++i) {
    rest_ -= weight_[by_weight_[i]];
    large_.push_back(weight_[by_weight_[i]]);
  }
  too_low_ = given_up_ = goal_;
  packed_ = restarted_ = false;
  pins_ = 0;
  for (std::size_t i = 0; i < 2 && i < experts_; ++i) pinned_[i] = copies_[by_weight_[i]];
}

SHUNT_CONSTEXPR void placement_search::start_from_best() {
  for (std::size_t e = 0; e < experts_; ++e) set_copies(e, best_copies_[e]);
  order_all();
  if (attempt(none - 1) != none) return;
  ordered_by_counts();
  order_all();
}

SHUNT_CONSTEXPR double placement_search::fullest() const {
  return sum_ == 0 ? 1
                   : static_cast<double>(best_load_) * static_cast<double>(ranks_) /
                         static_cast<double>(sum_);
}

SHUNT_CONSTEXPR std::uint64_t placement_search::below(std::uint64_t bound) {
  return random_.below(bound);
}

SHUNT_CONSTEXPR void placement_search::set_copies(std::size_t e, std::size_t copies) {
  copies_[e] = copies;
  share_[e] = weight_[e] / static_cast<load_type>(copies);
}

SHUNT_CONSTEXPR bool placement_search::greedy_counts(std::span<std::size_t const> pinned) {
  std::size_t spare = first_[ranks_] - experts_;
  for (std::size_t const e : pinned) spare -= copies_[e] - 1;
  heap_.clear();
  for (std::size_t e = 0; e < experts_; ++e) {
    if (std::find(pinned.begin(), pinned.end(), e) != pinned.end()) continue;
    set_copies(e, 1);
    heap_.push_back(e);
  }
  steps_ += static_cast<std::int64_t>(experts_ / 4 + spare);  // these steps are cheap
  auto const after = [&](std::size_t a, std::size_t b) {
    return share_[a] != share_[b]     ? share_[a] < share_[b]
           : copies_[a] != copies_[b] ? copies_[a] > copies_[b]
                                      : a > b;
  };
  if (spare > 0) std::make_heap(heap_.begin(), heap_.end(), after);
  for (; spare > 0; --spare) {
    while (!heap_.empty() && copies_[heap_.front()] == ranks_) {
      std::pop_heap(heap_.begin(), heap_.end(), after);
      heap_.pop_back();
    }
    if (heap_.empty()) return false;
    std::pop_heap(heap_.begin(), heap_.end(), after);
    set_copies(heap_.back(), copies_[heap_.back()] + 1);
    std::push_heap(heap_.begin(), heap_.end(), after);
  }
  return true;
}

SHUNT_CONSTEXPR void placement_search::park_spare() {
  std::size_t parked = first_[ranks_] - experts_;
  for (std::size_t e = 0; e < experts_; ++e) {
    auto const fewest = static_cast<std::size_t>(
        std::clamp<load_type>((weight_[e] + goal_ - 1) / std::max<load_type>(1, goal_), 1,
                              static_cast<load_type>(ranks_)));
    if (fewest - 1 > parked) return;
    set_copies(e, fewest);
    parked -= fewest - 1;
  }
  std::size_t at = experts_;  // by_weight_[at] has the copy parked last
  for (std::size_t left = parked; left > 0;) {
    std::size_t const e = by_weight_[--at], more = std::min(left, ranks_ - copies_[e]);
    set_copies(e, copies_[e] + more);
    left -= more;
    if (at == 0 && left > 0) return;
  }
  order_all();
  for (; steps_ < effort_ && best_load_ > enough_; --parked) {
    try_counts();
    while (at < experts_ && copies_[by_weight_[at]] == 1) ++at;
    std::size_t const hot = order_[0];
    if (parked == 0 || at == experts_ || copies_[hot] == ranks_ || hot == by_weight_[at]) return;
    give(by_weight_[at], hot, 1);
  }
}

SHUNT_CONSTEXPR void placement_search::try_counts() {
  steps_ += 4;
  if (attempt(best_load_ + best_load_ / 16) < best_load_ + best_load_ / 32) keep_if_best(improve());
}

SHUNT_CONSTEXPR void placement_search::pin_hottest(std::int64_t end) {
  if (experts_ < 3) return;
  end = std::min(end, effort_);
  std::size_t const hot[2] = {by_weight_[0], by_weight_[1]};
  std::size_t const spare = first_[ranks_] - experts_, most = std::min(ranks_, spare + 1);
  // the k-th count tried: 0, 1 more, 1 less, 2 more .. than the greedy one; 0 where there is none
  auto const count = [&](std::size_t i, std::size_t k) {
    std::size_t const more = pinned_[i] + (k + 1) / 2, less = k / 2;
    std::size_t const c = k % 2 == 1 ? more : pinned_[i] > less ? pinned_[i] - less : 0;
    return c <= most ? c : 0;
  };
  std::size_t ring = 0;
  while ((ring + 1) * (ring + 1) <= pins_) ++ring;
  for (; ring <= 2 * most; ++pins_) {
    if (steps_ >= end || best_load_ <= enough_) return;
    steps_ += 1;
    std::size_t const k = pins_ - ring * ring;
    std::size_t const a = count(0, k <= ring ? ring : k - ring - 1),
                      b = count(1, k <= ring ? k : ring);
    ring += k == 2 * ring;
    load_type const limit = best_load_ + best_load_ / 16;
    if (a == 0 || b == 0 || a + b > spare + 2 ||
        weight_[hot[0]] > limit * static_cast<load_type>(a) ||
        weight_[hot[1]] > limit * static_cast<load_type>(b))
      continue;
    set_copies(hot[0], a);
    set_copies(hot[1], b);
    if (!greedy_counts(hot)) continue;
    order_all();
    try_counts();
  }
}

SHUNT_CONSTEXPR void placement_search::pack(std::int64_t end) {
  if (std::max(ranks_, most_slots_) > threshold_packing::most) return;
  load_type threshold = goal_;
  auto const leaf = [&](threshold_packing const&) {
    load_type const limit = threshold + mean() / 64;
    if (complete(limit) <= limit) keep_if_best(improve());
    return best_load_ <= threshold;
  };
  auto const skip = [&] { return restarted_ && below(12) == 0; };
  std::int64_t const trial = steps_ + (end - steps_) / 16,
                     one = std::max<std::int64_t>(
                         700, static_cast<std::int64_t>(large_.size() * ranks_));
  end = std::min(end, effort_);
  while (steps_ < end && (packed_ || steps_ < trial) && best_load_ > enough_ &&
         best_load_ - too_low_ > mean() / 4096) {
    if (best_load_ - given_up_ <= mean() / 1024) {
      given_up_ = too_low_;
      restarted_ = true;
    }
    if (given_up_ > goal_ || restarted_) threshold = given_up_ + (best_load_ - given_up_) / 2;
    auto const until = std::min(end, ++steps_ + one);
    if (packing_(large_, rest_, experts_ - large_.size(), first_[ranks_] - experts_, threshold,
                 steps_, until, leaf, skip)) {
      packed_ = true;
    } else {
      given_up_ = threshold + 1;
      if (!restarted_ && packing_.exhausted()) too_low_ = given_up_;
    }
  }
}

SHUNT_CONSTEXPR placement_search::load_type placement_search::complete(load_type limit) {
  std::copy(by_weight_.begin(), by_weight_.end(), order_.begin());
  std::size_t const many = large_.size(), others = experts_ - many;
  std::size_t host = 0, waiting = 0;
  load_type most = 0;
  std::fill(load_.begin(), load_.end(), load_type{0});
  std::copy(slots_of_.begin(), slots_of_.end(), free_.begin());
  for (std::size_t i = 0; i < many; ++i) {
    std::size_t const e = order_[i];
    set_copies(e, packing_.copies(i));
    host_first_[e] = host;
    for (std::size_t k = 0; k < copies_[e]; ++k) {
      std::size_t const r = hosts_[host++] = packing_.rank(i, k);
      --free_[r];
      most = std::max(most, load_[r] += share_[e]);
    }
  }
  for (std::size_t r = 0; r < ranks_; ++r)
    if (free_[r] > 0) queue_[waiting++] = static_cast<queued>(load_[r]) << 32 | r;
  auto const by_share = [&](auto a, auto b) { return goes_first(a, b); };
  std::size_t const left = first_[ranks_] - host;
  std::size_t spare = left - others;
  for (std::size_t i = experts_; i-- > many;) {
    std::size_t const more = std::min(spare, waiting - 1);
    set_copies(order_[i], 1 + more);
    spare -= more;
  }
  steps_ += static_cast<std::int64_t>(ranks_);
  if (spare == 0) {
    std::sort(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(waiting));
    std::sort(order_.begin() + static_cast<std::ptrdiff_t>(many), order_.end(), by_share);
    load_type const load = attempt_from(many, host, waiting, most, limit);
    if (load != none) return load;
    std::copy(slots_of_.begin(), slots_of_.end(), free_.begin());
    for (std::size_t k = 0; k < host; ++k) --free_[hosts_[k]];
  }
  // the i-th of the others gets the replicas i, i + others, ...
  for (std::size_t i = 0; i < others; ++i) {
    std::size_t const e = order_[experts_ - 1 - i];
    set_copies(e, (left - i + others - 1) / others);
    host_first_[e] = host;
    host += copies_[e];
  }
  std::size_t replica = 0;
  for (std::size_t r = 0; r < ranks_; ++r) {
    for (std::int32_t k = 0; k < free_[r]; ++k, ++replica) {
      std::size_t const e = order_[experts_ - 1 - replica % others];
      hosts_[host_first_[e] + replica / others] = r;
      load_[r] += share_[e];
    }
    most = std::max(most, load_[r]);
  }
  return most;
}

SHUNT_CONSTEXPR bool placement_search::goes_first(std::size_t a, std::size_t b) const {
  return share_[a] > share_[b] || (share_[a] == share_[b] && a < b);
}

SHUNT_CONSTEXPR void placement_search::reorder(std::size_t e) {
  std::size_t at = position_[e];
  for (; at > 0 && goes_first(e, order_[at - 1]); --at) position_[order_[at] = order_[at - 1]] = at;
  for (; at + 1 < experts_ && goes_first(order_[at + 1], e); ++at)
    position_[order_[at] = order_[at + 1]] = at;
  position_[order_[at] = e] = at;
}

SHUNT_CONSTEXPR void placement_search::order_all() {
  for (std::size_t e = 0; e < experts_; ++e) order_[e] = e;
  std::sort(order_.begin(), order_.end(), [&](auto a, auto b) { return goes_first(a, b); });
  for (std::size_t i = 0; i < experts_; ++i) position_[order_[i]] = i;
}

SHUNT_CONSTEXPR placement_search::load_type placement_search::attempt(load_type limit) {
  for (std::size_t r = 0; r < ranks_; ++r) {
    queue_[r] = r;
    free_[r] = slots_of_[r];
  }
  return attempt_from(0, 0, ranks_, 0, limit);
}

SHUNT_CONSTEXPR placement_search::load_type placement_search::attempt_from(
    std::size_t i, std::size_t host, std::size_t waiting, load_type most, load_type limit) {
  for (; i < experts_; ++i) {
    std::size_t const e = order_[i], wanted = copies_[e], left = experts_ - i;
    bool const forced = left <= most_slots_;
    if (wanted > waiting || (forced && !force(waiting, wanted, left))) return none;
    auto const share = static_cast<queued>(share_[e]) << 32;
    host_first_[e] = host;
    std::size_t moved = 0;
    for (std::size_t k = 0; k < wanted; ++k) {
      queued const q = queue_[k] + share;
      auto const r = static_cast<std::uint32_t>(q);
      hosts_[host++] = r;
      most = std::max(most, static_cast<load_type>(q >> 32));
      moved_[moved] = q;
      moved += --free_[r] > 0;
    }
    if (most > limit) return none;
    if (forced) std::sort(moved_.begin(), moved_.begin() + static_cast<std::ptrdiff_t>(moved));
    std::size_t to = 0, from = wanted;
    for (std::size_t k = 0; k < moved;)
      queue_[to++] = from < waiting && queue_[from] < moved_[k] ? queue_[from++] : moved_[k++];
    if (to != from)
      for (; from < waiting; ++from) queue_[to++] = queue_[from];
    else
      to = waiting;
    waiting = to;
    steps_ += 1 + static_cast<std::int64_t>(wanted);
  }
  return most;
}

SHUNT_CONSTEXPR bool placement_search::force(std::size_t waiting, std::size_t wanted,
                                             std::size_t left) {
  std::size_t front = 0;
  for (std::size_t k = 0; k < waiting; ++k) {
    auto const free = static_cast<std::size_t>(free_[static_cast<std::uint32_t>(queue_[k])]);
    if (free < left) continue;
    if (free > left || front == wanted) return false;
    std::rotate(queue_.begin() + static_cast<std::ptrdiff_t>(front),
                queue_.begin() + static_cast<std::ptrdiff_t>(k),
                queue_.begin() + static_cast<std::ptrdiff_t>(k) + 1);
    ++front;
  }
  return true;
}

SHUNT_CONSTEXPR bool placement_search::ordered_by_counts() {
  for (;;) {
    for (std::size_t e = 0; e < experts_; ++e) order_[e] = e;
    std::sort(order_.begin(), order_.end(), [&](auto a, auto b) {
      return copies_[a] > copies_[b] || (copies_[a] == copies_[b] && a < b);
    });
    for (std::size_t r = 0; r < ranks_; ++r) {
      queue_[r] = r;
      free_[r] = slots_of_[r];
    }
    std::size_t host = 0;
    bool fits = true;
    for (std::size_t i = 0; fits && i < experts_; ++i) {
      std::size_t const e = order_[i];
      std::sort(queue_.begin(), queue_.end(), [&](queued a, queued b) {
        return free_[a] > free_[b] || (free_[a] == free_[b] && a < b);
      });
      host_first_[e] = host;
      for (std::size_t k = 0; fits && k < copies_[e]; ++k) {
        fits = free_[queue_[k]]-- > 0;
        if (fits) hosts_[host++] = queue_[k];
      }
    }
    if (fits) return true;
    std::size_t const from = order_.front(), to = order_.back();
    if (copies_[from] <= copies_[to] + 1) return false;
    set_copies(from, copies_[from] - 1);
    set_copies(to, copies_[to] + 1);
  }
}

SHUNT_CONSTEXPR placement_search::load_type placement_search::improve() {
  swaps_.clear();
  for (std::size_t const e : order_)
    for (std::size_t k = 0; k < copies_[e]; ++k)
      swaps_.put(hosts_[host_first_[e] + k], e, share_[e]);
  return swaps_(share_, enough_, best_load_, steps_, effort_ > none / 8 ? none : 8 * effort_);
}

SHUNT_CONSTEXPR void placement_search::keep_if_best(load_type load) {
  if (load >= best_load_) return;
  best_load_ = load;
  std::copy(swaps_.held().begin(), swaps_.held().end(), best_.begin());
  std::copy(copies_.begin(), copies_.end(), best_copies_.begin());
}

SHUNT_CONSTEXPR void placement_search::note_fullest() {
  std::fill(load_.begin(), load_.end(), load_type{0});
  for (std::size_t e = 0; e < experts_; ++e)
    for (std::size_t k = 0; k < copies_[e]; ++k) load_[hosts_[host_first_[e] + k]] += share_[e];
  auto const fullest =
      static_cast<std::size_t>(std::max_element(load_.begin(), load_.end()) - load_.begin());
  fullest_.clear();
  for (std::size_t e = 0; e < experts_; ++e)
    for (std::size_t k = 0; k < copies_[e]; ++k)
      if (hosts_[host_first_[e] + k] == fullest) fullest_.push_back(e);
  steps_ += static_cast<std::int64_t>(first_[ranks_]);
}

SHUNT_CONSTEXPR void placement_search::walk(std::int64_t end) {
  std::int64_t const begin = steps_;
  struct change {
    std::size_t from, to, many;
  };
  load_type kept = best_load_;
  note_fullest();
  while (steps_ < std::min(end, effort_) && best_load_ > enough_) {
    load_type const slack = kept / 64 * (end - steps_) / (end - begin);
    load_type const near = best_load_ + best_load_ / 64, limit = std::max(kept + slack, near);
    change done[2] = {};
    std::size_t changes = 0;
    std::size_t const wanted = 1 + below(2);
    for (std::size_t k = 0; k < wanted; ++k) {
      std::size_t const from = below(2) == 0 ? swaps_.held()[below(best_.size())] : below(experts_),
                        to = below(2) == 0 ? fullest_[below(fullest_.size())] : below(experts_);
      std::size_t const many = std::min(
          {1 + static_cast<std::size_t>(below(4)), copies_[from] - 1, ranks_ - copies_[to]});
      if (from == to || many == 0 ||
          weight_[from] > limit * static_cast<load_type>(copies_[from] - many))
        continue;
      give(from, to, many);
      done[changes++] = {from, to, many};
    }
    steps_ += 4;
    if (changes == 0) continue;
    load_type load = attempt(limit);
    if (load < near) keep_if_best(load = improve());
    if (load <= kept + slack) {
      kept = load;
      note_fullest();
    } else {
      while (changes-- > 0) give(done[changes].to, done[changes].from, done[changes].many);
    }
  }
}

SHUNT_CONSTEXPR void placement_search::give(std::size_t from, std::size_t to, std::size_t many) {
  set_copies(from, copies_[from] - many);
  reorder(from);
  set_copies(to, copies_[to] + many);
  reorder(to);
}

}  // namespace shunt::detail
