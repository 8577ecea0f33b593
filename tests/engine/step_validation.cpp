// Validated steps: a run whose steps are staggered and taken back where they don't stand ends with
// the same bits as one that waits, and as one that needs neither programs nor ranks.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/step_validation.hpp"
#include "shunt/lower/validated_join.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "shunt/solve/pipeline/chimera.hpp"
#include "shunt/solve/pipeline/dual_pipe.hpp"
#include "shunt/solve/pipeline/dual_pipe_v.hpp"
#include "shunt/solve/pipeline/hanayo.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"
#include "shunt/solve/pipeline/looped_bfs.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/zb_v.hpp"
#include "toys.hpp"

namespace {

using namespace shunt;
using namespace std::chrono_literals;

using number = std::int64_t;
constexpr byte_count word = 8;

constexpr number mixed(number a, number b) { return (a * 31 + b * 17 + 5) % 10007; }

/// What a toy trains: numbers alone, so that anything done twice, in part or with the wrong
/// parameters shows.
struct toy {
  std::int32_t stages = 1, pipelines = 1, microbatches = 1;
  double most_norm = 1e300;
  std::set<std::pair<std::int32_t, std::int64_t>>
      bad{};  // (stage, iteration) whose gradient isn't finite

  [[nodiscard]] static number datum(std::int64_t iteration, operation const& o) {
    return mixed(iteration * 7, o.pipeline.value() * 100 + o.microbatch.value());
  }
  [[nodiscard]] static number initial(stage_id s) { return 1000 + s.value(); }
  [[nodiscard]] static number forward(number state, number input) {
    return mixed(state % 10007, input);
  }
  [[nodiscard]] static number input_gradient(number state, number input, number output_gradient) {
    return mixed(state % 10007 + input, output_gradient);
  }
  [[nodiscard]] static number weight_gradient(number input, number output_gradient) {
    return mixed(input, output_gradient) % 211 - 105;
  }
  /// What a whole verdict makes of a step; nothing where it is left out.
  [[nodiscard]] number stepped(number state, number gradient, step_verdict const& v) const {
    if (!v.finite()) return state;
    return state +
           static_cast<number>(static_cast<double>(gradient) * v.coefficient(most_norm) * 1024);
  }
  [[nodiscard]] bool stands(step_verdict const& v) const {
    return v.finite() && v.coefficient(most_norm) >= 1;
  }
};

/// The memory of all ranks and what their operations compute.
class toy_work {
 public:
  toy_work(toy const& t, pipeline_job const& job)
      : toy_(t), memory_(static_cast<std::size_t>(job.ranks())), next_(memory_.size(), 0) {}

  /// Makes room for a program, and gives states their first value in a program that is the first.
  void fit(program const& p) {
    for (rank_id r : ids<rank_id>(p.ranks.size())) {
      auto& own = memory_[r.index()];
      auto const& needed = p.ranks[r].buffers;
      if (own.size() < needed.size()) own.resize(needed.size());
      for (buffer_id b : ids<buffer_id>(needed.size()))
        if (own[b.index()].size() * 64 < static_cast<std::size_t>(needed[b].size))
          own[b.index()].resize(static_cast<std::size_t>((needed[b].size + 63) / 64));
    }
  }
  void initialise(program const& p) {
    fit(p);
    for (rank_id r : ids<rank_id>(p.ranks.size()))
      for (auto const& s : detail::steps_of(p.ranks[r], r)) {
        put(r, s.state, toy::initial(s.stage));
        steps_[r].push_back(s);
      }
  }

  std::span<std::byte> buffer(rank_id r, buffer_id b) {
    return std::as_writable_bytes(std::span(memory_[r.index()][b.index()]));
  }

