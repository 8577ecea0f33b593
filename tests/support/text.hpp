#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace shunt::tests {

/// Returns violations as text, one a line.
std::string lines(auto const& violations) {
  std::string text;
  for (auto const& v : violations) text += to_string(v) + "\n";
  return text;
}

/// Returns how often `part` stands in `text`.
inline std::size_t count(std::string const& text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + part.size()))
    ++n;
  return n;
}

}  // namespace shunt::tests
