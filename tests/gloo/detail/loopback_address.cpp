#include "shunt/gloo/detail/loopback_address.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <set>
#include <string>

namespace shunt::tests::loopback_address_test {
namespace {

TEST(loopback_address, is_another_one_each_time) {
  std::set<std::string> all;
  for (int n = 0; n < 50; ++n) {
    auto const text = detail::loopback_address();
    in_addr address{};
    ASSERT_EQ(inet_pton(AF_INET, text.c_str(), &address), 1) << text;
    EXPECT_EQ(ntohl(address.s_addr) >> 24, 127u) << text;
    all.insert(text);
  }
  EXPECT_GT(all.size(), 45u);
}

}  // namespace
}  // namespace shunt::tests::loopback_address_test
