// The least model of each concept of execute/ and simulate/, through everything generic that asks
// for it. What is instantiated here only has to compile.
#include "archetypes.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "shunt/execute/host/collectives.hpp"
#include "shunt/execute/host/in_process_ranks.hpp"
#include "shunt/execute/host/rank_interpreter.hpp"
#include "shunt/execute/rank_memory.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "shunt/execute/stream_transport.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/simulate/cost_model.hpp"
#include "shunt/simulate/simulated_executor.hpp"

namespace archetypes {

// Cost models.

class least_costs {
 public:
  explicit least_costs(int) {}
  least_costs(least_costs const&) = default;
  least_costs& operator=(least_costs const&) = delete;
  [[nodiscard]] convertible<ticks> compute(rank_id, operation const&) const {
    return convertible<ticks>(ticks{1} << 40);
  }
  [[nodiscard]] convertible<transfer_time> transfer(rank_id, rank_id, byte_count) const {
    return convertible<transfer_time>({2, 3});
  }
};
static_assert(cost_model<least_costs>);
static_assert(!collective_cost_model<least_costs>);

class least_collective_costs : public least_costs {
 public:
  using least_costs::least_costs;
  [[nodiscard]] convertible<ticks> collective(opcode, std::span<rank_id const>, byte_count) const {
    return convertible<ticks>(5);
  }
};
static_assert(collective_cost_model<least_collective_costs>);

// Stream transports: the library's generic code asks for none yet.

struct least_stream_transport : immovable {
  using stream = least_stream_ref;
  struct group : immovable {
    void close() {}
  };
  [[nodiscard]] rank_id rank() const { return 0; }
  [[nodiscard]] convertible<std::int32_t> size() const { return convertible<std::int32_t>(1); }
  group open_group() { return {}; }
  void send(group&, std::span<std::byte const>, rank_id, stream) {}
  void receive(group&, std::span<std::byte>, rank_id, stream) {}
};
static_assert(stream_transport<least_stream_transport>);

struct least_collective_stream_transport : least_stream_transport {
  void all_reduce(group&, std::span<rank_id const>, element, reduction, std::span<std::byte>,
                  stream) {}
  void reduce_scatter(group&, std::span<rank_id const>, element, reduction,
                      std::span<std::byte const>, std::span<std::byte>, stream) {}
  void all_gather(group&, std::span<rank_id const>, std::span<std::byte const>,
                  std::span<std::byte>, stream) {}
};
static_assert(collective_stream_transport<least_collective_stream_transport>);

using plain_executor =
    least_executor<least_progress_session<least_restorable_work>, least_restorable_work>;
using process_like_executor =
    least_admitting_executor<least_loss_timing_session<least_restorable_work>,
                             least_restorable_work>;

/// An executor for a type that is nothing but restorable: the recovery driver asks for no more.
struct session_of_nothing : immovable {
  explicit session_of_nothing(std::size_t n) : ranks(n) {}
  std::size_t ranks;
  std::int32_t programs = 0;
  void submit(std::shared_ptr<program const> const&) { ++programs; }
  [[nodiscard]] outcome wait() const {
    outcome all;
    all.done.resize(ranks, progress{programs, 0});
    return all;
  }
  [[nodiscard]] convertible<bool> wait_until(std::int32_t n) const {
    return convertible<bool>(n <= programs);
  }
  [[nodiscard]] convertible<ticks> completed_at(std::int32_t n) const {
    return convertible<ticks>(n);
  }
};
struct executor_of_nothing : immovable {
  [[nodiscard]] session_of_nothing open(least_restorable&, std::int64_t) const {
    return session_of_nothing(1);
  }
  [[nodiscard]] outcome run(program const& p, least_restorable& w) const {
    return run_once(*this, p, w);
  }
};
static_assert(progress_executor_of<executor_of_nothing, least_restorable>);

}  // namespace archetypes

template class shunt::rank_memory<archetypes::least_work>;
template class shunt::rank_interpreter<archetypes::least_transport, archetypes::least_work>;
template class shunt::detail::in_process_ranks<archetypes::least_work>;
template class shunt::inline_session<archetypes::least_work>;
template class shunt::thread_session<archetypes::least_work>;
template class shunt::simulated_session<archetypes::least_costs, archetypes::least_work>;
template class shunt::simulated_session<archetypes::least_costs, shunt::no_work>;
template class shunt::simulated_session<archetypes::least_collective_costs, archetypes::least_work>;
template class shunt::stream_session<archetypes::least_system, archetypes::least_stream_work,
                                     false>;
template class shunt::stream_session<archetypes::least_calling_system, archetypes::least_work,
                                     false>;
template class shunt::stream_session<archetypes::least_graph_system, archetypes::least_stream_work,
                                     true>;

