#pragma once
#include "shunt/solve/pipeline/search/batch_search.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <utility>

#include "shunt/measure/template_times.hpp"

namespace shunt::detail {

SHUNT_INLINE bool batch_is_representable(batch_problem const& problem) {
  std::int64_t left = problem.batch, divisor = 0, most = 0;
  for (auto const& used : problem.templates) {
    left -= used.count;
    divisor = std::gcd(divisor, std::int64_t{used.count});
    most = std::max(most, std::int64_t{used.count});
    if (left < 0) return false;
  }
  if (left % divisor != 0) return false;
  if (left / divisor >= (most / divisor) * (most / divisor)) return true;  // beyond Frobenius
  std::vector<bool> reached(static_cast<std::size_t>(left) + 1, false);
  reached[0] = true;
  for (auto const& used : problem.templates) {
    auto const step = static_cast<std::size_t>(used.count);
    for (std::size_t sum = step; sum < reached.size(); ++sum)
      if (reached[sum - step]) reached[sum] = true;
  }
  return reached.back();
}

SHUNT_INLINE squares_search::squares_search(batch_problem const& problem)
    : problem_(problem), now_(problem.templates.size()) {
  for (auto const& used : problem.templates)
    weight_.push_back(used.time / static_cast<double>(used.stages.size()));
  low_.resize(weight_.size());
  high_.resize(weight_.size());
  divisor_.assign(weight_.size() + 1, 0);
  for (auto k = weight_.size(); k-- > 0;)
    divisor_[k] = std::gcd(divisor_[k + 1], std::int64_t{problem.templates[k].count});
}

SHUNT_INLINE void squares_search::set_box(double radius) {
  double share = 0;
  std::int64_t all = 0;
  for (std::size_t k = 0; k < weight_.size(); ++k) {
    share += problem_.templates[k].count / weight_[k];
    all += problem_.templates[k].count;
  }
  double const level = static_cast<double>(problem_.batch) / share;
  whole_ = true;
  least_.assign(weight_.size() + 1, 0);
  most_ = least_;
  for (auto k = weight_.size(); k-- > 0;) {
    auto const count = std::int64_t{problem_.templates[k].count};
    auto const most = (problem_.batch - all + count) / count;
    // An objective of at most radius^2 keeps each T n / S within twice the radius of the level.
    double const below = std::ceil((level - 2 * radius) / weight_[k] - 1e-9),
                 above = std::floor((level + 2 * radius) / weight_[k] + 1e-9);
    low_[k] = below < 1 ? 1 : static_cast<std::int64_t>(std::min(below, 0x1p30));
    high_[k] = above > static_cast<double>(most) ? most : static_cast<std::int64_t>(above);
    whole_ = whole_ && low_[k] == 1 && high_[k] == most;
    least_[k] = least_[k + 1] + count * low_[k];
    most_[k] = most_[k + 1] + count * high_[k];
  }
}

SHUNT_INLINE std::vector<std::int64_t> squares_search::find() {
  double const widest = *std::max_element(weight_.begin(), weight_.end());
  for (double radius = widest / 2;; radius *= 2) {
    set_box(radius);
    best_ = std::numeric_limits<double>::infinity();
    limit_ = whole_ ? best_ : radius * radius * (1 + 1e-9);
    descend(0, problem_.batch, 0, 0);
    if (!found_.empty()) return found_;
    if (whole_) return {};
  }
}

SHUNT_INLINE void squares_search::descend(std::size_t k, std::int64_t left, double mean,
                                          double squares) {
  if (squares > limit_ || left % std::max<std::int64_t>(divisor_[k], 1) != 0 || left < least_[k] ||
      left > most_[k])
    return;
  if (k == weight_.size()) {
    if (squares < best_ * (1 - 1e-12)) {
      best_ = squares, found_ = now_;
      limit_ = std::min(limit_, squares);
    }
    return;
  }
  auto const count = std::int64_t{problem_.templates[k].count};
  auto low = low_[k], high = std::min(high_[k], (left - least_[k + 1]) / count);
  if (k + 1 == weight_.size()) {
    if (left % count != 0) return;
    low = std::max(low, left / count), high = std::min(high, left / count);
  }
  for (auto n = low; n <= high; ++n) {
    double const value = weight_[k] * static_cast<double>(n), from = value - mean;
    double const next = mean + from / static_cast<double>(k + 1);
    now_[k] = n;
    descend(k + 1, left - count * n, next, squares + from * (value - next));
  }
}

SHUNT_INLINE double makespan_table::of(std::size_t k, std::int64_t microbatches) {
  auto const [at, fresh] = known_[k].try_emplace(microbatches, 0);
  if (fresh) at->second = one_f_one_b_makespan(templates_[k].stages, microbatches);
  return at->second;
}

SHUNT_INLINE std::int64_t makespan_table::within(std::size_t k, double time, std::int64_t most) {
  std::int64_t low = 0, high = most;  // `low` ends in time, what is above `high` doesn't
  while (low < high) {
    auto const middle = low + (high - low + 1) / 2;
    if (of(k, middle) <= time)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

/// Returns the least time at which `enough(time)`, which holds at `high`, as exactly as a double
/// says it.
template <class Enough>
[[nodiscard]] double least_time(double high, Enough&& enough) {
  double low = 0;
  while (true) {
    double const middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return high;
    (enough(middle) ? high : low) = middle;
  }
}

SHUNT_INLINE double longest_time(batch_problem const& problem, makespan_table& times) {
  double longest = 0;
  for (std::size_t k = 0; k < problem.templates.size(); ++k)
    longest = std::max(longest, times.of(k, problem.batch));
  return longest;
}

SHUNT_INLINE std::vector<std::vector<std::int64_t>> fastest_split(batch_problem const& problem,
                                                                  makespan_table& times) {
  auto const kinds = problem.templates.size();
  auto const over = [&](double time) {  // micro-batches beyond the batch; below 0: too little time
    std::int64_t sum = -problem.batch;
    for (std::size_t k = 0; k < kinds; ++k) {
      auto const most = times.within(k, time, problem.batch);
      if (most == 0) return std::int64_t{-1};
      sum += most * problem.templates[k].count;
    }
    return sum;
  };
  double const time =
      least_time(longest_time(problem, times), [&](double at) { return over(at) >= 0; });
  std::vector<std::vector<std::int64_t>> split(kinds);
  for (std::size_t k = 0; k < kinds; ++k)
    split[k].assign(static_cast<std::size_t>(problem.templates[k].count),
                    times.within(k, time, problem.batch));
  for (auto extra = over(time); extra > 0; --extra) {
    double longest = -1;
    std::int64_t* last = nullptr;
    for (std::size_t k = 0; k < kinds; ++k)
      for (auto& n : split[k])
        if (double const t = n > 1 ? times.of(k, n) : -1; t >= longest) longest = t, last = &n;
    --*last;
  }
  return split;
}

SHUNT_INLINE std::vector<std::int64_t> fastest_alike(batch_problem const& problem,
                                                     makespan_table& times) {
  auto const kinds = problem.templates.size();
  auto const sums = static_cast<std::size_t>(problem.batch) + 1;
  // used[k][sum]: how many micro-batches of template k make the sum with the templates before it
  std::vector<std::vector<std::int32_t>> used(kinds, std::vector<std::int32_t>(sums));
  auto const fill = [&](double time) {
    for (std::size_t k = 0; k < kinds; ++k) {
      auto const most = times.within(k, time, problem.batch);
      auto const step = static_cast<std::size_t>(problem.templates[k].count);
      for (std::size_t sum = 0; sum < sums; ++sum) {
        auto const reached = [&](std::size_t at) { return k == 0 ? at == 0 : used[k - 1][at] > 0; };
        used[k][sum] = 0;
        if (sum < step) continue;
        if (reached(sum - step))
          used[k][sum] = 1;
        else if (auto const before = used[k][sum - step]; before > 0)
          used[k][sum] = before + 1;
        if (used[k][sum] > most) used[k][sum] = 0;
      }
    }
    return used.back().back() > 0;
  };
  double const time = least_time(longest_time(problem, times), fill);
  fill(time);
  std::vector<std::int64_t> split(kinds);
  auto sum = sums - 1;
  for (auto k = kinds; k-- > 0;) {
    split[k] = used[k][sum];
    sum -=
        static_cast<std::size_t>(split[k]) * static_cast<std::size_t>(problem.templates[k].count);
  }
  return split;
}

}  // namespace shunt::detail
