#pragma once
#include "shunt/io/csv.hpp"

#include <algorithm>
#include <fstream>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/text_input.hpp"
#include "shunt/io/csv_fields.hpp"

namespace shunt {

SHUNT_INLINE std::span<std::int64_t const> integer_table::row(std::size_t r) const {
  return std::span(values).subspan(r * columns, columns);
}

SHUNT_INLINE integer_table read_csv(std::istream& in, std::string const& name, std::int64_t least) {
  integer_table table;
  line_reader lines(in, name);
  for (std::string line; lines.next(line);) {
    std::string const at = lines.at();
    if (line.find_first_not_of(" \t") == std::string::npos) throw invalid_problem(at, "is empty");
    auto const fields = csv_fields(line, at);
    auto const is_text = [](std::string_view field) {
      return !field.empty() && field.find_first_of("0123456789") != 0 && field.front() != '-';
    };
    if (lines.row() == 1 && fields.size() > 1 && std::all_of(fields.begin(), fields.end(), is_text))
      throw invalid_problem(at, "is a header that begins with \"" +
                                    std::string(fields.front().substr(0, 40)) +
                                    "\"; wanted are whole numbers alone, in rows of equal length");
    std::size_t column = 0;
    for (auto const field : fields)
      table.values.push_back(
          parse_whole_number(field, at + ", column " + std::to_string(++column), least));
    if (lines.row() == 1) table.columns = column;
    if (column != table.columns)
      throw invalid_problem(at, "has " + std::to_string(column) + " values, the first row has " +
                                    std::to_string(table.columns));
  }
  if (lines.row() == 0) throw invalid_problem(name, "is empty");
  return table;
}

SHUNT_INLINE integer_table read_csv_file(std::string const& path, std::int64_t least) {
  auto in = open_text(path);
  return read_csv(in, path, least);
}

SHUNT_INLINE void write_csv(std::ostream& out, integer_table const& table) {
  for (std::size_t r = 0; r < table.rows(); ++r)
    for (std::size_t c = 0; c < table.columns; ++c)
      out << (c == 0 ? "" : ",") << std::to_string(table.row(r)[c])
          << (c + 1 == table.columns ? "\n" : "");
}

}  // namespace shunt
