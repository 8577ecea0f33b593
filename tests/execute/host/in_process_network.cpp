#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/host/in_process_network.hpp"
#include "shunt/execute/transport.hpp"

namespace shunt::tests::host_in_process_network_test {
namespace {

using namespace std::chrono_literals;

std::vector<std::byte> bytes_of(std::int32_t value) {
  return std::vector<std::byte>(4, static_cast<std::byte>(value));
}

TEST(in_process_network, keep_pairs_and_channels_apart_and_in_order) {
  in_process_network net(3);
  auto a = net.at(0), b = net.at(1), c = net.at(2);
  a.send(2, 0, bytes_of(1)), a.send(2, 5, bytes_of(2)), b.send(2, 0, bytes_of(3)),
      a.send(2, 0, bytes_of(4));
  auto in = bytes_of(0);
  auto const next = [&](rank_id from, std::int32_t channel) {
    c.receive(from, channel, in);
    return std::to_integer<int>(in[0]);
  };
  EXPECT_EQ(next(1, 0), 3);
  EXPECT_EQ(next(0, 0), 1);
  EXPECT_EQ(next(0, 0), 4);
  EXPECT_EQ(next(0, 5), 2);
  EXPECT_EQ(c.size(), 3);
  EXPECT_EQ(c.rank(), 2);
}

TEST(in_process_network, drop_what_an_older_epoch_sent) {
  in_process_network net(2);
  auto zombie = net.at(0, 1);
  auto sender = net.at(0, 2), receiver = net.at(1, 2);
  zombie.send(1, 0, bytes_of(1));
  zombie.send(1, 0, bytes_of(2));
  sender.send(1, 0, bytes_of(3));
  auto in = bytes_of(0);
  receiver.receive(0, 0, in);
  EXPECT_EQ(in, bytes_of(3));

  auto late = net.at(1, 1);  // a rank that was left behind
  sender.send(1, 0, bytes_of(4));
  EXPECT_THROW(late.receive(0, 0, in), run_aborted);
  receiver.receive(0, 0, in);
  EXPECT_EQ(in, bytes_of(4));

  net.cancel(1);
  EXPECT_TRUE(net.cancelled(1));
  EXPECT_FALSE(net.cancelled(2));
  EXPECT_THROW(zombie.send(1, 0, bytes_of(5)), run_aborted);
  sender.send(1, 0, bytes_of(6));
  receiver.receive(0, 0, in);
  EXPECT_EQ(in, bytes_of(6));
}

TEST(in_process_network, name_the_peer_that_is_gone) {
  in_process_network net(3, 2ms);
  auto in = bytes_of(0);
  auto left = net.at(0), gone = net.at(1), live = net.at(2);
  gone.send(0, 0, bytes_of(1));
  net.mark_failed(1);
  left.receive(1, 0, in);  // what it had sent before still arrives
  EXPECT_EQ(in, bytes_of(1));
  try {
    left.receive(1, 0, in);
    FAIL();
  } catch (peer_lost const& e) {
    EXPECT_EQ(e.peer(), 1);
  }
  std::thread waiting([&] {
    auto mine = bytes_of(0);
    EXPECT_THROW(live.receive(0, 0, mine), run_aborted);
  });
  net.cancel();
  waiting.join();
}

TEST(in_process_network, refuse_another_size) {
  in_process_network net(2);
  auto a = net.at(0), b = net.at(1);
  a.send(1, 0, bytes_of(1));
  std::vector<std::byte> in(5);
  EXPECT_THROW(b.receive(0, 0, in), invalid_program);
  a.close();
  EXPECT_THROW(b.receive(0, 0, in), invalid_program);
}

}  // namespace
}  // namespace shunt::tests::host_in_process_network_test
