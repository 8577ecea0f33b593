// What a lowered plan does when it runs: the numbers of training without any pipeline, at the times that `times` gives.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "shunt/execute/inline.hpp"
#include "shunt/execute/threads.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/pipeline_join.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/simulate/simulated.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"

namespace {

using namespace shunt;
using number = std::uint64_t;  // sums wrap around

// A model of one number a stage, in which every value depends on everything that it should.
number datum(std::int64_t iteration, operation const& o) {
  return 1000003 * static_cast<number>(iteration) + 1009 * static_cast<number>(o.pipeline.value()) +
         static_cast<number>(o.microbatch.value());
}
number forward(number state, number input, stage_id s) { return input * 3 + state * (input ^ 0x55) + static_cast<number>(s.value()); }
number loss_gradient(number input) { return input * input + 17; }
number backward_input(number state, number input, number output_gradient) { return output_gradient * (5 + state) + input; }
number backward_weight(number input, number output_gradient) { return input * output_gradient; }
number stepped(number state, number gradient, number flag) { return state * 31 + gradient + flag; }

std::vector<number> first_state(std::int32_t stages) {
  std::vector<number> state;
  for (std::int32_t s = 0; s < stages; ++s) state.push_back(static_cast<number>(s) + 2);
  return state;
}

// The states of all stages after some iterations, computed stage by stage on one worker.
std::vector<number> undisturbed(pipeline_job const& job, int iterations) {
  auto state = first_state(job.stages);
  auto const stages = static_cast<std::size_t>(job.stages);
  for (int i = 0; i < iterations; ++i) {
    std::vector<number> gradient(stages, 0);
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      for (microbatch_id m : ids<microbatch_id>(job.microbatches)) {
        std::vector<number> input{datum(i, {.pipeline = p, .microbatch = m})};
        for (std::size_t s = 0; s + 1 < stages; ++s) input.push_back(forward(state[s], input[s], static_cast<std::int32_t>(s)));
        number g = loss_gradient(input.back());
        for (std::size_t s = stages; s-- > 0;) {
          gradient[s] += backward_weight(input[s], g);
          g = backward_input(state[s], input[s], g);
        }
      }
    for (std::size_t s = 0; s < stages; ++s) state[s] = stepped(state[s], gradient[s], 1);
  }
  return state;
}

// The same model as a work. Regions come in the order that lower/pipeline.hpp promises.
class toy_model {
 public:
  explicit toy_model(pipeline_job const& job) : job_(job), memory_(static_cast<std::size_t>(job.ranks())) {
    auto const state = first_state(job.stages);
    for (rank_id r : ids<rank_id>(job.ranks())) set(r, pipeline_buffers::state(), state[job.worker_of(r).stage.index()]);
  }

  void operator()(rank_id r, task const& t) {
    auto const get = [&](std::size_t i, std::size_t word = 0) { return read(r, t.reads[i], word); };
    auto const put = [&](std::size_t i, number value, std::size_t word = 0) { write(r, t.writes[i], value, word); };
    bool const first = t.op.stage == 0, last = t.op.stage.value() + 1 == job_.stages;
    auto const input = [&] { return first ? datum(t.iteration, t.op) : get(1); };
    auto const output_gradient = [&] { return last ? loss_gradient(get(2)) : get(3); };
    switch (t.op.kind) {
      case op_kind::forward:
        put(1, input());
        if (!last) put(0, forward(get(0), input(), t.op.stage));
        break;
      case op_kind::backward_input: take_input_gradient(get(0), get(2), output_gradient(), put, first); break;
      case op_kind::backward_weight:
        put(0, get(4) + backward_weight(get(2), get(2, 1)));
        put(1, 1);
        break;
      case op_kind::backward:
        put(2, get(4) + backward_weight(get(2), output_gradient()));
        put(3, 1);
        take_input_gradient(get(0), get(2), output_gradient(), put, first);
        break;
      case op_kind::step: put(0, stepped(get(2), get(0), get(1))); break;
      default: FAIL() << "not an operation of a pipeline";
    }
  }
  std::span<std::byte> buffer(rank_id r, buffer_id b) { return std::as_writable_bytes(std::span(memory_[r.index()][b.value()])); }

  [[nodiscard]] number state(rank_id r) { return memory_[r.index()][pipeline_buffers::state().value()][0]; }
  [[nodiscard]] number kept(rank_id r) { return memory_[r.index()][pipeline_buffers::kept().value()][0]; }
  void set(rank_id r, buffer_id b, number value) { memory_[r.index()][b.value()][0] = value; }

 private:
  // Two words a buffer; a fresh one holds rubbish.
  struct words {
    number word[2] = {0xdeadbeef, 0xdeadbeef};
    number& operator[](std::size_t i) { return word[i]; }
    number* begin() { return word; }
    number* end() { return word + 2; }
    number* data() { return word; }
    [[nodiscard]] static constexpr std::size_t size() { return 2; }
  };
  static void take_input_gradient(number state, number input, number gradient, auto const& put, bool first) {
    if (!first) put(0, backward_input(state, input, gradient));
    put(1, gradient, 1);  // into the stash, for backward_weight
  }
  number read(rank_id r, region const& from, std::size_t word) {
    EXPECT_GE(from.size, static_cast<byte_count>(8 * (word + 1)));
    return memory_[r.index()][from.buffer.value()][word];
  }
  void write(rank_id r, region const& to, number value, std::size_t word) {
    EXPECT_GE(to.size, static_cast<byte_count>(8 * (word + 1)));
    memory_[r.index()][to.buffer.value()][word] = value;
  }

