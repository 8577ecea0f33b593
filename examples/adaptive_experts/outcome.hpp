#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "training.hpp"

namespace example {

/// What a policy came to.
struct policy_run {
  std::string name{};
  std::vector<iteration_record> records{};
  std::vector<float> parameters{};  ///< at the end
  /// The most optimizer state of a rank in a layer, in experts, if it were tied to their replicas;
  /// of placements after the first. Not known of runs in processes.
  double tied_state = 0;
  double seconds = 0;
};

/// Iterations over which losses are averaged before they are compared.
inline constexpr std::int32_t smoothing_window = 10;

/// The busiest expert of all layers (of equal ones the first), and its share of its layer's tokens.
struct hottest_expert {
  std::int32_t layer = 0, expert = 0;
  double share = 0;
};
inline hottest_expert hottest(training_setup const& s, iteration_record const& r) {
  auto const at = std::max_element(r.loads.begin(), r.loads.end());
  auto const place = static_cast<std::int32_t>(at - r.loads.begin());
  return {place / s.model.experts, place % s.model.experts,
          static_cast<double>(*at) / static_cast<double>(s.all_tokens())};
}

/// Dropped tokens of all layers over all tokens of all layers.
inline double dropped_share(training_setup const& s, iteration_record const& r) {
  auto const sum = std::accumulate(r.dropped.begin(), r.dropped.end(), std::int64_t{0});
  return static_cast<double>(sum) / static_cast<double>(s.all_tokens() * s.model.layers);
}
/// The mean of the same from iteration `from` on.
inline double dropped_share(training_setup const& s, policy_run const& run, std::size_t from) {
  double sum = 0;
  for (std::size_t t = from; t < run.records.size(); ++t) sum += dropped_share(s, run.records[t]);
  return run.records.size() > from ? sum / static_cast<double>(run.records.size() - from) : 0;
}

/// The mean of the fullest rank's tokens over a rank's, from iteration `from` on.
inline double mean_balance(policy_run const& run, std::size_t from) {
  double sum = 0;
  for (std::size_t t = from; t < run.records.size(); ++t) sum += shunt::balance(run.records[t]);
  return run.records.size() > from ? sum / static_cast<double>(run.records.size() - from) : 0;
}

/// The first iteration in which some expert of every layer has at least twice the mean load: from
/// then on routing counts as skewed. Nothing where it never is.
inline std::optional<std::size_t> skewed_from(training_setup const& s, policy_run const& run) {
  for (std::size_t t = 0; t < run.records.size(); ++t) {
    bool skewed = true;
    for (std::int32_t l = 0; l < s.model.layers; ++l) {
      auto const row = run.records[t].loads.begin() + std::ptrdiff_t{l} * s.model.experts;
      skewed = skewed && *std::max_element(row, row + s.model.experts) * s.model.experts >=
                             2 * s.all_tokens();
    }
    if (skewed) return t;
  }
  return std::nullopt;
}

/// Entry t is the mean loss of the last `smoothing_window` iterations up to t, of fewer at the
/// start.
inline std::vector<double> smoothed_losses(policy_run const& run) {
  std::vector<double> means;
  for (std::size_t t = 0; t < run.records.size(); ++t) {
    std::size_t const first =
        t + 1 > static_cast<std::size_t>(smoothing_window) ? t + 1 - smoothing_window : 0;
    double sum = 0;
    for (std::size_t i = first; i <= t; ++i) sum += run.records[i].loss;
    means.push_back(sum / static_cast<double>(t + 1 - first));
  }
  return means;
}

/// How many iterations a run needs until its smoothed loss is at most `target`; nothing where it
/// never is.
inline std::optional<std::size_t> iterations_to(policy_run const& run, double target) {
  auto const means = smoothed_losses(run);
  auto const at =
      std::find_if(means.begin(), means.end(), [&](double mean) { return mean <= target; });
  if (at == means.end()) return std::nullopt;
  return static_cast<std::size_t>(at - means.begin()) + 1;
}

/// Bytes of a phase, summed over a run.
inline phase_bytes total(policy_run const& run, phase_bytes iteration_record::* phase) {
  phase_bytes sum;
  for (auto const& r : run.records) {
    auto const& one = r.*phase;
    sum.formula += one.formula;
    sum.counted += one.counted;
    sum.plain += one.plain;
    sum.deduplicated += one.deduplicated;
    sum.moved += one.moved;
  }
  return sum;
}

/// Do both phases move the bytes of their formulas in every iteration, and fewer when
/// de-duplicated?
inline bool bytes_hold(policy_run const& run) {
  return std::all_of(run.records.begin(), run.records.end(), [](iteration_record const& r) {
    return r.gradients.holds() && r.weights.holds();
  });
}

/// Has a run dropped a token in any iteration? Then its bits depend on where experts were.
inline bool drops_tokens(policy_run const& run) {
  return std::any_of(run.records.begin(), run.records.end(), [](iteration_record const& r) {
    return std::any_of(r.dropped.begin(), r.dropped.end(),
                       [](std::int64_t tokens) { return tokens > 0; });
  });
}

/// Where two runs differ, in words: the first iteration whose losses aren't the same bits, or the
/// first parameter at the end that isn't. Nothing where they are equal.
inline std::optional<std::string> difference(policy_run const& a, policy_run const& b) {
  auto const what = [&](char const* kind, std::size_t at) {
    return "differ: " + std::string(kind) + " " + std::to_string(at) + " of " + a.name + " and " +
           b.name;
  };
  auto const same = [](auto x, auto y) { return std::memcmp(&x, &y, sizeof x) == 0; };
  if (a.records.size() != b.records.size() || a.parameters.size() != b.parameters.size())
    return what("sizes", 0);
  for (std::size_t t = 0; t < a.records.size(); ++t)
    if (!same(a.records[t].loss, b.records[t].loss)) return what("losses of iteration", t);
  for (std::size_t i = 0; i < a.parameters.size(); ++i)
    if (!same(a.parameters[i], b.parameters[i])) return what("parameters", i);
  return std::nullopt;
}

/// The iteration whose losses differ most, relative to the expected one; the first whose difference
/// is no number, where there is one. Of runs of different lengths the common beginning counts.
struct loss_difference {
  std::size_t iteration = 0;
  double relative = 0;
};
inline loss_difference largest_difference(policy_run const& found, policy_run const& expected) {
  loss_difference worst;
  for (std::size_t t = 0; t < std::min(found.records.size(), expected.records.size()); ++t) {
    double const d = std::abs(found.records[t].loss / expected.records[t].loss - 1);
    if (std::isnan(d)) return {t, d};
    if (d > worst.relative) worst = {t, d};
  }
  return worst;
}

}  // namespace example
