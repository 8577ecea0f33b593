#include "shunt/execute/host/in_process_ranks.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/program/builder.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::in_process_ranks_test {
namespace {

using namespace detail;

std::int64_t* number(mixing_work& w, rank_id r) {
  return reinterpret_cast<std::int64_t*>(w.buffer(r, 0).data());
}

TEST(in_process_ranks, a_message_waits_in_a_buffer_until_it_is_received) {
  program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) b.buffer(r, 16, true);
  b.message(0, {0, 0, 8}, 1, {0, 0, 8});
  b.receive(1, 0, {0, 0, 16});
  auto const& p = b.peek();
  mixing_work w(p);
  in_process_ranks<mixing_work> ranks(w);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) ranks.bind(p, r);
  auto const& sender = p.ranks[0];
  auto const& receiver = p.ranks[1];
  *number(w, 0) = 17;
  auto first = ranks.send(sender, 0, sender.instructions[0]);
  *number(w, 0) = 18;
  ranks.receive(receiver, 1, receiver.instructions[0], std::move(first));
  EXPECT_EQ(*number(w, 1), 17);
  auto second = ranks.send(sender, 0, sender.instructions[0]);
  try {
    ranks.receive(receiver, 1, receiver.instructions[1], std::move(second));
    FAIL();
  } catch (invalid_program const& e) {
    EXPECT_STREQ(e.what(), "rank 1 receives 8 bytes, not 16");
  }
}

TEST(in_process_ranks, members_of_a_collective_must_call_for_the_same) {
  program_builder b(2);
  auto const both = b.group({1, 0});
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    b.buffer(r, 16, true);
    b.all_reduce(r, both, element::int64, reduction::sum, {0, 0, 8});
  }
  auto p = b.peek();
  mixing_work w(p);
  *number(w, 0) = 40;
  *number(w, 1) = 2;
  {
    in_process_ranks<mixing_work> ranks(w);
    for (rank_id const r : {rank_id{0}, rank_id{1}}) ranks.bind(p, r);
    auto const d = find_dependencies(p);
    ranks.run_collective(p, d, d.collectives[0]);
  }
  EXPECT_EQ(*number(w, 0), 42);
  EXPECT_EQ(*number(w, 1), 42);
  for (region& x : p.ranks[1].regions) x.size = 16;
  in_process_ranks<mixing_work> ranks(w);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) ranks.bind(p, r);
  auto const d = find_dependencies(p);
  EXPECT_THROW(ranks.run_collective(p, d, d.collectives[0]), invalid_program);
}

}  // namespace
}  // namespace shunt::tests::in_process_ranks_test
