#include "shunt/launch/detail/frames.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace shunt::tests::frames_test {
namespace {

using namespace detail;
using fields = std::vector<std::string>;

TEST(frames, are_taken_once_they_are_complete) {
  auto const two = frame_of({"a", std::string("\0b", 2), ""}) + frame_of({});
  std::string bytes;
  for (std::size_t length = 0; length < two.size() - 4; ++length) {
    bytes = two.substr(0, length);
    EXPECT_FALSE(take_frame(bytes, 100)) << length;
    EXPECT_EQ(bytes.size(), length);
  }
  bytes = two;
  EXPECT_EQ(take_frame(bytes, 100), (fields{"a", std::string("\0b", 2), ""}));
  EXPECT_EQ(take_frame(bytes, 100), fields{});
  EXPECT_TRUE(bytes.empty());
  EXPECT_FALSE(take_frame(bytes, 100));
}

TEST(frames, are_not_too_long_and_not_cut_off) {
  auto bytes = frame_of({"0123456789"});
  EXPECT_THROW((void)take_frame(bytes, 13), std::runtime_error);
  EXPECT_TRUE(take_frame(bytes, 14));
  bytes = "GET / HTTP/1.1\r\n\r\n";
  EXPECT_THROW((void)take_frame(bytes, 256), std::runtime_error);
  bytes = std::string("\0\0\0\x05\0\0\0\x02x", 9);  // a field of two bytes, and there is one
  EXPECT_THROW((void)take_frame(bytes, 256), std::runtime_error);
  bytes = std::string("\0\0\0\x02\0\0", 6);
  EXPECT_THROW((void)take_frame(bytes, 256), std::runtime_error);
}

// Whatever comes, it is a frame, half of one, or refused.
TEST(frames, of_any_bytes_are_taken_or_refused) {
  std::mt19937 random(7);
  auto const whole = frame_of({"operation", "path/of/a/file", std::string(40, 'x')});
  for (int n = 0; n < 20'000; ++n) {
    auto bytes = whole;
    for (auto flips = random() % 4; flips > 0; --flips)
      bytes[random() % (n % 2 == 0 ? 8 : bytes.size())] = static_cast<char>(random());
    bytes.resize(random() % (bytes.size() + 1));
    auto const before = bytes.size();
    try {
      if (take_frame(bytes, 1000)) {
        EXPECT_LT(bytes.size(), before);
      } else {
        EXPECT_EQ(bytes.size(), before);
      }
    } catch (std::runtime_error const&) {}
  }
}

TEST(frames, a_proof_is_of_one_end_and_one_connection) {
  auto const proof = proof_of("key", "client", "server's", "client's");
  EXPECT_EQ(proof.size(), 32U);
  EXPECT_EQ(proof, proof_of("key", "client", "server's", "client's"));
  EXPECT_NE(proof, proof_of("key", "server", "server's", "client's"));
  EXPECT_NE(proof, proof_of("other", "client", "server's", "client's"));
  EXPECT_NE(proof, proof_of("key", "client", "server'", "sclient's"));
  EXPECT_NE(new_nonce(), new_nonce());
  EXPECT_EQ(new_nonce().size(), nonce_bytes);
}

}  // namespace
}  // namespace shunt::tests::frames_test
