#pragma once
#include "shunt/core/text_input.hpp"

#include <fstream>
#include <ios>
#include <istream>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"

namespace shunt {

SHUNT_INLINE void begin_text(std::istream& in, std::string const& name) {
  bool const empty = in.peek() == std::istream::traits_type::eof();
  if (in.bad()) throw invalid_problem(name, "can't be read");
  if (empty) return;
  auto const past = [&](std::string_view mark) {
    std::size_t n = 0;
    for (; n < mark.size() && in.peek() == static_cast<unsigned char>(mark[n]); ++n) in.get();
    bool const all = n == mark.size();
    for (; !all && n > 0; --n) in.unget();
    return all;
  };
  if (past("\x1f"))
    throw invalid_problem(name, "is compressed; unpack it first: gunzip -k " + name);
  if (past("\xff\xfe") || past("\xfe\xff")) throw invalid_problem(name, "is UTF-16, must be UTF-8");
  static_cast<void>(past("\xef\xbb\xbf"));
}

SHUNT_INLINE std::ifstream open_text(std::string const& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw invalid_problem(path, "can't be opened");
  begin_text(in, path);
  return in;
}

SHUNT_INLINE line_reader::line_reader(std::istream& in, std::string name)
    : in_(in), name_(std::move(name)), part_(std::size_t{1} << 16) {
  begin_text(in_, name_);
}

SHUNT_INLINE std::string line_reader::at() const { return name_ + " row " + std::to_string(row_); }

SHUNT_INLINE bool line_reader::next(std::string& line) {
  line.clear();
  ++row_;
  for (;;) {
    in_.getline(part_.data(), static_cast<std::streamsize>(part_.size()));
    auto const read = static_cast<std::size_t>(in_.gcount());
    if (in_.bad()) throw invalid_problem(name_, "can't be read");
    bool const full = in_.fail() && !in_.eof() && read + 1 == part_.size();
    if (in_.fail() && !full && (line.empty() || !in_.eof())) {
      --row_;
      return false;
    }
    // getline counts the line feed that it drops.
    line.append(part_.data(), full || in_.eof() ? read : read - 1);
    if (line.size() > longest)
      throw invalid_problem(at(), "is longer than " + std::to_string(longest) + " bytes");
    if (!full) break;
    in_.clear(in_.rdstate() & ~std::ios::failbit);
  }
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return true;
}

}  // namespace shunt
