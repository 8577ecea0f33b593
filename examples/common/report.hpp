#pragma once
/// One page that shows what a program found: prose, tables and pictures in one HTML file that needs
/// nothing else.
#include <ostream>
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

  report& section(std::string const& title);
  report& prose(std::string const& text);
  /// Text as a terminal shows it.
  report& lines(std::string const& text);
  /// Numbers and text alike; the first column is left-aligned, the others to the right.
  report& table(std::vector<std::string> const& head,
                std::vector<std::vector<std::string>> const& rows);
  report& figure(std::string const& svg, std::string const& caption);

  friend std::ostream& operator<<(std::ostream& out, report const& page) {
    auto const title = shunt::escaped(page.title_);
    return out << "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>"
               << title << "</title>\n<style>" << style << "</style></head>\n<body><h1>" << title
               << "</h1>\n"
               << page.body_ << "</body></html>\n";
  }

 private:
  static constexpr char const* style =
      ":root{color-scheme:light dark;--ink:#222;--faint:#666;--line:#ddd;--paper:#fff}"
      "@media(prefers-color-scheme:dark){:root{--ink:#ddd;--faint:#999;--line:#444;--paper:#1b1b1b}"
      "}"
      "body{max-width:72rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 "
      "system-ui,sans-serif;color:var(--ink);background:var(--paper)}"
      "h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.5rem;border-bottom:1px solid "
      "var(--line)}p{max-width:44rem}"
      ".wide,figure{overflow-x:auto;margin:1rem 0}svg{max-width:100%;height:auto;border-radius:4px}"
      "figcaption{color:var(--faint);font-size:.9rem}table{border-collapse:collapse;font-variant-"
      "numeric:tabular-nums}"
      "th,td{padding:.25rem .8rem;text-align:right;border-bottom:1px solid "
      "var(--line)}th:first-child,td:first-child{text-align:left}";

  report& add(std::string const& html);
  [[nodiscard]] static std::string row(std::string const& tag,
                                       std::vector<std::string> const& cells);

  std::string title_, body_;
};

}  // namespace example
