#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/check/program_transport.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/lower/operands.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/program.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"

namespace shunt::tests::integer_pipeline {

using number = std::int64_t;
using dead_ranks = std::span<rank_id const>;

constexpr number mixed(number a, number b) { return (a * 31 + b * 17 + 5) % 10007; }

/// A pipeline of integers on all ranks: whatever is done twice, left out, or done with parameters
/// of another iteration shows.
class toy_pipeline {
 public:
  explicit toy_pipeline(pipeline_job const& job)
      : job_(job), memory_(static_cast<std::size_t>(job.ranks())) {}

  static constexpr number rubbish = 0x5bad5bad;
  std::map<std::pair<std::int64_t, operation>, int>
      computed{};  ///< how often, by iteration and backward_weight; where one thread runs all
  std::map<std::pair<std::int64_t, operation>, std::pair<number, number>>
      terms{};  ///< gradient and flag; likewise
  bool counting = false;

  /// Makes room for a program; states begin with their first value, all else with rubbish.
  void fit(program const& p) {
    for (rank_id r : ids<rank_id>(p.ranks.size())) {
      auto& own = memory_[r.index()];
      bool const fresh = own.empty();
      for (buffer_id b : ids<buffer_id>(p.ranks[r].buffers.size())) {
        if (own.size() <= b.index()) own.emplace_back();
        auto const lines = static_cast<std::size_t>((p.ranks[r].buffers[b].size + 63) / 64);
        if (own[b.index()].size() < lines) own[b.index()].resize(lines);
      }
      if (!fresh || own.empty()) continue;
      std::int32_t chunk = 0;
      for (stage_id s : job_.stages_of(r))
        *at(r, {pipeline_buffers::state(chunk++), 0, 8}) = 1000 + s.value();
    }
  }
  std::span<std::byte> buffer(rank_id r, buffer_id b) {
    return std::as_writable_bytes(std::span(memory_[r.index()][b.index()]));
  }
  [[nodiscard]] number* at(rank_id r, region const& x) {
    return reinterpret_cast<number*>(buffer(r, x.buffer).data() + x.offset);
  }
  [[nodiscard]] number state(rank_id r, std::int32_t chunk) {
    return *at(r, {pipeline_buffers::state(chunk), 0, 8});
  }

