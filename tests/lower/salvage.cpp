#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/salvage.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/simulate/cost_model.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "shunt/solve/pipeline/chimera.hpp"
#include "shunt/solve/pipeline/dual_pipe.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/zb_v.hpp"
#include "support/integer_pipeline.hpp"
#include "support/random_choices.hpp"

namespace shunt::tests::salvage_test {
namespace {

using namespace integer_pipeline;

/// Any terms may be kept, on any rank that holds the stage: sums that begin with them end as if all
/// had been computed.
TEST(salvage, any_ledger_will_do) {
  random_choices d(5);
  std::vector<std::pair<pipeline_job, planner::solver>> cases;
  pipeline_job const plain{.pipelines = 3, .stages = 4, .microbatches = 5, .costs = {1, 1, 1, 2}};
  auto dead = plain;
  dead.dead = {{1, 2}, {0, 0}};
  auto two_chunks = plain, both_ways = plain, far = dead;
  two_chunks.layout = stage_layout::wave(2);
  both_ways.pipelines = 4;
  both_ways.layout = stage_layout::bidirectional();
  both_ways.microbatches = 8;
  both_ways.costs.overlap_gain = 1;
  far.costs = {2, 3, 1, 2};
  far.transfer = 2;
  cases.emplace_back(plain, [](pipeline_job const& job) { return slipstream{}(job); });
  cases.emplace_back(dead, [](pipeline_job const& job) { return slipstream{}(job); });
  cases.emplace_back(dead, [](pipeline_job const& job) {
    return slipstream{.split = false, .stagger = false}(job);
  });
  cases.emplace_back(far, [](pipeline_job const& job) { return slipstream{}(job); });
  cases.emplace_back(two_chunks, [](pipeline_job const& job) { return zb_v{}(job); });
  cases.emplace_back(both_ways, [](pipeline_job const& job) { return dual_pipe{}(job); });
  cases.emplace_back(both_ways, [](pipeline_job const& job) { return chimera{}(job); });
  std::size_t pairs = 0;
  for (std::size_t c = 0; c < cases.size(); ++c) {
    auto const& [job, solver] = cases[c];
    auto const answer = solver(job);
    ASSERT_TRUE(answer.has_plan()) << c << ' ' << answer.reason;
    toy_pipeline reference(job);
    reference.counting = true;
    auto const whole = lower_salvageable(job, answer.plan, {}, tensors);
    sound(whole);
    reference.fit(whole);
    (void)inline_executor{}.run(whole, reference);
    for (int round = 0; round < 60; ++round) {
      SCOPED_TRACE("case " + std::to_string(c) + ", round " + std::to_string(round));
      auto const odds = 1 + d.below(6);  // of 6: how many terms are kept
      surviving_gradients kept;
      for (rank_id r : ids<rank_id>(job.ranks()))
        if (job.alive(r))
          for (stage_id s : job.stages_of(r)) kept.push_back({r, s, false, {}});
      for (stage_id s : ids<stage_id>(job.stages)) {
        std::vector<surviving_gradient*> holders;
        for (auto& k : kept)
          if (k.stage == s) holders.push_back(&k);
        if (d.below(6) == 0) {
          holders[static_cast<std::size_t>(d.below(static_cast<std::int64_t>(holders.size())))]
              ->reduced = true;
          for (auto* k : holders)
            if (k->reduced) k->terms = detail::terms_of(job, s);
        } else {
          for (operation const& o : detail::terms_of(job, s))
            if (d.below(6) < odds)
              holders[static_cast<std::size_t>(d.below(static_cast<std::int64_t>(holders.size())))]
                  ->terms.push_back(o);
        }
      }
      std::erase_if(kept, [](auto const& k) { return k.terms.empty(); });
      for (auto const lanes : {message_lanes::one_per_edge, message_lanes::one_per_rank}) {
        auto const rest = lower_salvageable(job, answer.plan, kept, tensors, lanes);
        sound(rest);
        for (auto const& of_rank : rest_of(job, answer.plan, kept).overlapped)
          pairs += of_rank.size();
        auto const ends_alike = [&](auto const& executor) {
          toy_pipeline w(job);
          w.fit(whole);
          w.fit(rest);
          for (auto const& k : kept) {
            auto const held = stages_of(job, tensors, k.rank);
            auto const of = std::find_if(held.begin(), held.end(),
                                         [&](auto const& h) { return h.stage == k.stage; });
            number sum = 0, flag = 0;
            for (operation const& o : k.terms) {
              auto const [term, raised] = reference.terms.at({0, o});
              sum += term;
              flag += raised;
            }
            *w.at(k.rank, k.reduced ? of->reduced() : of->gradient()) = sum;
            *w.at(k.rank, k.reduced ? of->reduced_flag() : of->flag()) = flag;
          }
          auto session = executor.open(w);
          session.submit(rest);
          EXPECT_TRUE(session.wait().lost.empty());
          std::vector<rank_id> gone;
          for (rank_id r : ids<rank_id>(job.ranks()))
            if (!job.alive(r)) gone.push_back(r);
          EXPECT_EQ(states_of(w, job, gone), states_of(reference, job, gone));
        };
        ends_alike(inline_executor{});
        ends_alike(simulated_executor{job_costs(job)});
      }
    }
  }
  EXPECT_GT(pairs, 100U);
}

TEST(salvage, of_a_whole_plan_is_the_plan) {
  for (auto const v : variants) {
    auto plans = slipstreams(3, 4, 6, v);
    rank_id const dead[] = {6};
    EXPECT_EQ(rest_of(plans.without(dead), plans.plan(dead), {}), plans.plan(dead));
    surviving_gradients all;
    for (stage_id s : ids<stage_id>(4))
      all.push_back({s.value(), s, true, detail::terms_of(plans.job(), s)});
    auto const rest = rest_of(plans.without(dead), plans.plan(dead), all);
    for (auto const& list : rest.order)
      for (operation const& o : list) EXPECT_EQ(o.kind, op_kind::step);
  }
}

TEST(salvage, asks_for_reductions_out_of_place) {
  auto plans = slipstreams(2, 2, 2, {true, true});
  auto const p = lower(plans.job(), plans.plan({}), tensors);
  interrupted_iteration at{.plan = p, .next = p};
  at.ran.resize(p.ranks.size());
  at.ran_next.resize(p.ranks.size());
  try {
    (void)find_surviving_gradients(plans.job(), at);
    FAIL();
  } catch (invalid_program const& e) {
    EXPECT_NE(std::string(e.what()).find("stage 0 reduces its gradient in place"),
              std::string::npos)
        << e.what();
  }
}

}  // namespace
}  // namespace shunt::tests::salvage_test
