#include "shunt/execute/host/collectives.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/host/in_process_network.hpp"

namespace shunt::tests::collectives_test {
namespace {

using namespace detail;
using numbers = std::vector<std::int64_t>;

/// One rank's end of a network that counts the bytes that it sends.
struct counting_end {
  in_process_network::endpoint net;
  std::size_t sent = 0;

  [[nodiscard]] rank_id rank() const { return net.rank(); }
  [[nodiscard]] std::int32_t size() const { return net.size(); }
  void send(rank_id to, std::int32_t channel, std::span<std::byte const> out) {
    sent += out.size();
    net.send(to, channel, out);
  }
  void receive(rank_id from, std::int32_t channel, std::span<std::byte> in) {
    net.receive(from, channel, in);
  }
  void flush() { net.flush(); }
  void close() { net.close(); }
};

/// f(member) on a thread for each of ranks 2, 0 and 1, in this order of the group. Returns the
/// bytes that each place has sent.
template <class F>
std::vector<std::size_t> on_three(F const& f) {
  in_process_network net(3);
  std::vector<rank_id> const members{2, 0, 1};
  std::vector<std::size_t> sent(3);
  std::vector<std::jthread> running;
  for (std::size_t self = 0; self < 3; ++self)
    running.emplace_back([&, self] {
      counting_end end{net.at(members[self])};
      std::vector<std::byte> scratch;
      f(membership<counting_end>{end, members, self, -1, scratch});
      sent[self] = end.sent;
    });
  running.clear();
  return sent;
}

std::span<std::byte> bytes(numbers& n) { return std::as_writable_bytes(std::span(n)); }

TEST(collectives, all_reduce_sends_two_rounds_of_parts) {
  std::vector<numbers> all{{1, 2, 3, 4, 5, 6}, {10, 20, 30, 40, 50, 60}, {7, 7, 7, 7, 7, 7}};
  auto const sent = on_three(
      [&](auto const& m) { all_reduce(m, element::int64, reduction::sum, bytes(all[m.self])); });
  for (auto const& own : all) EXPECT_EQ(own, (numbers{18, 29, 40, 51, 62, 73}));
  EXPECT_EQ(sent, std::vector<std::size_t>(3, 2 * 48 * 2 / 3));  // 2b(n-1)/n
}

TEST(collectives, reduce_scatter_leaves_each_its_part) {
  std::vector<numbers> whole{{1, 5, 3}, {4, 2, 9}, {6, 6, 0}}, part(3, numbers(1));
  auto const sent = on_three([&](auto const& m) {
    reduce_scatter(m, element::int64, reduction::max, bytes(whole[m.self]), bytes(part[m.self]));
  });
  EXPECT_EQ(part, (std::vector<numbers>{{6}, {6}, {9}}));
  EXPECT_EQ(sent, std::vector<std::size_t>(3, 24 * 2 / 3));
}

TEST(collectives, all_gather_keeps_the_order_of_the_group) {
  std::vector<numbers> part{{1, 2}, {3, 4}, {5, 6}}, whole(3, numbers(6));
  (void)on_three([&](auto const& m) { all_gather(m, bytes(part[m.self]), bytes(whole[m.self])); });
  for (auto const& own : whole) EXPECT_EQ(own, (numbers{1, 2, 3, 4, 5, 6}));
}

TEST(collectives, exchange_sends_what_the_counts_say) {
  std::vector<numbers> out{{10, 11, 12}, {20, 21, 22}, {30, 31, 32}}, in(3, numbers(3, -1));
  std::vector<numbers> counts{{8, 0, 8}, {0, 8, 8}, {8, 8, 0}}, came(3, numbers(3, -1));
  (void)on_three([&](auto const& m) {
    exchange(m, bytes(out[m.self]), bytes(counts[m.self]), bytes(in[m.self]), bytes(came[m.self]));
  });
  EXPECT_EQ(came, (std::vector<numbers>{{8, 0, 8}, {0, 8, 8}, {8, 8, 0}}));
  EXPECT_EQ(in, (std::vector<numbers>{{10, -1, 30}, {-1, 21, 31}, {12, 22, -1}}));
}

TEST(collectives, a_count_beyond_its_part_is_refused) {
  numbers const counts{3, 9};
  EXPECT_EQ(count_at(std::as_bytes(std::span(counts)), 0, 8, 4), 3U);
  try {
    (void)count_at(std::as_bytes(std::span(counts)), 1, 8, 4);
    FAIL();
  } catch (invalid_program const& e) {
    EXPECT_NE(
        std::string(e.what()).find("exchange on rank 4: count 1 is 9, its part holds 8 bytes"),
        std::string::npos)
        << e.what();
  }
}

}  // namespace
}  // namespace shunt::tests::collectives_test