  void operator()(rank_id r, task const& t) {
    auto const read = [&](std::size_t i, std::int32_t n = 0) { return get(r, t.reads[i], n); };
    auto const write = [&](std::size_t i, number value, std::int32_t n = 0) {
      put(r, t.writes[i], value, n);
    };
    bool const first = t.op.stage == 0, last = t.op.stage.value() + 1 == toy_.stages;
    auto const input = [&] { return first ? toy::datum(t.iteration, t.op) : read(1); };
    auto const output_gradient = [&] { return last ? read(2, 1) : read(3); };
    auto const backward_input = [&] {
      number const g = output_gradient();
      write(1, g, 2);  // what backward_weight needs
      if (!first) write(0, toy::input_gradient(read(0), read(2), g));
    };
    auto const backward_weight = [&](std::size_t target, number g) {
      write(target, read(4) + toy::weight_gradient(read(2), g));
      write(target + 1, read(5) + (toy_.bad.contains({t.op.stage.value(), t.iteration}) ? 1 : 0));
    };
    switch (t.op.kind) {
      case op_kind::forward: {
        number const out = toy::forward(read(0), input());
        write(1, input(), 0), write(1, out, 1);
        if (!last) write(0, out);
        ++forwards;
        break;
      }
      case op_kind::backward_input: backward_input(); break;
      case op_kind::backward_weight: backward_weight(0, read(2, 2)); break;
      case op_kind::backward: {
        number const g = output_gradient();
        backward_input();
        backward_weight(2, g);
        break;
      }
      case op_kind::norm: {
        step_verdict v{.not_finite = static_cast<double>(read(1)), .stages = 1};
        v.squares = static_cast<double>(read(0)) * static_cast<double>(read(0));
        store(r, t.writes[0], v);
        break;
      }
      case op_kind::step: {
        auto const v = load<step_verdict>(r, t.reads[1]);
        bool const whole = v.stages == toy_.stages;
        if (whole || toy_.stands(v)) write(0, toy_.stepped(read(2), read(0), v));
        store(r, t.writes[1], step_record{v, 1});
        next_[r.index()] = t.iteration + 1;
        break;
      }
      case op_kind::validate: {
        auto const v = load<step_verdict>(r, t.reads[0]);
        bool const redo = !toy_.stands(v);
        write(0, redo, 0);
        write(0, redo && load<step_record>(r, t.reads[1]).pending != 0, 1);
        break;
      }
      case op_kind::step_again: {
        auto const v = load<step_verdict>(r, t.reads[1]);
        EXPECT_EQ(v.stages, toy_.stages);
        write(0, toy_.stepped(read(2), read(0), v));
        auto record = load<step_record>(r, t.reads[3]);
        record.pending = 0;
        store(r, t.writes[1], record);
        ++rolled_back;
        break;
      }
      default: FAIL() << "no operation of a pipeline: " << to_string(t.op.kind);
    }
  }

  void restore(rank_id r, std::int64_t iteration) {
    auto& next = next_[r.index()];
    if (next <= iteration) return;
    ASSERT_EQ(next, iteration + 1);
    for (auto const& s : steps_[r])
      memory_[r.index()][s.state.buffer.index()] = memory_[r.index()][s.kept.buffer.index()];
    next = iteration;
    ++restored;
  }
  /// A new worker comes in a dead one's place.
  void replace(rank_id r, std::int64_t iteration) {
    for (auto& b : memory_[r.index()])
      for (auto& l : b) std::fill(std::begin(l.bytes), std::end(l.bytes), std::byte{0xab});
    next_[r.index()] = iteration;
  }

  /// The states of a rank's stages.
  [[nodiscard]] std::vector<std::pair<stage_id, number>> states(rank_id r) {
    std::vector<std::pair<stage_id, number>> all;
    for (auto const& s : steps_[r]) all.emplace_back(s.stage, get(r, s.state));
    return all;
  }
  [[nodiscard]] std::int64_t iteration_of(rank_id r) const { return next_[r.index()]; }

  std::atomic<int> rolled_back = 0, forwards = 0, restored = 0;

