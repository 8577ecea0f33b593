#pragma once
#include <concepts>
#include <cstdint>

#include "shunt/core/host_device.hpp"

namespace shunt {

/// What a team compares: a key, and an index where keys are equal.
struct ranked_key {
  std::uint64_t key = ~std::uint64_t{0};
  std::int32_t index = 0x7fffffff;

  [[nodiscard]] SHUNT_HD constexpr bool before(ranked_key const& other) const {
    return key < other.key || (key == other.key && index < other.index);
  }
};

/// Threads that work on one thing together: a block or a warp of a GPU (team.cuh), or a loop that
/// takes the threads' turns one after the other (emulated_team below). An algorithm over a team is
/// a row of phases, each one call of
///
///     t.each(f)    f(0) .. f(t.size() - 1), then all wait for all
///     t.sum(f)     and the sum of what they return, int64, known to all
///     t.least(f)   and the least ranked_key of what they return, known to all
///     t.narrow(f)  f(a team of at most 32 of these threads), the others wait
///
/// Within a phase a thread reads nothing that another one writes; what outlives a phase lies in
/// memory that all share, and what decides which phase is next is the same for all. So the loop
/// computes what the GPU computes, and tests run a kernel's very code on the host.
template <class T>
concept team_of_threads =
    requires(T const& t, void (*each)(std::int32_t), std::int64_t (*count)(std::int32_t),
             ranked_key (*key)(std::int32_t)) {
      { t.size() } -> std::same_as<std::int32_t>;
      t.each(each);
      { t.sum(count) } -> std::same_as<std::int64_t>;
      { t.least(key) } -> std::same_as<ranked_key>;
    };

/// A team on the host: each phase is a loop over its threads. `turn` chooses who goes first: 0 in
/// order, others other orders; an algorithm whose answer depends on it has a race.
class emulated_team {
 public:
  constexpr explicit emulated_team(std::int32_t size, std::uint32_t turn = 0)
      : size_(size),
        first_(static_cast<std::int32_t>(turn % static_cast<std::uint32_t>(size))),
        turn_(turn) {}

  [[nodiscard]] constexpr std::int32_t size() const { return size_; }

  template <class F>
  constexpr void each(F const& f) const {
    for (std::int32_t i = 0; i < size_; ++i) f(thread(i));
  }
  template <class F>
  [[nodiscard]] constexpr std::int64_t sum(F const& f) const {
    std::int64_t all = 0;
    for (std::int32_t i = 0; i < size_; ++i) all += f(thread(i));
    return all;
  }
  template <class F>
  [[nodiscard]] constexpr ranked_key least(F const& f) const {
    ranked_key best;
    for (std::int32_t i = 0; i < size_; ++i)
      if (ranked_key const mine = f(thread(i)); mine.before(best)) best = mine;
    return best;
  }
  template <class F>
  constexpr void narrow(F const& f) const {
    f(emulated_team(size_ < 32 ? size_ : 32, turn_));
  }

 private:
  [[nodiscard]] constexpr std::int32_t thread(std::int32_t i) const {
    std::int32_t const at = (i + first_) % size_;
    return turn_ % 2 == 0 ? at : size_ - 1 - at;
  }

  std::int32_t size_ = 1, first_ = 0;
  std::uint32_t turn_ = 0;
};
static_assert(team_of_threads<emulated_team>);

namespace detail {

/// f(0) .. f(n - 1), dealt over the threads; one phase.
template <class Team, class F>
SHUNT_HD constexpr void each_item(Team const& team, std::int32_t n, F const& f) {
  team.each([&](std::int32_t t) {
    for (std::int32_t i = t; i < n; i += team.size()) f(i);
  });
}

/// The sum of f(0) .. f(n - 1).
template <class Team, class F>
[[nodiscard]] SHUNT_HD constexpr std::int64_t sum_of(Team const& team, std::int32_t n, F const& f) {
  return team.sum([&](std::int32_t t) {
    std::int64_t mine = 0;
    for (std::int32_t i = t; i < n; i += team.size()) mine += f(i);
    return mine;
  });
}

/// The least x of (low, high] with count(x) >= wanted, for a count that never falls; it is reached
/// at `high` and not at `low`. A shorter way out: the first x that is met with exactly `wanted`;
/// `exact` says so. One sum a bit of high - low.
struct least_count {
  std::int64_t at = 0;
  bool exact = false;
};
template <class Count>
[[nodiscard]] SHUNT_HD constexpr least_count least_with(std::int64_t low, std::int64_t high,
                                                        std::int64_t wanted, Count const& count) {
  while (high - low > 1) {
    std::int64_t const middle = low + (high - low) / 2;
    std::int64_t const here = count(middle);
    if (here == wanted) return {middle, true};
    (here > wanted ? high : low) = middle;
  }
  return {high, false};
}

/// Where n elements bring values, which are the `wanted` least of them all? Ties go to the lowest
/// element. `count_of(i, x)` says how many of element i's values are at most x, no two of them
/// equal. From element i are chosen count_of(i, value) where i <= last, and count_of(i, value - 1)
/// otherwise. `low` and `high` as in least_with.
struct cutoff {
  std::int64_t value = 0;
  std::int32_t last = 0;

