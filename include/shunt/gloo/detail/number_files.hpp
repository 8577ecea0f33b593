#pragma once
#include <charconv>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "shunt/gloo/detail/host_platform.hpp"

namespace shunt::detail {

/// Writes numbers into a file, not atomically.
template <platform Platform = host_platform>
[[nodiscard]] std::error_code write_numbers(std::string const& path,
                                            std::span<std::int64_t const> numbers) {
  std::string text;
  for (std::int64_t const n : numbers) text += std::to_string(n) + ' ';
  return Platform::write(path, text);
}

/// Returns the numbers of a file up to the first that is none; nothing where there is no file.
template <platform Platform = host_platform>
[[nodiscard]] std::optional<std::vector<std::int64_t>> read_numbers(std::string const& path) {
  auto const text = Platform::read(path);
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
