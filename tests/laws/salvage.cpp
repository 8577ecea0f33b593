// What is left of an interrupted iteration: whichever rank falls silent, and whenever, the end is
// that of an undisturbed run, and nothing that is kept is done again.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/indexed.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/lower/salvage.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"
#include "shunt/simulate/cost_model.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "support/integer_pipeline.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::salvage_test {
namespace {

using namespace integer_pipeline;

using namespace std::chrono_literals;

struct on_one_thread {
  static auto with(std::vector<failure_point> failures) {
    return inline_executor{.failures = std::move(failures)};
  }
};
struct on_threads {
  static auto with(std::vector<failure_point> failures) {
    return thread_executor{.failures = std::move(failures), .timeout = 2ms};
  }
};
template <ticks Timeout>
struct in_virtual_time {
  static auto with(std::vector<failure_point> failures) {
    return simulated_executor{
        .cost = uneven_costs{}, .failures = std::move(failures), .timeout = Timeout};
  }
};

/// Gradients queue up to be sent while their rank computes: what has run is no beginning of a list.
struct slow_sends {
  [[nodiscard]] ticks compute(rank_id, operation const&) const { return 1; }
  [[nodiscard]] transfer_time transfer(rank_id from, rank_id to, byte_count) const {
    return {.occupancy = from > to ? 12 : 0};
  }
  static auto with(std::vector<failure_point> failures) {
    return simulated_executor{.cost = slow_sends{}, .failures = std::move(failures), .timeout = 20};
  }
};

/// A rank whose steps take so long that others go through all of the next iteration meanwhile.
struct slow_steps {
  static inline rank_id slow{};
  [[nodiscard]] ticks compute(rank_id r, operation const& o) const {
    return o.kind == op_kind::step && r == slow ? 1000 : 1;
  }
  [[nodiscard]] transfer_time transfer(rank_id, rank_id, byte_count) const { return {}; }
  static auto with(std::vector<failure_point> failures) {
    return simulated_executor{.cost = slow_steps{}, .failures = std::move(failures), .timeout = 10};
  }
};

/// An executor whose n-th session has its own faults.
template <class Maker>
struct in_turn {
  std::vector<std::vector<failure_point>> failures{};
  std::shared_ptr<std::size_t> opened = std::make_shared<std::size_t>(0);

