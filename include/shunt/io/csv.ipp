#pragma once
#include "shunt/io/csv.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <ios>
#include <string_view>
#include <system_error>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"

namespace shunt {

SHUNT_INLINE std::span<std::int64_t const> integer_table::row(std::size_t r) const {
  return std::span(values).subspan(r * columns, columns);
}

SHUNT_INLINE integer_table read_csv(std::istream& in, std::string const& name, std::int64_t least) {
  integer_table table;
  std::string line;
  std::size_t row = 0;
  while (std::getline(in, line)) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    std::string const at = name + " row " + std::to_string(++row);
    if (line.find_first_not_of(" \t") == std::string::npos) throw invalid_problem(at, "is empty");
    std::size_t column = 0;
    for (std::size_t begin = 0; begin <= line.size(); ++column) {
      std::size_t const end = std::min(line.find(',', begin), line.size());
      std::string_view item = std::string_view(line).substr(begin, end - begin);
      begin = end + 1;
      while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
      while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
      auto const refuse = [&](std::string const& why) {
        throw invalid_problem(at + ", column " + std::to_string(column + 1), why);
      };
      if (item.empty()) refuse("is empty");
      std::int64_t value = 0;
      auto const [stop, error] = std::from_chars(item.data(), item.data() + item.size(), value);
      std::string shown(item.substr(0, 40));
      for (char& c : shown)
        if (static_cast<unsigned char>(c) < ' ') c = ' ';
      if (error == std::errc::invalid_argument || stop != item.data() + item.size())
        refuse('"' + shown + "\" is not a whole number");
      if (error == std::errc::result_out_of_range) refuse(shown + " is beyond 64 bits");
      if (value < least) refuse("must be at least " + std::to_string(least) + ", is " + shown);
      table.values.push_back(value);
    }
    if (row == 1) table.columns = column;
    if (column != table.columns)
      throw invalid_problem(at, "has " + std::to_string(column) + " values, the first row has " +
                                    std::to_string(table.columns));
  }
  if (in.bad()) throw invalid_problem(name, "can't be read");
  if (row == 0) throw invalid_problem(name, "is empty");
  return table;
}

SHUNT_INLINE integer_table read_csv_file(std::string const& path, std::int64_t least) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw invalid_problem(path, "can't be opened");
  if (in.peek() == std::ifstream::traits_type::eof() && in.bad())
    throw invalid_problem(path, "can't be read");
  return read_csv(in, path, least);
}

SHUNT_INLINE void write_csv(std::ostream& out, integer_table const& table) {
  for (std::size_t r = 0; r < table.rows(); ++r)
    for (std::size_t c = 0; c < table.columns; ++c)
      out << (c == 0 ? "" : ",") << std::to_string(table.row(r)[c])
          << (c + 1 == table.columns ? "\n" : "");
}

}  // namespace shunt
