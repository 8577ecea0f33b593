#pragma once
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace shunt {

/// One page of HTML that needs no other file: sections, each a sequence of paragraphs, tables and
/// figures. Text is escaped; figures are SVG and stand as they are.
class html_page {
 public:
  explicit html_page(std::string title) : title_(std::move(title)) {}

  html_page& section(std::string const& title);
  html_page& prose(std::string const& text);
  /// Adds text as a terminal shows it.
  html_page& lines(std::string const& text);
  /// Adds a table of numbers and text alike. The first column is left-aligned, the others to the
  /// right.
  html_page& table(std::vector<std::string> const& head,
                   std::vector<std::vector<std::string>> const& rows);
  html_page& figure(std::string const& svg, std::string const& caption);

  friend std::ostream& operator<<(std::ostream& out, html_page const& page) {
    page.write(out);
    return out;
  }

 private:
  html_page& add(std::string const& html);
  void write(std::ostream& out) const;

  std::string title_, body_{};
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/html_page.ipp"
#endif