 private:
  struct alignas(64) line {
    std::byte bytes[64]{};
  };
  template <class T>
  T load(rank_id r, region const& x) {
    T value;
    std::memcpy(&value, buffer(r, x.buffer).data() + x.offset, sizeof value);
    return value;
  }
  template <class T>
  void store(rank_id r, region const& x, T const& value) {
    EXPECT_GE(static_cast<std::size_t>(x.size), sizeof value);
    std::memcpy(buffer(r, x.buffer).data() + x.offset, &value, sizeof value);
  }
  number get(rank_id r, region const& x, std::int32_t n = 0) {
    return load<number>(r, {x.buffer, x.offset + n * word, word});
  }
  void put(rank_id r, region const& x, number value, std::int32_t n = 0) {
    store(r, {x.buffer, x.offset + n * word, word}, value);
  }

  toy toy_;
  std::vector<std::vector<std::vector<line>>> memory_;  // rank, buffer
  std::vector<std::int64_t> next_;                      // iteration, by rank
  std::map<rank_id, std::vector<detail::validated_step>> steps_;
};

static_assert(restorable_work<toy_work>);

/// The states after some iterations, computed without programs: all gradients, all shares, then all
/// steps.
std::vector<number> trained(toy const& t, std::int64_t iterations, int* unsteady = nullptr) {
  std::vector<number> state;
  for (std::int32_t s = 0; s < t.stages; ++s) state.push_back(toy::initial(s));
  for (std::int64_t k = 0; k < iterations; ++k) {
    std::vector<number> gradient(state.size(), 0);
    for (std::int32_t p = 0; p < t.pipelines; ++p)
      for (std::int32_t m = 0; m < t.microbatches; ++m) {
        std::vector<number> input{toy::datum(k, {.pipeline = p, .microbatch = m})};
        for (number const x : state) input.push_back(toy::forward(x, input.back()));
        number g = input.back();
        for (std::size_t s = state.size(); s-- > 0;) {
          gradient[s] += toy::weight_gradient(input[s], g);
          g = toy::input_gradient(state[s], input[s], g);
        }
      }
    step_verdict v;
    for (std::size_t s = 0; s < state.size(); ++s) {
      bool const bad = t.bad.contains({static_cast<std::int32_t>(s), k});
      double const square = static_cast<double>(gradient[s]) * static_cast<double>(gradient[s]);
      v = {v.not_finite + bad * t.pipelines * t.microbatches, v.squares + square, v.stages + 1};
    }
    for (std::size_t s = 0; s < state.size(); ++s) state[s] = t.stepped(state[s], gradient[s], v);
    if (unsteady) *unsteady += !t.stands(v);
  }
  return state;
}

pipeline_tensors tensors() {
  return {.activation = word, .stash = 3 * word, .gradient = word, .state = word};
}

validated_program planned(pipeline_job const& job, bool staggered) {
  auto const answer = slipstream{.stagger = staggered}(job);
  EXPECT_TRUE(answer.has_plan()) << answer.reason;
  return validated(lower(job, answer.plan, tensors()),
                   staggered ? validation::in_next_iteration : validation::before_step);
}

/// Runs iterations and the closing program; all workers of a stage must hold the same state.
/// Returns the states by stage.
template <class Executor>
std::vector<number> run(Executor const& executor, validated_program const& p,
                        pipeline_job const& job, toy_work& w, std::int64_t iterations) {
  w.initialise(p.iteration);
  w.fit(p.closing);
  auto session = executor.open(w);
  auto const iteration = std::make_shared<program const>(p.iteration);
  for (std::int64_t k = 0; k < iterations; ++k) session.submit(iteration);
  session.submit(p.closing);
  auto const result = session.wait();
  EXPECT_TRUE(result.lost.empty());
  std::vector<number> all(static_cast<std::size_t>(job.stages), -1);
  for (rank_id r : ids<rank_id>(job.ranks()))
    for (auto const& [stage, state] : w.states(r)) {
      if (all[stage.index()] != -1) {
        EXPECT_EQ(all[stage.index()], state) << "workers of stage " << stage.value() << " differ";
      }
      all[stage.index()] = state;
    }
  return all;
}

struct example_job {
  pipeline_job job{};
  toy what{};
  std::int64_t iterations = 0;
};

example_job random_job(toys::dice& d) {
  example_job e;
  auto& job = e.job;
  job = {.pipelines = 1 + d.below(3), .stages = 1 + d.below(5), .microbatches = 1 + d.below(7)};
  auto const cost = [&](std::int64_t least) {
    std::vector<ticks> values;
    for (std::int32_t s = 0; s < job.stages; ++s) values.push_back(least + d.below(5));
    return per_stage(std::move(values));
  };
  job.costs = {
      .forward = cost(1), .backward_input = cost(1), .backward_weight = cost(0), .step = cost(0)};
  for (stage_id s : ids<stage_id>(job.stages))
    if (job.pipelines > 1 && d.below(3) == 0) job.dead.push_back({d.below(job.pipelines), s});
  e.iterations = 2 + d.below(6);
  e.what = {.stages = job.stages, .pipelines = job.pipelines, .microbatches = job.microbatches};
  if (d.coin()) e.what.most_norm = 20 + d.below(400);
  for (int n = d.below(4); n > 0; --n)
    e.what.bad.insert({d.below(job.stages), d.below(e.iterations)});
  return e;
}

void train_staggered_and_waiting(int jobs) {
  toys::dice d(7);
  int rolled_back = 0, unsteady = 0, steady_jobs = 0;
  for (int n = 0; n < jobs; ++n) {
    auto const e = random_job(d);
    SCOPED_TRACE("job " + std::to_string(n));
    int bad = 0;
    auto const expected = trained(e.what, e.iterations, &bad);
    unsteady += bad;
    auto const waiting = planned(e.job, false), staggered = planned(e.job, true);
    for (auto const* p : {&waiting, &staggered}) {
      for (auto const& v : check(p->iteration)) ADD_FAILURE() << to_string(v);
      for (auto const& v : check(p->closing)) ADD_FAILURE() << to_string(v);
    }
    auto const on = [&](auto const& executor, validated_program const& p) {
      toy_work w(e.what, e.job);
      EXPECT_EQ(run(executor, p, e.job, w, e.iterations), expected);
      return std::pair(w.rolled_back.load(), w.forwards.load());
    };
    EXPECT_EQ(on(inline_executor{}, waiting).first, 0);
    if (n % 4 == 0) on(threads{}, waiting);
    on(simulated{.cost = job_costs(e.job)}, waiting);
    auto const seen = on(inline_executor{}, staggered);
    if (n % 3 == 0) {
      EXPECT_EQ(on(threads{}, staggered), seen);
    }
    EXPECT_EQ(on(simulated{.cost = job_costs(e.job)}, staggered), seen);
    EXPECT_EQ(on(simulated{.cost = toys::uneven_costs{}}, staggered), seen);
    rolled_back += seen.first;
    int const once = static_cast<int>(e.iterations) * e.job.microbatches_in_all() * e.job.stages;
    if (bad == 0) {
      EXPECT_EQ(seen, (std::pair(0, once)));
      ++steady_jobs;
    } else {
      auto const live =
          e.job.ranks() -
          static_cast<std::int32_t>(e.job.dead.size() + e.job.live_peers(e.job.stages - 1).size());
      EXPECT_LE(seen.first, bad * e.job.ranks());
      EXPECT_EQ(seen.first, bad * live);
      EXPECT_GE(seen.second, once);
    }
  }
  EXPECT_GT(rolled_back, jobs);
  EXPECT_GT(unsteady, jobs / 2);
  EXPECT_GE(steady_jobs, jobs / 12);
}

TEST(step_validation, staggered_and_waiting_train_alike_on_every_executor) {
  train_staggered_and_waiting(12);
}
TEST(step_validation, staggered_and_waiting_train_alike_exhaustive) {
  train_staggered_and_waiting(60);
}

template <class Solver>
void train_on_layout(Solver const& solver, stage_layout const& layout, std::int32_t pipelines,
                     std::int32_t stages, toys::dice& d, int& rolled_back) {
  for (std::int32_t const microbatches : {2, 4, 7})
    for (auto const lanes : {message_lanes::one_per_edge, message_lanes::one_per_rank}) {
      example_job e{.job = {.pipelines = pipelines,
                            .stages = stages,
                            .microbatches = microbatches,
                            .costs = {1, 1, 1, 1},
                            .layout = layout},
                    .iterations = 4};
      e.what = {.stages = stages,
                .pipelines = pipelines,
                .microbatches = microbatches,
                .most_norm = 60.0 + d.below(100)};
      e.what.bad.insert({d.below(stages), 1});
      auto const answer = solver(e.job);
      if (!answer.has_plan()) continue;
      SCOPED_TRACE(std::string(Solver::name) + ", M = " + std::to_string(microbatches) + ", " +
                   std::string(to_string(lanes)));
      auto const plain = lower(e.job, answer.plan, tensors(), lanes);
      auto const expected = trained(e.what, e.iterations);
      for (auto const when : {validation::in_next_iteration, validation::before_step}) {
        auto const p = validated(plain, when);
        for (auto const& v : check(p.iteration)) ADD_FAILURE() << to_string(v);
        for (auto const& v : check(p.closing)) ADD_FAILURE() << to_string(v);
        toy_work one(e.what, e.job), many(e.what, e.job), timed(e.what, e.job);
        EXPECT_EQ(run(inline_executor{}, p, e.job, one, e.iterations), expected);
        EXPECT_EQ(run(threads{}, p, e.job, many, e.iterations), expected);
        EXPECT_EQ(run(simulated{.cost = toys::uneven_costs{}}, p, e.job, timed, e.iterations),
                  expected);
        rolled_back += one.rolled_back;
      }
    }
}

TEST(step_validation, ranks_of_several_stages) {
  toys::dice d(5);
  int rolled_back = 0;
  auto const on = [&](auto const& solver, stage_layout const& layout, std::int32_t pipelines,
                      std::int32_t stages) {
    int here = 0;
    train_on_layout(solver, layout, pipelines, stages, d, here);
    EXPECT_GT(here, 0);
    rolled_back += here;
  };
  on(interleaved_one_f_one_b{}, stage_layout::looped(2), 1, 8);
  on(looped_bfs{}, stage_layout::looped(3), 2, 6);
  on(zb_v{}, stage_layout::v_shaped(), 1, 8);
  on(hanayo{}, stage_layout::wave(4), 1, 8);
  on(dual_pipe{}, stage_layout::bidirectional(), 2, 4);
  on(dual_pipe_v{}, stage_layout::v_shaped(), 1, 8);
  on(chimera{}, stage_layout::bidirectional(), 2, 4);
}

/// The distance of the ends of iterations once they are steady, in virtual time.
ticks steady_distance(pipeline_job const& job, program const& p, bool conditions = false) {
  constexpr std::int32_t settled = 20, measured = 10;
  no_work none;
  auto session = simulated{.cost = job_costs(job), .conditions = conditions}.open(none);
  auto const iteration = std::make_shared<program const>(p);
  for (std::int32_t k = 0; k < settled + measured; ++k) session.submit(iteration);
  EXPECT_TRUE(session.wait_until(settled + measured));
  auto const ten = session.completed_at(settled + measured) - session.completed_at(settled);
  EXPECT_EQ(ten % measured, 0);
  return ten / measured;
}

TEST(step_validation, costs_nothing_where_steps_stand) {
  toys::dice d(3);
  for (int n = 0; n < 100; ++n) {
    auto job = random_job(d).job;
    job.costs.step = d.below(6);
    job.transfer = d.below(4);
    auto const plan = slipstream{}(job).plan;
    auto const plain = lower(job, plan);
    EXPECT_EQ(steady_distance(job, validated(plain, validation::in_next_iteration).iteration),
              steady_distance(job, plain))
        << n;
  }
}

TEST(step_validation, a_rollback_in_virtual_time) {
  pipeline_job job{.pipelines = 1, .stages = 4, .microbatches = 6, .costs = {1, 1, 1, 3}};
  auto const staggered = planned(job, true), waiting = planned(job, false);
  EXPECT_EQ(steady_distance(job, staggered.iteration), 22);  // 19 and the step
  EXPECT_EQ(steady_distance(job, waiting.iteration), 24);    // 21 and the step
  EXPECT_EQ(steady_distance(job, staggered.iteration, true),
            31);  // every iteration: once more the step and the first stage's six forwards

  simulated const calm{.cost = job_costs(job)},
      rolls_back{.cost = job_costs(job), .conditions = true};
  auto const count = [&](auto const& executor, op_kind kind) {
    auto const all = executor.run(staggered.iteration).timeline.events;
    ticks spent = 0;
    std::int64_t events = 0;
    for (auto const& e : all)
      if (e.code == opcode::compute && e.op.kind == kind) ++events, spent += e.end - e.start;
    return std::pair(events, spent);
  };
  EXPECT_EQ(count(calm, op_kind::validate), (std::pair<std::int64_t, ticks>(4, 0)));
  EXPECT_EQ(count(calm, op_kind::step_again).first, 0);
  EXPECT_EQ(count(rolls_back, op_kind::step_again), (std::pair<std::int64_t, ticks>(3, 9)));
  EXPECT_EQ(count(calm, op_kind::forward).first, 24);
  EXPECT_GT(count(rolls_back, op_kind::forward).first, 24);
}

template <class Executor>
recovery_report recovered(Executor const& executor, example_job const& e, toy_work& w,
                          std::vector<join> joins = {}) {
  auto const without = [&](std::span<rank_id const> dead) {
    auto job = e.job;
    job.dead.clear();
    for (rank_id const r : dead) job.dead.push_back(job.worker_of(r));
    return job;
  };
  auto const part = [&](program validated_program::* which) {
    return [&, which](std::span<rank_id const> dead) -> std::optional<program> {
      auto const job = without(dead);
      if (stage_without_worker(job)) return std::nullopt;
      auto p = planned(job, true).*which;
      w.fit(p);
      return p;
    };
  };
  auto const transfer = [&](rank_id joining,
                            std::span<rank_id const> dead) -> std::optional<program> {
    std::vector<rank_id> rest(dead.begin(), dead.end());
    std::erase(rest, joining);
    auto const p = planned(without(rest), true).iteration;
    w.fit(p);
    for (rank_id r : ids<rank_id>(e.job.ranks()))
      if (!std::binary_search(dead.begin(), dead.end(), r)) w.replace(joining, w.iteration_of(r));
    auto const copies = validated_join(p, joining);
    EXPECT_TRUE(check(copies).empty());
    return copies;
  };
  w.initialise(planned(e.job, true).iteration);
  recovery const config{
      .end = e.iterations, .joins = std::move(joins), .close = part(&validated_program::closing)};
  return run_through_losses(
      executor, w, config, part(&validated_program::iteration), [](completed_iteration const&) {},
      transfer);
}

void expect_trained(example_job const& e, toy_work& w, recovery_report const& report) {
  auto const expected = trained(e.what, e.iterations);
  EXPECT_EQ(report.stopped, "");
  for (rank_id r : ids<rank_id>(e.job.ranks())) {
    if (std::binary_search(report.dead.begin(), report.dead.end(), r)) continue;
    for (auto const& [stage, state] : w.states(r))
      EXPECT_EQ(state, expected[stage.index()]) << "rank " << r.value();
  }
}

template <class Executor>
int strike_everywhere(example_job const& e, std::int64_t iteration, Executor const& with) {
  int rolled_back = 0;
  auto const p = planned(e.job, true);
  for (rank_id const victim : ids<rank_id>(e.job.ranks())) {
    auto const& list =
        (iteration == e.iterations ? p.closing : p.iteration).ranks[victim].instructions;
    for (std::int32_t n = 0; n <= static_cast<std::int32_t>(list.size()); ++n) {
      SCOPED_TRACE("rank " + std::to_string(victim.value()) + " at " + std::to_string(n) +
                   " of iteration " + std::to_string(iteration));
      toy_work w(e.what, e.job);
      auto const report = recovered(with({victim, iteration, n}), e, w);
      EXPECT_EQ(report.losses.size(), 1U);
      expect_trained(e, w, report);
      rolled_back += w.rolled_back;
    }
  }
  return rolled_back;
}

auto const on_one_thread = [](fault const& f) { return inline_executor{.faults = {f}}; };
auto const on_threads = [](fault const& f) { return threads{.faults = {f}, .timeout = 2ms}; };
/// One rank after another is slow, so that the others are far ahead.
struct slow_rank {
  rank_id slow{};
  [[nodiscard]] ticks compute(rank_id r, operation const&) const { return r == slow ? 50 : 1; }
  [[nodiscard]] transfer_time transfer(rank_id, rank_id, byte_count) const { return {}; }
};

example_job unsteady(std::int32_t pipelines, std::int32_t stages) {
  example_job e{
      .job = {.pipelines = pipelines, .stages = stages, .microbatches = 2, .costs = {1, 1, 1, 3}},
      .iterations = 4};
  e.what = {.stages = stages,
            .pipelines = pipelines,
            .microbatches = 2,
            .most_norm = 100,
            .bad = {{stages - 1, 1}}};
  return e;
}

TEST(step_validation, a_loss_at_every_instruction) {
  auto const e = unsteady(2, 2);
  int rejected = 0;
  (void)trained(e.what, e.iterations, &rejected);
  EXPECT_GE(rejected, 3);
  for (std::int64_t const iteration : {std::int64_t{1}, std::int64_t{2}, e.iterations})
    EXPECT_GT(strike_everywhere(e, iteration, on_one_thread), 0);
  EXPECT_GT(strike_everywhere(e, 2, on_threads), 0);
  for (rank_id const slow : ids<rank_id>(e.job.ranks()))
    EXPECT_GT(strike_everywhere(e, 2,
                                [&](fault const& f) {
                                  return simulated<slow_rank>{
                                      .cost = {slow}, .faults = {f}, .timeout = 10};
                                }),
              0);
}

TEST(step_validation, a_loss_at_every_instruction_of_more_stages) {
  auto const e = unsteady(3, 3);
  EXPECT_GT(strike_everywhere(e, 2, on_one_thread), 0);
}

void lose_and_join(int jobs) {
  toys::dice d(11);
  int rolled_back = 0, joined = 0, lost = 0;
  for (int n = 0; n < jobs; ++n) {
    SCOPED_TRACE("job " + std::to_string(n));
    auto e = random_job(d);
    e.job.dead.clear();
    e.job.pipelines = e.what.pipelines = 2 + d.below(2);
    e.iterations += 3;
    std::vector<fault> faults;
    std::vector<join> joins;
    for (stage_id s : ids<stage_id>(e.job.stages)) {
      if (d.below(3) == 0) continue;
      rank_id const victim = e.job.rank_of({d.below(e.job.pipelines), s});
      auto const when = d.below(e.iterations - 1);
      faults.push_back({victim, when, d.below(30)});
      if (d.coin()) joins.push_back({victim, when + 1 + d.below(e.iterations - when - 1)});
    }
    toy_work w(e.what, e.job);
    auto const report =
        n % 3 == 0 ? recovered(threads{.faults = faults, .timeout = 2ms}, e, w, joins)
        : n % 3 == 1
            ? recovered(inline_executor{.faults = faults}, e, w, joins)
            : recovered(simulated{.cost = toys::uneven_costs{}, .faults = faults, .timeout = 5}, e,
                        w, joins);
    expect_trained(e, w, report);
    rolled_back += w.rolled_back;
    joined += static_cast<int>(report.joined.size());
    lost += static_cast<int>(report.losses.size());
  }
  EXPECT_GT(rolled_back, jobs);
  EXPECT_GT(joined, jobs / 6);
  EXPECT_GT(lost, jobs / 2);
}

TEST(step_validation, random_losses_and_joins) { lose_and_join(12); }
TEST(step_validation, random_losses_and_joins_exhaustive) { lose_and_join(60); }

}  // namespace
