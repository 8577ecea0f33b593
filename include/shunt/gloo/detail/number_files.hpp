#pragma once
#include <charconv>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/gloo/config.hpp"

namespace shunt::detail {

/// Returns the name of a member's file of an epoch.
[[nodiscard]] inline std::string epoch_file(gloo_config const& config, std::int32_t epoch,
                                            std::string const& what, rank_id r) {
  return config.directory + "/epoch" + std::to_string(epoch) + "." + what +
         std::to_string(r.value());
}

/// Returns numbers as the text of a file.
[[nodiscard]] inline std::string as_text(std::span<std::int64_t const> numbers) {
  std::string text;
  for (std::int64_t const n : numbers) text += std::to_string(n) + ' ';
  return text;
}

/// Returns the numbers of a file up to the first that is none; nothing where there is no file.
[[nodiscard]] inline std::optional<std::vector<std::int64_t>> read_numbers(
    gloo_config const& config, std::string const& path) {
  auto const text = config.files->read(path);
  if (!text) return std::nullopt;
  std::vector<std::int64_t> numbers;
  auto const* at = text->data();
  auto const* const end = at + text->size();
  for (std::int64_t n = 0;;) {
    while (at != end && *at == ' ') ++at;
    auto const [rest, failed] = std::from_chars(at, end, n);
    if (failed != std::errc{}) return numbers;
    numbers.push_back(n);
    at = rest;
  }
}

}  // namespace shunt::detail
