#pragma once
#include "shunt/train/moe_history.hpp"

#include <algorithm>
#include <numeric>

#include "shunt/core/config.hpp"

namespace shunt {
namespace detail {

/// Returns the mean of `of(record)` from a record on; 0 where there is none.
template <class Of>
[[nodiscard]] double mean_from(std::span<moe_record const> records, std::size_t from,
                               Of const& of) {
  double sum = 0;
  for (std::size_t t = from; t < records.size(); ++t) sum += of(records[t]);
  return records.size() > from ? sum / static_cast<double>(records.size() - from) : 0;
}

}  // namespace detail

SHUNT_INLINE hottest_expert hottest(moe_training const& training, moe_record const& record) {
  auto const at = std::max_element(record.loads.begin(), record.loads.end());
  auto const experts = record.loads.size() / record.dropped.size();
  auto const place = static_cast<std::size_t>(at - record.loads.begin());
  return {static_cast<std::int32_t>(place / experts), static_cast<std::int32_t>(place % experts),
          static_cast<double>(*at) / static_cast<double>(training.all_tokens())};
}

SHUNT_INLINE double dropped_share(moe_training const& training, moe_record const& record) {
  auto const& dropped = record.dropped;
  auto const sum = std::accumulate(dropped.begin(), dropped.end(), std::int64_t{0});
  return static_cast<double>(sum) /
         static_cast<double>(training.all_tokens() * std::ssize(dropped));
}

SHUNT_INLINE double dropped_share(moe_training const& training, std::span<moe_record const> records,
                                  std::size_t from) {
  return detail::mean_from(records, from,
                           [&](moe_record const& r) { return dropped_share(training, r); });
}

SHUNT_INLINE bool drops_tokens(std::span<moe_record const> records) {
  return std::any_of(records.begin(), records.end(), [](moe_record const& r) {
    return std::any_of(r.dropped.begin(), r.dropped.end(),
                       [](std::int64_t tokens) { return tokens > 0; });
  });
}

SHUNT_INLINE double mean_balance(std::span<moe_record const> records, std::size_t from) {
  return detail::mean_from(records, from, [](moe_record const& r) { return balance(r); });
}

SHUNT_INLINE std::optional<std::size_t> skewed_from(moe_training const& training,
                                                    std::span<moe_record const> records) {
  for (std::size_t t = 0; t < records.size(); ++t) {
    auto const& loads = records[t].loads;
    auto const layers = std::ssize(records[t].dropped), experts = std::ssize(loads) / layers;
    bool skewed = true;
    for (std::ptrdiff_t l = 0; l < layers; ++l) {
      auto const row = loads.begin() + l * experts;
      skewed =
          skewed && *std::max_element(row, row + experts) * experts >= 2 * training.all_tokens();
    }
    if (skewed) return t;
  }
  return std::nullopt;
}

SHUNT_INLINE std::vector<double> smoothed_losses(std::span<moe_record const> records) {
  std::vector<double> means;
  for (std::size_t t = 0; t < records.size(); ++t) {
    std::size_t const first =
        t + 1 > static_cast<std::size_t>(smoothing_window) ? t + 1 - smoothing_window : 0;
    double sum = 0;
    for (std::size_t i = first; i <= t; ++i) sum += records[i].loss;
    means.push_back(sum / static_cast<double>(t + 1 - first));
  }
  return means;
}

SHUNT_INLINE std::optional<std::size_t> iterations_to(std::span<moe_record const> records,
                                                      double target) {
  auto const means = smoothed_losses(records);
  auto const at =
      std::find_if(means.begin(), means.end(), [&](double mean) { return mean <= target; });
  if (at == means.end()) return std::nullopt;
  return static_cast<std::size_t>(at - means.begin()) + 1;
}

SHUNT_INLINE phase_bytes total_bytes(std::span<moe_record const> records,
                                     phase_bytes moe_record::* phase) {
  phase_bytes sum;
  for (auto const& r : records) {
    auto const& one = r.*phase;
    sum.formula += one.formula;
    sum.counted += one.counted;
    sum.plain += one.plain;
    sum.deduplicated += one.deduplicated;
    sum.moved += one.moved;
  }
  return sum;
}

SHUNT_INLINE bool bytes_hold(std::span<moe_record const> records) {
  return std::all_of(records.begin(), records.end(),
                     [](moe_record const& r) { return r.gradients.holds() && r.weights.holds(); });
}

SHUNT_INLINE moe_layer_work layer_work(moe_training const& training, moe_record const& record,
                                       std::size_t layer, optimizer_place where, double tokens) {
  double const scale = tokens / static_cast<double>(training.tokens);
  auto const experts = static_cast<std::int32_t>(record.loads.size() / record.dropped.size());
  auto const counted = [&](phase_bytes const& b) {
    if (where == optimizer_place::tied) return static_cast<double>(record.hosted[layer] - experts);
    return static_cast<double>(b.deduplicated) / static_cast<double>(b.formula) *
           static_cast<double>(training.slots());
  };
  auto const& sources = training.sources;
  double const sent =
      sources ? padded_exchange(experts, training.slots_per_rank,
                                static_cast<double>(sources->room(training.tokens, experts)))
              : static_cast<double>(record.exchanged[layer]);
  return {.computed = scale * static_cast<double>(record.fullest[layer]),
          .exchanged = scale * sent,
          .gradients = counted(record.gradients),
          .weights = counted(record.weights),
          .received = static_cast<double>(record.received[layer])};
}

SHUNT_INLINE std::vector<double> losses_of(std::span<moe_record const> records) {
  std::vector<double> losses;
  for (auto const& r : records) losses.push_back(r.loss);
  return losses;
}

SHUNT_INLINE load_series load_series_of(std::span<moe_record const> records) {
  auto const layers = records.front().dropped.size();
  load_series all{.layers = static_cast<std::int32_t>(layers),
                  .experts = static_cast<std::int32_t>(records.front().loads.size() / layers)};
  for (auto const& r : records) all.loads.insert(all.loads.end(), r.loads.begin(), r.loads.end());
  return all;
}

}  // namespace shunt
