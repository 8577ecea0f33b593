#include "shunt/lower/pace.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/core/error.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/step_validation.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/text.hpp"

namespace shunt::tests::pace_test {
namespace {

// Reports are a rank's number and the iteration, the verdict is a hash of all reports, 0 at first.
class telling_work {
 public:
  explicit telling_work(program const& p) : heard(p.ranks.size()), memory_(p.ranks.size()) {
    for (rank_id const r : ids<rank_id>(p.ranks.size()))
      for (auto const& b : p.ranks[r].buffers)
        memory_[r.index()].emplace_back(static_cast<std::size_t>(b.size));
  }
  std::span<std::byte> buffer(rank_id r, buffer_id b) { return memory_[r.index()][b.index()]; }
  void operator()(rank_id r, task const& t) {
    if (t.op.kind != op_kind::pace) return;
    if (!t.writes.empty()) put(r, t.writes[0], 100 * t.iteration + r.value());
    if (t.writes.size() > 1) put(r, t.writes[1], verdict_);
    if (t.reads.empty()) return;
    heard[r.index()].push_back(get(r, t.reads[0]));
    if (t.reads.size() == 1) return;
    verdict_ = 0;
    for (region const& from : t.reads.subspan(1))
      verdict_ = (31 * verdict_ + get(r, from)) % 1'000'003;
  }
  std::vector<std::vector<std::int64_t>> heard;

 private:
  void put(rank_id r, region const& at, std::int64_t value) {
    std::memcpy(buffer(r, at.buffer).data() + at.offset, &value, sizeof value);
  }
  std::int64_t get(rank_id r, region const& at) {
    std::int64_t value = 0;
    std::memcpy(&value, buffer(r, at.buffer).data() + at.offset, sizeof value);
    return value;
  }
  std::vector<std::vector<std::vector<std::byte>>> memory_;
  std::int64_t verdict_ = 0;  // of the judge
};

TEST(slow_pace, every_rank_hears_the_same_verdict_of_the_same_iteration) {
  random_cases d(8);
  for (int round = 0; round < 20; ++round) {
    auto job = random_job_with_failures(d, round % 2 == 0);
    job.memory = stash_cap::none();
    if (stage_without_worker(job)) continue;
    auto plan = lower(job, slipstream{.effort = 2'000}(job).plan);
    if (round % 3 == 0) plan = validated(plan, validation::in_next_iteration).iteration;
    rank_id const judge = job.live_holders(job.stages - 1).front();
    auto const p = with_pace(plan, judge, {8, 8});
    ASSERT_TRUE(check(p).empty()) << to_string(check(p).front());
    std::int64_t live = 0;
    for (auto const& rank : plan.ranks) live += !rank.instructions.empty();
    EXPECT_EQ(p.instructions(), plan.instructions() + static_cast<std::size_t>(6 * live - 4));
    for (rank_id const r : ids<rank_id>(plan.ranks.size())) {  // the rest is as it was
      auto const &before = plan.ranks[r].instructions, &now = p.ranks[r].instructions;
      if (before.empty()) {
        EXPECT_TRUE(now.empty());
        continue;
      }
      std::size_t const first = r == judge ? static_cast<std::size_t>(live) : 2;
      for (std::size_t i = 0; i < before.size(); ++i) {
        EXPECT_EQ(now[first + i], before[i]);
        auto const waits = p.ranks[r].after(now[first + i]);
        for (std::size_t w = 0; w < waits.size(); ++w)
          EXPECT_EQ(waits[w], plan.ranks[r].after(before[i])[w] + static_cast<std::int32_t>(first));
      }
    }
    auto const hears = [&](auto const& executor) {
      telling_work work(p);
      auto session = executor.open(work, 3);
      for (int n = 0; n < 3; ++n) session.submit(p);
      EXPECT_TRUE(session.wait().lost.empty());
      std::vector<std::int64_t> verdicts{0};  // then those by the reports of the iteration before
      for (int n = 0; n < 2; ++n) {
        std::int64_t sum = 0;
        for (rank_id const r : ids<rank_id>(plan.ranks.size()))
          if (!plan.ranks[r].instructions.empty())
            sum = (31 * sum + 100 * (3 + n) + r.value()) % 1'000'003;
        verdicts.push_back(sum);
      }
      for (rank_id const r : ids<rank_id>(plan.ranks.size())) {
        if (!plan.ranks[r].instructions.empty()) {
          EXPECT_EQ(work.heard[r.index()], verdicts);
        }
      }
    };
    if (round % 3 != 0) hears(inline_executor{});
    if (round % 3 == 1) hears(thread_executor{});
  }
}

TEST(slow_pace, the_judge_takes_part) {
  auto job = paper_job();
  job.dead = {{1, 2}};
  auto const plan = lower(job, slipstream{.effort = 2'000}(job).plan);
  EXPECT_THROW(static_cast<void>(with_pace(plan, job.rank_of({1, 2}), {8, 8})), invalid_program);
  EXPECT_THROW(static_cast<void>(with_pace(plan, 12, {8, 8})), invalid_program);
}

// A rank that waits has a list of its own then, and all others too.
TEST(slow_pace, ranks_that_wait_hear_as_well) {
  auto job = paper_job();
  job.dead = {{1, 2}};
  rank_id const waits = job.rank_of({1, 2});
  auto const plan = lower(job, slipstream{.effort = 2'000}(job).plan);
  ASSERT_TRUE(plan.ranks[waits].instructions.empty());
  std::vector<rank_id> const beside{waits};
  auto const all = with_pace(plan, 3, {8, 8}, beside);
  EXPECT_EQ(lines(check(all)), "");
  EXPECT_EQ(all.ranks[waits].instructions.size(), 4u);
  EXPECT_TRUE(with_pace(plan, 3, {8, 8}).ranks[waits].instructions.empty());
}

}  // namespace
}  // namespace shunt::tests::pace_test
