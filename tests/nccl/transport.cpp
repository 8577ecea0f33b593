// What NCCL demands, by the double that knows its rules: the transport keeps them, and a rank that
// breaks one is found and named.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/stream_transport.hpp"
#include "shunt/execute/transport.hpp"
#include "shunt/nccl/library.hpp"
#include "shunt/nccl/transport.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"
#include "support/nccl_double.hpp"
#include "support/nccl_parties.hpp"

namespace shunt::tests::transport_test {
namespace {

using namespace detail;
using namespace nccl_parties;

static_assert(collective_stream_transport<transport_type>);

template <class Net>
concept shrinkable = requires(Net& net, std::span<rank_id const> dead) { net.shrink(dead); };

TEST(transport, groups_a_circle_inside_a_group_is_none) {
  world().reset();
  int const identity = api::new_identity();
  EXPECT_EQ(together(3,
                     [&](rank_id r) {
                       party me(identity, 3, r);
                       rank_id const next = (r.value() + 1) % 3, last = (r.value() + 2) % 3;
                       {
                         auto g = me.net.open_group();
                         me.net.send(g, bytes(std::as_const(me.mine)), next, me.stream);
                         me.net.receive(g, bytes(me.came), last, me.stream);
                         g.close();
                       }
                       EXPECT_TRUE(ends(me.system, me.stream));
                       EXPECT_EQ(me.came, 100 + last.value());
                       me.net.close();
                     }),
            nothing(3));
  EXPECT_EQ(world().mistakes(), std::vector<std::string>{});
  EXPECT_EQ(world().live_communicators(), 0U);
  for (auto const& r : world().records()) EXPECT_EQ(r.count, 8U);
}

// A thread that throws is not waited for.
struct leaves_at_end {
  std::barrier<>& all;
  ~leaves_at_end() { all.arrive_and_drop(); }
};

TEST(transport, groups_a_circle_across_groups_is_found_and_named) {
  world().reset();
  int const identity = api::new_identity();
  std::vector<std::string> stuck;
  std::barrier all_done(2);
  auto const errors = together(2, [&](rank_id r) {
    leaves_at_end const here{all_done};
    party me(identity, 2, r, quick);
    {
      auto g = me.net.open_group();  // the first contact: both ends are there
      me.net.send(g, bytes(std::as_const(me.mine)), 1 - r.value(), me.stream);
      me.net.receive(g, bytes(me.more), 1 - r.value(), me.stream);
      g.close();
    }
    for (bool const sends : {true, false}) {
      auto g = me.net.open_group();
      if (sends)
        me.net.send(g, bytes(std::as_const(me.mine)), 1 - r.value(), me.stream);
      else
        me.net.receive(g, bytes(me.came), 1 - r.value(), me.stream);
      g.close();
    }
    EXPECT_FALSE(ends(me.system, me.stream, 40ms));
    all_done.arrive_and_wait();
    if (r == 0) stuck = world().stuck();
    EXPECT_EQ(me.came, -1);
    all_done.arrive_and_wait();
  });
  EXPECT_EQ(stuck,
            (std::vector<std::string>{"rank 0 of communicator 0 waits for rank 1 to receive",
                                      "rank 1 of communicator 0 waits for rank 0 to receive"}));
  EXPECT_EQ(errors, nothing(2));
}

TEST(transport, groups_submit_nothing_before_they_are_closed) {
  world().reset();
  int const identity = api::new_identity();
  EXPECT_EQ(together(1,
                     [&](rank_id r) {
                       party me(identity, 1, r);
                       {
                         auto g = me.net.open_group();
                         me.net.send(g, bytes(std::as_const(me.mine)), r,
                                     me.stream);  // to itself: inside a group alone
                         EXPECT_THROW((void)me.net.open_group(), std::logic_error);
                         me.net.receive(g, bytes(me.came), r, me.stream);
                         EXPECT_TRUE(world().records().empty());
                         EXPECT_TRUE(ends(me.system, me.stream));
                         EXPECT_EQ(me.came, -1);
                       }  // a guard that nobody closed submits as well
                       EXPECT_EQ(world().records().size(), 2U);
                       EXPECT_TRUE(ends(me.system, me.stream));
                       EXPECT_EQ(me.came, 100);
                       me.net.close();
                     }),
            nothing(1));
  EXPECT_EQ(world().mistakes(), std::vector<std::string>{});
}

TEST(transport, groups_hold_so_many_operations_and_no_more) {
  world().reset();
  int const identity = api::new_identity();
  auto const errors = together(1, [&](rank_id r) {
    party me(identity, 1, r);
    auto g = me.net.open_group();
    for (std::size_t n = 0; n < nccl_group_limit / 2; ++n) {
      me.net.send(g, bytes(std::as_const(me.mine)), r, me.stream);
      me.net.receive(g, bytes(me.came), r, me.stream);
    }
    me.net.send(g, bytes(std::as_const(me.mine)), r, me.stream);
  });
  EXPECT_EQ(errors[0], "a group of more than 2048 operations");

  // The same by hand: NCCL's own refusal.
  world().reset();
  nccl_double::device() = 0;
  nccl_double::system system(0);
  auto const stream = system.make_stream();
  nccl_double::member* c = nullptr;
  EXPECT_EQ(api::init(c, 1, api::new_identity(), 0, 0), nccl_status::in_progress);
  while (api::state(c) == nccl_status::in_progress) {}
  word w = 0;
  EXPECT_EQ(api::group_start(), nccl_status::success);
  for (std::size_t n = 0; n <= nccl_group_limit; ++n)
    EXPECT_EQ(api::send(&w, 1, element::int64, 0, c, stream), nccl_status::success);
  EXPECT_EQ(api::group_end(), nccl_status::invalid_usage);
  EXPECT_EQ(api::abort(c), nccl_status::success);
}

TEST(transport, counts_beyond_two_to_the_31_reach_the_library_whole) {
  world().reset({.moves_bytes = false});
  int const identity = api::new_identity();
  EXPECT_EQ(
      together(1,
               [&](rank_id r) {
                 party me(identity, 1, r);
                 std::span const huge(reinterpret_cast<std::byte*>(64),
                                      (std::size_t{1} << 35) + 8);  // memory that is never touched
                 program_builder b(1);
                 auto const alone = b.group({rank_id{0}});
                 b.buffer(0, 8);
                 b.all_reduce(0, alone, element::float32, reduction::sum, {0, 0, 8});
                 auto const p = std::move(b).finish();
                 me.net.prepare(p, me.stream);
                 rank_id const only[] = {0};
                 auto g = me.net.open_group();
                 me.net.send(g, huge, r, me.stream);
                 me.net.receive(g, huge, r, me.stream);
                 me.net.all_reduce(g, only, element::float32, reduction::max, huge, me.stream);
                 EXPECT_THROW(me.net.all_reduce(g, only, element::float64, reduction::sum,
                                                huge.first(12), me.stream),
                              invalid_program);
                 g.close();
                 EXPECT_TRUE(ends(me.system, me.stream));
                 me.net.close();
               }),
      nothing(1));
  auto const seen = world().records();
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_EQ(seen[0].count, (std::size_t{1} << 35) + 8);
  EXPECT_EQ(seen[2].count, (std::size_t{1} << 33) + 2);
  EXPECT_EQ(seen[2].type, element::float32);
}

/// Two ranks; what a step at odds with the other's comes to.
std::vector<std::string> at_odds(std::function<void(party&, rank_id)> const& step,
                                 std::string& named) {
  int const identity = api::new_identity();
  std::barrier all_done(2);
  return together(2, [&](rank_id r) {
    leaves_at_end const here{all_done};
    party me(identity, 2, r, quick);
    std::exception_ptr refused;
    try {
      step(me, r);
      for (auto const until = std::chrono::steady_clock::now() + 40ms;
           std::chrono::steady_clock::now() < until;)
        me.net.poll();
    } catch (...) {
      refused = std::current_exception();
    }
    if (r == 0 && !refused)
      for (auto const& line : world().stuck()) named += line + "; ";
    all_done.arrive_and_wait();
    if (refused) std::rethrow_exception(refused);
  });
}

TEST(transport, mistakes_messages_of_other_sizes) {
  world().reset();
  std::string named;
  auto const errors = at_odds(
      [](party& me, rank_id r) {
        auto g = me.net.open_group();
        if (r == 0)
          me.net.send(g, bytes(std::as_const(me.mine)), 1, me.stream);
        else
          me.net.receive(g, bytes(me.came).first(4), 0, me.stream);
        g.close();
        (void)ends(me.system, me.stream, 10ms);
      },
      named);
  for (auto const& e : errors)
    EXPECT_TRUE(contains(e, "invalid usage: rank 0 sends 8 bytes, rank 1 receives 4")) << e;
  EXPECT_EQ(world().mistakes().size(), 1U);
}

TEST(transport, mistakes_the_wrong_peer) {
  world().reset();
  int const identity = api::new_identity();
  auto const errors = together(3, [&](rank_id r) {
    party me(identity, 3, r, quick);
    auto g = me.net.open_group();
    if (r == 0) me.net.send(g, bytes(std::as_const(me.mine)), 2, me.stream);  // rank 1 waits for it
    if (r == 1) me.net.receive(g, bytes(me.came), 0, me.stream);
    g.close();
    std::this_thread::sleep_for(60ms);
  });
  EXPECT_EQ(
      errors[0],
      "rank 0 waited 300 ms to submit a group");  // the first contact with rank 2 never comes about
  EXPECT_EQ(errors[1], "rank 1 waited 300 ms to submit a group");
  EXPECT_EQ(errors[2], "");

  world().reset();
  EXPECT_TRUE(contains(together(1,
                                [&](rank_id r) {
                                  party me(api::new_identity(), 1, r);
                                  auto g = me.net.open_group();
                                  me.net.send(g, bytes(std::as_const(me.mine)), 7, me.stream);
                                })[0],
                       "rank 7 is none of rank 0"));
}

TEST(transport, mistakes_collectives_in_another_order_or_missing) {
  program_builder b(2);
  auto const both = b.group(every_rank(2));
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    b.buffer(r, 8, true);
    b.all_reduce(r, both, element::int64, reduction::sum, {0, 0, 8});
  }
  auto const p = std::move(b).finish();
  rank_id const members[] = {0, 1};
  auto const reduce = [&](party& me, reduction how) {
    auto g = me.net.open_group();
    me.net.all_reduce(g, members, element::int64, how, bytes(me.mine), me.stream);
    g.close();
  };
  world().reset();
  std::string named;
  auto errors = at_odds(
      [&](party& me, rank_id r) {
        me.net.prepare(p, me.stream);
        reduce(me, r == 0 ? reduction::sum : reduction::max);
        (void)ends(me.system, me.stream, 10ms);
      },
      named);
  for (auto const& e : errors)
    EXPECT_TRUE(contains(e, "rank 1 calls another collective than rank 0")) << e;

