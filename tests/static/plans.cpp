#include <array>
#include <cstdint>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/check/placement.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/solve/experts/predict_loads.hpp"
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
#include "shunt/solve/pipeline/redundant_forward.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/split_backward.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "support/generators.hpp"

namespace shunt::tests::plans_test {
namespace {

template <class Generator>
constexpr bool valid_at(pipeline_job const& job) {
  auto answer = Generator{}(job);
  return answer.has_plan() && answer.plan == Generator{}.order(job) &&
         check(job, answer.plan).empty() &&
         check(job, answer.plan, times(job, answer.plan)).empty();
}

static_assert(valid_at<gpipe>(generator_job(shape::linear, 4, 8)));

static_assert(valid_at<one_f_one_b>(generator_job(shape::linear, 4, 8)));

static_assert(valid_at<zb_h1>(generator_job(shape::linear, 4, 8)));

static_assert(valid_at<interleaved_one_f_one_b>(generator_job(shape::looped, 2, 5, 2)));

static_assert(valid_at<interleaved_zero_bubble>(generator_job(shape::looped, 2, 4, 2)));

static_assert(valid_at<looped_bfs>(generator_job(shape::looped, 2, 3, 2)));

static_assert(valid_at<hanayo>(generator_job(shape::wave, 2, 3, 3)));

static_assert(valid_at<chimera>(generator_job(shape::bidirectional, 4, 3)));

static_assert(valid_at<dual_pipe>(generator_job(shape::bidirectional, 4, 4)));

static_assert(valid_at<dual_pipe_v>(generator_job(shape::wave, 2, 5, 2, {.overlap_gain = 1})));

template <class Solver>
constexpr bool valid_at_4_8(Solver solver) {
  auto job = pipeline_job{.stages = 4, .microbatches = 8};
  auto plan = solver(job).plan;
  return check(job, plan).empty() && check(job, plan, times(job, plan)).empty();
}

static_assert(valid_at_4_8(gpipe{}));

static_assert(valid_at_4_8(one_f_one_b{}));
static_assert(redundant_forward{}(pipeline_job{.stages = 4, .microbatches = 8}).objective == 39);

static_assert(valid_at_4_8(zb_h1{}));

static_assert(valid_at_4_8(one_f_one_b{} | split_backward{} | stagger_step{}));

static_assert([] {
  auto job = pipeline_job{.pipelines = 2, .stages = 2, .microbatches = 2, .dead = {{0, 1}}};
  auto plan = (one_f_one_b{} | reroute{})(job).plan;
  return check(job, plan).empty() && !check(job, one_f_one_b{}(job).plan).empty();
}());

static_assert(one_f_one_b{}(pipeline_job{.pipelines = 3,
                                         .stages = 4,
                                         .microbatches = 6,
                                         .costs = {.step = 3}})
                  .objective == 30);

constexpr std::array<std::int32_t, 4> counted_while_compiling(
    std::array<std::int64_t, 4> const& loads) {
  std::array<std::int32_t, 4> counts{};
  std::array<std::int64_t, 8> scratch{};
  shunt::swift_moe_counts(loads.data(), 4, 8, counts.data(), scratch.data());
  return counts;
}

static_assert(counted_while_compiling({700, 200, 60, 40}) == std::array{5, 1, 1, 1});

static_assert(counted_while_compiling({1, 1, 1, 2}) ==
              std::array{2, 2, 1, 3});  // goals 1.6, 1.6, 1.6, 3.2

constexpr std::int64_t foreseen(auto const& predict) {
  std::vector<std::int64_t> history;
  for (std::int64_t const load : {10, 20, 30}) history.push_back(load);
  return predict(history, 1)[0];
}

static_assert(foreseen(shunt::last_window{}) == 30 && foreseen(shunt::window_mean{}) == 20 &&
              foreseen(shunt::linear_trend{}) == 40);

static_assert(foreseen(shunt::exponential_mean{}) == 23);  // 22.5

}  // namespace
}  // namespace shunt::tests::plans_test
