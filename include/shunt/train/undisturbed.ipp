#pragma once
#include "shunt/train/undisturbed.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "shunt/core/config.hpp"

namespace shunt {
namespace detail {

[[nodiscard]] SHUNT_INLINE std::uint64_t hash_of_bytes(std::span<std::byte const> bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (std::byte const b : bytes) hash = (hash ^ static_cast<std::uint64_t>(b)) * 0x100000001b3;
  return hash;
}

/// Returns a loss with all its digits.
[[nodiscard]] SHUNT_INLINE std::string digits_of(double loss) {
  char text[40];
  return {text, std::to_chars(text, text + sizeof text, loss, std::chars_format::general, 17).ptr};
}

}  // namespace detail

SHUNT_INLINE std::uint64_t hash_of(std::span<float const> parameters) {
  return detail::hash_of_bytes(std::as_bytes(parameters));
}

SHUNT_INLINE std::uint64_t hash_of(std::span<std::uint64_t const> stages) {
  return detail::hash_of_bytes(std::as_bytes(stages));
}

SHUNT_INLINE std::optional<std::string> difference(std::span<trained_iteration const> iterations,
                                                   held_hashes const& hashes,
                                                   undisturbed_training const& undisturbed,
                                                   pipeline_job const& job) {
  for (auto const& [rank, stages] : hashes)
    for (auto const& [stage, hash] : stages)
      if (hash != undisturbed.hashes[stage.index()])
        return "parameters differ: those of worker " + describe(job.worker_of(rank));
  if (hashes.empty()) return "differ: nobody is left";
  auto const& losses = undisturbed.losses;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    if (i >= iterations.size())
      return "differ: " + std::to_string(iterations.size()) + " of " +
             std::to_string(losses.size()) + " iterations were trained";
    if (iterations[i].loss != losses[i])  // a NaN differs too
      return "differ: iteration " + std::to_string(i) + " has loss " +
             detail::digits_of(iterations[i].loss) + ", " + detail::digits_of(losses[i]) +
             " without failures";
  }
  return std::nullopt;
}

SHUNT_INLINE loss_difference largest_difference(std::span<double const> found,
                                                std::span<double const> expected) {
  loss_difference worst;
  for (std::size_t t = 0; t < std::min(found.size(), expected.size()); ++t) {
    double const d = std::abs(found[t] / expected[t] - 1);
    if (std::isnan(d)) return {t, d};
    if (d > worst.relative) worst = {t, d};
  }
  return worst;
}

}  // namespace shunt