  pipeline_job job_;
  std::vector<std::map<std::int32_t, words>> memory_;
};

pipeline_tensors const tensors{.activation = 8, .stash = 16, .gradient = 8, .state = 8};

std::vector<pipeline_job> jobs() {
  std::mt19937_64 engine(11);
  auto const roll = [&](std::int32_t low, std::int32_t high) {
    return low + static_cast<std::int32_t>(engine() % static_cast<std::uint64_t>(high - low + 1));
  };
  std::vector<pipeline_job> all = {{}, {.pipelines = 3, .stages = 4, .microbatches = 6, .costs = {.step = 3}, .dead = {{1, 2}}}};
  while (all.size() < 40) {
    pipeline_job job{.pipelines = roll(1, 4), .stages = roll(1, 5), .microbatches = roll(1, 6)};
    auto const costs = [&](std::int32_t low) {
      std::vector<ticks> each;
      for (std::int32_t s = 0; s < job.stages; ++s) each.push_back(roll(low, 9));
      return per_stage(std::move(each));
    };
    job.costs = {costs(1), costs(1), costs(0), roll(0, 4)};
    job.transfer = roll(0, 3);
    for (std::int32_t r = 0; r < job.ranks(); ++r)
      if (roll(0, 4) == 0) job.dead.push_back(job.worker_of(r));
    if (!stage_without_worker(job)) all.push_back(job);
  }
  return all;
}

std::vector<pipeline_schedule> plans(pipeline_job const& job) {
  std::vector<pipeline_schedule> all;
  for (bool const stagger : {false, true})
    for (bool const split : {false, true}) all.push_back(slipstream{.split = split, .stagger = stagger, .effort = 20'000}(job).plan);
  all.push_back((gpipe{} | reroute{})(job).plan);
  all.push_back((zb_h1{} | reroute{} | stagger_step{})(job).plan);
  return all;
}

TEST(programs, train_as_if_there_were_no_pipeline) {
  for (auto const& job : jobs()) {
    auto const expected = undisturbed(job, 3), one_before = undisturbed(job, 2);
    for (auto const& plan : plans(job)) {
      toy_model model(job);
      auto const program = lower(job, plan, tensors);
      auto session = inline_executor{}.open(model);
      for (int i = 0; i < 3; ++i) session.submit(program);
      EXPECT_TRUE(session.wait().lost.empty());
      for (rank_id r : ids<rank_id>(job.ranks())) {
        if (!job.alive(job.worker_of(r))) continue;
        EXPECT_EQ(model.state(r), expected[job.worker_of(r).stage.index()]);
        EXPECT_EQ(model.kept(r), one_before[job.worker_of(r).stage.index()]);
      }
    }
  }
}

TEST(programs, workers_die_and_come_back_between_iterations) {
  pipeline_job whole{.pipelines = 3, .stages = 4, .microbatches = 5};
  auto wounded = whole;
  wounded.dead = {{1, 2}, {0, 0}, {2, 2}};
  toy_model model(whole);
  std::int64_t iteration = 0;
  auto const run = [&](pipeline_job const& job) {
    auto session = threads{}.open(model, iteration++);
    session.submit(lower(job, slipstream{}(job).plan, tensors));
    EXPECT_TRUE(session.wait().lost.empty());
  };
  run(whole);
  run(wounded);
  run(wounded);
  for (worker const& w : wounded.dead) model.set(whole.rank_of(w), pipeline_buffers::state(), 0);
  auto session = inline_executor{}.open(model);
  session.submit(lower_join(wounded, wounded.dead, tensors));
  EXPECT_TRUE(session.wait().lost.empty());
  run(whole);
  auto const expected = undisturbed(whole, 4);
  for (rank_id r : ids<rank_id>(whole.ranks())) EXPECT_EQ(model.state(r), expected[whole.worker_of(r).stage.index()]);
}

TEST(programs, run_at_the_times_that_are_measured) {
  for (auto const& job : jobs()) {
    for (auto const& plan : plans(job)) {
      auto const program = lower(job, plan);
      auto const expected = times(job, plan);
      timetable found;
      found.times.resize(plan.order.size());
      for (auto const& e : simulated{job_costs(job)}.run(program).timeline.events)
        if (e.code == opcode::compute) found.times[e.rank].push_back({e.start, e.end});
      EXPECT_EQ(found, expected);
    }
  }
}

TEST(programs, repeat_at_the_period_that_is_measured) {
  constexpr int iterations = 240, lap = 60;  // lap: a multiple of every possible cycle of stages
  for (auto const& job : jobs()) {
    for (auto const& plan : plans(job)) {
      no_work none;
      auto session = simulated{job_costs(job)}.open(none);
      auto const program = std::make_shared<shunt::program const>(lower(job, plan));
      for (int i = 0; i < iterations; ++i) session.submit(program);
      std::vector<ticks> stepped(iterations, 0);
      for (auto const& e : session.wait().timeline.events)
        if (e.code == opcode::compute && e.op.kind == op_kind::step && e.op.stage == 0)
          stepped[static_cast<std::size_t>(e.iteration)] = e.end;
      ticks const distance = stepped[iterations - 1] - stepped[iterations - 1 - lap], promised = period(job, plan);
      EXPECT_LE(distance, promised * lap);
      EXPECT_GT(distance, (promised - 1) * lap);
      if (!plan.staggered_step) {
        EXPECT_EQ(distance, promised * lap);  // these jobs step equally long everywhere
      }
    }
  }
}

}  // namespace
