#pragma once
#include "shunt/io/text_table.hpp"

#include <algorithm>
#include <charconv>

#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE std::string fixed(double value, int digits) {
  std::string text(512, ' ');  // the largest double has 309 digits before the point
  auto* const end =
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed, digits)
          .ptr;
  text.resize(static_cast<std::size_t>(end - text.data()));
  return text;
}

SHUNT_INLINE void text_table::write(std::ostream& out) const {
  std::vector<std::size_t> widths;
  for (auto const& cells : rows_)
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (i == widths.size()) widths.push_back(i == 0 ? first_ : others_);
      widths[i] = std::max(widths[i], cells[i].size() + (i == 0 ? 0 : 2));
    }
  for (auto const& cells : rows_) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      std::string const space(widths[i] - cells[i].size(), ' ');
      if (i == 0)
        out << cells[i] << (cells.size() > 1 ? space : "");
      else
        out << space << cells[i];
    }
    out << '\n';
  }
}

}  // namespace shunt
