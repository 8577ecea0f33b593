#include "shunt/launch/detail/addresses.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <string>

namespace shunt::tests::addresses_test {
namespace {

using namespace detail;

TEST(addresses, of_numbers_and_of_no_host) {
  std::string why;
  auto four = addresses_of("127.0.0.1", 29500, why);
  ASSERT_EQ(four.size(), 1U);
  EXPECT_EQ(four[0].family(), AF_INET);
  EXPECT_EQ(four[0].port(), 29500);
  four[0].widen();
  EXPECT_EQ(reinterpret_cast<sockaddr_in const*>(four[0].get())->sin_addr.s_addr,
            htonl(INADDR_ANY));
  EXPECT_EQ(four[0].port(), 29500);
  auto const six = addresses_of("::1", 80, why);
  ASSERT_EQ(six.size(), 1U);
  EXPECT_EQ(six[0].family(), AF_INET6);
  EXPECT_EQ(six[0].port(), 80);
  EXPECT_EQ(why, "");
  EXPECT_TRUE(addresses_of("no host of that name", 80, why).empty());
  EXPECT_NE(why, "");
}

}  // namespace
}  // namespace shunt::tests::addresses_test
