#include "text_table.hpp"

#include <algorithm>
#include <iomanip>
#include <locale>
#include <sstream>

namespace example {

std::string fixed(double value, int digits) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << std::fixed << std::setprecision(digits) << value;
  return text.str();
}

std::ostream& operator<<(std::ostream& out, text_table const& table) {
  std::vector<std::size_t> widths;
  for (auto const& cells : table.rows_)
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (i == widths.size()) widths.push_back(i == 0 ? table.first_ : table.others_);
      widths[i] = std::max(widths[i], cells[i].size() + (i == 0 ? 0 : 2));
    }
  for (auto const& cells : table.rows_) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      std::string const space(widths[i] - cells[i].size(), ' ');
      if (i == 0)
        out << cells[i] << (cells.size() > 1 ? space : "");
      else
        out << space << cells[i];
    }
    out << '\n';
  }
  return out;
}

}  // namespace example
