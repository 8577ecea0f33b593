#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/core/error.hpp"
#include "shunt/measure/pipeline.hpp"
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
#include "support/generators.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::generators_test {
namespace {

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
                << Generator::name << " " << describe_job(job) << ": " << answer.reason;
            EXPECT_EQ(check(job, answer.plan).size(), 0U)
                << Generator::name << " " << describe_job(job);
            EXPECT_EQ(check(job, answer.plan, times(job, answer.plan)).size(), 0U)
                << Generator::name << " " << describe_job(job);
            EXPECT_EQ(answer.objective, static_cast<double>(period(job, answer.plan)));
            EXPECT_GE(answer.objective, answer.lower_bound)
                << Generator::name << " " << describe_job(job);
          }
        });
  });
}

TEST(generators, every_plan_passes_the_check_with_unequal_costs_and_links) {
  std::mt19937_64 random(20261123);
  auto const below = [&](std::uint64_t n) { return static_cast<std::int32_t>(random() % n); };
  with_all_generators([&]<class Generator>(Generator generator, family const& all) {
    for (int n = 0; n < 40; ++n) {
      auto const ranks = all.ranks[random() % all.ranks.size()];
      auto const microbatches = 1 + below(12);
      auto job =
          generator_job(all.form, ranks, microbatches, all.chunks[random() % all.chunks.size()]);
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
      if (all.form != shape::bidirectional) make_some_uneven(job);
      auto const answer = generator(job);
      ASSERT_TRUE(answer.has_plan())
          << Generator::name << " " << describe_job(job) << ": " << answer.reason;
      EXPECT_EQ(check(job, answer.plan).size(), 0U) << Generator::name << " " << describe_job(job);
      EXPECT_EQ(check(job, answer.plan, times(job, answer.plan)).size(), 0U)
          << Generator::name << " " << describe_job(job);
      EXPECT_GE(answer.objective, answer.lower_bound)
          << Generator::name << " " << describe_job(job);
    }
  });
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
  return short_weights(job.costs) &&
         (v == 1 ? job.microbatches[0] >= p : job.microbatches[0] % p == 0);
}

bool covers(hanayo, pipeline_job const& job) {
  return job.layout.chunks() == 1 || job.microbatches[0] % job.ranks() == 0;
}

bool covers(chimera, pipeline_job const& job) {
  return job.microbatches[0] % (job.stages / 2) == 0;
}

