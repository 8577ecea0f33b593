// Iterations through losses and joins, on every executor: the end is always the one of an
// undisturbed run.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "toys.hpp"

namespace {

using namespace shunt;
using namespace std::chrono_literals;
using dead_ranks = std::span<rank_id const>;

constexpr std::int32_t workers = 3, microbatches = 7;
constexpr byte_count width = 4 * 8;  // four int64
constexpr buffer_id state = 0, gradient = 1;

/// Data-parallel training in integers: every worker holds the state, the gradient of (iteration,
/// micro-batch, state) is summed over all of them, and the step mixes it in, so that doing anything
/// twice, in part or with the wrong state shows.
class toy_training {
 public:
  toy_training() : ranks_(workers) {}

  /// Asked before every operation.
  std::function<void(task const&)> before{};

  void operator()(rank_id r, task const& t) {
    if (before) before(t);
    auto& me = ranks_[r.index()];
    if (t.op.kind == op_kind::backward) {
      for (std::size_t i = 0; i < 4; ++i)
        me.words[1][i] += (me.words[0][i] ^ (t.iteration * 100 + t.op.microbatch.value() * 10 +
                                             static_cast<std::int64_t>(i))) %
                          1009;
    } else {
      me.kept = me.words[0];
      me.stepped = t.iteration;
      for (std::size_t i = 0; i < 4; ++i)
        me.words[0][i] = me.words[0][i] * 3 + me.words[1][i] + t.iteration;
    }
  }
  std::span<std::byte> buffer(rank_id r, buffer_id b) {
    return std::as_writable_bytes(std::span(ranks_[r.index()].words[b.index()]));
  }
  void restore(rank_id r, std::int64_t iteration) {
    auto& me = ranks_[r.index()];
    ++restored;
    if (me.stepped < iteration) return;
    ASSERT_EQ(me.stepped, iteration) << "more than one step to undo";
    me.words[0] = me.kept;
    me.stepped = iteration - 1;
  }

  [[nodiscard]] std::array<std::int64_t, 4> const& words(rank_id r) const {
    return ranks_[r.index()].words[0];
  }
  int restored = 0;

 private:
  struct alignas(64) worker_state {
    std::array<std::int64_t, 4> words[2]{{11, 22, 33, 44}, {-1, -1, -1, -1}};
    std::array<std::int64_t, 4> kept{};
    std::int64_t stepped = -1;
  };
  std::vector<worker_state> ranks_;
};

static_assert(restorable_work<toy_training>);

std::optional<program> plan(dead_ranks dead) {
  program_builder b(workers);
  std::vector<rank_id> live;
  for (rank_id const r : ids<rank_id>(workers)) {
    b.buffer(r, state, width, true);
    b.buffer(r, gradient, width);
    if (!std::binary_search(dead.begin(), dead.end(), r)) live.push_back(r);
  }
  if (live.empty()) return std::nullopt;
  region const weights{state, 0, width}, sum{gradient, 0, width};
  for (rank_id const r : live) b.fill(r, sum);
  for (std::int32_t m = 0; m < microbatches; ++m)
    b.compute(live[static_cast<std::size_t>(m) % live.size()],
              {.kind = op_kind::backward, .microbatch = m}, {weights, sum}, {sum});
  auto const everyone = b.group(live);
  for (rank_id const r : live) {
    b.all_reduce(r, everyone, element::int64, reduction::sum, sum);
    b.compute(r, {.kind = op_kind::step}, {sum, weights}, {weights});
  }
  return std::move(b).finish();
}

std::optional<program> transfer(rank_id joining, dead_ranks dead) {
  program_builder b(workers);
  for (rank_id const r : ids<rank_id>(workers)) b.buffer(r, state, width, true);
  for (rank_id const r : ids<rank_id>(workers))
    if (!std::binary_search(dead.begin(), dead.end(), r)) {
      b.message(r, {state, 0, width}, joining, {state, 0, width});
      return std::move(b).finish();
    }
  return std::nullopt;
}

std::vector<rank_id> only(rank_id r) { return {r}; }

struct on_one_thread {
  static auto with(std::vector<fault> faults) {
    return inline_executor{.faults = std::move(faults)};
  }
};
struct on_threads {
  static auto with(std::vector<fault> faults) {
    return threads{.faults = std::move(faults), .timeout = 2ms};
  }
};
struct in_virtual_time {
  static auto with(std::vector<fault> faults) {
    return simulated{.cost = toys::uneven_costs{}, .faults = std::move(faults), .timeout = 5};
  }
};

using planner = std::function<std::optional<program>(dead_ranks)>;
using listener = std::function<void(completed_iteration const&)>;

/// With one type for each callable, to be compiled once an executor.
template <class Maker>
recovery_report recovered(std::vector<fault> faults, toy_training& w, recovery const& config,
                          planner const& make, listener const& hear) {
  return run_through_losses(Maker::with(std::move(faults)), w, config, make, hear, transfer);
}

template <class Maker>
class recovery_on : public testing::Test {
 protected:
  static constexpr std::int64_t iterations = 6;

