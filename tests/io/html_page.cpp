#include "shunt/io/html_page.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace shunt::tests::html_page_test {
namespace {

TEST(html_page, escapes_text_and_keeps_pictures) {
  html_page page("a < b");
  page.section("R&D")
      .prose("<script>")
      .table({"<h>", "n"}, {{"\"q\"", "1"}, {"r", "2"}})
      .figure("<svg></svg>", "c > d");
  std::ostringstream out;
  out << page;
  auto const text = out.str();
  for (char const* part : {"<title>a &lt; b</title>", "<h2>R&amp;D</h2>", "<p>&lt;script&gt;</p>",
                           "<th>&lt;h&gt;</th><th>n</th>", "<td>&quot;q&quot;</td><td>1</td>",
                           "<figure><svg></svg><figcaption>c &gt; d</figcaption></figure>"})
    EXPECT_NE(text.find(part), std::string::npos) << part;
  for (char const* foreign : {"http://", "https://", "src=", "href=", "<script"})
    EXPECT_EQ(text.find(foreign), std::string::npos) << foreign;
}

}  // namespace
}  // namespace shunt::tests::html_page_test
