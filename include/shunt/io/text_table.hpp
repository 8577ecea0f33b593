#pragma once
#include <cstddef>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace shunt {

/// Returns a number with exactly so many digits after the point, at most 100, so that columns line
/// up.
[[nodiscard]] std::string fixed(double value, int digits);

/// A table as a terminal shows it: the first column stands to the left, the others to the right,
/// two spaces apart, each as wide as its widest cell.
class text_table {
 public:
  /// The least widths make the columns of several tables line up.
  explicit text_table(std::size_t first = 0, std::size_t others = 0)
      : first_(first), others_(others) {}

  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

  friend std::ostream& operator<<(std::ostream& out, text_table const& table) {
    table.write(out);
    return out;
  }

 private:
  void write(std::ostream& out) const;

  std::size_t first_, others_;
  std::vector<std::vector<std::string>> rows_{};
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/text_table.ipp"
#endif
