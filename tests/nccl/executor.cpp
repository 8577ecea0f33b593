// Lowered pipelines and MoE iterations over the NCCL double, bit for bit as the reference leaves
// them; and the duties of the executor itself.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/check/program_transport.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/transport.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/lower/moe_iteration.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/nccl/communicator.hpp"
#include "shunt/nccl/executor.hpp"
#include "shunt/nccl/library.hpp"
#include "shunt/nccl/rendezvous.hpp"
#include "shunt/nccl/routes.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/pipeline/chimera.hpp"
#include "shunt/solve/pipeline/dual_pipe.hpp"
#include "shunt/solve/pipeline/dual_pipe_v.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/hanayo.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"
#include "shunt/solve/pipeline/interleaved_zero_bubble.hpp"
#include "shunt/solve/pipeline/looped_bfs.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "support/nccl_double.hpp"
#include "support/random_choices.hpp"
#include "support/sample_programs.hpp"
#include "support/scratch_directory.hpp"

namespace shunt::tests::executor_test {
namespace {

using namespace detail;
using namespace std::chrono_literals;
using kind = message_routes::kind;
using nccl_double::world;

using on_nccl = nccl_executor<nccl_double::api, nccl_double::devices>;
static_assert(executor_of<on_nccl, mixing_work>);
static_assert(session<nccl_session<nccl_double::api, nccl_double::devices, mixing_work>>);

/// Runs programs three times in a row, both ways, and compares all memory.
template <class Work>
void expect_same_bytes(std::vector<program> const& programs, Work expected, std::string const& what,
                       on_nccl const& executor = {}, std::size_t queues = 0) {
  static std::uint64_t seed = 0;
  world().reset({.seed = ++seed, .queues = queues});
  Work found = expected;
  {
    auto reference = inline_executor{}.open(expected, 5);
    auto session = executor.open(found, 5);
    std::vector<std::shared_ptr<program const>> shared;
    for (auto const& p : programs) shared.push_back(std::make_shared<program const>(p));
    for (int n = 0; n < 3; ++n)
      for (auto const& p : shared) reference.submit(p), session.submit(p);
    auto const a = reference.wait(), b = session.wait();
    EXPECT_EQ(a.done, b.done) << what;
    EXPECT_EQ(a.timeline.events.size(), b.timeline.events.size()) << what;
  }
  EXPECT_TRUE(expected == found) << what;
  EXPECT_EQ(world().mistakes(), std::vector<std::string>{}) << what;
  EXPECT_EQ(world().live_communicators(), 0U) << what;
}

template <class Generator>
void pipelines_of(pipeline_job const& job, Generator const& generator) {
  auto const plan = generator(job).plan;
  std::vector<std::pair<message_lanes, kind>> const all = {
      {message_lanes::one_per_rank, kind::all},
      {message_lanes::one_per_peer, kind::pair},
      {message_lanes::one_per_edge, kind::edge}};
  for (auto const& [lanes, most] : all) {
    auto const p =
        lower(job, plan, {.activation = 24, .stash = 40, .gradient = 16, .state = 16}, {lanes, 1});
    auto const what = std::string(Generator::name) + ", " + std::string(to_string(lanes));
    ASSERT_TRUE(check(p).empty() && check_rendezvous(p).empty() && check_without_tags(p).empty())
        << what;
    auto const routes = find_routes(p);
    EXPECT_LE(routes.apart, most) << what;
    EXPECT_FALSE(routes.buffered) << what;
    // CUDA's number, at least that of lanes.
    expect_same_bytes(std::vector{p}, mixing_work(p), what, {}, 8);
  }
}

pipeline_job job_of(std::int32_t ranks, std::int32_t microbatches,
                    stage_layout layout = stage_layout::linear(), std::int32_t chunks = 1,
                    std::int32_t pipelines = 1) {
  return {.pipelines = pipelines,
          .stages = ranks * chunks,
          .microbatches = microbatches,
          .layout = layout};
}

TEST(executor, pipelines_of_all_generators_with_all_lanes) {
  pipelines_of(job_of(4, 6), gpipe{});
  pipelines_of(job_of(4, 6), one_f_one_b{});
  pipelines_of(job_of(3, 5), zb_h1{});
  pipelines_of(job_of(3, 6, stage_layout::looped(2), 2), interleaved_one_f_one_b{});
  pipelines_of(job_of(2, 4, stage_layout::looped(2), 2), interleaved_zero_bubble{});
  pipelines_of(job_of(3, 4, stage_layout::looped(2), 2), looped_bfs{});
  pipelines_of(job_of(2, 4, stage_layout::wave(2), 2), hanayo{});
  pipelines_of(job_of(4, 3, stage_layout::bidirectional(), 1, 2), chimera{});
  pipelines_of(job_of(4, 4, stage_layout::bidirectional(), 1, 2), dual_pipe{});
  pipelines_of(job_of(3, 6, stage_layout::wave(2), 2), dual_pipe_v{});
  pipelines_of(job_of(4, 6, stage_layout::linear(), 1, 2), one_f_one_b{});
  pipelines_of(
      {.pipelines = 3, .stages = 3, .microbatches = 4, .costs = {.step = 2}, .dead = {{1, 2}}},
      slipstream{.effort = 20'000});
}

/// Mixes bytes, but keeps the counts of exchanges within their parts.
class counting_work : public mixing_work {
 public:
  counting_work(program const& p, std::int64_t part) : mixing_work(p), part_(part) {}
  void operator()(rank_id r, task const& t) {
    mixing_work::operator()(r, t);
    for (region const& x : t.writes)
      if (x.buffer == moe_buffers::outgoing_counts)
        for (auto words = bytes(r, x); words.size() >= 8; words = words.subspan(8)) {
          std::uint64_t n = 0;
          std::memcpy(&n, words.data(), 8);
          n %= static_cast<std::uint64_t>(part_) + 1;
          std::memcpy(words.data(), &n, 8);
        }
  }
  bool operator==(counting_work const& other) const { return mixing_work::operator==(other); }

 private:
  std::int64_t part_;
};
static_assert(work<counting_work>);

TEST(executor, moe_iterations_with_their_weight_scatter) {
  random_choices d(17);
  for (int round = 0; round < 8; ++round) {
    std::int32_t const ranks = 2 + d.below(4), experts = 2 + d.below(4), layers = 1 + d.below(2);
    expert_layers problem{.layers = layers, .experts = experts, .loads = {}};
    for (std::int32_t r = 0; r < ranks; ++r) problem.slots_per_rank.push_back(1 + d.below(2));
    while (problem.slots() < experts) ++problem.slots_per_rank[0];
    auto const placement = [&] {
      problem.loads.clear();
      for (std::int32_t n = 0; n < layers * experts; ++n) problem.loads.push_back(d.below(100));
      return swift_moe{}(problem).plan;
    };
    moe_shape shape{.layers = layers,
                    .tokens = 4,
                    .slot_capacity = 3,
                    .token_bytes = 8,
                    .hidden_bytes = 32,
                    .kept_bytes = 32,
                    .dense_bytes = 16,
                    .sums = 3};
    shape.experts = {.experts = experts,
                     .ranks = ranks,
                     .elements = 2 * ranks,
                     .gradient_bytes = 8,
                     .weight_bytes = 4};
    auto const shards = uniform_shards{}(shape.experts).plan;
    auto const now = placement(), next = placement();
    std::vector<program> both = {
        lower(shape, now, shards,
              gradient_collection{.form = round % 2 == 0 ? collection_form::direct
                                                         : collection_form::reduce_then_gather}),
        lower(shape, next, shards, weight_scatter{})};
    for (auto const& p : both) ASSERT_TRUE(check(p).empty());
    auto const part = part_tokens(shape, now) * shape.token_bytes;
    expect_same_bytes(both, counting_work(both[0], part), "round " + std::to_string(round));
  }
}

TEST(executor, floats_as_nccl_adds_them_where_that_is_wanted) {
  program_builder b(3);
  auto const g = b.group({0, 1, 2});
  for (rank_id const r : ids<rank_id>(3)) {
    b.buffer(r, 96, true);
    b.all_reduce(r, g, element::float32, reduction::sum, {0, 0, 96});
  }
  auto const p = std::move(b).finish();
  world().reset();
  auto const filled = [&] {
    mixing_work w(p);
    for (rank_id const r : ids<rank_id>(3))
      for (float at = 0;
           auto& f : std::span(reinterpret_cast<float*>(w.bytes(r, {0, 0, 96}).data()), 24))
        f = 1.0F / (3 + at++ * static_cast<float>(r.value() + 1));
    return w;
  };
  auto by_nccl = filled(), exact = filled(), reference = filled();
  (void)on_nccl{.floats = float_order::of_nccl}.run(p, by_nccl);
  EXPECT_EQ(world().records().size(), 3U);
  (void)on_nccl{}.run(p, exact);
  (void)inline_executor{}.run(p, reference);
  EXPECT_TRUE(exact == reference);
  EXPECT_FALSE(by_nccl == reference);  // the double adds from the other end
  for (rank_id const r : ids<rank_id>(3))
    for (std::size_t k = 0; k < 24; ++k) {
      auto const at = [&](mixing_work& w) {
        return std::span(reinterpret_cast<float*>(w.bytes(r, {0, 0, 96}).data()), 24)[k];
      };
      EXPECT_NEAR(at(by_nccl), at(reference), 1e-6F);
    }
}

TEST(executor, conditions_leave_out_what_travelled_all_the_same) {
  for (std::int64_t const condition : {0, 1}) {
    program_builder b(2);
    auto const g = b.group({0, 1});
    for (rank_id const r : ids<rank_id>(2)) {
      for (int k = 0; k < 4; ++k) b.buffer(r, 16, true);
      region const word{0, 0, 8};
      placing const held{.condition = word};
      if (r == 0)
        b.send(r, 1, {1, 0, 16}, 0, held);
      else
        b.receive(r, 0, {2, 0, 16}, 0, held);
      b.all_reduce(r, g, element::float64, reduction::sum, {1, 0, 16}, held);
      b.reduce_scatter(r, g, element::int64, reduction::max, {1, 0, 16}, {3, 0, 8}, held);
      b.all_gather(r, g, {3, 0, 8}, {2, 0, 16}, held);
      b.compute(r, {.microbatch = 1}, {{2, 0, 16}}, {{3, 8, 8}}, held);
      b.fill(r, {1, 8, 8}, held);
    }
    auto const p = std::move(b).finish();
    ASSERT_TRUE(check(p).empty());
    mixing_work w(p);
    for (rank_id const r : ids<rank_id>(2)) {
      for (int k = 1; k < 4; ++k)
        w(r, {.op = {.microbatch = r.value() + k}, .writes = std::vector<region>{{k, 0, 16}}});
      std::memcpy(w.bytes(r, {0, 0, 8}).data(), &condition, 8);
    }
    expect_same_bytes(std::vector{p}, w, "condition " + std::to_string(condition));
  }
}

TEST(executor, that_need_buffered_sends_get_them) {
  random_choices d(29);
  for (int round = 0; round < 40; ++round) {
    auto const p = random_program(d, 1 + d.below(3));
    ASSERT_TRUE(check(p).empty());
    expect_same_bytes(std::vector{p}, mixing_work(p), "round " + std::to_string(round), {},
                      static_cast<std::size_t>(round) % 4);
  }
  for (std::int32_t const ranks : {2, 5}) {  // everybody sends before it receives
    program_builder b(ranks);
    for (rank_id const r : ids<rank_id>(ranks)) {
      b.buffer(r, 64, true);
      b.buffer(r, 64);
      b.compute(r, {}, {{0, 0, 64}}, {{0, 0, 64}});
      b.send(r, (r.value() + 1) % ranks, {0, 0, 64});
      b.receive(r, (r.value() + ranks - 1) % ranks, {1, 0, 64});
      b.add(r, element::int64, {1, 0, 64}, {0, 0, 64});
    }
    auto const p = std::move(b).finish();
    EXPECT_TRUE(find_routes(p).buffered);
    expect_same_bytes(std::vector{p}, mixing_work(p), "ring");
  }
}

program pair_of_messages() {
  program_builder b(2);
  for (rank_id const r : ids<rank_id>(2)) b.buffer(r, 8, true);
  b.send(0, 1, {0, 0, 8});
  b.receive(1, 0, {0, 0, 8});
  b.compute(1, {}, {{0, 0, 8}}, {{0, 0, 8}});
  return std::move(b).finish();
}

/// Rank `self` of processes that meet in a directory, as one thread.
on_nccl process(nccl_rendezvous const& at, rank_id self, nccl_config net = {}) {
  on_nccl e{.net = std::move(net), .self = self};
  e.share_identity = [at, self](std::span<rank_id const> members) {
    return rendezvous(at, 0, members, self, "device " + std::to_string(self.value()),
                      [] { return nccl_double::api::new_identity(); });
  };
  return e;
}

TEST(executor, processes_hold_one_rank_each) {
  world().reset();
  scratch_directory const here;
  nccl_rendezvous const at{.directory = here.path};
  auto const p = pair_of_messages();
  mixing_work w(p), expected(p);
  (void)inline_executor{}.run(p, expected);
  std::vector<outcome> seen(2);
  std::thread other([&] { seen[1] = process(at, 1).run(p, w); });
  seen[0] = process(at, 0).run(p, w);
  other.join();
  EXPECT_TRUE(w == expected);
  for (auto const& o : seen) {
    EXPECT_TRUE(o.lost.empty());
    EXPECT_EQ(o.done[0], (progress{1, 0}));
    EXPECT_EQ(o.done[1], (progress{1, 0}));
  }
  EXPECT_EQ(seen[0].timeline.events.size(), 1U);
  EXPECT_EQ(seen[1].timeline.events.size(), 2U);
}

TEST(executor, processes_say_who_is_missing_and_refuse_other_programs) {
  world().reset();
  scratch_directory const here;
  auto const p = pair_of_messages();
  mixing_work w(p);
  try {
    (void)process({.directory = here.path, .patience = 30ms}, 0).run(p, w);
    FAIL();
  } catch (nccl_error const& e) {
    EXPECT_NE(std::string(e.what()).find("rank 1 did not come"), std::string::npos) << e.what();
  }
  EXPECT_THROW((void)process({.directory = here.path}, 2).run(p, w), invalid_program);
}

TEST(executor, processes_time_out_and_name_what_they_wait_for) {
  world().reset({.notices_death = false});
  scratch_directory const here;
  nccl_rendezvous const at{.directory = here.path};
  auto const p = pair_of_messages();
  mixing_work w(p);
  std::vector<std::string> errors(2);
  auto const run = [&](rank_id self, bool stops) {
    try {
      auto executor = process(at, self, {.silence = 60ms});
      if (stops) executor.failures = {{.rank = self}};
      if (stops) executor.timeout = 300ms;
      (void)executor.run(p, w);
    } catch (std::exception const& e) {
      errors[self.index()] = e.what();
    }
  };
  std::thread other([&] { run(0, true); });
  run(1, false);
  other.join();
  EXPECT_EQ(errors[1],
            "rank 1 completed nothing for 60 ms, waiting for instruction 0, receive from rank 0");
  EXPECT_EQ(errors[0], "");
}

TEST(executor, processes_learn_of_a_loss_from_a_detector) {
  world().reset({.notices_death = false});
  scratch_directory const here;
  nccl_rendezvous const at{.directory = here.path};
  auto const p = pair_of_messages();
  mixing_work w(p);
  outcome seen;
  std::atomic<bool> gone = false;
  std::thread other([&] {
    auto executor = process(at, 0);
    executor.failures = {{.rank = 0}};
    (void)executor.run(p, w);
    gone = true;  // it had met rank 1 before
  });
  nccl_config net;
  net.watch = [&] {
    if (gone) throw peer_lost(0);
  };
  seen = process(at, 1, net).run(p, w);
  other.join();
  EXPECT_EQ(seen.lost, std::vector<rank_id>{0});
  EXPECT_EQ(seen.done[1], (progress{0, 0}));
}

}  // namespace
}  // namespace shunt::tests::executor_test
