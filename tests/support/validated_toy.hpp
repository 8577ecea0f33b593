#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/indexed.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/lower/detail/validated_step.hpp"
#include "shunt/lower/gradient_norms.hpp"
#include "shunt/lower/operands.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/step_validation.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/program.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "support/random_choices.hpp"

namespace shunt::tests::validated_toy {

using number = std::int64_t;
inline constexpr byte_count word = 8;

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
  [[nodiscard]] number stepped(number state, number gradient, gradient_norms const& v) const {
    if (!v.finite()) return state;
    return state +
           static_cast<number>(static_cast<double>(gradient) * v.coefficient(most_norm) * 1024);
  }
  [[nodiscard]] bool stands(gradient_norms const& v) const {
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
    bool const first = t.op.stage == 0, last = t.op.stage.value() + 1 == toy_.stages;
    auto const read = [&](region const& x, std::int32_t n = 0) { return get(r, x, n); };
    auto const write = [&](region const& x, number value, std::int32_t n = 0) {
      put(r, x, value, n);
    };
    auto const backward_input = [&](backward_input_operands const& on) {
      number const g = last ? read(on.stash, 1) : read(on.output_gradient);
      if (!first) write(on.input_gradient, toy::input_gradient(read(on.state), read(on.stash), g));
      write(on.stash, g, 2);  // what backward_weight needs
    };
    auto const backward_weight = [&](backward_weight_operands const& on) {
      write(on.gradient,
            read(on.gradient) + toy::weight_gradient(read(on.stash), read(on.stash, 2)));
      write(on.flag,
            read(on.flag) + (toy_.bad.contains({t.op.stage.value(), t.iteration}) ? 1 : 0));
    };
    switch (t.op.kind) {
      case op_kind::forward: {
        auto const on = operands_of<forward_operands>(t);
        number const in = first ? toy::datum(t.iteration, t.op) : read(on.input);
        number const out = toy::forward(read(on.state), in);
        write(on.stash, in, 0), write(on.stash, out, 1);
        if (!last) write(on.output, out);
        ++forwards;
        break;
      }
      case op_kind::backward_input: backward_input(operands_of<backward_input_operands>(t)); break;
      case op_kind::backward_weight:
        backward_weight(operands_of<backward_weight_operands>(t));
        break;
      case op_kind::backward: {
        auto const on = operands_of<backward_operands>(t);
        backward_input(on.of_input());
        backward_weight(on.of_weight());
        break;
      }
      case op_kind::gradient_norm: {
        auto const on = operands_of<gradient_norm_operands>(t);
        gradient_norms v{.not_finite = static_cast<double>(read(on.flag)), .stages = 1};
        v.squares = static_cast<double>(read(on.gradient)) * static_cast<double>(read(on.gradient));
        store(r, on.norms, v);
        break;
      }
      case op_kind::step: {
        auto const on = operands_of<validated_step_operands>(t);
        auto const v = load<gradient_norms>(r, on.norms);
        bool const whole = v.stages == toy_.stages;
        if (whole || toy_.stands(v))
          write(on.state, toy_.stepped(read(on.state), read(on.gradient), v));
        store(r, on.record, step_record{v, 1});
        next_[r.index()] = t.iteration + 1;
        break;
      }
      case op_kind::validate_step: {
        auto const on = operands_of<validate_step_operands>(t);
        bool const redo = !toy_.stands(load<gradient_norms>(r, on.norms));
        write(on.words, redo, 0);
        write(on.words, redo && load<step_record>(r, on.record).pending != 0, 1);
        break;
      }
      case op_kind::redo_step: {
        auto const on = operands_of<redo_step_operands>(t);
        auto const v = load<gradient_norms>(r, on.norms);
        EXPECT_EQ(v.stages, toy_.stages);
        write(on.state, toy_.stepped(read(on.state), read(on.gradient), v));
        auto record = load<step_record>(r, on.record);
        record.pending = 0;
        store(r, on.record, record);
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
inline std::vector<number> trained(toy const& t, std::int64_t iterations, int* unsteady = nullptr) {
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
    gradient_norms v;
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

inline pipeline_tensors tensors() {
  return {.activation = word, .stash = 3 * word, .gradient = word, .state = word};
}

inline validated_program planned(pipeline_job const& job, bool staggered) {
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

inline example_job random_job(random_choices& d) {
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
  e.what = {.stages = job.stages, .pipelines = job.pipelines, .microbatches = job.microbatches[0]};
  if (d.coin()) e.what.most_norm = 20 + d.below(400);
  for (int n = d.below(4); n > 0; --n)
    e.what.bad.insert({d.below(job.stages), d.below(e.iterations)});
  return e;
}

}  // namespace shunt::tests::validated_toy
