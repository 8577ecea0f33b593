// One conformance suite for all executors.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/nccl/executor.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "support/executor_makers.hpp"
#include "support/host_streams.hpp"
#include "support/nccl_double.hpp"
#include "support/random_choices.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::executors_test {
namespace {

using namespace std::chrono_literals;
using namespace executor_makers;

static_assert(executor_of<inline_executor, mixing_work>);
static_assert(executor_of<thread_executor, mixing_work>);
static_assert(executor_of<simulated_executor<uneven_costs>, mixing_work>);
static_assert(executor_of<stream_executor<host_streams>, mixing_work> &&
              executor_of<graph_executor<host_streams>, mixing_work>);
static_assert(session<inline_session<mixing_work>> && session<thread_session<mixing_work>>);
static_assert(session<simulated_session<uneven_costs, mixing_work>>);

template <class Maker>
class executors : public testing::Test {};
TYPED_TEST_SUITE(executors, every_maker);

template <class T>
std::vector<T> read(mixing_work& w, rank_id r, region const& x) {
  std::vector<T> out(static_cast<std::size_t>(x.size) / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), w.bytes(r, x).data(), static_cast<std::size_t>(x.size));
  return out;
}
template <class T>
void write(mixing_work& w, rank_id r, region const& x, std::vector<T> const& values) {
  if (!values.empty()) std::memcpy(w.bytes(r, x).data(), values.data(), values.size() * sizeof(T));
}

/// (iteration, instruction) of a rank's events as they started.
std::vector<std::pair<int, int>> starts(outcome const& o, rank_id r) {
  std::vector<std::pair<int, int>> order;
  for (event const& e : o.timeline.events)
    if (e.rank == r) order.emplace_back(e.iteration, e.instruction);
  return order;
}

/// What every outcome promises: ranks in order, no event before its lane's predecessor or what it
/// comes after, none twice.
void expect_sound(program const& p, outcome const& o) {
  ASSERT_TRUE(std::is_sorted(o.timeline.events.begin(), o.timeline.events.end(),
                             [](event const& a, event const& b) { return a.rank < b.rank; }));
  for (rank_id const r : ids<rank_id>(p.ranks.size())) {
    auto const& own = p.ranks[r];
    std::map<std::pair<int, int>, event> seen;
    ticks last_start = 0;
    for (event const& e : o.timeline.events) {
      if (e.rank != r) continue;
      EXPECT_LE(e.start, e.end);
      EXPECT_LE(last_start, e.start);
      last_start = e.start;
      EXPECT_TRUE(seen.emplace(std::pair(e.iteration, e.instruction), e).second) << "twice";
      auto const& i = own.instructions[static_cast<std::size_t>(e.instruction)];
      EXPECT_EQ(e.code, i.code);
      EXPECT_EQ(e.op, i.op);
    }
    for (auto const& [at, e] : seen) {
      auto const& i = own.instructions[static_cast<std::size_t>(at.second)];
      for (int k = 0; k < at.second; ++k) {
        auto const after = own.after(i);
        bool const waited = own.instructions[static_cast<std::size_t>(k)].lane == i.lane ||
                            std::find(after.begin(), after.end(), k) != after.end();
        if (!waited) continue;
        auto const before = seen.find({at.first, k});
        ASSERT_NE(before, seen.end());
        EXPECT_LE(before->second.end, e.start);
      }
    }
  }
}

program ring(std::int32_t ranks, byte_count bytes) {
  program_builder b(ranks);
  for (rank_id const r : ids<rank_id>(ranks)) {
    auto const own = b.buffer(r, bytes, true), other = b.buffer(r, bytes);
    rank_id const next = (r.value() + 1) % ranks, last = (r.value() + ranks - 1) % ranks;
    b.send(r, next, b.all_of(r, own));
    b.receive(r, last, b.all_of(r, other));
    b.copy(r, b.all_of(r, other), b.all_of(r, own));
  }
  return std::move(b).finish();
}

