// A work that restores as the documentation says, kept copies over states and nothing else, ends as
// an undisturbed run does: whichever rank falls silent, before whatever instruction, on every
// executor.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/core/indexed.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/program/program.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "support/host_streams.hpp"
#include "support/integer_pipeline.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::naive_work_test {
namespace {

using namespace integer_pipeline;
using namespace std::chrono_literals;
using failures = std::vector<failure_point>;

/// Does not look whether a step was taken.
class naive_pipeline : public toy_pipeline {
 public:
  explicit naive_pipeline(pipeline_job const& job) : toy_pipeline(job), job_(job) {}

  void restore(rank_id r, std::int64_t) {
    for (std::int32_t c = 0; c < static_cast<std::int32_t>(job_.stages_of(r).size()); ++c)
      *at(r, {pipeline_buffers::state(c), 0, 8}) = *at(r, {pipeline_buffers::kept(c), 0, 8});
  }

 private:
  pipeline_job job_;
};
static_assert(restorable_work<naive_pipeline>);

struct on_one_thread {
  auto with(failures f) { return inline_executor{.failures = std::move(f)}; }
};
struct on_threads {
  auto with(failures f) { return thread_executor{.failures = std::move(f), .timeout = 2ms}; }
};
struct in_virtual_time {
  auto with(failures f) {
    return simulated_executor{.cost = uneven_costs{}, .failures = std::move(f), .timeout = 5};
  }
};
struct on_streams {
  std::unique_ptr<host_streams> system = std::make_unique<host_streams>(7);
  auto with(failures f) {
    return stream_executor<host_streams>{.system = system.get(), .failures = std::move(f)};
  }
};
struct in_graphs {
  std::unique_ptr<host_streams> system = std::make_unique<host_streams>(8);
  auto with(failures f) {
    return graph_executor<host_streams>{.system = system.get(), .failures = std::move(f)};
  }
};

/// An executor whose n-th session has its own failures.
template <class Maker>
struct in_turn {
  Maker* maker;
  std::vector<failures> of_session;
  std::shared_ptr<std::size_t> opened = std::make_shared<std::size_t>(0);

  [[nodiscard]] auto open(naive_pipeline& w, std::int64_t first = 0) const {
    auto const n = (*opened)++;
    return maker->with(n < of_session.size() ? of_session[n] : failures{}).open(w, first);
  }
  outcome run(program const& p, naive_pipeline& w) const { return run_once(*this, p, w); }
};

/// Trains through failures, one list of them a session.
/// Returns whether all survivors end as expected.
template <class Maker>
bool ends_as(planner& plans, std::vector<failures> of_session,
             std::vector<std::vector<number>> const& expected) {
  naive_pipeline w(plans.job());
  Maker maker;
  auto const plan = [&](dead_ranks dead) -> std::optional<program> {
    if (stage_without_worker(plans.without(dead))) return std::nullopt;
    auto p = lower(plans.without(dead), plans.plan(dead), tensors);
    w.fit(p);
    return p;
  };
  auto const report =
      run_through_losses(in_turn<Maker>{&maker, std::move(of_session)}, w,
                         recovery{.end = iterations}, plan, [](completed_iteration const&) {});
  auto const states = states_of(w, plans.job(), report.dead);
  bool same = report.end == iterations;
  for (rank_id const r : ids<rank_id>(states.size()))
    same = same && (std::binary_search(report.dead.begin(), report.dead.end(), r) ||
                    states[r.index()] == expected[r.index()]);
  return same;
}

/// Every rank falls silent before every `every`-th instruction of iteration 1, and once more with a
/// second loss: another rank falls silent when iteration 1, or the one after it, is done again.
template <class Maker>
void fail_everywhere(planner& plans, std::int32_t every = 1) {
  auto const expected = undisturbed(plans, iterations);
  auto const p = lower(plans.job(), plans.plan({}), tensors);
  std::int32_t wrong = 0, runs = 0;
  for (rank_id const r : ids<rank_id>(p.ranks.size()))
    for (auto at = 37 * r.value() % every;  // early ones and late ones
         at <= static_cast<std::int32_t>(p.ranks[r].instructions.size()); at += every) {
      wrong += !ends_as<Maker>(plans, {{{r, 1, at}}}, expected);
      ++runs;
      rank_id const next((r.value() + 1) % (plans.job().ranks() / plans.job().pipelines));
      if (next == r) continue;
      wrong += !ends_as<Maker>(plans, {{{r, 1, at}}, {{next, 1, at / 2}, {next, 2, 0}}}, expected);
      ++runs;
    }
  EXPECT_EQ(wrong, 0) << "of " << runs;
}

/// Three jobs: the second with two stages a rank one after another, the third with both ends.
std::vector<planner> jobs() {
  std::vector<planner> all;
  for (auto const& [form, pipelines, stages, microbatches] :
       {std::tuple{stage_layout::linear(), 3, 4, 6}, std::tuple{stage_layout::looped(2), 2, 4, 4},
        std::tuple{stage_layout::wave(2), 2, 4, 4}})
    for (bool const stagger : {true, false})
      all.emplace_back(pipeline_job{.pipelines = pipelines,
                                    .stages = stages,
                                    .microbatches = microbatches,
                                    .costs = {1, 1, 1, 3},
                                    .layout = form},
                       [stagger](pipeline_job const& job) {
                         return slipstream{.stagger = stagger, .effort = 20'000}(job);
                       });
  return all;
}

TEST(naive_work, here_and_there) {
  auto all = jobs();
  auto& plans = all.front();
  fail_everywhere<on_one_thread>(plans, 41);
  fail_everywhere<on_threads>(plans, 89);
  fail_everywhere<in_virtual_time>(plans, 43);
  fail_everywhere<on_streams>(plans, 97);
  fail_everywhere<in_graphs>(plans, 101);
}

TEST(naive_work, on_one_thread_exhaustive) {
  for (auto& plans : jobs()) fail_everywhere<on_one_thread>(plans);
}
TEST(naive_work, on_threads_exhaustive) {
  for (auto& plans : jobs()) fail_everywhere<on_threads>(plans, 17);
}
TEST(naive_work, in_virtual_time_exhaustive) {
  for (auto& plans : jobs()) fail_everywhere<in_virtual_time>(plans);
}
TEST(naive_work, on_streams_exhaustive) {
  for (auto& plans : jobs()) fail_everywhere<on_streams>(plans, 3);
}
TEST(naive_work, in_graphs_exhaustive) {
  for (auto& plans : jobs()) fail_everywhere<in_graphs>(plans, 3);
}

}  // namespace
}  // namespace shunt::tests::naive_work_test
