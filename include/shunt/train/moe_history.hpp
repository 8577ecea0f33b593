#pragma once
/// What the iterations of a moe_run come to: loads, drops, balance, losses, bytes.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "shunt/measure/moe_time.hpp"
#include "shunt/measure/replay.hpp"
#include "shunt/problem/load_series.hpp"
#include "shunt/train/moe_training.hpp"

namespace shunt {

/// The busiest expert of all layers, and its share of its layer's tokens.
struct hottest_expert {
  std::int32_t layer = 0, expert = 0;
  double share = 0;
};
/// Returns it; of equal ones the first.
[[nodiscard]] hottest_expert hottest(moe_training const& training, moe_record const& record);

/// Returns dropped tokens of all layers over all tokens of all layers.
[[nodiscard]] double dropped_share(moe_training const& training, moe_record const& record);
/// Returns its mean from iteration `from` on; 0 where there is none.
[[nodiscard]] double dropped_share(moe_training const& training,
                                   std::span<moe_record const> records, std::size_t from);
/// Returns whether a token was dropped in any iteration. Results then depend on where experts were.
[[nodiscard]] bool drops_tokens(std::span<moe_record const> records);

/// Returns the mean of `balance(record)` from iteration `from` on; 0 where there is none.
[[nodiscard]] double mean_balance(std::span<moe_record const> records, std::size_t from);

/// Returns the first iteration in which some expert of every layer has at least twice the mean
/// load; nothing where there is none.
[[nodiscard]] std::optional<std::size_t> skewed_from(moe_training const& training,
                                                     std::span<moe_record const> records);

/// Iterations over which smoothed_losses averages.
inline constexpr std::int32_t smoothing_window = 10;
/// Returns the mean loss of the last `smoothing_window` iterations up to each one, of fewer at the
/// start.
[[nodiscard]] std::vector<double> smoothed_losses(std::span<moe_record const> records);
/// Returns after how many iterations the smoothed loss is at most `target`; nothing where it never
/// is.
[[nodiscard]] std::optional<std::size_t> iterations_to(std::span<moe_record const> records,
                                                       double target);

/// Returns what a layer did in an iteration, for moe_time_model, with so many tokens of a rank in
/// place of the training's. `where`: of the optimizer's state. Replicas of an expert that keep its
/// state exchange its gradient and no weights cross but by re-placement; otherwise bytes count
/// where replicas that share a rank share messages.
[[nodiscard]] moe_layer_work layer_work(moe_training const& training, moe_record const& record,
                                        std::size_t layer, optimizer_place where, double tokens);

/// Returns the bytes of a phase, summed over the iterations.
[[nodiscard]] phase_bytes total_bytes(std::span<moe_record const> records,
                                      phase_bytes moe_record::* phase);
/// Returns whether both phases move the bytes of their formulas in every iteration.
[[nodiscard]] bool bytes_hold(std::span<moe_record const> records);

/// Returns the losses by iteration.
[[nodiscard]] std::vector<double> losses_of(std::span<moe_record const> records);
/// Returns the loads by iteration, for replays and for io/load_series_csv.hpp.
/// Requires one record at least.
[[nodiscard]] load_series load_series_of(std::span<moe_record const> records);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/moe_history.ipp"
#endif