TYPED_TEST(executors, pass_a_ring_around) {
  for (std::int32_t const ranks : {2, 3, 5}) {
    auto const p = ring(ranks, 8);
    ASSERT_TRUE(check(p).empty());
    mixing_work w(p);
    for (rank_id const r : ids<rank_id>(ranks)) write<std::int64_t>(w, r, {0, 0, 8}, {r.value()});
    auto const executor = TypeParam::with();
    auto session = executor.open(w);
    auto const shared = std::make_shared<program const>(p);
    for (int n = 0; n < 2 * ranks + 1; ++n) session.submit(shared);
    auto const o = session.wait();
    EXPECT_TRUE(o.lost.empty());
    for (rank_id const r : ids<rank_id>(ranks)) {
      EXPECT_EQ(o.done[r], (progress{2 * ranks + 1, 0}));
      EXPECT_EQ(read<std::int64_t>(w, r, {0, 0, 8}).at(0),
                (r.value() + ranks - 1) % ranks);  // one step on after two rounds
      EXPECT_EQ(starts(o, r).size(), static_cast<std::size_t>(3 * (2 * ranks + 1)));
    }
    expect_sound(p, o);
  }
}

/// A left fold in the group's order, written down once more.
template <class T>
T folded(reduction how, std::vector<T> const& values) {
  T sum = values.at(0);
  for (std::size_t k = 1; k < values.size(); ++k) {
    if (how == reduction::max)
      sum = std::max(sum, values[k]);
    else if constexpr (std::is_integral_v<T>)
      sum = static_cast<T>(static_cast<std::uint64_t>(sum) + static_cast<std::uint64_t>(values[k]));
    else
      sum = sum + values[k];
  }
  return sum;
}

using runner = std::function<outcome(program const&, mixing_work&)>;

template <class T>
void reduce_everything(element type, random_choices& d, runner const& run) {
  std::int32_t const ranks = 6;
  for (std::int32_t n = 1; n <= ranks; ++n)
    for (auto const how : {reduction::sum, reduction::max}) {
      std::vector<rank_id> group;
      while (static_cast<std::int32_t>(group.size()) < n) {
        rank_id const r = d.below(ranks);
        if (std::find(group.begin(), group.end(), r) == group.end()) group.push_back(r);
      }
      std::int32_t const each = 1 + d.below(7), all = each * n;  // elements
      byte_count const part = each * size_of(type), whole = all * size_of(type);
      program_builder b(ranks);
      auto const g = b.group(group);
      for (rank_id const r : ids<rank_id>(ranks))
        for (byte_count const bytes : {whole, whole, part, whole}) b.buffer(r, bytes, true);
      for (rank_id const r : group) {
        b.all_reduce(r, g, type, how, {0, 0, whole});
        b.reduce_scatter(r, g, type, how, {1, 0, whole}, {2, 0, part});
        b.all_gather(r, g, {2, 0, part}, {3, 0, whole});
      }
      for (std::size_t k = 0; k < group.size(); ++k) {  // in place
        auto const at = static_cast<byte_count>(k) * part;
        b.reduce_scatter(group[k], g, type, how, {1, 0, whole}, {1, at, part});
        b.all_gather(group[k], g, {1, at, part}, {1, 0, whole});
      }
      auto const p = std::move(b).finish();
      ASSERT_TRUE(check(p).empty());

      mixing_work w(p);
      std::vector<std::vector<T>> in(group.size());
      for (std::size_t k = 0; k < group.size(); ++k) {
        for (std::int32_t e = 0; e < all; ++e) {
          if constexpr (std::is_integral_v<T>) {
            auto const upper = d.below(std::int64_t{1} << 31) * (std::int64_t{1} << 31);
            in[k].push_back(static_cast<T>(upper + d.below(std::int64_t{1} << 31)));
          } else {
            in[k].push_back(static_cast<T>(d.below(1 << 24) - (1 << 23)));
            in[k].back() /= static_cast<T>(1 + d.below(1000));
          }
        }
        write(w, group[k], {0, 0, whole}, in[k]);
        write(w, group[k], {1, 0, whole}, in[k]);
      }
      std::vector<T> expected;
      for (std::size_t e = 0; e < static_cast<std::size_t>(all); ++e) {
        std::vector<T> column;
        for (auto const& values : in) column.push_back(values[e]);
        expected.push_back(folded(how, column));
      }
      auto const o = run(p, w);
      expect_sound(p, o);
      for (std::size_t k = 0; k < group.size(); ++k) {
        EXPECT_EQ(read<T>(w, group[k], {0, 0, whole}), expected);
        auto const begin = expected.begin() + static_cast<std::ptrdiff_t>(k) * each;
        EXPECT_EQ(read<T>(w, group[k], {2, 0, part}), (std::vector<T>(begin, begin + each)));
        EXPECT_EQ(read<T>(w, group[k], {3, 0, whole}), expected);
        EXPECT_EQ(read<T>(w, group[k], {1, 0, whole}), expected);
      }
    }
}