bool dual(pipeline_job const& job) {
  auto const& c = job.costs;
  return c.backward_weight[0] <= c.backward_input[0] && c.backward_input[0] <= c.forward[0] &&
         job.microbatches[0] >= job.stages;
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
          << Generator::name << " " << describe_job(job);
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
            << Generator::name << " " << describe_job(job);
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
      auto job = generator_job(form, f.ranks, f.microbatches, chunks);
      EXPECT_EQ(makespan(job, generator.order(job)), f.unit)
          << Generator::name << " " << describe_job(job);
      EXPECT_EQ(worst_stash(job, generator.order(job)), f.stash)
          << Generator::name << " " << describe_job(job);
      job.costs = {.forward = 100, .backward_input = 105, .backward_weight = 85};
      job.transfer = 5;
      EXPECT_EQ(makespan(job, generator.order(job)), f.real)
          << Generator::name << " " << describe_job(job);
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

TEST(generators, one_chunk_is_the_plain_schedule) {
  for (std::int32_t p = 1; p <= 6; ++p)
    for (std::int32_t m = 1; m <= 13; ++m) {
      auto const plain = generator_job(shape::linear, p, m),
                 one_loop = generator_job(shape::looped, p, m),
                 one_wave = generator_job(shape::wave, p, m);
      EXPECT_EQ(interleaved_one_f_one_b{}.order(one_loop), one_f_one_b{}.order(plain))
          << describe_job(plain);
      EXPECT_EQ(interleaved_zero_bubble{}.order(one_loop), zb_h1{}.order(plain))
          << describe_job(plain);
      EXPECT_EQ(looped_bfs{}.order(one_loop), gpipe{}.order(plain)) << describe_job(plain);
      EXPECT_EQ(hanayo{}.order(one_wave), one_f_one_b{}.order(plain)) << describe_job(plain);
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
      EXPECT_EQ(hanayo{}.order(generator_job(shape::wave, p, m, 2)),
                without_missing(hanayo{}.order(generator_job(shape::wave, p, full(m, p), 2)), m));
      EXPECT_EQ(chimera{}.order(generator_job(shape::bidirectional, p, m)),
                without_missing(
                    chimera{}.order(generator_job(shape::bidirectional, p, full(m, p / 2))), m));
      EXPECT_EQ(
          interleaved_one_f_one_b{.group = p}.order(generator_job(shape::looped, p, m, 2)),
          without_missing(
              interleaved_one_f_one_b{}.order(generator_job(shape::looped, p, full(m, p), 2)), m));
      if (m >= p) continue;
      EXPECT_EQ(dual_pipe{}.order(generator_job(shape::bidirectional, p, m)),
                without_missing(dual_pipe{}.order(generator_job(shape::bidirectional, p, p)), m));
    }
}

TEST(generators, plain_schedules_heed_a_cap_in_weights) {
  auto job = generator_job(shape::linear, 4, 9);
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
                   EXPECT_EQ(answer.plan, plan.plan) << Generator::name << " " << describe_job(job);
                   EXPECT_EQ(answer.objective, 1000 * plan.objective)
                       << Generator::name << " " << describe_job(job);
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
         {generator_job(shape::linear, 4, 8), generator_job(shape::looped, 2, 8, 2),
          generator_job(shape::wave, 2, 8, 2), generator_job(shape::wave, 2, 8, 3),
          generator_job(shape::bidirectional, 4, 8)}) {
      bool const own = job.layout.form() == all.form ||
                       (job.layout.form() == shape::linear && all.form != shape::bidirectional);
      bool const fits = own && std::find(all.chunks.begin(), all.chunks.end(),
                                         job.layout.chunks()) != all.chunks.end();
      EXPECT_EQ(refusal<Generator>(job).substr(0, 10), fits ? "" : "layout: is")
          << Generator::name << " " << describe_job(job);
    }
    auto custom = generator_job(shape::linear, 2, 3);
    custom.layout = stage_layout::custom({1, 0});  // linear, with other numbers
    bool const straight = all.form != shape::bidirectional &&
                          std::find(all.chunks.begin(), all.chunks.end(), 1) != all.chunks.end();
    EXPECT_EQ(refusal<Generator>(custom).substr(0, 17), straight ? "" : "layout: is custom")
        << Generator::name;
    custom = generator_job(shape::linear, 4, 3);
    custom.layout = stage_layout::custom({1, 0, 1, 2});
    EXPECT_EQ(refusal<Generator>(custom).substr(0, 17), "layout: is custom") << Generator::name;
  });
  EXPECT_EQ(refusal<gpipe>(generator_job(shape::looped, 2, 8, 2)),
            "layout: is looped(2), gpipe is for linear layouts");
  EXPECT_EQ(refusal<dual_pipe_v>(generator_job(shape::wave, 2, 8, 4)),
            "layout: is wave(4), dual_pipe_v is for wave layouts with 2 chunks a rank");
}

TEST(generators, fold_only_an_even_number_of_stages) {
  EXPECT_EQ(refusal<chimera>(generator_job(shape::bidirectional, 5, 8)),
            "stages: must be even for chimera, is 5");
  EXPECT_EQ(refusal<dual_pipe>(generator_job(shape::bidirectional, 5, 8)),
            "stages: must be even for dual_pipe, is 5");
}

TEST(generators, say_why_there_is_no_plan) {
  with_all_generators([]<class Generator>(Generator generator, family const& all) {
    auto job = generator_job(all.form, 4, 9, all.chunks.back());
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
}  // namespace shunt::tests::generators_test
