#pragma once
#include "shunt/io/html_page.hpp"

#include "shunt/core/config.hpp"
#include "shunt/io/drawing.hpp"

namespace shunt {
namespace detail {

inline constexpr char const* page_style =
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

[[nodiscard]] SHUNT_INLINE std::string table_row(std::string const& tag,
                                                 std::vector<std::string> const& cells) {
  std::string html = "<tr>";
  for (auto const& cell : cells) html += "<" + tag + ">" + escaped(cell) + "</" + tag + ">";
  return html + "</tr>";
}

}  // namespace detail

SHUNT_INLINE html_page& html_page::section(std::string const& title) {
  return add("<h2>" + escaped(title) + "</h2>");
}

SHUNT_INLINE html_page& html_page::prose(std::string const& text) {
  return add("<p>" + escaped(text) + "</p>");
}

SHUNT_INLINE html_page& html_page::lines(std::string const& text) {
  return add("<pre class=\"wide\">" + escaped(text) + "</pre>");
}

SHUNT_INLINE html_page& html_page::table(std::vector<std::string> const& head,
                                         std::vector<std::vector<std::string>> const& rows) {
  std::string html =
      "<div class=\"wide\"><table><thead>" + detail::table_row("th", head) + "</thead><tbody>";
  for (auto const& cells : rows) html += detail::table_row("td", cells);
  return add(html + "</tbody></table></div>");
}

SHUNT_INLINE html_page& html_page::figure(std::string const& svg, std::string const& caption) {
  return add("<figure>" + svg + "<figcaption>" + escaped(caption) + "</figcaption></figure>");
}

SHUNT_INLINE html_page& html_page::add(std::string const& html) {
  body_ += html + "\n";
  return *this;
}

SHUNT_INLINE void html_page::write(std::ostream& out) const {
  auto const title = escaped(title_);
  out << "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta "
         "name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>"
      << title << "</title>\n<style>" << detail::page_style << "</style></head>\n<body><h1>"
      << title << "</h1>\n"
      << body_ << "</body></html>\n";
}

}  // namespace shunt