  [[nodiscard]] auto open(toy_pipeline& w, std::int64_t first = 0) const {
    auto const n = (*opened)++;
    return Maker::with(n < failures.size() ? failures[n] : std::vector<failure_point>{})
        .open(w, first);
  }
  outcome run(program const& p, toy_pipeline& w) const { return run_once(*this, p, w); }
};

struct survived {
  recovery_report report{};
  std::int64_t kept = 0, total = 0;  ///< terms, over all losses
};

/// Trains through faults, one list of them a session, and compares the end.
template <class Maker>
survived survive(planner& plans, std::vector<std::vector<failure_point>> failures,
                 std::vector<std::vector<number>> const& expected) {
  auto const& job = plans.job();
  toy_pipeline w(job);
  surviving_gradients kept;
  survived all;
  auto const plan = [&](dead_ranks dead) -> std::optional<program> {
    if (stage_without_worker(plans.without(dead))) return std::nullopt;
    auto p = lower_salvageable(plans.without(dead), plans.plan(dead), {}, tensors);
    w.fit(p);
    return p;
  };
  recovery config{.end = iterations};
  config.salvage = [&](dead_ranks dead,
                       interrupted_iteration const& at) -> std::optional<salvaged> {
    auto const alone = plans.without(dead);
    kept = find_surviving_gradients(alone, at, at.rest ? kept : surviving_gradients{});
    std::vector<operation> terms;
    for (auto const& k : kept) {
      EXPECT_TRUE(alone.alive(k.rank));
      EXPECT_TRUE(std::is_sorted(k.terms.begin(), k.terms.end()));
      terms.insert(terms.end(), k.terms.begin(), k.terms.end());
    }
    std::sort(terms.begin(), terms.end());
    EXPECT_EQ(std::adjacent_find(terms.begin(), terms.end()), terms.end())
        << "a term is in two sums";
    auto rest = lower_salvageable(alone, plans.plan(dead), kept, tensors);
    sound(rest);
    auto const whole = lower_salvageable(alone, plans.plan(dead), {}, tensors).instructions();
    EXPECT_LE(rest.instructions(), whole);
    std::size_t left = job.cells() - terms.size();
    for (rank_id r : ids<rank_id>(job.ranks()))
      for (auto const& i : rest.ranks[r].instructions)
        if (i.code == opcode::compute &&
            (i.op.kind == op_kind::backward || i.op.kind == op_kind::backward_weight)) {
          operation const term{op_kind::backward_weight, i.op.pipeline, i.op.stage,
                               i.op.microbatch};
          EXPECT_FALSE(std::binary_search(terms.begin(), terms.end(), term));
          --left;
        }
    EXPECT_EQ(left, 0U);
    w.fit(rest);
    all.kept += terms_in(kept);
    all.total += static_cast<std::int64_t>(job.cells());
    return salvaged{std::move(rest), terms_in(kept), static_cast<std::int64_t>(job.cells())};
  };
  std::int64_t heard = 0;
  auto const hear = [&](completed_iteration const& c) { EXPECT_EQ(c.iteration, heard++); };
  all.report = run_through_losses(in_turn<Maker>{std::move(failures)}, w, config, plan, hear);
  EXPECT_EQ(all.report.stopped, "");
  EXPECT_EQ(all.report.end, iterations);
  EXPECT_EQ(heard, iterations);
  std::int64_t reported = 0;
  for (auto const& l : all.report.losses) reported += l.kept;
  EXPECT_EQ(reported, all.kept);
  auto const states = states_of(w, job, all.report.dead);
  for (std::size_t r = 0; r < states.size(); ++r)
    if (!std::binary_search(all.report.dead.begin(), all.report.dead.end(), rank_id(r))) {
      EXPECT_EQ(states[r], expected[r]) << "rank " << r;
    }
  return all;
}

/// Every rank falls silent before every `every`-th instruction of iteration 1.
template <class Maker>
survived fail_everywhere(planner& plans, std::int32_t every = 1) {
  auto const expected = undisturbed(plans, iterations);
  auto const p = lower_salvageable(plans.job(), plans.plan({}), {}, tensors);
  sound(p);
  survived all;
  for (rank_id r : ids<rank_id>(p.ranks.size()))
    for (std::int32_t at = r.value() % every;
         at <= static_cast<std::int32_t>(p.ranks[r].instructions.size()); at += every) {
      SCOPED_TRACE("rank " + std::to_string(r.value()) + " at instruction " + std::to_string(at));
      auto const one = survive<Maker>(plans, {{{r, 1, at}}}, expected);
      EXPECT_EQ(one.report.losses.size(), 1U);
      all.kept += one.kept;
      all.total += one.total;
    }
  EXPECT_GT(all.kept, 0);
  EXPECT_LT(all.kept, all.total);
  return all;
}

/// Every `every`-th instruction of every rank is the last.
void fail_under_all_variants(std::int32_t every) {
  for (auto const v : variants) {
    SCOPED_TRACE(std::string(v.split ? "split" : "fused") +
                 (v.stagger ? ", staggered" : ", all together"));
    auto plans = slipstreams(2, 3, 4, v);
    fail_everywhere<on_one_thread>(plans, every);
    fail_everywhere<in_virtual_time<0>>(plans, every);
    fail_everywhere<in_virtual_time<12>>(plans, every);
  }
}

TEST(salvage, any_instruction_may_be_the_last) { fail_under_all_variants(7); }
TEST(salvage, every_instruction_of_every_rank_may_be_the_last_exhaustive) {
  fail_under_all_variants(1);
}

TEST(salvage, of_larger_jobs_exhaustive) {
  for (auto const v : variants) {
    SCOPED_TRACE(std::string(v.split ? "split" : "fused") +
                 (v.stagger ? ", staggered" : ", all together"));
    auto plans = slipstreams(3, 4, 6, v);
    fail_everywhere<on_one_thread>(plans, 2);
    fail_everywhere<in_virtual_time<3>>(plans, 5);
  }
}

TEST(salvage, on_threads_exhaustive) {
  for (auto const v : variants) {
    auto plans = slipstreams(2, 3, 4, v);
    fail_everywhere<on_threads>(plans, 3);
  }
}

TEST(salvage, of_what_lanes_have_run_out_of_order) {
  planner plans({.pipelines = 2, .stages = 3, .microbatches = 4, .costs = {1, 1, 1, 3}},
                [](pipeline_job const& job) { return (zb_h1{} | reroute{})(job); });
  fail_everywhere<slow_sends>(plans);
}

TEST(salvage, while_others_are_an_iteration_ahead_exhaustive) {
  for (auto const v : variants) {
    auto plans = slipstreams(2, 3, 3, v);
    for (rank_id r : ids<rank_id>(plans.job().ranks())) {
      SCOPED_TRACE("slow rank " + std::to_string(r.value()));
      slow_steps::slow = r;
      fail_everywhere<slow_steps>(plans, 2);
    }
  }
}

TEST(salvage, ranks_with_several_stages) {
  auto const solve_by = [](auto solver) {
    return [solver](pipeline_job const& job) { return (solver | reroute{})(job); };
  };
  pipeline_job const shape{.pipelines = 2, .stages = 4, .microbatches = 4, .costs = {1, 1, 1, 2}};
  auto with = [&](stage_layout layout) {
    auto job = shape;
    job.layout = layout;
    return job;
  };
  planner looped(with(stage_layout::looped(2)),
                 [](pipeline_job const& job) { return slipstream{.effort = 20'000}(job); });
  planner wave(with(stage_layout::wave(2)), [](pipeline_job const& job) {
    return slipstream{.stagger = false, .effort = 20'000}(job);
  });
  planner fused(with(stage_layout::looped(2)), solve_by(interleaved_one_f_one_b{}));
  for (planner* p : {&looped, &wave, &fused}) {
    fail_everywhere<on_one_thread>(*p, 2);
    fail_everywhere<in_virtual_time<5>>(*p, 3);
  }
}

TEST(salvage, ends_twice_exhaustive) {
  for (auto const v : variants) {
    SCOPED_TRACE(std::string(v.split ? "split" : "fused") +
                 (v.stagger ? ", staggered" : ", all together"));
    auto plans = slipstreams(3, 2, 3, v);
    auto const expected = undisturbed(plans, iterations);
    auto const p = lower_salvageable(plans.job(), plans.plan({}), {}, tensors);
    std::int64_t kept = 0, both = 0;
    for (rank_id first : {rank_id(0), rank_id(3)})
      for (std::int32_t at = 1; at <= static_cast<std::int32_t>(p.ranks[first].instructions.size());
           at += 3)
        for (rank_id second : {rank_id(1), rank_id(2), rank_id(5)}) {
          bool failed_once = true;
          for (std::int32_t then = 0; failed_once;
               ++then) {  // until it is past the end of the list
            SCOPED_TRACE("rank " + std::to_string(first.value()) + " at " + std::to_string(at) +
                         ", " + std::to_string(second.value()) + " at " + std::to_string(then));
            std::vector<failure_point> twice;
            for (std::int64_t k : {0, 1, 2})
              twice.push_back({second, k, then});  // whichever is done again
            auto const one = survive<on_one_thread>(plans, {{{first, 1, at}}, twice}, expected);
            failed_once = one.report.losses.size() == 2;
            kept += failed_once ? one.report.losses[1].kept : 0;
            both += failed_once;
          }
        }
    EXPECT_GT(both, 100);
    EXPECT_GT(kept, both);  // more than a term each
  }
}

/// Nobody is lost, and yet a session ends: everything that was done is kept.
struct breaking {
  std::int32_t nth = 1;
  std::vector<failure_point> failure_there{};
  std::shared_ptr<int> opened = std::make_shared<int>(0);

  struct session {
    inline_session<toy_pipeline> inner;
    bool breaks;
    void submit(std::shared_ptr<program const> p) { inner.submit(std::move(p)); }
    [[nodiscard]] bool wait_until(std::int32_t n) { return inner.wait_until(n); }
    [[nodiscard]] ticks completed_at(std::int32_t n) const { return inner.completed_at(n); }
    [[nodiscard]] outcome wait() {
      auto all = inner.wait();
      all.lost.clear();
      return all;
    }
    [[nodiscard]] loss_times times_of_loss() const { return {}; }
  };
  [[nodiscard]] session open(toy_pipeline& w, std::int64_t first = 0) const {
    bool const breaks = ++*opened == nth;
    return {{inline_executor{.failures = breaks ? failure_there : std::vector<failure_point>{}}, w,
             first},
            breaks};
  }
  outcome run(program const& p, toy_pipeline& w) const { return run_once(*this, p, w); }
};

TEST(salvage, where_connections_break_every_term_is_computed_once) {
  for (auto const v : variants) {
    auto plans = slipstreams(2, 3, 4, v);
    auto const expected = undisturbed(plans, iterations);
    auto const p = lower_salvageable(plans.job(), plans.plan({}), {}, tensors);
    for (rank_id r : ids<rank_id>(p.ranks.size()))
      for (std::int32_t at = 0; at <= static_cast<std::int32_t>(p.ranks[r].instructions.size());
           ++at) {
        toy_pipeline w(plans.job());
        w.counting = true;
        w.fit(p);
        std::int64_t again =
            0;  // terms of the iteration after, which ranks that were ahead had begun with
        recovery config{.end = iterations};
        config.salvage = [&](dead_ranks,
                             interrupted_iteration const& was) -> std::optional<salvaged> {
          auto const kept = find_surviving_gradients(plans.job(), was);
          for (rank_id ahead : ids<rank_id>(p.ranks.size()))
            for (std::size_t n = 0; n < was.ran_next[ahead].size(); ++n) {
              auto const& i = was.next.ranks[ahead].instructions[n];
              bool const makes_term =
                  i.op.kind == op_kind::backward || i.op.kind == op_kind::backward_weight;
              again += was.ran_next[ahead][n] && i.code == opcode::compute && makes_term;
            }
          auto rest = lower_salvageable(plans.job(), plans.plan({}), kept, tensors);
          sound(rest);
          w.fit(rest);
          return salvaged{std::move(rest)};
        };
        auto const report = run_through_losses(
            breaking{.failure_there = {{r, 1, at}}}, w, config,
            [&](dead_ranks) { return std::optional(p); }, [](completed_iteration const&) {});
        EXPECT_EQ(report.losses.size(), 1U);
        EXPECT_EQ(states_of(w, plans.job()), expected);
        std::int64_t computed = 0;
        for (auto const& [term, times] : w.computed) computed += times;
        EXPECT_EQ(computed - again, iterations * static_cast<std::int64_t>(plans.job().cells()))
            << "rank " << r.value() << " at " << at;
      }
  }
}

}  // namespace
}  // namespace shunt::tests::salvage_test
