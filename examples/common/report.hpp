#pragma once
/// How programs show what they found: on one page of HTML that needs nothing else, in tables for a
/// terminal, and as JSON.
#include <algorithm>
#include <cstddef>
#include <iomanip>
#include <locale>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "shunt/io/drawing.hpp"

namespace example {

/// A page of sections, each a sequence of paragraphs, tables and figures. Text is escaped; figures
/// are SVG and stand as they are.
class report {
 public:
  explicit report(std::string title) : title_(std::move(title)) {}

  report& section(std::string const& title) {
    return add("<h2>" + shunt::escaped(title) + "</h2>");
  }
  report& prose(std::string const& text) { return add("<p>" + shunt::escaped(text) + "</p>"); }
  /// Text as a terminal shows it.
  report& lines(std::string const& text) {
    return add("<pre class=\"wide\">" + shunt::escaped(text) + "</pre>");
  }
  /// Numbers and text alike; the first column is left-aligned, the others to the right.
  report& table(std::vector<std::string> const& head,
                std::vector<std::vector<std::string>> const& rows) {
    std::string html = "<div class=\"wide\"><table><thead>" + row("th", head) + "</thead><tbody>";
    for (auto const& cells : rows) html += row("td", cells);
    return add(html + "</tbody></table></div>");
  }
  report& figure(std::string const& svg, std::string const& caption) {
    return add("<figure>" + svg + "<figcaption>" + shunt::escaped(caption) +
               "</figcaption></figure>");
  }

  friend std::ostream& operator<<(std::ostream& out, report const& page) {
    auto const title = shunt::escaped(page.title_);
    return out << "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta "
                  "name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>"
               << title << "</title>\n<style>" << style << "</style></head>\n<body><h1>" << title
               << "</h1>\n"
               << page.body_ << "</body></html>\n";
  }

 private:
  static constexpr char const* style =
      ":root{color-scheme:light "
      "dark;--ink:#222;--faint:#666;--line:#ddd;--paper:#fff}@media(prefers-color-scheme:dark){:"
      "root{--ink:#ddd;--faint:#999;--line:#444;--paper:#1b1b1b}}body{max-width:72rem;margin:2rem "
      "auto;padding:0 1rem;font:16px/1.5 "
      "system-ui,sans-serif;color:var(--ink);background:var(--paper)}h1{font-size:1.6rem}h2{font-"
      "size:1.2rem;margin-top:2.5rem;border-bottom:1px solid "
      "var(--line)}p{max-width:44rem}.wide,figure{overflow-x:auto;margin:1rem "
      "0}svg{max-width:100%;height:auto;border-radius:4px}figcaption{color:var(--faint);font-size:."
      "9rem}table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:.25rem "
      ".8rem;text-align:right;border-bottom:1px solid "
      "var(--line)}th:first-child,td:first-child{text-align:left}";

  report& add(std::string const& html) {
    body_ += html + "\n";
    return *this;
  }
  static std::string row(std::string const& tag, std::vector<std::string> const& cells) {
    std::string html = "<tr>";
    for (auto const& cell : cells)
      html += "<" + tag + ">" + shunt::escaped(cell) + "</" + tag + ">";
    return html + "</tr>";
  }

  std::string title_, body_;
};

/// A number with all its digits, so that columns line up.
inline std::string fixed(double value, int digits) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << std::fixed << std::setprecision(digits) << value;
  return text.str();
}

/// A table as a terminal shows it: the first column stands to the left, the others to the right,
/// two spaces apart, each as wide as its widest cell.
class text_table {
 public:
  /// The least widths make the columns of several tables line up.
  explicit text_table(std::size_t first = 0, std::size_t others = 0)
      : first_(first), others_(others) {}

  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

  inline friend std::ostream& operator<<(std::ostream& out, text_table const& table) {
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

 private:
  std::size_t first_, others_;
  std::vector<std::vector<std::string>> rows_{};
};

/// Prints an object with one key a line, and one line for each object in a list, so that people can
/// read long answers too. Of a long list one object at a time is in memory.
class object_printer {
 public:
  explicit object_printer(std::ostream& out) : out_(out) { out_ << "{"; }

  void field(std::string const& key, nlohmann::ordered_json const& value) {
    if (value.is_array() && !value.empty() && value.front().is_object()) {
      return list(key, value, [&](auto const& element) { out_ << element; });
    }
    begin(key) << value;
  }
  /// A list of objects, each of which `print(item)` prints.
  template <class Items, class Print>
  void list(std::string const& key, Items const& items, Print const& print) {
    begin(key) << "[";
    char const* separator = "\n    ";
    bool any = false;
    for (auto const& item : items) {
      out_ << separator;
      separator = ",\n    ";
      print(item);
      any = true;
    }
    out_ << (any ? "\n  ]" : "]");
  }
  void end() { out_ << "\n}\n"; }

 private:
  std::ostream& begin(std::string const& key) {
    out_ << separator_ << nlohmann::ordered_json(key) << ": ";
    separator_ = ",\n  ";
    return out_;
  }

  std::ostream& out_;
  char const* separator_ = "\n  ";
};

/// Prints an object in this form.
inline void print_json(std::ostream& out, nlohmann::ordered_json const& object) {
  object_printer printer(out);
  for (auto const& [key, value] : object.items()) printer.field(key, value);
  printer.end();
}

/// Ids as a list of numbers.
template <class Ids>
nlohmann::ordered_json numbers_of(Ids const& ids) {
  auto numbers = nlohmann::ordered_json::array();
  for (auto const& id : ids) numbers.push_back(id.value());
  return numbers;
}

}  // namespace example
