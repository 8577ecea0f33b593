#pragma once
/// Text files as input: UTF-8 with or without a byte-order mark, lines that end with a line feed or
/// a carriage return and a line feed.
#include <cstddef>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace shunt {

/// Reads past a UTF-8 byte-order mark, if the text begins with one.
/// Throws invalid_problem, which names `name`, for compressed data (gzip) with the command that
/// unpacks it, for UTF-16, and where the stream cannot be read.
void begin_text(std::istream& in, std::string const& name);

/// Opens a file and begins it like begin_text.
/// Throws invalid_problem also where the file cannot be opened.
[[nodiscard]] std::ifstream open_text(std::string const& path);

/// The lines of a text, in order.
class line_reader {
 public:
  static constexpr std::size_t longest = std::size_t{1} << 26;  ///< bytes of a line

  /// Begins the text like begin_text, which changes nothing where that was done before.
  /// Requires that `in` lives longer.
  line_reader(std::istream& in, std::string name);

  /// Reads the next line without its end. The last line may have no end.
  /// Returns false where there is none.
  /// Throws invalid_problem, which names the row, for a line of more than `longest` bytes, and
  /// where the stream cannot be read.
  bool next(std::string& line);

  /// Returns the number of lines read, which is the number of the last one, from 1.
  [[nodiscard]] std::size_t row() const { return row_; }
  /// Returns the name of the last line, such as "loads.csv row 3".
  [[nodiscard]] std::string at() const;
  [[nodiscard]] std::string const& name() const { return name_; }

 private:
  std::istream& in_;
  std::string name_;
  std::size_t row_ = 0;
  std::vector<char> part_;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/core/text_input.ipp"
#endif
