#include "shunt/train/moe_run.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/check/program.hpp"
#include "shunt/check/shard_map.hpp"
#include "shunt/core/error.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/incremental.hpp"
#include "shunt/solve/experts/keep_ranks.hpp"
#include "shunt/solve/experts/source_capacity.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "shunt/solve/solver.hpp"
#include "shunt/train/moe_work.hpp"
#include "support/scaled_experts.hpp"

namespace shunt::tests::moe_run_test {
namespace {

static_assert(expert_placer<swift_moe> && expert_placer<eplb> && expert_placer<uniform> &&
              expert_placer<balanced> && expert_placer<incremental> && !expert_placer<int>);

/// The least that a placer is: it can't be copied and has no name. The expert of a slot is the
/// slot's number and the number of the call.
struct shifting_placer {
  shifting_placer() = default;
  shifting_placer(shifting_placer&&) = default;

  solution<expert_placement> operator()(expert_layers const& p) {
    auto answer = uniform{}(p);
    for (auto& e : answer.plan.expert_of) e = (e.value() + calls) % p.experts;
    ++calls;
    return answer;
  }
  std::int32_t calls = 0;
};
static_assert(expert_placer<shifting_placer>);

struct trained {
  std::vector<double> losses{};
  std::vector<float> parameters{};
  bool operator==(trained const&) const = default;
};
struct run_of {
  trained result{};
  std::vector<rank_id> dead{};
  std::int32_t undone = 0;
  byte_count copied = 0;
  double balance = 0;
};
template <class Placer = swift_moe, class Executor = inline_executor>
run_of train(moe_training const& training, Placer place = {}, Executor const& executor = {}) {
  moe_work work(scaled_experts{}, training);
  moe_run<moe_work<scaled_experts>, Placer> run(work, std::move(place));
  run_of all;
  run.on_iteration = [&](std::int64_t, moe_record const& r) {
    all.result.losses.push_back(r.loss);
    all.balance += balance(r);
    EXPECT_TRUE(r.gradients.holds() && r.weights.holds());
    EXPECT_TRUE(check(run.iteration_program()).empty());
    EXPECT_TRUE(check(run.scatter_program()).empty());
  };
  run.on_loss = [&](std::span<rank_id const> lost, std::int64_t) {
    all.dead.insert(all.dead.end(), lost.begin(), lost.end());
  };
  run(executor);
  std::sort(all.dead.begin(), all.dead.end());
  EXPECT_EQ(all.dead, run.dead());
  EXPECT_TRUE(check(run.shape().experts, run.shards()).empty());
  for (rank_id const r : run.dead()) EXPECT_EQ(held_elements(run.shards(), r), 0);
  for (auto const& l : run.losses()) {
    all.undone += l.steps_undone;
    all.copied += l.state_bytes;
  }
  all.result.parameters = run.parameters();
  return all;
}

TEST(moe_run, has_the_same_bits_under_every_placer) {
  auto const training = small_moe_training();
  auto const wanted = train(training, uniform{}).result;
  ASSERT_EQ(wanted.losses.size(), 6U);
  EXPECT_LT(wanted.losses.back(), wanted.losses.front());
  EXPECT_EQ(wanted.parameters.size(), 42U + 2 * 5 * 6);
  EXPECT_EQ(train(training, swift_moe{}).result, wanted);
  EXPECT_EQ(train(training, eplb{}).result, wanted);
  EXPECT_EQ(train(training, balanced{}).result, wanted);
  EXPECT_EQ(train(training, incremental{.moves = 1}).result, wanted);
  EXPECT_EQ(train(training, eplb{} | keep_ranks{}).result, wanted);
  EXPECT_EQ(train(training, shifting_placer{}).result, wanted);
  EXPECT_EQ(train(training, swift_moe{}, thread_executor{}).result, wanted);
}

TEST(moe_run, has_the_bits_of_an_undisturbed_run_wherever_a_rank_is_lost) {
  auto const training = small_moe_training();
  auto const wanted = train(training, uniform{}).result;
  std::int32_t lost = 0, undone = 0;
  for (std::int32_t at = 0; at < 120; ++at) {
    failure_point const one{at % training.ranks, 2, at};
    auto const found = at % 3 == 0 ? train(training, eplb{}, inline_executor{.failures = {one}})
                       : at % 3 == 1
                           ? train(training, swift_moe{}, inline_executor{.failures = {one}})
                           : train(training, incremental{}, inline_executor{.failures = {one}});
    EXPECT_EQ(found.result, wanted) << at;
    lost += !found.dead.empty();
    undone += found.undone;
    EXPECT_EQ(found.copied > 0, !found.dead.empty());
  }
  EXPECT_GT(lost, 50);
  EXPECT_GT(undone, 0);
}

TEST(moe_run, survives_several_losses_on_threads) {
  auto training = small_moe_training();
  training.ranks = 7;
  training.copies = 3;
  auto const wanted = train(training, uniform{}).result;
  using run = moe_run<moe_work<scaled_experts>>;
  for (auto const& failures : std::vector<std::vector<failure_point>>{
           {{1, 2, 20}, {2, 2, 20}},                  // neighbours in one iteration
           {{0, 1, 20}, {1, 2, 50}, {2, 4, 3}},       // one after another
           {{3, run::scatter_before(3), 1}},          // while weights travel
           {{6, 3, 20}, {0, transfer_iteration, 2}},  // while shards travel
           {{6, run::scatter_before(0), 0}}}) {       // before anything is trained
    EXPECT_EQ(train(training, balanced{}, inline_executor{.failures = failures}).result, wanted);
    auto const found =
        train(training, eplb{},
              thread_executor{.failures = failures, .timeout = std::chrono::milliseconds(30)});
    EXPECT_EQ(found.result, wanted);
    EXPECT_EQ(found.dead.size(), failures.size());
  }
}

TEST(moe_run, drops_what_slots_do_not_take) {
  auto training = small_moe_training();
  training.capacity = capacity_factor{};
  std::int64_t dropped = 0;
  moe_work work(scaled_experts{}, training);
  moe_run run(work, uniform{});
  run.on_iteration = [&](std::int64_t, moe_record const& r) {
    for (std::size_t l = 0; l < 2; ++l) {
      dropped += r.dropped[l];
      auto const slots = run.placement().layer(static_cast<std::int32_t>(l));
      std::int64_t beyond = 0;
      for (expert_id const e : ids<expert_id>(5))
        beyond += std::max<std::int64_t>(0, r.loads[l * 5 + e.index()] -
                                                training.slot_capacity() *
                                                    std::count(slots.begin(), slots.end(), e));
      EXPECT_EQ(r.dropped[l], beyond);
    }
  };
  run(inline_executor{});
  EXPECT_GT(dropped, 0);
}

TEST(moe_run, drops_what_sources_have_no_room_for) {
  auto training = small_moe_training();
  training.sources = source_capacity{.min_capacity = 1};
  auto const room = training.sources->room(training.tokens, 5);
  auto const all = [&](auto place, auto const& executor) {
    moe_work work(scaled_experts{}, training);
    moe_run<moe_work<scaled_experts>, decltype(place)> run(work, place);
    std::vector<moe_record> records;
    run.on_iteration = [&](std::int64_t, moe_record const& r) {
      records.push_back(r);
      for (layer_id const l : ids<layer_id>(2)) {
        // every rank knows the counts of all sources
        auto const counts =
            work.template values<std::int64_t>(rank_id(0), moe_buffers::all_counts(l));
        std::int64_t beyond = 0;
        for (auto const n : counts) beyond += std::max<std::int64_t>(0, n - room);
        EXPECT_EQ(r.dropped[l.index()], beyond);
        std::int64_t kept = 0;
        for (auto const row : work.rows_of(rank_id(1), l)) kept += row >= 0;
        std::int64_t own = 0;  // of rank 1
        for (std::size_t e = 0; e < 5; ++e) own += std::min(counts[5 + e], room);
        EXPECT_EQ(kept, own);
      }
    };
    run(executor);
    return records;
  };
  auto const found = all(uniform{}, inline_executor{});
  std::int64_t dropped = 0;
  for (auto const& r : found) dropped += r.dropped[0] + r.dropped[1];
  EXPECT_GT(dropped, 0);
  EXPECT_EQ(all(uniform{}, thread_executor{}), found);
  // which tokens drop depends on no placement, and so does no loss
  auto const other = all(swift_moe{}, inline_executor{});
  for (std::size_t t = 0; t < found.size(); ++t) EXPECT_EQ(other[t].loss, found[t].loss);
  training.sources->seed = 1;
  EXPECT_NE(all(uniform{}, inline_executor{}).back().loss, found.back().loss);
}

TEST(moe_run, counts_what_crosses_and_what_moves) {
  auto const training = small_moe_training();
  moe_work work(scaled_experts{}, training);
  moe_run<moe_work<scaled_experts>, shifting_placer> run(work);
  auto before = run.placement();
  run.on_iteration = [&](std::int64_t, moe_record const& r) {
    for (layer_id const l : ids<layer_id>(2)) {
      auto const shares = work.values<std::int64_t>(rank_id(0), moe_buffers::shares(l));
      std::vector<std::int64_t> out(5, 0), in(5, 0);
      for (std::int32_t i = 0; i < 5; ++i)
        for (std::int32_t s = 0; s < before.slots(); ++s) {
          auto const to = before.rank_of(s);
          if (to == rank_id{i}) continue;
          auto const n = shares[static_cast<std::size_t>(i * before.slots() + s)];
          out[static_cast<std::size_t>(i)] += n;
          in[to.index()] += n;
        }
      EXPECT_EQ(r.exchanged[l.index()], std::max(*std::max_element(out.begin(), out.end()),
                                                 *std::max_element(in.begin(), in.end())));
      EXPECT_EQ(r.hosted[l.index()], 10);  // slots of a rank hold different experts
      // the next experts of a rank's two slots: of each rank one of them is new
      EXPECT_EQ(r.received[l.index()], 1);
    }
    before = run.placement();
  };
  run(inline_executor{});
}

TEST(moe_run, gives_a_placer_loads_and_what_slots_hold) {
  auto const training = small_moe_training();
  std::vector<expert_layers> asked;
  std::function<solution<expert_placement>(expert_layers const&)> const place =
      [&](expert_layers const& layers) {
        asked.push_back(layers);
        validate(layers);
        return eplb{}(layers);
      };
  moe_work work(scaled_experts{}, training);
  moe_run run(work, place);
  run(inline_executor{.failures = {{1, 2, 20}}});
  ASSERT_EQ(asked.size(), 8U);  // before the first, after each, and after the loss
  EXPECT_TRUE(asked[0].previous.empty());
  EXPECT_EQ(asked[0].loads, std::vector<std::int64_t>(10, 0));
  for (std::size_t i = 1; i < asked.size(); ++i) {
    EXPECT_EQ(asked[i].previous.size(), 2U * (i < 3 ? 10 : 8)) << i;
    std::int64_t sum = 0;
    for (auto const load : asked[i].loads) sum += load;
    EXPECT_EQ(sum, 2 * 5 * 9);
  }
  EXPECT_EQ(asked[1].previous, eplb{}(asked[0]).plan.expert_of);
}

TEST(moe_run, says_what_keeps_it_from_going_on) {
  auto const why = [](moe_training const& t, std::vector<failure_point> failures,
                      std::function<solution<expert_placement>(expert_layers const&)> place =
                          swift_moe{}) -> std::string {
    try {
      static_cast<void>(
          train(t, std::move(place), inline_executor{.failures = std::move(failures)}));
    } catch (std::exception const& e) {
      return e.what();
    }
    return "nothing";
  };
  auto t = small_moe_training();
  EXPECT_EQ(why(t, {{1, 1, 20}, {2, 1, 20}}).find("shards: lost in iteration 1, in each of 2"), 0U);
  t.slots_per_rank = 1;
  EXPECT_EQ(why(t, {{1, 1, 20}}).find("slots: "), 0U);  // four slots for five experts
  t = small_moe_training();
  EXPECT_EQ(why(t, {},
                [](expert_layers const& p) {
                  auto answer = uniform{}(p);
                  answer.plan.layers = 1;
                  answer.plan.expert_of.resize(10);
                  return answer;
                }),
            "placement.layers: must be 2, is 1");
  EXPECT_EQ(why(t, {},
                [](expert_layers const& p) {
                  return p.loads == std::vector<std::int64_t>(10, 0)
                             ? uniform{}(p)
                             : throw std::runtime_error("the placer went wrong");
                }),
            "the placer went wrong");
}

}  // namespace
}  // namespace shunt::tests::moe_run_test
