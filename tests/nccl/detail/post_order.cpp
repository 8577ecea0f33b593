#include "shunt/nccl/detail/post_order.hpp"

#include <gtest/gtest.h>

#include <barrier>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "shunt/nccl/routes.hpp"
#include "shunt/program/builder.hpp"
#include "support/nccl_double.hpp"
#include "support/nccl_parties.hpp"

namespace shunt::tests::post_order_test {
namespace {

using namespace nccl_parties;
using posts = std::vector<post>;

/// Two ranks that send twice to each other, then receive.
program both_send_first() {
  program_builder b(2);
  for (rank_id const r : ids<rank_id>(2)) {
    for (int k = 0; k < 3; ++k) b.buffer(r, 8, true);
    for (int k = 0; k < 2; ++k) b.send(r, 1 - r.value(), {0, 0, 8});
    for (int k = 1; k < 3; ++k) b.receive(r, 1 - r.value(), {k, 0, 8});
  }
  return std::move(b).finish();
}

TEST(post_order, a_send_leaves_in_the_turn_of_its_receive) {
  auto const p = both_send_first();
  ASSERT_TRUE(find_routes(p).buffered);
  EXPECT_EQ(post_order(p)[0], (posts{{0, 2}, {1, 2}}));  // before it receives
  EXPECT_EQ(post_order(p)[1], (posts{{0, 4}, {1, 4}}));  // when it has received
}

TEST(post_order, receives_of_a_batch_have_the_turn_of_the_last) {
  program_builder b(3);
  for (rank_id const r : ids<rank_id>(3))
    for (int k = 0; k < 2; ++k) b.buffer(r, 8, true);
  b.send(0, 2, {0, 0, 8});
  b.receive(0, 1, {1, 0, 8});
  b.receive(1, 2, {1, 0, 8});
  b.send(1, 0, {0, 0, 8});
  b.send(1, 2, {0, 0, 8});
  b.send(2, 1, {0, 0, 8});
  b.receive(2, 0, {0, 0, 8}, 0, {.batch = 0});  // with the message that rank 1 sends later
  b.receive(2, 1, {1, 0, 8}, 0, {.batch = 0});
  auto const p = std::move(b).finish();
  EXPECT_EQ(post_order(p)[0], (posts{{0, 2}}));
  EXPECT_EQ(post_order(p)[1], (posts{{1, 3}, {2, 3}}));
  EXPECT_EQ(post_order(p)[2], (posts{{0, 1}}));
}

TEST(post_order, all_ranks_of_a_process_share_what_was_found) {
  shared_posts shared;
  std::vector<std::shared_ptr<program const>> programs;
  for (int n = 0; n < 10; ++n) {  // more than are kept
    program_builder b(2);
    for (rank_id const r : ids<rank_id>(2)) b.buffer(r, 8, true);
    for (int k = 0; k <= n; ++k) {
      b.send(k % 2, 1 - k % 2, {0, 0, 8});
      b.receive(1 - k % 2, k % 2, {0, 0, 8});
    }
    programs.push_back(std::make_shared<program const>(std::move(b).finish()));
  }
  for (int turn = 0; turn < 2; ++turn)
    for (auto const& p : programs)
      for (rank_id const r : ids<rank_id>(2)) EXPECT_EQ(shared.of(p, r), post_order(*p)[r]);
}

/// Whether `both_send_first` ends where each rank has one hardware queue for the stream that
/// receives and the one that sends, and enqueues its sends in the turn that `before` says.
template <class Before>
bool ends_in_one_queue(Before const& before) {
  world().reset({.queues = 1});
  auto const p = both_send_first();
  int const identity = api::new_identity();
  std::vector<char> ended(2);
  std::barrier step(2);
  EXPECT_EQ(together(2,
                     [&](rank_id r) {
                       party self(identity, 2, r);
                       auto const away = self.system.make_stream();
                       self.net.prepare(p, self.stream);
                       rank_id const peer = 1 - r.value();
                       std::size_t sent = 0;
                       auto const posted = before(p, r);
                       for (std::int32_t n = 0; n <= 4; ++n) {
                         for (; sent < 2 && posted[sent].before <= n; ++sent) {
                           auto g = self.net.open_group();
                           self.net.send(g, bytes(self.mine), peer, away);
                         }
                         if (n != 2 && n != 3) continue;
                         auto g = self.net.open_group();
                         self.net.receive(g, bytes(n == 2 ? self.came : self.more), peer,
                                          self.stream);
                       }
                       step.arrive_and_wait();
                       ended[r.index()] = world().comes_to_its_end(self.stream);
                       step.arrive_and_wait();
                       self.net.abort();
                     }),
            nothing(2));
  EXPECT_EQ(ended[0], ended[1]);
  return ended[0] != 0;
}

// The second send waits for the first, which waits for the peer's receive; and the receive waits
// behind that send in the queue.
TEST(post_order, sends_that_leave_at_once_form_a_circle_in_a_queue) {
  EXPECT_FALSE(ends_in_one_queue([](program const&, rank_id) { return posts{{0, 0}, {1, 1}}; }));
  EXPECT_TRUE(ends_in_one_queue([](program const& p, rank_id r) { return post_order(p)[r]; }));
}

}  // namespace
}  // namespace shunt::tests::post_order_test
