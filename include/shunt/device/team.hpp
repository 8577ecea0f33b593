#pragma once
/// Teams of threads: algorithms that run on a block or a warp of a GPU and, with the same code, on
/// a host.
/// See docs/device-code.md.
#include <concepts>
#include <cstdint>

#include "shunt/core/host_device.hpp"

namespace shunt {

/// Key of a team's comparison; equal keys compare by index.
struct ranked_key {
  std::uint64_t key = ~std::uint64_t{0};
  std::int32_t index = 0x7fffffff;

  [[nodiscard]] SHUNT_HD constexpr bool before(ranked_key const& other) const {
    return key < other.key || (key == other.key && index < other.index);
  }
};

/// Sums that a team computes at once.
struct team_sums {
  static constexpr std::int32_t count = 8;
  std::int64_t of[count] = {};
};

/// Threads that compute together: a block or a warp of a GPU (cuda/launch.cuh), or `emulated_team`.
/// An algorithm is a sequence of phases, each one call of
///
///     t.each(f)    f(0) .. f(t.size() - 1), then a barrier
///     t.sum(f)     also returns to all threads the sum of the results, int64
///     t.sums(f)    f(k, i, n) for k below team_sums::count and i below n, where n is the team's
///                  choice; also returns to all threads the sums of the results, by k
///     t.least(f)   also returns to all threads the least ranked_key of the results
///     t.narrow(f)  f(a team of at most 32 of these threads); the others wait
///
/// Requires that within a phase no thread reads what another one writes, that data which outlives a
/// phase lies in shared memory, and that all threads choose the same next phase.
template <class T>
concept team_of_threads =
    requires(T const& t, void (*each)(std::int32_t), std::int64_t (*count)(std::int32_t),
             std::int64_t (*counts)(std::int32_t, std::int32_t, std::int32_t),
             ranked_key (*key)(std::int32_t)) {
      { t.size() } -> std::same_as<std::int32_t>;
      t.each(each);
      { t.sum(count) } -> std::same_as<std::int64_t>;
      { t.sums(counts) } -> std::same_as<team_sums>;
      { t.least(key) } -> std::same_as<ranked_key>;
    };

/// A team on the host: each phase is a loop over its threads. `turn` selects the order of the
/// threads (0: ascending).
/// An algorithm whose result depends on `turn` has a race.
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
  [[nodiscard]] constexpr team_sums sums(F const& f) const {
    team_sums all;
    std::int32_t const apiece = (size_ + team_sums::count - 1) / team_sums::count;
    for (std::int32_t i = 0; i < apiece * team_sums::count; ++i) {
      std::int32_t const k = turn_ % 2 == 0 ? i / apiece : team_sums::count - 1 - i / apiece;
      all.of[k] += f(k, i % apiece, apiece);
    }
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

/// Calls f(0) .. f(n - 1), distributed over the threads; one phase.
template <class Team, class F>
SHUNT_HD constexpr void each_item(Team const& team, std::int32_t n, F const& f) {
  team.each([&](std::int32_t t) {
    for (std::int32_t i = t; i < n; i += team.size()) f(i);
  });
}

/// Returns the sum of f(0) .. f(n - 1); one phase.
template <class Team, class F>
[[nodiscard]] SHUNT_HD constexpr std::int64_t sum_of(Team const& team, std::int32_t n, F const& f) {
  return team.sum([&](std::int32_t t) {
    std::int64_t mine = 0;
    for (std::int32_t i = t; i < n; i += team.size()) mine += f(i);
    return mine;
  });
}

/// Result of `least_with`.
struct least_count {
  std::int64_t at = 0;
  bool exact = false;
};
/// Returns the least x of (low, high] where the sum of count_of(i, x) over n elements is at least
/// `wanted`. Each step asks for eight x at once. Stops early at an x whose sum is `wanted` and then
/// sets `exact`; such an x need not be the least.
/// Requires that the sum never falls, is below `wanted` at low and not below it at high.
/// Complexity: at most log9(high - low) + 2 phases.
template <class Team, class CountOf>
[[nodiscard]] SHUNT_HD constexpr least_count least_with(Team const& team, std::int32_t n,
                                                        std::int64_t low, std::int64_t high,
                                                        std::int64_t wanted,
                                                        CountOf const& count_of) {
  while (high - low > 1) {
    std::int64_t const ninth = (high - low) / (team_sums::count + 1);
    std::int64_t const apart = ninth > 0 ? ninth : 1;
    auto const pivot = [low, high, apart](std::int32_t k) {
      std::int64_t const at = low + (k + 1) * apart;
      return at < high ? at : high;
    };
    team_sums const here = team.sums([&](std::int32_t k, std::int32_t t, std::int32_t threads) {
      std::int64_t const x = pivot(k);
      std::int64_t mine = 0;
      for (std::int32_t i = t; i < n; i += threads) mine += count_of(i, x);
      return mine;
    });
    std::int32_t enough = 0;
    while (enough < team_sums::count && here.of[enough] < wanted) ++enough;
    if (enough < team_sums::count) {
      high = pivot(enough);
      if (here.of[enough] == wanted) return {high, true};
    }
    if (enough > 0) low = pivot(enough - 1);
  }
  return {high, false};
}

/// Result of `choose_least`: the largest selected value, and the last element that contributes it.
struct cutoff {
  std::int64_t value = 0;
  std::int32_t last = 0;

  [[nodiscard]] SHUNT_HD constexpr std::int64_t of(std::int32_t i) const {
    return i <= last ? value : value - 1;
  }
};
/// Selects the `wanted` least of the values of n elements; ties go to the lowest element.
/// count_of(i, x) is the number of element i's values that are at most x; no two values of one
/// element are equal. `low` and `high` are those of least_with.
/// Returns the cutoff: element i contributes count_of(i, cutoff.of(i)) values.
template <class Team, class CountOf>
[[nodiscard]] SHUNT_HD constexpr cutoff choose_least(Team const& team, std::int32_t n,
                                                     std::int64_t wanted, std::int64_t low,
                                                     std::int64_t high, CountOf const& count_of) {
  least_count const found = least_with(team, n, low, high, wanted, count_of);
  if (found.exact) return {found.at, n - 1};
  auto const with_ties = [&](std::int32_t i, std::int64_t last) {
    return count_of(i, i <= last ? found.at : found.at - 1);
  };
  return {found.at,
          static_cast<std::int32_t>(least_with(team, n, -1, n - 1, wanted, with_ties).at)};
}

/// Prefix sums: values[i] becomes values[0] + .. + values[i]. `other` has room for n values.
/// Returns the one of both arrays that holds the sums.
/// Complexity: O(n log n).
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

/// Sorts n keys and their indices (bitonic sort).
/// Requires that n is a power of two.
/// Complexity: log2(n) (log2(n) + 1) / 2 phases.
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

/// Returns the least power of two that is at least n.
[[nodiscard]] SHUNT_HD constexpr std::int32_t power_of_two_from(std::int32_t n) {
  std::int32_t power = 1;
  while (power < n) power *= 2;
  return power;
}

/// Returns the first index whose end exceeds `at`, where `ends` are ascending running sums.
/// Requires ends[n - 1] > at.
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

/// Cuts shared memory into arrays, each aligned to its element.
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
