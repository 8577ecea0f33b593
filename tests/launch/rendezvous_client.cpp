#include "shunt/launch/rendezvous_client.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>

#include "shunt/core/error.hpp"
#include "shunt/launch/rendezvous_server.hpp"
#include "shunt/launch/shared_files.hpp"

namespace shunt::tests::rendezvous_client_test {
namespace {

using namespace std::chrono_literals;

rendezvous_client::config to(std::uint16_t port, std::string key = {},
                             std::chrono::milliseconds patience = 10s) {
  return {.host = "127.0.0.1", .port = port, .key = std::move(key), .patience = patience};
}

/// What goes wrong when one connects.
std::string failure_to_connect(rendezvous_client::config how) {
  try {
    rendezvous_client const one(std::move(how));
  } catch (invalid_problem const& error) {
    return error.what();
  } catch (rendezvous_failed const& error) {
    return error.what();
  }
  return "";
}

TEST(rendezvous_client, has_the_files_of_all_others) {
  rendezvous_server const server({});
  rendezvous_client const a(to(server.port())), b(to(server.port()));
  EXPECT_EQ(a.own_directory("run"), "");
  EXPECT_FALSE(a.exists("run/a"));
  EXPECT_EQ(a.read("run/a"), std::nullopt);
  EXPECT_FALSE(a.write("run/a", std::string("one\0two", 7)));
  EXPECT_TRUE(b.exists("run/a"));
  EXPECT_EQ(b.read("run/a"), std::string("one\0two", 7));
  EXPECT_FALSE(b.append("run/a", "!"));
  EXPECT_FALSE(b.append("run/b", "new"));
  EXPECT_EQ(a.read("run/a"), std::string("one\0two!", 8));
  EXPECT_FALSE(a.link("run/b", "run/c"));
  EXPECT_EQ(b.link("run/a", "run/c"), std::errc::file_exists);
  EXPECT_EQ(b.link("run/none", "run/d"), std::errc::no_such_file_or_directory);
  EXPECT_FALSE(b.rename("run/b", "run/a"));  // replaces it
  EXPECT_EQ(a.read("run/a"), "new");
  EXPECT_EQ(a.read("run/c"), "new");
  EXPECT_FALSE(a.exists("run/b"));
  EXPECT_EQ(a.rename("run/b", "run/a"), std::errc::no_such_file_or_directory);
  EXPECT_FALSE(a.make_directory("run/rank0"));
  EXPECT_EQ(b.make_directory("run/rank0"), std::errc::file_exists);
  EXPECT_EQ(b.read("run/rank0"), std::nullopt);
  EXPECT_EQ(b.write("run/rank0", ""), std::errc::is_a_directory);
  b.remove("run/rank0");
  b.remove("run/rank0");
  EXPECT_FALSE(a.exists("run/rank0"));
}

TEST(rendezvous_client, sends_and_receives_much_at_once) {
  rendezvous_server const server({});
  rendezvous_client const a(to(server.port())), b(to(server.port()));
  std::string const much(20'000'000, 'x');
  EXPECT_FALSE(a.write("much", much));
  EXPECT_EQ(b.read("much"), much);
}

TEST(rendezvous_client, of_several_one_decides) {
  rendezvous_server const server({});
  std::vector<std::future<int>> all;
  for (int n = 0; n < 8; ++n)
    all.push_back(std::async(std::launch::async, [&, n] {
      rendezvous_client const one(to(server.port()));
      auto const draft = "draft" + std::to_string(n);
      int decided = 0;
      for (int i = 0; i < 50; ++i) {
        (void)one.write(draft, std::to_string(n));
        decided += !one.link(draft, "decision" + std::to_string(i));
      }
      return decided;
    }));
  int decided = 0;
  for (auto& one : all) decided += one.get();
  EXPECT_EQ(decided, 50);
}

TEST(rendezvous_client, waits_for_the_server) {
  std::uint16_t port = 0;
  { port = rendezvous_server({}).port(); }
  auto late = std::async(std::launch::async, [&] {
    std::this_thread::sleep_for(100ms);
    return std::make_unique<rendezvous_server>(rendezvous_server::config{.port = port});
  });
  EXPECT_EQ(failure_to_connect(to(port)), "");
  (void)late.get();
}

TEST(rendezvous_client, says_who_cannot_be_reached) {
  std::uint16_t port = 0;
  { port = rendezvous_server({}).port(); }
  EXPECT_EQ(failure_to_connect(to(port, "", 50ms)),
            "127.0.0.1:" + std::to_string(port) +
                ": cannot be reached within 50 ms: Connection refused");
  auto const unknown =
      failure_to_connect({.host = "no host of that name", .port = 9, .patience = 10ms});
  EXPECT_TRUE(unknown.starts_with("no host of that name:9: cannot be reached within 10 ms: "))
      << unknown;
}

TEST(rendezvous_client, knows_another_key_and_no_server_at_all) {
  rendezvous_server const server({.key = "right"}), open({});
  EXPECT_EQ(failure_to_connect(to(server.port(), "right")), "");
  for (auto const& how : {to(server.port(), "wrong"), to(server.port()), to(open.port(), "wrong")})
    EXPECT_EQ(failure_to_connect(how),
              "SHUNT_RENDEZVOUS_KEY: is another one at 127.0.0.1:" + std::to_string(how.port));

  int const other = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(::bind(other, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(::listen(other, 8), 0);
  ::getsockname(other, reinterpret_cast<sockaddr*>(&address), &length);
  auto const port = ntohs(address.sin_port);
  EXPECT_EQ(failure_to_connect(to(port, "", 100ms)),
            "127.0.0.1:" + std::to_string(port) + ": cannot be reached within 100 ms: no answer");
  std::jthread const greets([&] {
    for (int n = 0; n < 2; ++n) {
      int const one = ::accept(other, nullptr, nullptr);  // the one above, and the one below
      (void)!::write(one, "220 mail.example ESMTP\r\n", 24);
      std::this_thread::sleep_for(50ms);
      ::close(one);
    }
  });
  EXPECT_EQ(failure_to_connect(to(port)),
            "127.0.0.1:" + std::to_string(port) +
                ": what listens there is no rendezvous of this library");
  ::close(other);
}

TEST(rendezvous_client, knows_at_once_that_the_server_has_gone) {
  auto server = std::make_unique<rendezvous_server>(rendezvous_server::config{});
  rendezvous_client const one(to(server->port(), "", 60s));
  EXPECT_FALSE(one.exists("a"));
  auto const begun = std::chrono::steady_clock::now();
  server.reset();
  for (int n = 0; n < 2; ++n) try {
      (void)one.exists("a");
      FAIL();
    } catch (rendezvous_failed const& error) {
      EXPECT_TRUE(
          std::string(error.what())
              .starts_with(one.address() + ": the process that held the rendezvous has gone: "))
          << error.what();
      EXPECT_TRUE(error.absent().empty());
    }
  EXPECT_THROW((void)one.write("a", ""), rendezvous_failed);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s);
}

}  // namespace
}  // namespace shunt::tests::rendezvous_client_test
