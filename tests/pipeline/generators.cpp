// Schedules with a fixed order, against the judge, their closed forms and what others' generators
// give.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/solve/pipeline/chimera.hpp"
#include "shunt/solve/pipeline/dual_pipe.hpp"
#include "shunt/solve/pipeline/dual_pipe_v.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/hanayo.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"
#include "shunt/solve/pipeline/interleaved_zero_bubble.hpp"
#include "shunt/solve/pipeline/looped_bfs.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"

namespace {

using namespace shunt;
using shape = stage_layout::shape;

/// P ranks a pipeline (pair), v chunks on each.
constexpr pipeline_job job_of(shape form, std::int32_t ranks, std::int32_t microbatches,
                              std::int32_t chunks = 1, stage_costs const& costs = {}) {
  pipeline_job job{.stages = ranks * chunks, .microbatches = microbatches, .costs = costs};
  if (form == shape::looped) job.layout = stage_layout::looped(chunks);
  if (form == shape::wave) job.layout = stage_layout::wave(chunks);
  if (form == shape::bidirectional) {
    job.layout = stage_layout::bidirectional();
    job.pipelines = 2;
  }
  return job;
}

template <class Generator>
constexpr bool valid_at(pipeline_job const& job) {
  auto answer = Generator{}(job);
  return answer.has_plan() && answer.plan == Generator{}.order(job) &&
         check(job, answer.plan).empty() &&
         check(job, answer.plan, times(job, answer.plan)).empty();
}
static_assert(valid_at<gpipe>(job_of(shape::linear, 4, 8)));
static_assert(valid_at<one_f_one_b>(job_of(shape::linear, 4, 8)));
static_assert(valid_at<zb_h1>(job_of(shape::linear, 4, 8)));
static_assert(valid_at<interleaved_one_f_one_b>(job_of(shape::looped, 2, 5, 2)));
static_assert(valid_at<interleaved_zero_bubble>(job_of(shape::looped, 2, 4, 2)));
static_assert(valid_at<looped_bfs>(job_of(shape::looped, 2, 3, 2)));
static_assert(valid_at<hanayo>(job_of(shape::wave, 2, 3, 3)));
static_assert(valid_at<chimera>(job_of(shape::bidirectional, 4, 3)));
static_assert(valid_at<dual_pipe>(job_of(shape::bidirectional, 4, 4)));
static_assert(valid_at<dual_pipe_v>(job_of(shape::wave, 2, 5, 2, {.overlap_gain = 1})));

std::string describe(pipeline_job const& job) {
  auto const& c = job.costs;
  return std::string(to_string(job.layout.form())) + "(" + std::to_string(job.layout.chunks()) +
         ") D" + std::to_string(job.pipelines) + " S" + std::to_string(job.stages) + " M" +
         std::to_string(job.microbatches) + " F" + std::to_string(c.forward[0]) + " I" +
         std::to_string(c.backward_input[0]) + " W" + std::to_string(c.backward_weight[0]) +
         " gain " + std::to_string(c.overlap_gain);
}

/// Jobs of every size that a generator takes.
struct family {
  shape form = shape::linear;
  std::vector<std::int32_t> ranks{};
  std::vector<std::int32_t> chunks{1};

