#pragma once
#include "shunt/launch/report_line.hpp"

#include <unistd.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

#include "shunt/core/config.hpp"

namespace shunt {
namespace detail {

/// Returns how many bytes the UTF-8 character at the start of a text has; 0 where there is none.
[[nodiscard]] SHUNT_INLINE std::size_t utf8_length(std::string_view text) {
  auto const byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  auto const within = [&](std::size_t i, unsigned least, unsigned most) {
    return byte(i) >= least && byte(i) <= most;
  };
  unsigned const lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return within(1, 0x80, 0xbf) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef)
    return within(1, lead == 0xe0 ? 0xa0 : 0x80, lead == 0xed ? 0x9f : 0xbf) &&
                   within(2, 0x80, 0xbf)
               ? 3
               : 0;
  if (lead >= 0xf0 && lead <= 0xf4)
    return within(1, lead == 0xf0 ? 0x90 : 0x80, lead == 0xf4 ? 0x8f : 0xbf) &&
                   within(2, 0x80, 0xbf) && within(3, 0x80, 0xbf)
               ? 4
               : 0;
  return 0;
}

/// Returns a number in hexadecimal, with this many digits at least.
[[nodiscard]] SHUNT_INLINE std::string as_hex(std::uint64_t value, std::size_t digits) {
  char text[16];
  std::string const all(text, std::to_chars(text, text + sizeof text, value, 16).ptr);
  return std::string(digits > all.size() ? digits - all.size() : 0, '0') + all;
}

/// Returns a text in quotes, as JSON; bytes that are no UTF-8 are replaced.
[[nodiscard]] SHUNT_INLINE std::string as_json(std::string_view text) {
  std::string all = "\"";
  while (!text.empty()) {
    auto const length = utf8_length(text);
    char const c = text.front();
    if (length == 0)
      all += "\\ufffd";
    else if (c == '"' || c == '\\')
      (all += '\\') += c;
    else if (static_cast<unsigned char>(c) < 0x20)
      all += "\\u" + as_hex(static_cast<unsigned char>(c), 4);
    else
      all += text.substr(0, length);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return all += '"';
}

}  // namespace detail

SHUNT_INLINE void report_line::begin(std::string_view name) {
  body_ += (body_.empty() ? "{" : ",") + detail::as_json(name) + ":";
}

SHUNT_INLINE report_line& report_line::with(std::string_view name, std::string_view text) {
  begin(name);
  body_ += detail::as_json(text);
  return *this;
}

SHUNT_INLINE report_line& report_line::with(std::string_view name, double value) {
  if (std::isnan(value)) {
    auto const bits = std::bit_cast<std::uint64_t>(value);
    bool const usual =
        bits == std::bit_cast<std::uint64_t>(std::numeric_limits<double>::quiet_NaN());
    return with(name, usual ? "nan" : "nan:" + detail::as_hex(bits, 16));
  }
  if (std::isinf(value)) return with(name, value > 0 ? "inf" : "-inf");
  begin(name);
  char text[32];
  std::string const digits(text, std::to_chars(text, text + sizeof text, value).ptr);
  body_ += digits;
  if (digits.find_first_of(".e") == std::string::npos) body_ += ".0";  // -0 is no whole number
  return *this;
}

SHUNT_INLINE std::string_view reported(std::string_view line) {
  constexpr std::string_view begin = "{\"report\":\"";
  if (!line.starts_with(begin)) return {};
  line.remove_prefix(begin.size());
  auto const end = line.find('"');
  return end == std::string_view::npos ? std::string_view{} : line.substr(0, end);
}

SHUNT_INLINE report_sink report_to(int descriptor) {
  return [descriptor](report_line const& report) {
    auto const line = report.text();
    if (::write(descriptor, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
      throw std::runtime_error("what this worker found can't be written");
  };
}

}  // namespace shunt
