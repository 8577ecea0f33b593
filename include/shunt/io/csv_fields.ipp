#pragma once
#include "shunt/io/csv_fields.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <system_error>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"

namespace shunt::detail {

// Returns the digits of a whole number that is written with a point or an exponent, with its sign
// and without zeros in front; empty for anything else.
SHUNT_INLINE std::string digits_of_decimal(std::string_view text) {
  auto const digits = [&] {
    std::size_t n = 0;
    while (n < text.size() && text[n] >= '0' && text[n] <= '9') ++n;
    std::string_view const found = text.substr(0, n);
    text.remove_prefix(n);
    return found;
  };
  bool const negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  std::string all(digits());
  if (all.empty()) return {};
  std::int64_t exponent = 0;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    auto const behind = digits();
    all += behind;
    exponent = -static_cast<std::int64_t>(behind.size());
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    bool const down = text.starts_with('-');
    if (down || text.starts_with('+')) text.remove_prefix(1);
    auto const power = digits();
    std::int64_t value = 0;
    if (power.empty()) return {};
    // An exponent beyond 18 digits is as good as infinite.
    if (std::from_chars(power.data(), power.data() + power.size(), value).ec != std::errc{} ||
        value > std::int64_t{1} << 60)
      value = std::int64_t{1} << 60;
    exponent += down ? -value : value;
  }
  if (!text.empty()) return {};
  all.erase(0, all.find_first_not_of('0'));
  for (; exponent < 0 && all.ends_with('0'); ++exponent) all.pop_back();
  if (all.empty()) return "0";
  if (exponent < 0) return {};
  all.append(static_cast<std::size_t>(std::min<std::int64_t>(exponent, 20)), '0');
  return (negative ? "-" : "") + all;
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE std::vector<std::string_view> csv_fields(std::string& line, std::string const& at) {
  std::vector<std::string_view> fields;
  auto const blank = [](char c) { return c == ' ' || c == '\t'; };
  std::size_t const end = line.size();
  for (std::size_t i = 0; i <= end; ++i) {
    while (i < end && blank(line[i])) ++i;
    std::size_t const first = i + (i < end && line[i] == '"' ? 1 : 0);
    std::size_t last = first;
    if (first == i) {
      i = std::min(line.find(',', i), end);
      last = i;
      while (last > first && blank(line[last - 1])) --last;
    } else {
      auto const refuse = [&](char const* why) {
        throw invalid_problem(at + ", column " + std::to_string(fields.size() + 1), why);
      };
      for (i = first;; ++i) {
        if (i >= end) refuse("begins with a quote that has no end");
        if (line[i] == '"' && (i + 1 >= end || line[++i] != '"')) break;
        line[last++] = line[i];
      }
      if (line[i] == '"') ++i;  // the line ends with the quote
      while (i < end && blank(line[i])) ++i;
      if (i < end && line[i] != ',') refuse("has more behind the end of its quotes");
    }
    fields.push_back(std::string_view(line).substr(first, last - first));
  }
  return fields;
}

SHUNT_INLINE std::string quoted_field(std::string_view field) {
  std::string text = '"' + std::string(field.substr(0, 40)) + '"';
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  return text;
}

SHUNT_INLINE std::int64_t parse_whole_number(std::string_view field, std::string const& at,
                                             std::int64_t least) {
  auto const shown = [&] {
    auto const quoted = quoted_field(field);
    return quoted.substr(1, quoted.size() - 2);
  };
  auto const refuse = [&](std::string const& why) { throw invalid_problem(at, why); };
  if (field.empty()) refuse("is empty");
  std::int64_t value = 0;
  auto const parse = [&](std::string_view text) {
    auto const [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc::invalid_argument || stop != text.data() + text.size()) return false;
    if (error == std::errc::result_out_of_range) refuse(shown() + " is beyond 64 bits");
    return true;
  };
  if (!parse(field) && !parse(detail::digits_of_decimal(field)))
    refuse(quoted_field(field) + " is not a whole number");
  if (value < least) refuse("must be at least " + std::to_string(least) + ", is " + shown());
  return value;
}

SHUNT_INLINE std::optional<double> finite_number(std::string_view field) {
  double value = 0;
  auto const* const end = field.data() + field.size();
  auto const read = std::from_chars(field.data(), end, value);
  if (read.ec != std::errc{} || read.ptr != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

}  // namespace shunt