  static std::array<std::int64_t, 4> undisturbed(std::int64_t until = iterations) {
    toy_training w;
    auto session = inline_executor{}.open(w);
    for (std::int64_t k = 0; k < until; ++k) session.submit(*plan({}));
    (void)session.wait();
    return w.words(0);
  }

  /// Runs with these faults and joins; all survivors must end as if nothing had happened.
  static recovery_report survive(std::vector<fault> faults, std::vector<join> joins = {},
                                 std::vector<rank_id> dead = {}) {
    toy_training w;
    std::vector<std::int64_t> announced;
    recovery const config{.end = iterations, .dead = std::move(dead), .joins = std::move(joins)};
    auto const report =
        recovered<Maker>(std::move(faults), w, config, plan,
                         [&](completed_iteration const& c) { announced.push_back(c.iteration); });
    EXPECT_EQ(report.end, iterations);
    EXPECT_EQ(report.stopped, "");
    EXPECT_EQ(announced, (std::vector<std::int64_t>{0, 1, 2, 3, 4, 5}));
    for (rank_id const r : ids<rank_id>(workers))
      if (!std::binary_search(report.dead.begin(), report.dead.end(), r)) {
        EXPECT_EQ(w.words(r), undisturbed());
      }
    return report;
  }
};
using makers = testing::Types<on_one_thread, on_threads, in_virtual_time>;
TYPED_TEST_SUITE(recovery_on, makers);

TYPED_TEST(recovery_on, nothing_lost_is_one_session) {
  ASSERT_TRUE(check(*plan({})).empty());
  auto const report = this->survive({});
  EXPECT_TRUE(report.losses.empty());
  ASSERT_EQ(report.sessions.size(), 1U);
  EXPECT_EQ(report.sessions[0].result.done[0], (progress{6, 0}));
}

TYPED_TEST(recovery_on, every_instruction_may_be_the_last) {
  auto const p = *plan({});
  for (rank_id const victim : ids<rank_id>(workers)) {
    auto const length = static_cast<std::int32_t>(p.ranks[victim].instructions.size());
    for (std::int32_t at = 0; at <= length; ++at) {
      auto const report = this->survive({{victim, 3, at}});
      ASSERT_EQ(report.losses.size(), 1U);
      auto const& l = report.losses[0];
      EXPECT_EQ(l.ranks, std::vector<rank_id>{victim});
      EXPECT_EQ(report.dead, std::vector<rank_id>{victim});
      EXPECT_GE(l.iteration, 2);  // a slow survivor may be called off before it has completed 2
      EXPECT_LE(l.iteration,
                at >= length - 1
                    ? 4
                    : 3);  // with its gradient reduced, the others may complete the iteration
      EXPECT_LE(l.steps_undone, workers - 1);
      EXPECT_EQ(report.sessions.size(), 2U);
      EXPECT_EQ(report.sessions.back().first, l.iteration);
    }
  }
}

TYPED_TEST(recovery_on, losses_add_up) {
  auto const one_by_one = this->survive({{2, 1, 4}, {0, 4, 2}});
  EXPECT_EQ(one_by_one.losses.size(), 2U);
  EXPECT_EQ(one_by_one.dead, (std::vector<rank_id>{0, 2}));
  auto const at_once = this->survive({{2, 2, 0}, {1, 2, 1}});
  EXPECT_EQ(at_once.dead, (std::vector<rank_id>{1, 2}));
  auto const in_the_redo =
      this->survive({{2, 2, 0}, {1, 2, 5}});  // instruction 5 exists only under the second plan
  EXPECT_EQ(in_the_redo.dead, (std::vector<rank_id>{1, 2}));
  EXPECT_EQ(in_the_redo.losses.size(), 2U);
}

TYPED_TEST(recovery_on, lost_at_the_very_end_costs_nothing) {
  auto const length = static_cast<std::int32_t>(plan({})->ranks[1].instructions.size());
  auto const report = this->survive({{1, 5, length}});
  ASSERT_EQ(report.losses.size(), 1U);
  EXPECT_EQ(report.dead, only(1));
}

TYPED_TEST(recovery_on, ranks_come_back) {
  auto const later = this->survive({{1, 1, 3}}, {{1, 4}});
  EXPECT_TRUE(later.dead.empty());
  EXPECT_EQ(later.joined, (std::vector<join>{{1, 4}}));
  ASSERT_EQ(later.sessions.size(), 3U);
  EXPECT_EQ(later.sessions[2].first, 4);

  auto const from_the_start = this->survive({}, {{0, 0}, {2, 3}}, {0, 2});
  EXPECT_TRUE(from_the_start.dead.empty());
  EXPECT_EQ(from_the_start.joined.size(), 2U);

  auto const again = this->survive({{1, 1, 3}, {1, 3, 0}}, {{1, 3}, {1, 5}});
  EXPECT_TRUE(again.dead.empty());
  EXPECT_EQ(again.losses.size(), 2U);
  EXPECT_EQ(again.joined.size(), 2U);

  auto const alive_anyway = this->survive({{1, 4, 3}}, {{1, 2}});
  EXPECT_TRUE(alive_anyway.joined.empty());
}

TYPED_TEST(recovery_on, a_transfer_may_fail) {
  auto const giver_lost =
      this->survive({{1, 1, 3}, {0, transfer_iteration, 0}}, {{1, 3}});  // then rank 2 gives
  EXPECT_EQ(giver_lost.dead, only(0));
  EXPECT_EQ(giver_lost.joined, (std::vector<join>{{1, 3}}));
  EXPECT_EQ(giver_lost.losses.size(), 2U);
  auto const givers_lost =
      this->survive({{1, 1, 3}, {2, 2, 0}, {0, transfer_iteration, 0}}, {{1, 0}, {2, 1}});
  EXPECT_EQ(givers_lost.dead, (std::vector<rank_id>{1, 2}));
  EXPECT_TRUE(givers_lost.joined.empty());
  auto const taker_lost = this->survive({{1, 1, 3}, {1, transfer_iteration, 0}}, {{1, 3}});
  EXPECT_EQ(taker_lost.dead, only(1));
}

TYPED_TEST(recovery_on, stops_where_there_is_no_plan) {
  toy_training w;
  auto const needs_two = [](dead_ranks dead) {
    return dead.size() > 1 ? std::optional<program>{} : plan(dead);
  };
  int completed = 0;
  auto const report = recovered<TypeParam>({{0, 1, 2}, {2, 3, 3}}, w, {.end = 6}, needs_two,
                                           [&](completed_iteration const&) { ++completed; });
  EXPECT_EQ(report.end, 3);
  EXPECT_EQ(completed, 3);
  EXPECT_EQ(report.stopped, "no plan for iteration 3 without ranks 0 2");
  EXPECT_EQ(w.words(1), this->undisturbed(3));  // the survivor stands where iteration 3 can begin
}

TEST(recovering, refuses_to_undo_two_steps) {
  auto const untied = [](dead_ranks) {
    program_builder b(workers);
    for (rank_id const r : ids<rank_id>(workers)) {
      b.buffer(r, state, width, true);
      b.buffer(r, gradient, width, true);
      b.compute(r, {.kind = op_kind::step}, {}, {{state, 0, width}});
    }
    b.send(2, 1, {state, 0, width});
    b.receive(1, 2, {gradient, 0, width});
    return std::optional(std::move(b).finish());
  };
  toy_training w;
  try {  // rank 1 waits for rank 2, rank 0 runs to the end
    (void)run_through_losses(inline_executor{.faults = {{2, 1, 0}}}, w, {.end = 6}, untied,
                             [](completed_iteration const&) {});
    FAIL();
  } catch (invalid_program const& e) {
    EXPECT_NE(
        std::string(e.what()).find("rank 0 would have to undo 5 steps to go back to iteration 1"),
        std::string::npos)
        << e.what();
  }
}

TYPED_TEST(recovery_on, passes_on_what_the_work_throws) {
  toy_training w;
  w.before = [](task const& t) {
    if (t.iteration == 2) throw std::runtime_error("no data");
  };
  EXPECT_THROW(
      (void)recovered<TypeParam>({}, w, {.end = 6}, plan, [](completed_iteration const&) {}),
      std::runtime_error);
}

/// Sessions as processes have them: the `nth` ends after one program, though nobody is lost.
struct flaky {
  int nth = 1;
  bool always = false;
  std::optional<rank_id> absent{};  ///< has no process; then nobody knows that the others have
                                    ///< completed the program until all agree on it
  std::shared_ptr<int> opened = std::make_shared<int>(0);