  void operator()(rank_id r, task const& t) {
    bool const first = t.op.stage == 0, last = t.op.stage.value() + 1 == job_.stages;
    auto const word = [&](region const& x, std::int32_t n = 0) -> number& { return at(r, x)[n]; };
    auto const backward_input = [&](backward_input_operands const& on) {
      number const gradient = last ? word(on.stash, 1) : word(on.output_gradient);
      if (!first)
        word(on.input_gradient) = mixed(word(on.state) % 10007 + word(on.stash), gradient);
      word(on.stash, 2) = gradient;
    };
    auto const backward_weight = [&](backward_weight_operands const& on) {
      number const term = mixed(word(on.stash), word(on.stash, 2)) - 5000,
                   flag = (term % 7 + 7) % 7;
      word(on.gradient) += term;
      word(on.flag) += flag;
      if (!counting) return;
      std::pair const key{t.iteration, operation{op_kind::backward_weight, t.op.pipeline,
                                                 t.op.stage, t.op.microbatch}};
      ++computed[key];
      terms[key] = {term, flag};
    };
    switch (t.op.kind) {
      case op_kind::forward: {
        auto const on = operands_of<forward_operands>(t);
        number const in =
            first ? mixed(t.iteration * 7, t.op.pipeline.value() * 100 + t.op.microbatch.value())
                  : word(on.input);
        number const out = mixed(word(on.state) % 10007, in);
        if (!last) word(on.output) = out;
        word(on.stash) = in;
        word(on.stash, 1) = out;
        word(on.stash, 2) = rubbish;
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
      case op_kind::step: {
        auto const on = operands_of<step_operands>(t);
        word(on.state) = word(on.state) * 3 % 1'000'003 + word(on.gradient) * 1024 +
                         word(on.flag) * 7 + t.iteration;
        stepped_[{r, t.op.stage}] = t.iteration;
        break;
      }
      default: FAIL() << "not an operation of a pipeline";
    }
  }
  void restore(rank_id r, std::int64_t iteration) {
    std::int32_t chunk = 0;
    for (stage_id s : job_.stages_of(r)) {
      if (auto const last = stepped_.find({r, s});
          last != stepped_.end() && last->second >= iteration) {
        EXPECT_EQ(last->second, iteration) << "more than one step to undo";
        *at(r, {pipeline_buffers::state(chunk), 0, 8}) =
            *at(r, {pipeline_buffers::kept(chunk), 0, 8});
        last->second = iteration - 1;
      }
      ++chunk;
    }
  }

 private:
  struct alignas(64) line {
    number words[8] = {rubbish, rubbish, rubbish, rubbish, rubbish, rubbish, rubbish, rubbish};
  };
  pipeline_job job_;
  std::vector<std::vector<std::vector<line>>> memory_;  // rank, buffer
  struct by_rank : std::map<std::pair<rank_id, stage_id>, std::int64_t> {};
  by_rank stepped_ = [&] {  // every entry is made before threads run
    by_rank all;
    for (rank_id r : ids<rank_id>(job_.ranks()))
      for (stage_id s : job_.stages_of(r)) all[{r, s}] = -1;
    return all;
  }();
};
static_assert(restorable_work<toy_pipeline>);

inline pipeline_tensors const tensors{.activation = 8, .stash = 24, .gradient = 8, .state = 8};

/// States by rank and chunk.
inline std::vector<std::vector<number>> states_of(toy_pipeline& w, pipeline_job const& job,
                                                  std::vector<rank_id> const& dead = {}) {
  std::vector<std::vector<number>> all;
  for (rank_id r : ids<rank_id>(job.ranks())) {
    all.emplace_back();
    if (std::binary_search(dead.begin(), dead.end(), r)) continue;
    for (std::int32_t c = 0; c < static_cast<std::int32_t>(job.stages_of(r).size()); ++c)
      all.back().push_back(w.state(r, c));
  }
  return all;
}

/// Plans around dead ranks, each found once.
class planner {
 public:
  using solver = std::function<solution<pipeline_schedule>(pipeline_job const&)>;
  planner(pipeline_job job, solver with) : job_(std::move(job)), solve_(std::move(with)) {}

  [[nodiscard]] pipeline_job without(dead_ranks dead) const {
    auto job = job_;
    for (rank_id const r : dead) job.dead.push_back(job.worker_of(r));
    return job;
  }
  [[nodiscard]] pipeline_schedule const& plan(dead_ranks dead) {
    std::vector<rank_id> const key(dead.begin(), dead.end());
    if (auto const known = plans_.find(key); known != plans_.end()) return known->second;
    return plans_.emplace(key, solve_(without(dead)).plan).first->second;
  }
  [[nodiscard]] pipeline_job const& job() const { return job_; }

 private:
  pipeline_job job_;
  solver solve_;
  std::map<std::vector<rank_id>, pipeline_schedule> plans_{};
};

inline void sound(program const& p) {
  for (auto const& broken : {check(p), check_rendezvous(p), check_without_tags(p)})
    EXPECT_TRUE(broken.empty()) << to_string(broken.front());
}

/// The end without failures, under programs as they always were.
inline std::vector<std::vector<number>> undisturbed(planner& plans, std::int64_t iterations) {
  toy_pipeline w(plans.job());
  auto const p = lower(plans.job(), plans.plan({}), tensors);
  w.fit(p);
  auto session = inline_executor{}.open(w);
  for (std::int64_t k = 0; k < iterations; ++k) session.submit(p);
  (void)session.wait();
  return states_of(w, plans.job());
}

inline constexpr std::int64_t iterations = 4;

struct variant {
  bool split, stagger;
};
inline constexpr variant variants[] = {{true, true}, {true, false}, {false, true}, {false, false}};

inline planner slipstreams(std::int32_t pipelines, std::int32_t stages, std::int32_t microbatches,
                           variant v) {
  return {{.pipelines = pipelines,
           .stages = stages,
           .microbatches = microbatches,
           .costs = {1, 1, 1, 3}},
          [v](pipeline_job const& job) {
            return slipstream{.split = v.split, .stagger = v.stagger, .effort = 20'000}(job);
          }};
}

}  // namespace shunt::tests::integer_pipeline
