#include "shunt/launch/rendezvous_server.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "shunt/launch/detail/frames.hpp"
#include "shunt/launch/rendezvous_client.hpp"

namespace shunt::tests::rendezvous_server_test {
namespace {

using namespace std::chrono_literals;

/// A connection of a stranger.
class stranger {
 public:
  explicit stranger(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  stranger(stranger const&) = delete;
  stranger& operator=(stranger const&) = delete;
  ~stranger() { ::close(socket_); }

  void say(std::string_view bytes) const {
    (void)!::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  /// Closes with a reset.
  void reset() const {
    linger const now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  /// What it hears until the connection is closed, or for so long.
  [[nodiscard]] std::string hear(std::chrono::milliseconds longest, bool& closed) const {
    std::string all;
    auto const until = std::chrono::steady_clock::now() + longest;
    closed = false;
    while (!closed && std::chrono::steady_clock::now() < until) {
      pollfd one{socket_, POLLIN, 0};
      if (::poll(&one, 1, 10) <= 0) continue;
      char bytes[256];
      auto const got = ::recv(socket_, bytes, sizeof bytes, 0);
      if (got > 0)
        all.append(bytes, static_cast<std::size_t>(got));
      else
        closed = true;
    }
    return all;
  }
  [[nodiscard]] bool is_closed_within(std::chrono::milliseconds longest) const {
    bool closed = false;
    (void)hear(longest, closed);
    return closed;
  }

 private:
  int socket_;
};

rendezvous_client::config to(rendezvous_server const& server, std::string key = {}) {
  return {.host = "127.0.0.1", .port = server.port(), .key = std::move(key), .patience = 20s};
}

TEST(rendezvous_server, says_that_its_port_is_in_use) {
  rendezvous_server const first({});
  try {
    rendezvous_server const second({.port = first.port()});
    FAIL();
  } catch (std::system_error const& error) {
    EXPECT_EQ(error.code(), std::errc::address_in_use);
    EXPECT_EQ(std::string(error.what()),
              "cannot listen at 127.0.0.1:" + std::to_string(first.port()) +
                  ": Address already in use");
  }
  EXPECT_THROW(rendezvous_server({.host = "no host of that name"}), std::system_error);
}

TEST(rendezvous_server, listens_on_all_interfaces_for_hosts_that_are_not_this_machine_alone) {
  rendezvous_server const wide({.host = "0.0.0.0"});
  EXPECT_NO_THROW(rendezvous_client({.host = "127.0.0.9", .port = wide.port(), .patience = 20s}));
  rendezvous_server const narrow({});
  EXPECT_THROW(rendezvous_client({.host = "127.0.0.9", .port = narrow.port(), .patience = 50ms}),
               rendezvous_failed);
}

TEST(rendezvous_server, waits_until_all_have_left) {
  rendezvous_server const server({});
  server.wait_until_left(20s);
  auto one = std::make_unique<rendezvous_client>(to(server));
  (void)one->exists("a");
  EXPECT_EQ(server.members(), 1U);
  auto const begun = std::chrono::steady_clock::now();
  server.wait_until_left(30ms);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 30ms);
  std::jthread const leaves([&] {
    std::this_thread::sleep_for(20ms);
    one.reset();
  });
  server.wait_until_left(60s);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 50s);
  EXPECT_EQ(server.members(), 0U);
}

// They say nonsense, half a line or nothing, slowly or not at all, reset their connection, and come
// in crowds. Members notice nothing, and no stranger becomes one.
TEST(rendezvous_server, strangers_are_shut_out_and_disturb_nobody) {
  rendezvous_server const server({.key = "secret", .challenge = 300ms});
  rendezvous_client const member(to(server, "secret"));
  ASSERT_FALSE(member.write("a", "text"));

  for (auto const* const words :
       {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02", "\xff\xff\xff\xff"}) {
    stranger const talks(server.port());
    talks.say(words);
    EXPECT_TRUE(talks.is_closed_within(20s)) << words;
  }
  {  // proves nothing, and is told that it is refused
    stranger const guesses(server.port());
    guesses.say(detail::frame_of({std::string(detail::nonce_bytes, 'n'), std::string(32, 'p')}));
    bool closed = false;
    auto heard = guesses.hear(20s, closed);
    EXPECT_TRUE(closed);
    auto const hello = detail::take_frame(heard, 256);
    ASSERT_TRUE(hello);
    EXPECT_EQ(hello->front(), detail::rendezvous_greeting);
    EXPECT_EQ(detail::take_frame(heard, 256), std::vector<std::string>{});
  }
  {  // asks before it has shown that it may, or as another's recorded answer
    stranger const asks(server.port());
    asks.say(detail::frame_of({std::string(1, '\x01'), "a", ""}));
    EXPECT_TRUE(asks.is_closed_within(20s));
  }
  {
    stranger const silent(server.port()), slow(server.port()), half(server.port());
    half.say(std::string("\0\0\0\x38\0\0", 6));
    for (int n = 0; n < 40; ++n) {
      slow.say(std::string(1, '\0'));
      std::this_thread::sleep_for(10ms);
      EXPECT_EQ(member.read("a"), "text");
    }
    EXPECT_TRUE(silent.is_closed_within(20s));
    EXPECT_TRUE(slow.is_closed_within(20s));
    EXPECT_TRUE(half.is_closed_within(20s));
  }
  for (int n = 0; n < 50; ++n) {
    stranger const leaves(server.port());
    if (n % 2 == 0) leaves.say("x");
    leaves.reset();
  }
  std::vector<std::unique_ptr<stranger>> crowd;
  for (int n = 0; n < 200; ++n) crowd.push_back(std::make_unique<stranger>(server.port()));
  rendezvous_client const late(to(server, "secret"));
  EXPECT_EQ(late.read("a"), "text");
  EXPECT_EQ(member.read("a"), "text");
  EXPECT_EQ(server.members(), 2U);
}

// One that has shown that it may, and then says nonsense.
TEST(rendezvous_server, a_member_that_says_nonsense_is_shut_out_alone) {
  rendezvous_server const server({});
  rendezvous_client const member(to(server));
  ASSERT_FALSE(member.write("a", "text"));
  for (auto const& nonsense :
       {detail::frame_of({}), detail::frame_of({"x", "y", "z"}), std::string(8, '\xff')}) {
    stranger const other(server.port());
    bool closed = false;
    auto heard = other.hear(100ms, closed);
    for (int n = 0; heard.empty() && n < 200; ++n) heard = other.hear(100ms, closed);
    auto const hello = detail::take_frame(heard, 256);
    ASSERT_TRUE(hello);
    std::string const nonce(detail::nonce_bytes, 'n');
    other.say(detail::frame_of({nonce, detail::proof_of("", "client", (*hello)[1], nonce)}));
    other.say(nonsense);
    EXPECT_TRUE(other.is_closed_within(20s));
  }
  EXPECT_EQ(member.read("a"), "text");
  EXPECT_EQ(server.members(), 1U);
}

}  // namespace
}  // namespace shunt::tests::rendezvous_server_test
