#include "shunt/nccl/detail/rank_streams.hpp"

#include <gtest/gtest.h>

#include <barrier>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "shunt/program/builder.hpp"
#include "support/nccl_double.hpp"
#include "support/nccl_parties.hpp"

namespace shunt::tests::rank_streams_test {
namespace {

using namespace nccl_parties;

/// Two buffers of one word on each rank; a forward throws.
struct word_work {
  struct alignas(64) line {
    std::int64_t word = 0;
  };
  std::vector<line> lines = std::vector<line>(4);

  void operator()(rank_id, task const&) { throw std::runtime_error("no data"); }
  std::span<std::byte> buffer(rank_id r, buffer_id b) {
    return std::as_writable_bytes(std::span(&word(r, b), 1));
  }
  std::int64_t& word(rank_id r, buffer_id b) { return lines[r.index() * 2 + b.index()].word; }
};

using streams = detail::rank_streams<api, nccl_double::system, word_work>;

TEST(rank_streams, keep_what_the_work_threw_when_they_are_stopped) {
  world().reset();
  int const identity = api::new_identity();
  word_work work;
  program_builder b(1);
  b.compute(0, {.kind = op_kind::forward}, {}, {});
  auto const p = std::make_shared<program const>(std::move(b).finish());
  EXPECT_EQ(together(1,
                     [&](rank_id r) {
                       nccl_double::system system(r.value());
                       shared_guard<nccl_double::system> guard;
                       shared_posts posts;
                       std::optional<streams> lists;
                       transport_type net(identity, every_rank(1), r, quick);
                       lists.emplace(system, net, work, guard, posts, 0, float_order::of_the_group,
                                     0);
                       lists->prepare(*p);
                       lists->enqueue(p, 1, true);
                       system.synchronize();  // nobody has asked for results yet
                       guard.stop(system);
                       net.abort();
                       lists->collect_stopped();
                       EXPECT_NE(lists->thrown(), nullptr);
                     }),
            nothing(1));
}

TEST(rank_streams, that_are_stopped_reduce_nothing_in_a_persistent_buffer) {
  constexpr std::int32_t ranks = 2;
  constexpr buffer_id sum{0}, reduced{1};
  for (std::uint64_t seed = 1; seed < 10; ++seed) {
    world().reset({.seed = seed});
    int const identity = api::new_identity();
    word_work work;
    program_builder b(ranks);
    auto const both = b.group({0, 1});
    for (rank_id const r : ids<rank_id>(ranks)) {
      b.buffer(r, sum, 8, true);
      b.buffer(r, reduced, 8, true);
      b.copy(r, {sum, 0, 8}, {reduced, 0, 8});
      b.all_reduce(r, both, element::int64, reduction::sum, {reduced, 0, 8});
      work.word(r, sum) = 1;
      work.word(r, reduced) = 7;
    }
    auto const p = std::make_shared<program const>(std::move(b).finish());
    shared_guard<nccl_double::system> guard;
    shared_posts posts;
    std::barrier step(ranks);
    auto const errors = together(ranks, [&](rank_id r) {
      nccl_double::system system(r.value());
      std::optional<streams> lists;
      transport_type net(identity, every_rank(ranks), r, patient);
      lists.emplace(system, net, work, guard, posts, 0, float_order::of_the_group, 0);
      lists->prepare(*p);
      step.arrive_and_wait();
      if (r == 0) guard.stop(system);
      step.arrive_and_wait();
      lists->enqueue(p, 2, true);
      system.synchronize();  // the collective itself runs
      EXPECT_FALSE(lists->collect_results());
      lists->collect_stopped();
      EXPECT_EQ(lists->log().done(), (progress{0, 0}));
      net.abort();
    });
    EXPECT_EQ(errors, nothing(ranks));
    for (rank_id const r : ids<rank_id>(ranks)) EXPECT_EQ(work.word(r, reduced), 7);
  }
}

}  // namespace
}  // namespace shunt::tests::rank_streams_test
