#pragma once
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/lower/operands.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/program/program.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::trained_pipeline {

using number = std::uint64_t;  // sums wrap around

// A model of one number a stage, in which every value depends on everything that it should.
inline number datum(std::int64_t iteration, operation const& o) {
  return 1000003 * static_cast<number>(iteration) + 1009 * static_cast<number>(o.pipeline.value()) +
         static_cast<number>(o.microbatch.value());
}

inline number forward(number state, number input, stage_id s) {
  return input * 3 + state * (input ^ 0x55) + static_cast<number>(s.value());
}

inline number loss_gradient(number input) { return input * input + 17; }

inline number backward_input(number state, number input, number output_gradient) {
  return output_gradient * (5 + state) + input;
}

inline number backward_weight(number input, number output_gradient) {
  return input * output_gradient;
}

inline number stepped(number state, number gradient, number flag) {
  return state * 31 + gradient + flag;
}

inline std::vector<number> first_state(std::int32_t stages) {
  std::vector<number> state;
  for (std::int32_t s = 0; s < stages; ++s) state.push_back(static_cast<number>(s) + 2);
  return state;
}

// The states of all stages after some iterations, computed stage by stage on one worker.
inline std::vector<number> undisturbed(pipeline_job const& job, int iterations) {
  auto state = first_state(job.stages);
  auto const stages = static_cast<std::size_t>(job.stages);
  for (int i = 0; i < iterations; ++i) {
    std::vector<number> gradient(stages, 0);
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      for (microbatch_id m : ids<microbatch_id>(job.microbatches[p])) {
        std::vector<number> input{datum(i, {.pipeline = p, .microbatch = m})};
        for (std::size_t s = 0; s + 1 < stages; ++s)
          input.push_back(forward(state[s], input[s], static_cast<std::int32_t>(s)));
        number g = loss_gradient(input.back());
        for (std::size_t s = stages; s-- > 0;) {
          gradient[s] += backward_weight(input[s], g);
          g = backward_input(state[s], input[s], g);
        }
      }
    for (std::size_t s = 0; s < stages; ++s)
      state[s] = stepped(state[s], gradient[s], static_cast<number>(job.total_microbatches()));
  }
  return state;
}

// The same model as a work.
class toy_model {
 public:
  explicit toy_model(pipeline_job const& job)
      : job_(job), memory_(static_cast<std::size_t>(job.ranks())) {
    auto const state = first_state(job.stages);
    for (rank_id r : ids<rank_id>(job.ranks())) {
      std::int32_t chunk = 0;
      for (stage_id s : job.stages_of(r))
        set(r, pipeline_buffers::state(chunk++), state[s.index()]);
    }
  }

  void operator()(rank_id r, task const& t) {
    bool const first = t.op.stage == 0, last = t.op.stage.value() + 1 == job_.stages;
    auto const get = [&](region const& from, std::size_t word = 0) { return read(r, from, word); };
    auto const put = [&](region const& to, number value, std::size_t word = 0) {
      write(r, to, value, word);
    };
    auto const take_input_gradient = [&](backward_input_operands const& on) {
      number const gradient = last ? loss_gradient(get(on.stash)) : get(on.output_gradient);
      if (!first)
        put(on.input_gradient,
            tests::trained_pipeline::backward_input(get(on.state), get(on.stash), gradient));
      put(on.stash, gradient, 1);  // for backward_weight
    };
    auto const add_weight_gradient = [&](backward_weight_operands const& on) {
      put(on.gradient, get(on.gradient) + tests::trained_pipeline::backward_weight(
                                              get(on.stash), get(on.stash, 1)));
      put(on.flag, get(on.flag) + 1);
    };
    switch (t.op.kind) {
      case op_kind::forward: {
        auto const on = operands_of<forward_operands>(t);
        number const input = first ? datum(t.iteration, t.op) : get(on.input);
        put(on.stash, input);
        if (!last) put(on.output, forward(get(on.state), input, t.op.stage));
        break;
      }
      case op_kind::backward_input:
        take_input_gradient(operands_of<backward_input_operands>(t));
        break;
      case op_kind::backward_weight:
        add_weight_gradient(operands_of<backward_weight_operands>(t));
        break;
      case op_kind::backward: {
        auto const on = operands_of<backward_operands>(t);
        take_input_gradient(on.of_input());
        add_weight_gradient(on.of_weight());
        break;
      }
      case op_kind::step: {
        auto const on = operands_of<step_operands>(t);
        put(on.state, stepped(get(on.state), get(on.gradient), get(on.flag)));
        break;
      }
      default: FAIL() << "not an operation of a pipeline";
    }
  }
  std::span<std::byte> buffer(rank_id r, buffer_id b) {
    return std::as_writable_bytes(std::span(memory_[r.index()][b.value()]));
  }

  [[nodiscard]] number state(rank_id r, std::int32_t chunk = 0) {
    return memory_[r.index()][pipeline_buffers::state(chunk).value()][0];
  }
  [[nodiscard]] number kept(rank_id r, std::int32_t chunk = 0) {
    return memory_[r.index()][pipeline_buffers::kept(chunk).value()][0];
  }
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

inline pipeline_tensors const tensors{.activation = 8, .stash = 16, .gradient = 8, .state = 8};

inline std::vector<pipeline_job> random_linear_jobs() {
  std::mt19937_64 engine(11);
  auto const roll = [&](std::int32_t low, std::int32_t high) {
    return low + static_cast<std::int32_t>(engine() % static_cast<std::uint64_t>(high - low + 1));
  };
  std::vector<pipeline_job> all = {
      {}, {.pipelines = 3, .stages = 4, .microbatches = 6, .costs = {.step = 3}, .dead = {{1, 2}}}};
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
    if (stage_without_worker(job)) continue;
    make_some_uneven(job);
    all.push_back(job);
  }
  return all;
}

inline std::vector<pipeline_schedule> plans_of(pipeline_job const& job) {
  std::vector<pipeline_schedule> all;
  for (bool const stagger : {false, true})
    for (bool const split : {false, true})
      all.push_back(slipstream{.split = split, .stagger = stagger, .effort = 20'000}(job).plan);
  all.push_back((gpipe{} | reroute{})(job).plan);
  all.push_back((zb_h1{} | reroute{} | stagger_step{})(job).plan);
  return all;
}

// Layouts of all shapes, with several stages a rank, both directions at once, and ranks that hold
// what they like.
inline std::vector<pipeline_job> random_jobs_of_all_layouts() {
  std::mt19937_64 engine(23);
  auto const roll = [&](std::int32_t low, std::int32_t high) {
    return low + static_cast<std::int32_t>(engine() % static_cast<std::uint64_t>(high - low + 1));
  };
  std::vector<pipeline_job> all;
  while (all.size() < 40) {
    std::int32_t const chunks = roll(1, 3);
    pipeline_job job{
        .pipelines = roll(1, 3), .stages = chunks * roll(1, 3), .microbatches = roll(1, 4)};
    job.costs = {roll(1, 9), roll(1, 9), roll(0, 9), roll(0, 4)};
    job.costs.overlap_gain =
        100;  // at most the shorter of the two: an overlapped pair takes as long as the longer
    job.transfer = roll(0, 3);
    switch (roll(0, 3)) {
      case 0: job.layout = stage_layout::looped(chunks); break;
      case 1: job.layout = stage_layout::wave(chunks); break;
      case 2:
        job.pipelines += job.pipelines % 2;
        job.layout = stage_layout::bidirectional();
        break;
      default: {
        std::int32_t const ranks = roll(1, job.workers());
        std::vector<rank_id> workers;
        for (std::int32_t k = 0; k < job.workers(); ++k)
          workers.push_back(k < ranks ? k : roll(0, ranks - 1));
        for (std::size_t k = workers.size(); k > 1; --k)
          std::swap(workers[k - 1],
                    workers[static_cast<std::size_t>(roll(0, static_cast<std::int32_t>(k) - 1))]);
        job.layout = stage_layout::custom(workers);
      }
    }
    for (rank_id r : ids<rank_id>(job.ranks()))
      if (roll(0, 5) == 0) job.dead.push_back(job.worker_of(r));
    if (stage_without_worker(job)) continue;
    make_some_uneven(job);
    all.push_back(job);
  }
  return all;
}

// A valid plan by chance: any operation that may run next, on any live rank that holds its stage;
// steps whenever they may; some pairs.
inline pipeline_schedule plan_by_chance(pipeline_job const& job, std::uint64_t seed,
                                        bool pairs = true) {
  std::mt19937_64 engine(seed);
  auto const below = [&](std::size_t n) {
    return static_cast<std::size_t>(engine() % static_cast<std::uint64_t>(n));
  };
  pipeline_schedule plan{.staggered_step = below(2) == 0};
  plan.order.resize(static_cast<std::size_t>(job.ranks()));
  struct progress {
    std::int32_t forwards = 0, gradients = 0, weights = 0;
    std::vector<rank_id> host{};
    bool split = false;
  };
  std::vector<progress> work;  // by micro-batch; host by stage
  std::vector<operation> of_work;
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (microbatch_id m : ids<microbatch_id>(job.microbatches[p])) {
      work.push_back({.split = below(2) == 0});
      of_work.push_back({.pipeline = p, .microbatch = m});
    }
  std::vector<std::int32_t> left(static_cast<std::size_t>(job.stages), job.total_microbatches());
  std::vector<operation> steps;
  std::vector<rank_id> steppers;
  auto const finish = [&](stage_id s) {
    for (rank_id r : job.live_holders(s)) {
      steps.push_back({.kind = op_kind::step, .stage = s});
      steppers.push_back(r);
    }
  };
  std::size_t to_do =
      static_cast<std::size_t>(job.total_microbatches()) * static_cast<std::size_t>(job.stages) * 3;
  while (to_do > 0 || !steps.empty()) {
    if (!steps.empty() && (to_do == 0 || (plan.staggered_step && below(4) == 0))) {
      auto const k = static_cast<std::ptrdiff_t>(below(steps.size()));
      plan.order[*(steppers.begin() + k)].push_back(*(steps.begin() + k));
      steps.erase(steps.begin() + k);
      steppers.erase(steppers.begin() + k);
      continue;
    }
    if (to_do == 0) continue;
    auto const k = below(work.size());
    progress& w = work[k];
    operation o = of_work[k];
    auto const choice = below(3);
    if (choice == 0 && w.forwards < job.stages) {
      o.stage = w.forwards++;
      auto const holders = job.live_holders(o.stage);
      rank_id const home = job.rank_of({o.pipeline, o.stage});
      w.host.push_back(job.alive(home) && below(4) > 0 ? home : holders[below(holders.size())]);
    } else if (choice == 1 && w.forwards == job.stages && w.gradients < job.stages) {
      o.kind = w.split ? op_kind::backward_input : op_kind::backward;
      o.stage = job.stages - 1 - w.gradients++;
    } else if (choice == 2 && w.weights < w.gradients) {
      o.kind = op_kind::backward_weight;
      o.stage = job.stages - 1 - w.weights++;
    } else {
      continue;
    }
    --to_do;
    if (o.kind != op_kind::backward_weight || w.split)
      plan.order[w.host[o.stage.index()]].push_back(o);
    if (o.kind == op_kind::backward_weight && --left[o.stage.index()] == 0 && plan.staggered_step)
      finish(o.stage);
    if (to_do == 0 && !plan.staggered_step)
      for (stage_id s : ids<stage_id>(job.stages)) finish(s);
  }
  for (rank_id r : ids<rank_id>(pairs ? job.ranks() : 0))
    for (std::size_t i = 0; i + 1 < plan.order[r].size(); ++i) {
      auto longer = plan;
      longer.overlapped.resize(plan.order.size());
      longer.overlapped[r].push_back(static_cast<std::int32_t>(i));
      if (!check(job, longer).empty()) continue;
      plan = longer;
      ++i;
    }
  return plan;
}

}  // namespace shunt::tests::trained_pipeline