namespace {

using namespace shunt;
using namespace archetypes;

/// One rank that computes, fills and reduces with itself.
program one_rank(std::int32_t ranks = 1) {
  program_builder b(ranks);
  for (rank_id const r : ids<rank_id>(ranks)) b.buffer(r, 64, true);
  b.fill(0, {0, 0, 16});
  b.compute(0, {.kind = op_kind::step}, {b.all_of(0, 0)}, {b.all_of(0, 0)});
  b.all_reduce(0, b.group({0}), element::int64, reduction::sum, {0, 0, 16});
  return std::move(b).finish();
}

TEST(archetypes, run_one_program_on_every_executor) {
  auto const p = one_rank();
  least_work w;
  EXPECT_EQ(run_once(inline_executor{}, p, w).done[0].programs, 1);
  EXPECT_EQ(run_once(thread_executor{}, p, w).done[0].programs, 1);
  EXPECT_EQ(run_once(simulated_executor{least_costs(0)}, p, w).done[0].programs, 1);
  EXPECT_EQ(
      run_once(least_executor<least_session<least_work>, least_work>{}, p, w).done[0].programs, 1);
  EXPECT_EQ(w.computed, 4);
  least_stream_work on_streams;
  least_system system;
  EXPECT_EQ(run_once(stream_executor<least_system>{&system}, p, on_streams).done[0].programs, 1);
  least_graph_system graphs;
  EXPECT_EQ(run_once(graph_executor<least_graph_system>{&graphs}, p, on_streams).done[0].programs,
            1);
}

TEST(archetypes, times_of_a_cost_model_are_converted_to_ticks_not_cut) {
  auto const result = simulated_executor{least_collective_costs(0)}.run(one_rank());
  ASSERT_EQ(result.timeline.events.size(), 3U);
  EXPECT_EQ(result.timeline.events[1].end, ticks{1} << 40);
  EXPECT_EQ(result.timeline.events[2].end, (ticks{1} << 40) + 5);
}

TEST(archetypes, collectives_ask_for_a_transport_alone) {
  least_transport net;
  std::vector<rank_id> const members{0};
  std::vector<std::byte> scratch;
  detail::membership<least_transport> const group{net, members, 0, -1, scratch};
  std::array<std::byte, 8> bytes{}, counts{};
  detail::all_reduce(group, element::int64, reduction::sum, bytes);
  detail::reduce_scatter(group, element::int64, reduction::sum, bytes, bytes);
  detail::all_gather(group, bytes, bytes);
  detail::exchange(group, bytes, counts, bytes, counts);
  EXPECT_EQ(bytes, counts);
}

/// A plan for two ranks, of which only rank 0 has work; without it there is no plan.
std::optional<program> plan(std::span<rank_id const> dead) {
  if (!dead.empty() && dead[0] == rank_id{0}) return std::nullopt;
  return one_rank(2);
}

TEST(archetypes, the_recovery_driver_asks_for_a_progress_executor_alone) {
  plain_executor const executor;
  least_restorable_work w;
  std::vector<std::int64_t> completed;
  auto const report =
      run_through_losses(executor, w, {.end = 5}, plan,
                         [&](completed_iteration const& c) { completed.push_back(c.iteration); });
  EXPECT_EQ(report.end, 5);
  EXPECT_EQ(completed, (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(w.computed, 5);
}

TEST(archetypes, the_recovery_driver_uses_what_an_executor_of_processes_adds) {
  process_like_executor executor;
  executor.on.failures = {{.rank = 0, .iteration = 2, .instruction = 1}};
  least_restorable_work w;
  auto const report = run_through_losses(
      executor, w, {.end = 4, .dead = {1}, .joins = {{.rank = 1, .iteration = 1}}}, plan,
      [](completed_iteration const&) {},
      [](rank_id, std::span<rank_id const>) { return std::optional(one_rank(2)); });
  EXPECT_EQ(report.end, 2);  // rank 0 is lost, and there is no plan without it
  EXPECT_EQ(report.joined.size(), 1U);
  EXPECT_EQ(executor.admitted, 1);
  ASSERT_EQ(report.losses.size(), 1U);
  EXPECT_EQ(report.losses[0].noticed, 7);
  EXPECT_EQ(report.losses[0].detect, 2);
  EXPECT_EQ(w.restored, 0);
}

TEST(archetypes, the_recovery_driver_asks_the_work_to_be_restorable_alone) {
  executor_of_nothing const executor;
  least_restorable w;
  auto const one = [](std::span<rank_id const>) { return std::optional(one_rank()); };
  auto const report = run_through_losses(executor, w, {.end = 3}, one, [](auto const&) {});
  EXPECT_EQ(report.end, 3);
  EXPECT_EQ(w.restored, 0);
}

}  // namespace