TYPED_TEST(executors, reduce_in_the_groups_order) {
  random_choices d(7);
  runner const run = [](program const& p, mixing_work& w) { return TypeParam::with().run(p, w); };
  reduce_everything<std::uint8_t>(element::bytes, d, run);
  reduce_everything<std::int32_t>(element::int32, d, run);
  reduce_everything<std::int64_t>(element::int64, d, run);
  reduce_everything<float>(element::float32, d, run);
  reduce_everything<double>(element::float64, d, run);
}

program all_to_all(std::vector<rank_id> const& group, std::int32_t ranks, byte_count capacity) {
  program_builder b(ranks);
  auto const n = static_cast<byte_count>(group.size());
  auto const g = b.group(group);
  for (rank_id const r : ids<rank_id>(ranks))
    for (byte_count const bytes : {n * capacity, 8 * n, n * capacity, 8 * n})
      b.buffer(r, bytes, true);
  for (rank_id const r : group)
    b.exchange(r, g, {0, 0, n * capacity}, {1, 0, 8 * n}, {2, 0, n * capacity}, {3, 0, 8 * n});
  return std::move(b).finish();
}

TYPED_TEST(executors, exchange_what_the_counts_say) {
  random_choices d(11);
  for (int round = 0; round < 6; ++round) {
    std::vector<rank_id> const group =
        round % 2 == 0 ? std::vector<rank_id>{3, 0, 2} : std::vector<rank_id>{1, 0, 3, 2};
    auto const n = group.size();
    byte_count const capacity = 40;
    auto const p = all_to_all(group, 4, capacity);
    ASSERT_TRUE(check(p).empty());
    mixing_work w(p);
    std::vector<std::vector<std::int64_t>> counts(n);
    auto const payload = [](std::size_t from, std::size_t to) {
      return static_cast<std::uint8_t>(1 + 16 * from + to);
    };
    for (std::size_t k = 0; k < n; ++k) {
      std::vector<std::uint8_t> out;
      for (std::size_t j = 0; j < n; ++j) {
        counts[k].push_back(round == 0 ? (j == k ? 40 : 0) : d.below(capacity + 1));
        out.insert(out.end(), static_cast<std::size_t>(capacity), payload(k, j));
      }
      write(w, group[k], {0, 0, static_cast<byte_count>(n) * capacity}, out);
      write(w, group[k], {1, 0, static_cast<byte_count>(8 * n)}, counts[k]);
      write(w, group[k], {2, 0, static_cast<byte_count>(n) * capacity},
            std::vector<std::uint8_t>(n * static_cast<std::size_t>(capacity), 0xee));
    }
    (void)TypeParam::with().run(p, w);
    for (std::size_t k = 0; k < n; ++k) {
      auto const in =
          read<std::uint8_t>(w, group[k], {2, 0, static_cast<byte_count>(n) * capacity});
      auto const came = read<std::int64_t>(w, group[k], {3, 0, static_cast<byte_count>(8 * n)});
      for (std::size_t j = 0; j < n; ++j) {
        EXPECT_EQ(came[j], counts[j][k]);
        for (byte_count at = 0; at < capacity; ++at)
          EXPECT_EQ(in[j * static_cast<std::size_t>(capacity) + static_cast<std::size_t>(at)],
                    at < counts[j][k] ? payload(j, k) : std::uint8_t{0xee});
      }
    }
  }
}

TYPED_TEST(executors, refuse_counts_beyond_their_part) {
  auto const p = all_to_all({0, 1, 2}, 3, 16);
  for (std::int64_t const wrong : {std::int64_t{17}, std::int64_t{-1}, std::int64_t{1} << 62}) {
    mixing_work w(p);
    write<std::int64_t>(w, 1, {1, 0, 24}, {3, 4, wrong});
    try {
      (void)TypeParam::with().run(p, w);
      FAIL();
    } catch (invalid_program const& e) {
      EXPECT_NE(
          std::string(e.what()).find("exchange on rank 1: count 2 is " + std::to_string(wrong)),
          std::string::npos)
          << e.what();
    }
  }
}