  world().reset();
  errors = at_odds(
      [&](party& me, rank_id r) {
        me.net.prepare(p, me.stream);
        reduce(me, reduction::sum);
        EXPECT_TRUE(ends(me.system, me.stream));
        EXPECT_EQ(me.mine, 201);
        if (r == 0) reduce(me, reduction::sum);  // rank 1 never does
      },
      named);
  EXPECT_EQ(errors, nothing(2));
  EXPECT_EQ(named, "rank 0 of communicator 1 waits in a collective for rank 1; ");
}

TEST(transport, members_that_never_come_or_come_twice_are_an_error) {
  world().reset();
  int identity = api::new_identity();
  auto errors = together(2, [&](rank_id r) { party me(identity, 3, r, quick); });
  EXPECT_EQ(errors[1], "rank 1 waited 300 ms to join a communicator of ranks 0 1 2");
  identity = api::new_identity();
  errors = together(2, [&](rank_id r) {
    nccl_transport<api> net(identity, every_rank(2), 1, quick);
    (void)r;
  });
  EXPECT_EQ(errors[0], "rank 1 waited 300 ms to join a communicator of ranks 0 1");
  EXPECT_THROW((nccl_transport<api>(identity, every_rank(2), 2, quick)), std::invalid_argument);
}

TEST(transport, members_on_one_device_are_refused) {
  world().reset();
  int const identity = api::new_identity();
  for (auto const& e : together(2, [&](rank_id r) {
         nccl_double::device() = 5;
         nccl_transport<api> net(identity, every_rank(2), r, patient);
       }))
    EXPECT_TRUE(
        contains(e, "can't join") ||
        contains(
            e,
            "to join a communicator of ranks 0 1: invalid usage: ranks 0 and 1 both on device 5"))
        << e;
}

TEST(transport, members_that_die_are_noticed_and_left_out) {
  for (bool const shrinks : {true, false}) {
    world().reset();
    int const identity = api::new_identity(), second = api::new_identity();
    std::atomic<int> here = 0;
    auto const errors = together(3, [&](rank_id r) {
      party me(identity, 3, r);
      for (++here; here < 3;) std::this_thread::yield();
      if (r == 1) {
        world().kill(1);
        return;
      }
      bool noticed = false;
      try {
        auto g = me.net.open_group();
        me.net.receive(g, bytes(me.came), 1, me.stream);
        g.close();
        for (;;) me.net.poll();
      } catch (nccl_error const& e) {
        noticed = e.status() == nccl_status::remote_error &&
                  contains(e.what(), "a peer closed its connection");
      }
      EXPECT_TRUE(noticed);
      rank_id const dead[] = {1};
      if (shrinks)
        me.net.shrink(dead);
      else
        me.net.rebuild(second, {0, 2});
      EXPECT_EQ(me.net.members(), (std::vector<rank_id>{0, 2}));
      auto g = me.net.open_group();
      me.net.send(g, bytes(std::as_const(me.mine)), 2 - r.value(), me.stream);
      me.net.receive(g, bytes(me.came), 2 - r.value(), me.stream);
      g.close();
      EXPECT_TRUE(ends(me.system, me.stream));
      EXPECT_EQ(me.came, 102 - r.value());
      me.net.close();
    });
    EXPECT_EQ(errors, nothing(3));
    EXPECT_EQ(world().mistakes(), std::vector<std::string>{});
    EXPECT_EQ(world().live_communicators(), 0U);
  }
  static_assert(shrinkable<transport_type> && !shrinkable<nccl_transport<nccl_double::older_api>>);
}

TEST(transport, members_named_by_a_detector_end_every_wait) {
  world().reset({.notices_death = false});
  int const identity = api::new_identity();
  auto const errors = together(2, [&](rank_id r) {
    auto const began = std::chrono::steady_clock::now();
    auto config = patient;
    config.watch = [=] {
      if (std::chrono::steady_clock::now() - began > 20ms) throw peer_lost(1);
    };
    if (r == 0) party(identity, 2, r, config);
  });
  EXPECT_EQ(errors[0], "rank 1 is lost");
}

program reductions_over(std::vector<std::vector<rank_id>> const& groups, std::int32_t ranks) {
  program_builder b(ranks);
  for (rank_id const r : ids<rank_id>(ranks)) b.buffer(r, 8, true);
  for (auto const& members : groups) {
    auto const g = b.group(members);
    for (rank_id const r : members) b.all_reduce(r, g, element::int64, reduction::sum, {0, 0, 8});
  }
  return std::move(b).finish();
}

TEST(transport, communicators_come_and_go_on_all_ranks_alike) {
  world().reset();
  int const identity = api::new_identity();
  std::mt19937_64 engine(5);
  std::vector<std::vector<std::vector<rank_id>>> steps;
  for (int n = 0; n < 25; ++n) {
    auto& groups = steps.emplace_back();
    for (std::int32_t first = 0; first + 1 < 6;) {  // a path of intervals
      auto const last = first + 1 + static_cast<std::int32_t>(engine() % 3);
      groups.push_back(interval(first, std::min(last, 5)).members);
      first = last;
    }
  }
  EXPECT_EQ(together(6,
                     [&](rank_id r) {
                       auto config = patient;
                       config.communicators = 3;
                       party me(identity, 6, r, config);
                       for (auto const& groups : steps) {
                         auto const p = reductions_over(groups, 6);
                         me.net.prepare(p, me.stream);
                         EXPECT_LE(me.net.communicators(), 4U);
                         for (auto const& members : groups) {
                           if (std::find(members.begin(), members.end(), r) == members.end())
                             continue;
                           auto g = me.net.open_group();
                           me.mine = r.value();
                           me.net.all_reduce(g, members, element::int64, reduction::sum,
                                             bytes(me.mine), me.stream);
                           g.close();
                           EXPECT_TRUE(ends(me.system, me.stream));
                           word sum = 0;
                           for (rank_id const m : members) sum += m.value();
                           EXPECT_EQ(me.mine, sum);
                         }
                       }
                       me.net.close();
                     }),
            nothing(6));
  EXPECT_EQ(world().mistakes(), std::vector<std::string>{});
  EXPECT_EQ(world().live_communicators(), 0U);
}

}  // namespace
}  // namespace shunt::tests::transport_test