  struct session {
    inline_session<toy_training> inner;
    bool breaks;
    std::optional<rank_id> absent;
    int submitted = 0;

    void submit(std::shared_ptr<program const> p) {
      if (!breaks || submitted++ == 0) inner.submit(std::move(p));
    }
    [[nodiscard]] bool wait_until(std::int32_t n) {
      return (!breaks || (n == 1 && !absent)) && inner.wait_until(n);
    }
    [[nodiscard]] ticks completed_at(std::int32_t n) const { return inner.completed_at(n); }
    [[nodiscard]] outcome wait() {
      auto all = inner.wait();
      if (breaks && submitted == 1)
        for (auto& d : all.done) d = {};  // a session of one program
      if (absent) all.done[*absent] = {};
      return all;
    }
    [[nodiscard]] loss_times times_of_loss() const {
      return {.noticed = 7, .detect = 2, .agree = 5};
    }
  };
  [[nodiscard]] session open(toy_training& w, std::int64_t first = 0) const {
    return {{inline_executor{}, w, first}, ++*opened == nth || (always && *opened >= nth), absent};
  }
  outcome run(program const& p, toy_training& w) const { return run_once(*this, p, w); }
};
static_assert(loss_timing_session<flaky::session>);

TEST(recovering, goes_on_where_connections_break_and_nobody_is_lost) {
  toy_training w, calm;
  auto const hear = [](completed_iteration const&) {};
  (void)run_through_losses(inline_executor{}, calm, {.end = 6}, plan, hear);
  auto const report = run_through_losses(flaky{}, w, {.end = 6}, plan, hear);
  EXPECT_EQ(report.end, 6);
  ASSERT_EQ(report.losses.size(), 1u);
  EXPECT_EQ(report.losses[0].ranks, std::vector<rank_id>{});
  EXPECT_EQ(report.losses[0].iteration, 1);
  EXPECT_EQ(report.losses[0].noticed, 7);
  EXPECT_EQ(report.losses[0].detect, 2);
  EXPECT_GE(report.losses[0].agree, 5);
  EXPECT_EQ(w.words(0), calm.words(0));
  EXPECT_TRUE(report.dead.empty());
}

TEST(recovering, waits_for_nobody_who_is_asked_for_nothing) {
  toy_training w;
  auto const without_last = [](dead_ranks) { return plan(only(2)); };
  auto const report = run_through_losses(flaky{.absent = 2}, w, {.end = 6}, without_last,
                                         [](completed_iteration const&) {});
  EXPECT_EQ(report.end, 6);
  ASSERT_EQ(report.losses.size(), 1u);
  EXPECT_EQ(report.losses[0].iteration, 1);
  EXPECT_EQ(report.losses[0].steps_undone, 0);
}

TEST(recovering, brings_the_state_again_where_connections_break) {
  toy_training w, calm;
  auto const hear = [](completed_iteration const&) {};
  (void)run_through_losses(inline_executor{}, calm, {.end = 4}, plan, hear);
  recovery const config{.end = 4, .dead = {1}, .joins = {{1, 2}}};
  auto const report = run_through_losses(flaky{.nth = 2}, w, config, plan, hear, transfer);
  EXPECT_EQ(report.joined, (std::vector<join>{{1, 2}}));
  ASSERT_EQ(report.losses.size(), 1u);
  EXPECT_EQ(report.losses[0].iteration, 2);
  EXPECT_EQ(w.words(0), calm.words(0));
  EXPECT_EQ(w.words(1), calm.words(0));
}

TEST(recovering, does_not_try_for_ever) {
  toy_training w;
  recovery const config{.end = 4, .dead = {1}, .joins = {{1, 2}}};
  auto const hear = [](completed_iteration const&) {};
  EXPECT_THROW(
      (void)run_through_losses(flaky{.nth = 2, .always = true}, w, config, plan, hear, transfer),
      invalid_program);
}

}  // namespace