  template <class Each>
  void for_each(std::vector<stage_costs> const& costs, Each each) const {
    for (std::int32_t const p : ranks)
      for (std::int32_t const v : chunks)
        for (std::int32_t m = 1; m <= 3 * p + 2; m += m < 2 * p + 2 ? 1 : p / 2 + 1)
          for (auto const& c : costs) each(job_of(form, p, m, v, c));
  }
};
family linear() { return {shape::linear, {1, 2, 3, 5}}; }
family looped() { return {shape::looped, {1, 2, 3, 5}, {1, 2, 3}}; }
family waves() { return {shape::wave, {1, 2, 3, 5}, {1, 2, 3, 4}}; }
family bidirectional() { return {shape::bidirectional, {2, 4, 6}}; }
family v_shaped() { return {shape::wave, {1, 2, 3, 5}, {2}}; }

std::vector<stage_costs> costs_of_all_kinds() {
  std::vector<stage_costs> all;
  for (auto const& [f, i, w] : {std::array<ticks, 3>{1, 1, 1},
                                {3, 2, 1},
                                {5, 5, 3},
                                {2, 4, 1},
                                {7, 7, 7},
                                {2, 1, 0},
                                {1, 2, 4}})
    for (ticks const gain : {0, 2})
      all.push_back(
          {.forward = f, .backward_input = i, .backward_weight = w, .overlap_gain = gain});
  return all;
}

template <class Each>
void with_all_generators(Each each) {
  each(gpipe{}, linear());
  each(one_f_one_b{}, linear());
  each(zb_h1{}, linear());
  each(interleaved_one_f_one_b{}, looped());
  each(interleaved_zero_bubble{}, looped());
  each(looped_bfs{}, looped());
  each(hanayo{}, waves());
  each(chimera{}, bidirectional());
  each(dual_pipe{}, bidirectional());
  each(dual_pipe_v{}, v_shaped());
}

TEST(generators, every_plan_passes_the_check) {
  with_all_generators([]<class Generator>(Generator generator, family const& all) {
    all.for_each(
        {{},
         {.forward = 3, .backward_input = 4, .backward_weight = 2, .step = 5, .overlap_gain = 2}},
        [&](pipeline_job job) {
          for (std::int32_t copies = 1; copies <= 2; ++copies) {
            job.pipelines = copies * (job.layout.form() == shape::bidirectional ? 2 : 1);
            auto const answer = generator(job);
            ASSERT_TRUE(answer.has_plan())
                << Generator::name << " " << describe(job) << ": " << answer.reason;
            EXPECT_EQ(check(job, answer.plan).size(), 0U)
                << Generator::name << " " << describe(job);
            EXPECT_EQ(check(job, answer.plan, times(job, answer.plan)).size(), 0U)
                << Generator::name << " " << describe(job);
            EXPECT_EQ(answer.objective, static_cast<double>(period(job, answer.plan)));
            EXPECT_GE(answer.objective, answer.lower_bound)
                << Generator::name << " " << describe(job);
          }
        });
  });
}

TEST(generators, every_plan_passes_the_check_with_unequal_costs_and_links) {
  std::mt19937_64 random(20261123);
  auto const below = [&](std::uint64_t n) { return static_cast<std::int32_t>(random() % n); };
  with_all_generators([&]<class Generator>(Generator generator, family const& all) {
    for (int n = 0; n < 40; ++n) {
      auto job = job_of(all.form, all.ranks[random() % all.ranks.size()], 1 + below(12),
                        all.chunks[random() % all.chunks.size()]);
      job.pipelines *= 1 + below(3);
      auto const costs = [&](std::int32_t least) {
        std::vector<ticks> values;
        for (std::int32_t s = 0; s < job.stages; ++s) values.push_back(least + below(20));
        return per_stage(values);
      };
      job.costs = {.forward = costs(1),
                   .backward_input = costs(1),
                   .backward_weight = costs(0),
                   .step = costs(0),
                   .overlap_gain = below(9)};
      job.transfer = {below(4), below(9), 1 + below(3)};
      auto const answer = generator(job);
      ASSERT_TRUE(answer.has_plan())
          << Generator::name << " " << describe(job) << ": " << answer.reason;
      EXPECT_EQ(check(job, answer.plan).size(), 0U) << Generator::name << " " << describe(job);
      EXPECT_EQ(check(job, answer.plan, times(job, answer.plan)).size(), 0U)
          << Generator::name << " " << describe(job);
      EXPECT_GE(answer.objective, answer.lower_bound) << Generator::name << " " << describe(job);
    }
  });
}

/// The longest that a rank is idle within the makespan.
ticks idle(pipeline_job const& job, pipeline_schedule const& plan) {
  ticks const end = makespan(job, plan);
  ticks most = 0;
  for (rank_id r : ids<rank_id>(job.ranks())) {
    ticks busy = 0;
    for (operation const& o : plan.order[r]) busy += o.kind == op_kind::step ? 0 : cost_of(job, o);
    if (!plan.overlapped.empty())
      for (std::int32_t const i : plan.overlapped[r]) {
        auto const &a = plan.order[r][static_cast<std::size_t>(i)],
                   &b = plan.order[r][static_cast<std::size_t>(i) + 1];
        busy -= cost_of(job, a) + cost_of(job, b) - cost_of(job, a, b);
      }
    most = std::max(most, end - busy);
  }
  return most;
}

std::int64_t worst_stash(pipeline_job const& job, pipeline_schedule const& plan) {
  auto const peaks = stash_peak(job, plan);
  return *std::max_element(peaks.begin(), peaks.end());
}

/// Whether a closed form speaks of a job: what its comment asks for.
bool covers(gpipe, pipeline_job const&) { return true; }
bool covers(one_f_one_b, pipeline_job const&) { return true; }
bool covers(interleaved_one_f_one_b, pipeline_job const&) { return true; }
bool covers(looped_bfs, pipeline_job const&) { return true; }
bool short_weights(stage_costs const& c) {
  return c.backward_weight[0] <= std::min(c.forward[0], c.backward_input[0]);
}
bool covers(zb_h1, pipeline_job const& job) { return short_weights(job.costs); }
bool covers(interleaved_zero_bubble, pipeline_job const& job) {
  std::int32_t const v = job.layout.chunks(), p = job.ranks();
  return short_weights(job.costs) && (v == 1 ? job.microbatches >= p : job.microbatches % p == 0);
}
bool covers(hanayo, pipeline_job const& job) {
  return job.layout.chunks() == 1 || job.microbatches % job.ranks() == 0;
}
bool covers(chimera, pipeline_job const& job) { return job.microbatches % (job.stages / 2) == 0; }
bool dual(pipeline_job const& job) {
  auto const& c = job.costs;
  return c.backward_weight[0] <= c.backward_input[0] && c.backward_input[0] <= c.forward[0] &&
         job.microbatches >= job.stages;
}
bool covers(dual_pipe, pipeline_job const& job) { return dual(job); }
bool covers(dual_pipe_v, pipeline_job const& job) { return dual(job); }

TEST(generators, idle_as_long_as_the_closed_form_says) {
  with_all_generators([]<class Generator>(Generator generator, family const& all) {
    int covered = 0;
    all.for_each(costs_of_all_kinds(), [&](pipeline_job const& job) {
      if (!covers(generator, job)) return;
      ++covered;
      EXPECT_EQ(idle(job, generator.order(job)), Generator::bubble(job))
          << Generator::name << " " << describe(job);
    });
    EXPECT_GE(covered, 50) << Generator::name;
  });
}

TEST(generators, stash_as_much_as_the_closed_form_says) {
  with_all_generators([]<class Generator>(Generator generator, family const& all) {
    all.for_each({{}}, [&](pipeline_job job) {
      for (std::int64_t const weight : {1, 6}) {
        job.stash.forward = weight;
        EXPECT_EQ(worst_stash(job, generator.order(job)), Generator::stash_peak(job))
            << Generator::name << " " << describe(job);
      }
    });
  });
}

// The figures of others: PyTorch 2.14.1's generators and sail-sg's 1F1B through one event
// simulator. (P, M), unit costs, and F 1, I 1.05, W 0.85, transfer 0.05 a chunk in hundredths;
// stashes in chunks.
TEST(generators, as_long_as_other_generators_plans) {
  struct figure {
    std::int32_t ranks, microbatches;
    ticks unit, real;
    std::int64_t stash;
  };
  auto const compare = []<class Generator>(Generator generator, shape form, std::int32_t chunks,
                                           std::vector<figure> const& figures) {
    for (auto const& f : figures) {
      auto job = job_of(form, f.ranks, f.microbatches, chunks);
      EXPECT_EQ(makespan(job, generator.order(job)), f.unit)
          << Generator::name << " " << describe(job);
      EXPECT_EQ(worst_stash(job, generator.order(job)), f.stash)
          << Generator::name << " " << describe(job);
      job.costs = {.forward = 100, .backward_input = 105, .backward_weight = 85};
      job.transfer = 5;
      EXPECT_EQ(makespan(job, generator.order(job)), f.real)
          << Generator::name << " " << describe(job);
    }
  };
  compare(gpipe{}, shape::linear, 1,
          {{4, 8, 33, 3220, 8}, {8, 32, 117, 11380, 32}, {16, 64, 237, 23060, 64}});
  compare(one_f_one_b{}, shape::linear, 1,
          {{4, 8, 33, 3270, 4}, {8, 32, 117, 11650, 8}, {16, 64, 237, 23650, 16}});
  compare(looped_bfs{}, shape::looped, 2,
          {{4, 8, 57, 5540, 16}, {8, 32, 213, 20660, 64}, {16, 64, 429, 41620, 128}});
  compare(interleaved_one_f_one_b{}, shape::looped, 2,
          {{4, 8, 57, 5580, 11}, {8, 32, 213, 20740, 23}, {16, 64, 429, 41780, 47}});
  compare(interleaved_zero_bubble{}, shape::looped, 2,
          {{4, 8, 51, 5080, 8}, {8, 32, 199, 19580, 16}, {16, 64, 399, 39300, 32}});
  compare(dual_pipe_v{}, shape::wave, 2,
          {{4, 8, 51, 5060, 9}, {8, 32, 199, 19545, 17}, {16, 64, 399, 39345, 33}});
}

// DeepSeek-V3, table 2: with an overlapped pair of 3 ticks for F 2, B 2 + 2 (W 2 of them), 8 ranks.
TEST(generators, dual_pipe_idles_as_its_report_says) {
  auto job = job_of(shape::bidirectional, 8, 20, 1,
                    {.forward = 2, .backward_input = 2, .backward_weight = 2, .overlap_gain = 2});
  auto const plan = dual_pipe{}.order(job);
  EXPECT_EQ(idle(job, plan), (8 / 2 - 1) * ((2 + 4 - 2) + 4 - 3 * 2));
  EXPECT_EQ(worst_stash(job, plan), 8 + 1);
  EXPECT_EQ(
      plan.overlapped[3].size(),
      static_cast<std::size_t>(2 * (20 - 8 + 1 + 3) - 1));  // all of the steady state but the first
  job.costs.overlap_gain = 0;
  EXPECT_TRUE(dual_pipe{}.order(job).overlapped.empty());
}

// Chimera, table 2: with N micro-batches in all on D stages, D - 2 of 2 N + D - 2 where F = B, of 3
// N / 2 + D - 2 where B = 2 F.
TEST(generators, chimera_idles_as_its_paper_says) {
  for (std::int32_t const depth : {4, 6, 8, 16}) {
    auto const n = depth;  // N = D
    auto job = job_of(shape::bidirectional, depth, n / 2, 1,
                      {.forward = 2, .backward_input = 1, .backward_weight = 1});
    ticks const work = 4 * n;
    EXPECT_EQ(makespan(job, chimera{}.order(job)) * 2 * n, work * (2 * n + depth - 2));
    job.costs = {};
    EXPECT_EQ(makespan(job, chimera{}.order(job)) * 3 * n, 3 * n * (3 * n + 2 * (depth - 2)));
  }
}

TEST(generators, one_chunk_is_the_plain_schedule) {
  for (std::int32_t p = 1; p <= 6; ++p)
    for (std::int32_t m = 1; m <= 13; ++m) {
      auto const plain = job_of(shape::linear, p, m), one_loop = job_of(shape::looped, p, m),
                 one_wave = job_of(shape::wave, p, m);
      EXPECT_EQ(interleaved_one_f_one_b{}.order(one_loop), one_f_one_b{}.order(plain))
          << describe(plain);
      EXPECT_EQ(interleaved_zero_bubble{}.order(one_loop), zb_h1{}.order(plain)) << describe(plain);
      EXPECT_EQ(looped_bfs{}.order(one_loop), gpipe{}.order(plain)) << describe(plain);
      EXPECT_EQ(hanayo{}.order(one_wave), one_f_one_b{}.order(plain)) << describe(plain);
      EXPECT_EQ(one_f_one_b{}.order(one_wave), one_f_one_b{}.order(plain));
      EXPECT_EQ(interleaved_one_f_one_b{}.order(plain), one_f_one_b{}.order(plain));
    }
}

/// The order without the micro-batches that a job doesn't have.
pipeline_schedule without_missing(pipeline_schedule plan, std::int32_t microbatches) {
  for (auto& list : plan.order)
    std::erase_if(list, [&](operation const& o) { return o.microbatch >= microbatches; });
  return plan;
}

TEST(generators, leave_out_what_fills_up_the_last_group) {
  for (std::int32_t const p : {2, 4, 6})
    for (std::int32_t m = 1; m <= 3 * p; ++m) {
      auto const full = [](std::int32_t count, std::int32_t size) {
        return ceil_divide(count, size) * size;
      };
      EXPECT_EQ(hanayo{}.order(job_of(shape::wave, p, m, 2)),
                without_missing(hanayo{}.order(job_of(shape::wave, p, full(m, p), 2)), m));
      EXPECT_EQ(
          chimera{}.order(job_of(shape::bidirectional, p, m)),
          without_missing(chimera{}.order(job_of(shape::bidirectional, p, full(m, p / 2))), m));
      EXPECT_EQ(interleaved_one_f_one_b{.group = p}.order(job_of(shape::looped, p, m, 2)),
                without_missing(
                    interleaved_one_f_one_b{}.order(job_of(shape::looped, p, full(m, p), 2)), m));
      if (m >= p) continue;
      EXPECT_EQ(dual_pipe{}.order(job_of(shape::bidirectional, p, m)),
                without_missing(dual_pipe{}.order(job_of(shape::bidirectional, p, p)), m));
    }
}

TEST(generators, groups_of_a_given_size) {
  for (std::int32_t const p : {1, 3, 4})
    for (std::int32_t m = 1; m <= 3 * p + 1; ++m)
      for (std::int32_t const v : {1, 2, 3})
        for (std::int32_t const g : {p, p + 1, 2 * p + 1, 1'000'000'000}) {
          auto const job = job_of(shape::looped, p, m, v);
          auto const fused = interleaved_one_f_one_b{.group = g}(job);
          auto const split = interleaved_zero_bubble{.group = g}(job);
          EXPECT_EQ(check(job, fused.plan).size(), 0U) << describe(job) << " groups of " << g;
          EXPECT_EQ(check(job, split.plan).size(), 0U) << describe(job) << " groups of " << g;
          if (g != p) continue;
          EXPECT_LE(worst_stash(job, fused.plan), 2 * (p - 1) + (v - 1) * p + 1) << describe(job);
          EXPECT_LE(worst_stash(job, split.plan), v * p) << describe(job);
        }
  EXPECT_EQ(worst_stash(job_of(shape::looped, 8, 15, 2),
                        interleaved_one_f_one_b{}.order(job_of(shape::looped, 8, 15, 2))),
            30);
  EXPECT_EQ(worst_stash(job_of(shape::looped, 8, 15, 2),
                        interleaved_one_f_one_b{.group = 8}.order(job_of(shape::looped, 8, 15, 2))),
            23);
  for (std::int32_t const g : {3, 1, -1}) {
    auto const job = job_of(shape::looped, 4, 8, 2);
    EXPECT_THROW(static_cast<void>(interleaved_one_f_one_b{.group = g}(job)), invalid_problem);
    EXPECT_THROW(static_cast<void>(interleaved_zero_bubble{.group = g}(job)), invalid_problem);
  }
}

TEST(generators, plain_schedules_heed_a_cap_in_weights) {
  auto job = job_of(shape::linear, 4, 9);
  job.stash.forward = 6;
  job.memory = stash_cap::per_worker(13);
  for (auto const& answer : {one_f_one_b{}(job), zb_h1{}(job)}) {
    EXPECT_TRUE(answer.has_plan());
    EXPECT_EQ(worst_stash(job, answer.plan), 12);
    EXPECT_EQ(check(job, answer.plan).size(), 0U);
  }
  job.memory = stash_cap::per_worker(5);
  EXPECT_EQ(one_f_one_b{}(job).status, status::infeasible);
  EXPECT_EQ(zb_h1{}(job).status, status::infeasible);
}

// Every rank of the halved pipe does what the rank at the same place of the whole one does.
TEST(generators, dual_pipe_v_is_dual_pipe_cut_in_half) {
  auto const whole = job_of(shape::bidirectional, 8, 13, 1, {.overlap_gain = 1}),
             half = job_of(shape::wave, 4, 13, 2, {.overlap_gain = 1});
  auto const a = dual_pipe{}.order(whole), b = dual_pipe_v{}.order(half);
  for (rank_id r : ids<rank_id>(4)) {
    auto merged = a.order[r];
    for (operation& o : merged) o.pipeline = 0;
    EXPECT_EQ(merged, b.order[r]);
    EXPECT_EQ(a.overlapped[r], b.overlapped[r]);
    auto mirrored = a.order[7 - r.value()];
    for (operation& o : mirrored) o.pipeline = 0;
    EXPECT_EQ(mirrored, b.order[r]);
  }
}

TEST(generators, the_same_orders_when_all_costs_are_scaled) {
  with_all_generators([]<class Generator>(Generator generator, family const& all) {
    all.for_each({{.forward = 100,
                   .backward_input = 105,
                   .backward_weight = 85,
                   .step = 3,
                   .overlap_gain = 7}},
                 [&](pipeline_job job) {
                   job.transfer = 5;
                   auto const plan = generator(job);
                   auto scaled = job;
                   scaled.costs = {.forward = 100'000,
                                   .backward_input = 105'000,
                                   .backward_weight = 85'000,
                                   .step = 3'000,
                                   .overlap_gain = 7'000};
                   scaled.transfer = 5'000;
                   auto const answer = generator(scaled);
                   EXPECT_EQ(answer.plan, plan.plan) << Generator::name << " " << describe(job);
                   EXPECT_EQ(answer.objective, 1000 * plan.objective)
                       << Generator::name << " " << describe(job);
                 });
  });
}

template <class Generator>
std::string refusal(pipeline_job const& job) {
  try {
    static_cast<void>(Generator{}(job));
  } catch (invalid_problem const& e) {
    return e.what();
  }
  return "";
}

TEST(generators, refuse_layouts_that_they_are_not_made_for) {
  with_all_generators([]<class Generator>(Generator, family const& all) {
    for (auto const& job :
         {job_of(shape::linear, 4, 8), job_of(shape::looped, 2, 8, 2), job_of(shape::wave, 2, 8, 2),
          job_of(shape::wave, 2, 8, 3), job_of(shape::bidirectional, 4, 8)}) {
      bool const own = job.layout.form() == all.form ||
                       (job.layout.form() == shape::linear && all.form != shape::bidirectional);
      bool const fits = own && std::find(all.chunks.begin(), all.chunks.end(),
                                         job.layout.chunks()) != all.chunks.end();
      EXPECT_EQ(refusal<Generator>(job).substr(0, 10), fits ? "" : "layout: is")
          << Generator::name << " " << describe(job);
    }
    auto custom = job_of(shape::linear, 2, 3);
    custom.layout = stage_layout::custom({1, 0});
    EXPECT_EQ(refusal<Generator>(custom).substr(0, 17), "layout: is custom") << Generator::name;
  });
  EXPECT_EQ(refusal<gpipe>(job_of(shape::looped, 2, 8, 2)),
            "layout: is looped(2), gpipe is for linear layouts");
  EXPECT_EQ(refusal<dual_pipe_v>(job_of(shape::wave, 2, 8, 4)),
            "layout: is wave(4), dual_pipe_v is for wave layouts with 2 chunks a rank");
}

TEST(generators, fold_only_an_even_number_of_stages) {
  EXPECT_EQ(refusal<chimera>(job_of(shape::bidirectional, 5, 8)),
            "stages: must be even for chimera, is 5");
  EXPECT_EQ(refusal<dual_pipe>(job_of(shape::bidirectional, 5, 8)),
            "stages: must be even for dual_pipe, is 5");
}

TEST(generators, say_why_there_is_no_plan) {
  with_all_generators([]<class Generator>(Generator generator, family const& all) {
    auto job = job_of(all.form, 4, 9, all.chunks.back());
    job.pipelines *= 2;
    job.dead = {{.pipeline = 0, .stage = 1}};
    auto const dead = generator(job);
    EXPECT_EQ(dead.status, status::infeasible) << Generator::name;
    EXPECT_EQ(dead.reason, "worker 0:1 is dead and its micro-batches are not re-routed")
        << Generator::name;
    job.dead.clear();
    job.memory = stash_cap::per_worker(Generator::stash_peak(job));
    EXPECT_TRUE(generator(job).has_plan()) << Generator::name;
    if (all.form == shape::linear && Generator::name != gpipe::name) return;  // they heed a cap
    job.memory = stash_cap::per_worker(Generator::stash_peak(job) - 1);
    auto const tight = generator(job);
    EXPECT_EQ(tight.status, status::infeasible) << Generator::name;
    EXPECT_NE(tight.reason.find("the cap is"), text::npos)
        << Generator::name << ": " << tight.reason;
  });
}

}  // namespace
