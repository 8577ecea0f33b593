#pragma once
/// Tables of whole numbers as CSV.
#include <cstddef>
#include <cstdint>
#include <istream>
#include <limits>
#include <ostream>
#include <span>
#include <string>
#include <vector>

namespace shunt {

/// A rectangular table of whole numbers, for example expert loads: one row a layer, one column an
/// expert.
struct integer_table {
  std::size_t columns = 0;
  std::vector<std::int64_t> values{};  ///< rows x columns, row-major

  [[nodiscard]] std::size_t rows() const { return columns == 0 ? 0 : values.size() / columns; }
  [[nodiscard]] std::span<std::int64_t const> row(std::size_t r) const;
  bool operator==(integer_table const&) const = default;
};

/// Reads comma-separated whole numbers without a header. Accepts lines like line_reader, fields
/// like csv_fields and numbers like parse_whole_number. Throws invalid_problem, which names `name`,
/// row, column (from 1) and text: for an empty file, an empty row, rows of different lengths, a
/// header, text, a number below `least` or beyond 64 bits, and like begin_text and line_reader.
[[nodiscard]] integer_table read_csv(std::istream& in, std::string const& name,
                                     std::int64_t least = std::numeric_limits<std::int64_t>::min());

/// Reads a file like read_csv.
/// Throws invalid_problem also where the file cannot be opened or read.
[[nodiscard]] integer_table read_csv_file(
    std::string const& path, std::int64_t least = std::numeric_limits<std::int64_t>::min());

/// Writes the format of read_csv.
void write_csv(std::ostream& out, integer_table const& table);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/csv.ipp"
#endif