  [[nodiscard]] SHUNT_HD constexpr std::int64_t of(std::int32_t i) const {
    return i <= last ? value : value - 1;
  }
};
template <class Team, class CountOf>
[[nodiscard]] SHUNT_HD constexpr cutoff choose_least(Team const& team, std::int32_t n,
                                                     std::int64_t wanted, std::int64_t low,
                                                     std::int64_t high, CountOf const& count_of) {
  auto const up_to = [&](std::int64_t x) {
    return sum_of(team, n, [&](std::int32_t i) { return count_of(i, x); });
  };
  least_count const found = least_with(low, high, wanted, up_to);
  if (found.exact) return {found.at, n - 1};
  auto const with_ties = [&](std::int64_t last) {
    return sum_of(team, n,
                  [&](std::int32_t i) { return count_of(i, i <= last ? found.at : found.at - 1); });
  };
  return {found.at, static_cast<std::int32_t>(least_with(-1, n - 1, wanted, with_ties).at)};
}

/// values[i] becomes values[0] + .. + values[i]. `other` has room for as many; the sums stand in
/// the one that is returned. O(n log n).
template <class Team>
[[nodiscard]] SHUNT_HD constexpr std::int32_t* running_sums(Team const& team, std::int32_t n,
                                                            std::int32_t* values,
                                                            std::int32_t* other) {
  for (std::int32_t width = 1; width < n; width *= 2) {
    each_item(team, n,
              [&](std::int32_t i) { other[i] = values[i] + (i >= width ? values[i - width] : 0); });
    std::int32_t* const summed = other;
    other = values;
    values = summed;
  }
  return values;
}

/// Sorts n keys, a power of two of them, and their indices; bitonic, log2(n) (log2(n) + 1) / 2
/// phases.
template <class Team>
SHUNT_HD constexpr void sort_keys(Team const& team, std::int32_t n, std::uint64_t* keys,
                                  std::int32_t* indices) {
  for (std::int32_t run = 2; run <= n; run *= 2)
    for (std::int32_t apart = run / 2; apart > 0; apart /= 2)
      each_item(team, n / 2, [&](std::int32_t i) {
        std::int32_t const a = 2 * i - (i & (apart - 1)), b = a + apart;
        ranked_key const first{keys[a], indices[a]}, second{keys[b], indices[b]};
        if (second.before(first) != ((a & run) == 0)) return;
        keys[a] = second.key;
        keys[b] = first.key;
        indices[a] = second.index;
        indices[b] = first.index;
      });
}

/// The least power of two that is n or more.
[[nodiscard]] SHUNT_HD constexpr std::int32_t power_of_two_from(std::int32_t n) {
  std::int32_t power = 1;
  while (power < n) power *= 2;
  return power;
}

/// The owner of position `at`, where `ends` are running sums and the last is beyond `at`: the first
/// one whose end is.
[[nodiscard]] SHUNT_HD constexpr std::int32_t owner_of(std::int32_t const* ends, std::int32_t n,
                                                       std::int32_t at) {
  std::int32_t low = 0, high = n - 1;
  while (low < high) {
    std::int32_t const middle = (low + high) / 2;
    if (ends[middle] > at)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

/// Cuts shared memory into arrays, each at a multiple of its element.
class shared_cutter {
 public:
  SHUNT_HD constexpr explicit shared_cutter(unsigned char* memory) : memory_(memory) {}

  template <class T>
  [[nodiscard]] SHUNT_HD T* take(std::int64_t count) {
    used_ = (used_ + static_cast<std::int64_t>(alignof(T)) - 1) /
            static_cast<std::int64_t>(alignof(T)) * static_cast<std::int64_t>(alignof(T));
    T* const taken = reinterpret_cast<T*>(memory_ + used_);
    used_ += count * static_cast<std::int64_t>(sizeof(T));
    return taken;
  }

 private:
  unsigned char* memory_;
  std::int64_t used_ = 0;
};

}  // namespace detail

}  // namespace shunt