TYPED_TEST(executors, give_the_same_bytes_in_the_same_order) {
  random_choices d(3);
  for (int round = 0; round < 60; ++round) {
    auto const p = random_program(d, round % 3 == 0 ? 3 : 1);
    auto const wrong = check(p);
    ASSERT_TRUE(wrong.empty()) << to_string(wrong.front());
    mixing_work expected(p), found(p);
    auto const shared = std::make_shared<program const>(p);
    auto const reference = on_one_thread::with();
    auto const executor = TypeParam::with();
    auto a = reference.open(expected, 5);
    auto b = executor.open(found, 5);
    for (int n = 0; n < 3; ++n) a.submit(shared), b.submit(shared);
    auto const first = a.wait(), second = b.wait();
    EXPECT_TRUE(expected == found) << "program " << round;
    EXPECT_EQ(first.done, second.done);
    expect_sound(p, second);
    for (rank_id const r : ids<rank_id>(p.ranks.size())) {
      auto one = starts(first, r), other = starts(second, r);
      if (round % 3 == 0) {  // lanes may overtake each other, but none itself (expect_sound)
        std::sort(one.begin(), one.end());
        std::sort(other.begin(), other.end());
      }
      EXPECT_EQ(one, other);
    }
  }
}

TYPED_TEST(executors, know_the_iteration) {
  program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    b.buffer(r, 64);
    b.compute(r, {.kind = op_kind::step}, {}, {{0, 0, 64}});
  }
  mixing_work w(b.peek());
  std::vector<std::int64_t> kept[2];
  w.before = [&](rank_id r, task const& t) { kept[r.index()].push_back(t.iteration); };
  auto const executor = TypeParam::with();
  auto session = executor.open(w, 41);
  session.submit(b.peek());
  session.submit(b.peek());
  EXPECT_TRUE(session.wait_until(1));
  EXPECT_GE(session.completed_at(1), 0);
  session.submit(b.peek());
  EXPECT_TRUE(session.wait_until(3));
  EXPECT_LE(session.completed_at(1), session.completed_at(3));
  auto const o = session.wait();
  for (auto const& seen : kept) EXPECT_EQ(seen, (std::vector<std::int64_t>{41, 42, 43}));
  EXPECT_EQ(starts(o, 1), (std::vector<std::pair<int, int>>{{0, 0}, {1, 0}, {2, 0}}));
}

TYPED_TEST(executors, notice_a_silent_rank_wherever_it_falls) {
  random_choices d(19);
  for (int round = 0; round < 3; ++round) {
    auto p = random_program(d);
    while (p.ranks.size() < 3) p = random_program(d);
    for (rank_id const victim : ids<rank_id>(p.ranks.size())) {
      auto const length = static_cast<std::int32_t>(p.ranks[victim].instructions.size());
      for (std::int32_t at = 0; at <= length; ++at) {
        std::vector<failure_point> const failures{
            {.rank = victim, .iteration = 1, .instruction = at}};
        auto const run = [&](auto const& executor) {
          mixing_work w(p);
          auto session = executor.open(w);
          for (int n = 0; n < 3; ++n) session.submit(p);
          EXPECT_EQ(session.wait_until(2), length == 0);
          return session.wait();
        };
        auto const most = run(on_one_thread::with(failures)), o = run(TypeParam::with(failures));
        if (length == 0) {  // takes no part
          EXPECT_TRUE(o.lost.empty());
          continue;
        }
        EXPECT_EQ(o.lost, std::vector<rank_id>{victim});
        EXPECT_EQ(o.done[victim], (progress{1, at}));
        for (rank_id const r : ids<rank_id>(p.ranks.size())) {
          EXPECT_LE(o.done[r], most.done[r]);
          auto const order = starts(o, r);
          auto const list = static_cast<std::int32_t>(p.ranks[r].instructions.size());
          EXPECT_EQ(static_cast<std::int32_t>(order.size()),
                    o.done[r].programs * list + o.done[r].instructions);
        }
        expect_sound(p, o);
      }
    }
  }
}

TYPED_TEST(executors, lose_several_ranks) {
  auto const p = ring(5, 8);
  mixing_work w(p);
  auto const o = TypeParam::with({{3, 0, 0}, {1, 0, 0}, {1, 0, 2}}).run(p, w);
  std::vector<rank_id> const both{1, 3};
  if constexpr (requires { TypeParam::by_the_clock; })
    EXPECT_TRUE(!o.lost.empty() && std::ranges::includes(both, o.lost));
  else
    EXPECT_EQ(o.lost, both);
  EXPECT_EQ(o.done[1], (progress{0, 0}));
  EXPECT_EQ(o.done[3], (progress{0, 0}));
}

