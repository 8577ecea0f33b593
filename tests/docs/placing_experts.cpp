#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/lower/rank_scatter.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/moved_experts.hpp"
#include "shunt/plan/expert_moves.hpp"
#include "shunt/plan/live_ranks.hpp"
#include "shunt/plan/physical_map.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/elastic.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/incremental.hpp"
#include "shunt/solve/experts/swift_moe_iteration.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "shunt/solve/shards/cut_shards.hpp"

namespace shunt::tests::placing_experts_test {

// docs/placing-experts.md {
/// EPLB's rebalance_experts(weight, 288, 8, 4, 32), searched further: 256 experts in 8 groups, 288
/// slots on 32 GPUs of 4 machines. weight: layers x 256 tokens, row by row.
shunt::physical_map rebalance(std::int32_t layers, std::vector<std::int64_t> weight) {
  shunt::expert_layers const problem{.layers = layers,
                                     .experts = 256,
                                     .loads = std::move(weight),
                                     .slots_per_rank = shunt::deal_slots(288, 32),
                                     .ranks_per_node = 8,
                                     .groups = 8};
  auto const answer = shunt::solve(problem, shunt::balanced{});
  if (!answer.has_plan()) throw std::runtime_error(std::string(answer.reason));
  return shunt::physical_map_of(answer.plan);  // phy2log, log2phy, logcnt
}

/// The next window: `now` changed by at most two experts a layer, to be good in the windows to
/// come.
shunt::physical_map adjust(shunt::expert_layers problem, shunt::physical_map const& now,
                           std::vector<std::int64_t> earlier_loads) {
  problem.previous = shunt::placement_of(now, problem.slots_per_rank).expert_of;
  problem.history = std::move(earlier_loads);  // windows x layers x experts, the oldest first
  return shunt::physical_map_of(shunt::solve(problem, shunt::incremental{.moves = 2}).plan);
}

/// Ranks died or joined: `live` has one entry a rank, and `problem.previous` what the slots of all
/// ranks held, -1 in those of a rank that has joined. Returns what each slot gets, and from where.
std::vector<shunt::expert_move> recover(shunt::expert_layers problem, std::vector<bool> const& live,
                                        std::int32_t budget) {
  problem = shunt::on_live_ranks(std::move(problem), live);
  auto const answer = shunt::solve(problem, shunt::elastic{.moves = budget});
  if (!answer.has_plan()) throw std::runtime_error(std::string(answer.reason));
  return shunt::expert_moves_of(problem, answer.plan);  // is_outside(): no live rank has it
}

/// What one rank of a SwiftMoE training run keeps: after each iteration's router it is given
/// everybody's counts, and says how the tokens are split now and what this rank sends and receives
/// so that the next placement holds. Every rank decides alike.
class expert_planner {
 public:
  expert_planner(shunt::expert_placement const& first, shunt::optimizer_state const& optimizer,
                 shunt::rank_id self)
      : decide_(first),
        scatter_(optimizer, shunt::solve(optimizer, shunt::uniform_shards{}).plan, first.first_slot,
                 first.layers, self) {}

  shunt::rank_program const& operator()(
      std::span<std::int64_t const> counts /* layers x ranks x experts */) {
    decide_(counts);
    return scatter_(decide_.placement());
  }
  std::span<shunt::token_split const> splits() const {
    return decide_.splits();
  }  // tokens per (source rank, slot), one a layer

 private:
  shunt::swift_moe_iteration decide_;
  shunt::rank_scatter scatter_;
};
// }

namespace {

std::vector<std::int64_t> some_loads(std::int32_t cells, std::int64_t seed) {
  std::vector<std::int64_t> loads;
  for (std::int64_t i = 0; i < cells; ++i)
    loads.push_back(1 + (i * i * 31 + i * 17 + seed) % 997 * ((i + seed) % 5 == 0 ? 9 : 1));
  return loads;
}

TEST(PlacingExperts, BeatsWhatItReplaces) {
  shunt::expert_layers problem{.layers = 2,
                               .experts = 256,
                               .loads = some_loads(512, 3),
                               .slots_per_rank = shunt::deal_slots(288, 32)};
  problem.ranks_per_node = 8;
  problem.groups = 8;
  auto const map = rebalance(2, problem.loads);
  EXPECT_EQ(map.physical_to_logical.size(), 2u * 288);
  auto const plan = shunt::placement_of(map, problem.slots_per_rank);
  EXPECT_TRUE(shunt::check(problem, plan).empty());
  EXPECT_LE(shunt::mean_max_over_mean(problem, plan),
            shunt::solve(problem, shunt::eplb{}).objective);

  auto later = problem;
  later.loads = some_loads(512, 4);
  later.groups = later.ranks_per_node = 0;
  auto const next = shunt::placement_of(adjust(later, map, problem.loads), problem.slots_per_rank);
  EXPECT_TRUE(shunt::check(later, next).empty());
  for (shunt::layer_id l : shunt::ids<shunt::layer_id>(2))
    EXPECT_LE(shunt::moved_experts(plan.layer(l), next, l), 2);
}

TEST(PlacingExperts, RecoversFromALoss) {
  shunt::expert_layers problem{.layers = 2,
                               .experts = 16,
                               .loads = some_loads(32, 3),
                               .slots_per_rank = shunt::deal_slots(24, 4)};
  problem.previous = shunt::solve(problem, shunt::eplb{}).plan.expert_of;
  std::vector<bool> const live{true, false, true, true};
  auto const moves = recover(problem, live, 0);
  auto const left = shunt::on_live_ranks(problem, live);
  for (auto const& move : moves) {
    auto const held = left.previous_of(move.layer);
    EXPECT_EQ(move.is_outside(), std::find(held.begin(), held.end(), move.expert) == held.end());
  }
  EXPECT_GE(recover(problem, live, 6).size(), moves.size());
}

TEST(PlacingExperts, EveryRankPlansAlike) {
  shunt::expert_layers const layers{.layers = 3,
                                    .experts = 4,
                                    .loads = std::vector<std::int64_t>(12, 1),
                                    .slots_per_rank = shunt::deal_slots(8, 4)};
  shunt::optimizer_state const optimizer{.experts = 4, .ranks = 4, .elements = 64};
  auto const first = shunt::solve(layers, shunt::uniform{}).plan;
  auto const counts = some_loads(3 * 4 * 4, 1);
  std::int64_t kept = 0, all = 0;
  for (auto const count : counts) all += count;
  std::vector<expert_planner> ranks;
  for (std::int32_t r = 0; r < 4; ++r) ranks.emplace_back(first, optimizer, r);
  std::vector<std::vector<std::int32_t>> sent(4, std::vector<std::int32_t>(4, 0)), received = sent;
  for (std::size_t r = 0; r < 4; ++r) {
    for (auto const& i : ranks[r](counts).instructions) {
      if (i.code == shunt::opcode::send) ++sent[r][i.peer.index()];
      if (i.code == shunt::opcode::receive) ++received[i.peer.index()][r];
    }
    ASSERT_EQ(ranks[r].splits().size(), 3u);
    for (std::size_t l = 0; l < 3; ++l) EXPECT_EQ(ranks[r].splits()[l], ranks[0].splits()[l]);
  }
  EXPECT_EQ(sent, received);
  for (auto const& split : ranks[0].splits())
    for (auto const tokens : split.tokens) kept += tokens;
  EXPECT_EQ(kept, all);
}

}  // namespace
}  // namespace shunt::tests::placing_experts_test
