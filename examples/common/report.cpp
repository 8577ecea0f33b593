#include "report.hpp"

namespace example {

report& report::section(std::string const& title) {
  return add("<h2>" + shunt::escaped(title) + "</h2>");
}

report& report::prose(std::string const& text) {
  return add("<p>" + shunt::escaped(text) + "</p>");
}

report& report::lines(std::string const& text) {
  return add("<pre class=\"wide\">" + shunt::escaped(text) + "</pre>");
}

report& report::table(std::vector<std::string> const& head,
                      std::vector<std::vector<std::string>> const& rows) {
  std::string html = "<div class=\"wide\"><table><thead>" + row("th", head) + "</thead><tbody>";
  for (auto const& cells : rows) html += row("td", cells);
  return add(html + "</tbody></table></div>");
}

report& report::figure(std::string const& svg, std::string const& caption) {
  return add("<figure>" + svg + "<figcaption>" + shunt::escaped(caption) +
             "</figcaption></figure>");
}

report& report::add(std::string const& html) {
  body_ += html + "\n";
  return *this;
}

std::string report::row(std::string const& tag, std::vector<std::string> const& cells) {
  std::string html = "<tr>";
  for (auto const& cell : cells) html += "<" + tag + ">" + shunt::escaped(cell) + "</" + tag + ">";
  return html + "</tr>";
}

}  // namespace example