TYPED_TEST(executors, leave_no_message_to_another_program) {
  auto const begun = [] {
    program_builder b(2);
    for (rank_id const r : {rank_id{0}, rank_id{1}}) b.buffer(r, 8, true);
    return b;
  };
  auto first = begun(), second = begun();
  first.send(0, 1, {0, 0, 8});  // rank 1 never takes it
  first.receive(1, 0, {0, 0, 8});
  second.fill(0, {0, 0, 8});
  second.receive(0, 1, {0, 0, 8});  // the same number as the receive of the first program
  second.send(1, 0, {0, 0, 8});
  mixing_work w(first.peek());
  auto const executor = TypeParam::with({{1, 0, 0}});
  auto session = executor.open(w);
  session.submit(first.peek());
  session.submit(second.peek());
  auto const o = session.wait();
  EXPECT_EQ(o.lost.size(), 1U);
  if constexpr (requires { TypeParam::sends_wait; })
    EXPECT_LE(o.done[0], (progress{1, 1}));
  else
    EXPECT_EQ(o.done[0], (progress{1, 1}));
  EXPECT_EQ(o.done[1], (progress{0, 0}));
}

TYPED_TEST(executors, pass_on_what_the_work_throws) {
  program_builder b(3);
  for (rank_id const r : ids<rank_id>(3)) {
    b.buffer(r, 8, true);
    b.compute(r, {}, {}, {});
    b.send(r, (r.value() + 1) % 3, {0, 0, 8});
    b.receive(r, (r.value() + 2) % 3, {0, 0, 8});
  }
  for (std::int32_t victim = 0; victim < 3; ++victim) {
    mixing_work w(b.peek());
    w.before = [victim](rank_id r, task const& t) {
      if (r == victim && t.iteration == 2)
        throw std::runtime_error("rank " + std::to_string(victim) + " gives up");
    };
    auto const executor = TypeParam::with();
    {
      auto session = executor.open(w);
      for (int n = 0; n < 4; ++n) session.submit(b.peek());
      EXPECT_FALSE(session.wait_until(3));
      try {
        (void)session.wait();
        FAIL();
      } catch (std::runtime_error const& e) {
        EXPECT_EQ(e.what(), "rank " + std::to_string(victim) + " gives up");
      }
    }
    {  // and a session that nobody waits for ends as well
      auto session = executor.open(w);
      for (int n = 0; n < 4; ++n) session.submit(b.peek());
    }
    auto again = executor.open(w, 10);
    again.submit(b.peek());
    EXPECT_EQ(again.wait().done[0], (progress{1, 0}));
  }
}

TYPED_TEST(executors, refuse_ranks_that_wait_for_each_other_before_they_start) {
  program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    auto const all = region{b.buffer(r, 8, true), 0, 8};
    b.compute(r, {}, {}, {});
    b.receive(r, 1 - r.value(), all);
    b.send(r, 1 - r.value(), all);
  }
  mixing_work w(b.peek());
  std::atomic<int> computed = 0;
  w.before = [&](rank_id, task const&) { ++computed; };
  try {
    (void)TypeParam::with().run(b.peek(), w);
    FAIL();
  } catch (invalid_program const& e) {
    EXPECT_STREQ(e.what(), "ranks wait for each other: rank 0, instruction 1 (receive) for rank 1, "
                           "instruction 1 (receive) for rank 0");
  }
  EXPECT_EQ(computed, 0);
}

TYPED_TEST(executors, refuse_what_does_not_fit) {
  auto const three = ring(3, 8), four = ring(4, 8), wide = ring(3, 80);
  mixing_work w(three);
  auto const executor = TypeParam::with();
  {
    auto session = executor.open(w);
    session.submit(three);
    EXPECT_THROW(session.submit(four), invalid_program);
    EXPECT_THROW((void)session.wait_until(2), std::logic_error);
    EXPECT_EQ(session.wait().done[2], (progress{1, 0}));
    EXPECT_THROW(session.submit(three), std::logic_error);
  }
  try {
    (void)executor.run(wide, w);
    FAIL();
  } catch (invalid_program const& e) {
    EXPECT_NE(std::string(e.what()).find("buffer 0: has 64 of 80 bytes"), std::string::npos)
        << e.what();
  }
  auto outside = three;
  outside.ranks[1].regions[0].offset = 1;
  EXPECT_THROW((void)executor.run(outside, w), invalid_program);
  auto unequal = three;
  unequal.ranks[1].regions[0].size = 4;
  EXPECT_THROW((void)executor.run(unequal, w), invalid_program);
  auto empty = executor.open(w);
  EXPECT_THROW(empty.submit(program{}), invalid_program);
  EXPECT_EQ(empty.wait().done.size(), 0U);
}

}  // namespace
}  // namespace shunt::tests::executors_test
