#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "shunt/io/drawing.hpp"
#include "support/charts.hpp"

namespace shunt::tests::drawing_test {
namespace {

TEST(drawing, decimals_are_as_short_as_they_can_be) {
  EXPECT_EQ(decimal(2), "2");
  EXPECT_EQ(decimal(2.5), "2.5");
  EXPECT_EQ(decimal(-0.001), "0");
  EXPECT_EQ(decimal(1.0 / 3, 4), "0.3333");
}

TEST(drawing, text_is_safe_in_xml) {
  EXPECT_EQ(escaped("a<b> & \"c\" 'd'\t"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39; ");
}

TEST(drawing, elements_are_well_formed) {
  drawing picture(100, 50);
  picture.rectangle(1, 2, 30, 4.25, colour::sky, colour::ink, 1, "tip <1>");
  picture.line(0, 0, 10, 10, colour::grid, 1, true);
  picture.dot(5, 5, 2, colour::blue);
  picture.text(3, 4, "F & B", anchor::end, colour::ink, 12, true, true);
  picture.hatch(0, 0, 20, 20, colour::grey);
  std::ostringstream out;
  out << picture;
  EXPECT_TRUE(well_formed(out.str()));
  EXPECT_NE(out.str().find("height=\"4.25\""), std::string::npos);
  EXPECT_NE(out.str().find("<title>tip &lt;1&gt;</title>"), std::string::npos);
}

TEST(drawing, a_long_title_has_smaller_letters) {
  std::string const title(60, 'm');
  auto const size_in = [&](double width) {
    drawing picture(width, 50);
    picture.title(100, title);
    std::ostringstream out;
    out << picture;
    std::string const key = "font-size=\"";
    return std::stod(out.str().substr(out.str().find(key) + key.size()));
  };
  EXPECT_EQ(size_in(2000), 15);
  double const small = size_in(500);
  EXPECT_LT(small, 15);
  EXPECT_LE(drawing::width_of(title, small), 400);
  EXPECT_GE(drawing::width_of(title, small), 350);
}

TEST(drawing, letters_of_several_bytes_count_once) {
  EXPECT_DOUBLE_EQ(drawing::width_of("\xc2\xb5s"), drawing::width_of("us"));
}

}  // namespace
}  // namespace shunt::tests::drawing_test
