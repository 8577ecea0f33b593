#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "shunt/compose.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/looped_bfs.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/split_backward.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"

namespace shunt::tests::composing_schedules_test {
namespace {

// docs/composing-schedules.md {
/// 1F1B that starts two micro-batches before its first backward even on the last stage.
auto const two_ahead = shunt::from_orders{[](shunt::pipeline_job const& job, shunt::worker w) {
  std::int32_t const m = job.microbatches[w.pipeline],
                     warm_up = std::min(job.stages - w.stage.value(), m);
  return shunt::concat(shunt::forwards(0, warm_up),  // warm-up
                       shunt::alternate(shunt::forwards(warm_up, m),
                                        shunt::backwards(0, m - warm_up)),  // steady state
                       shunt::backwards(m - warm_up, m));                   // cool-down
}};

/// Every rank runs its chunks breadth first, and its last chunk's backwards first.
auto const breadth_first = shunt::from_orders{[](shunt::pipeline_job const& job,
                                                 std::vector<shunt::worker> const& workers) {
  auto const m = job.microbatches[workers.front().pipeline];
  auto deepest_first = workers;
  std::reverse(deepest_first.begin(), deepest_first.end());
  return shunt::concat(
      shunt::each_of(workers, [m](shunt::worker w) { return shunt::at(w, shunt::forwards(0, m)); }),
      shunt::each_of(deepest_first,
                     [m](shunt::worker w) { return shunt::at(w, shunt::backwards(0, m)); }));
}};

/// A micro-batch runs up and down all ranks three times, each operation as early as the steady
/// state has room for it.
struct packed_wave {
  static constexpr std::string_view name = "packed_wave";

  [[nodiscard]] shunt::solution<shunt::pipeline_schedule> operator()(
      shunt::pipeline_job const& job) const {
    return shunt::from_block{shunt::packed_block(job)}(job);
  }
};
static_assert(shunt::solver_for<packed_wave, shunt::pipeline_job>);
// }

/// The largest stash of a rank.
std::int64_t peak_of(pipeline_job const& job, pipeline_schedule const& plan) {
  auto const peaks = stash_peak(job, plan);
  return *std::max_element(peaks.begin(), peaks.end());
}

TEST(composing_schedules, two_ahead_hides_transfers_at_one_more_stash) {
  pipeline_job const job{.stages = 4, .microbatches = 12, .transfer = 1};
  auto const answer = two_ahead(job);
  ASSERT_TRUE(answer.has_plan()) << answer.reason;
  EXPECT_TRUE(check(job, answer.plan).empty());
  auto const plain = one_f_one_b{}(job);
  EXPECT_EQ(answer.objective, 65);
  EXPECT_EQ(plain.objective, 67);
  EXPECT_EQ(peak_of(job, answer.plan), peak_of(job, plain.plan) + 1);
  auto const staggered = (two_ahead | split_backward{} | stagger_step{})(job);
  EXPECT_TRUE(check(job, staggered.plan).empty());
  EXPECT_LT(staggered.objective, answer.objective);
}

TEST(composing_schedules, breadth_first_is_looped_bfs) {
  for (std::int32_t const chunks : {1, 2, 3}) {
    pipeline_job const job{
        .stages = 4 * chunks, .microbatches = 6, .layout = stage_layout::looped(chunks)};
    EXPECT_TRUE(check(job, breadth_first(job).plan).empty());
    EXPECT_EQ(breadth_first(job).plan, looped_bfs{}(job).plan) << chunks;
  }
}

/// The table of the document: makespan in ticks of a sixth of a stage, largest stash in chunks.
TEST(composing_schedules, six_chunks_take_no_more_memory_than_v_min_and_idle_less) {
  struct row {
    std::int32_t ranks, microbatches;
    ticks six_chunks, two_chunks;                   // makespans, each in its own chunks' ticks
    std::int64_t six_chunks_peak, two_chunks_peak;  // in its own chunks
  };
  for (row const& r : {row{4, 8, 175, 59, 12, 4}, row{8, 32, 655, 219, 24, 8},
                       row{16, 64, 1327, 443, 36, 12}, row{32, 128, 2671, 891, 68, 24}}) {
    pipeline_job const six{
        .stages = 6 * r.ranks, .microbatches = r.microbatches, .layout = stage_layout::wave(6)};
    pipeline_job const two{
        .stages = 2 * r.ranks, .microbatches = r.microbatches, .layout = stage_layout::v_shaped()};
    auto const wave = packed_wave{}(six), v = packed_wave{}(two);
    EXPECT_TRUE(check(six, wave.plan).empty());
    EXPECT_TRUE(check(two, v.plan).empty());
    EXPECT_EQ(makespan(six, wave.plan), r.six_chunks) << r.ranks;
    EXPECT_EQ(makespan(two, v.plan), r.two_chunks) << r.ranks;  // V-Min's, and its memory
    EXPECT_EQ(peak_of(six, wave.plan), r.six_chunks_peak) << r.ranks;
    EXPECT_EQ(peak_of(two, v.plan), r.two_chunks_peak) << r.ranks;
    EXPECT_LT(r.six_chunks, 3 * r.two_chunks);
    EXPECT_LE(r.six_chunks_peak, 3 * r.two_chunks_peak);
  }
}

}  // namespace
}  // namespace shunt::tests::composing_schedules_test
