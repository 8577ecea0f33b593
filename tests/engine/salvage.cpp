// What is left of an interrupted iteration: whoever falls silent, and whenever, the end is the one
// of an undisturbed run, and nothing that is kept is done again.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/program.hpp"
#include "shunt/check/program_transport.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/salvage.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "shunt/solve/pipeline/chimera.hpp"
#include "shunt/solve/pipeline/dual_pipe.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "shunt/solve/pipeline/zb_v.hpp"
#include "toys.hpp"

namespace {

using namespace shunt;
using namespace std::chrono_literals;

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
    auto const read = [&](std::size_t i, std::int32_t word = 0) { return at(r, t.reads[i])[word]; };
    auto const write = [&](std::size_t i, number value, std::int32_t word = 0) {
      at(r, t.writes[i])[word] = value;
    };
    bool const first = t.op.stage == 0, last = t.op.stage.value() + 1 == job_.stages;
    auto const backward_input = [&] {
      number const gradient = last ? read(2, 1) : read(3);
      if (!first) write(0, mixed(read(0) % 10007 + read(2), gradient));
      write(1, gradient, 2);
    };
    auto const backward_weight = [&](std::size_t target, number gradient) {
      number const term = mixed(read(2), gradient) - 5000, flag = (term % 7 + 7) % 7;
      write(target, read(4) + term);
      write(target + 1, std::max(read(5), flag));
      if (!counting) return;
      std::pair const key{t.iteration, operation{op_kind::backward_weight, t.op.pipeline,
                                                 t.op.stage, t.op.microbatch}};
      ++computed[key];
      terms[key] = {term, flag};
    };
    switch (t.op.kind) {
      case op_kind::forward: {
        number const in =
            first ? mixed(t.iteration * 7, t.op.pipeline.value() * 100 + t.op.microbatch.value())
                  : read(1);
        number const out = mixed(read(0) % 10007, in);
        if (!last) write(0, out);
        write(1, in), write(1, out, 1), write(1, rubbish, 2);
        break;
      }
      case op_kind::backward_input: backward_input(); break;
      case op_kind::backward_weight: backward_weight(0, read(2, 2)); break;
      case op_kind::backward:
        backward_input();
        backward_weight(2, read(2, 2));
        break;
      case op_kind::step:
        write(0, read(2) * 3 % 1'000'003 + read(0) * 1024 + read(1) * 7 + t.iteration);
        stepped_[{r, t.op.stage}] = t.iteration;
        break;
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

pipeline_tensors const tensors{.activation = 8, .stash = 24, .gradient = 8, .state = 8};

/// States by rank and chunk.
std::vector<std::vector<number>> states_of(toy_pipeline& w, pipeline_job const& job,
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

void sound(program const& p) {
  for (auto const& broken : {check(p), check_rendezvous(p), check_without_tags(p)})
    EXPECT_TRUE(broken.empty()) << to_string(broken.front());
}

/// The end without failures, under programs as they always were.
std::vector<std::vector<number>> undisturbed(planner& plans, std::int64_t iterations) {
  toy_pipeline w(plans.job());
  auto const p = lower(plans.job(), plans.plan({}), tensors);
  w.fit(p);
  auto session = inline_executor{}.open(w);
  for (std::int64_t k = 0; k < iterations; ++k) session.submit(p);
  (void)session.wait();
  return states_of(w, plans.job());
}

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
template <ticks Timeout>
struct in_virtual_time {
  static auto with(std::vector<fault> faults) {
    return simulated{.cost = toys::uneven_costs{}, .faults = std::move(faults), .timeout = Timeout};
  }
};

/// Gradients queue up to be sent while their rank computes: what has run is no beginning of a list.
struct slow_sends {
  [[nodiscard]] ticks compute(rank_id, operation const&) const { return 1; }
  [[nodiscard]] transfer_time transfer(rank_id from, rank_id to, byte_count) const {
    return {.occupancy = from > to ? 12 : 0};
  }
  static auto with(std::vector<fault> faults) {
    return simulated{.cost = slow_sends{}, .faults = std::move(faults), .timeout = 20};
  }
};

/// A rank whose steps take so long that others go through all of the next iteration meanwhile.
struct slow_steps {
  static inline rank_id slow{};
  [[nodiscard]] ticks compute(rank_id r, operation const& o) const {
    return o.kind == op_kind::step && r == slow ? 1000 : 1;
  }
  [[nodiscard]] transfer_time transfer(rank_id, rank_id, byte_count) const { return {}; }
  static auto with(std::vector<fault> faults) {
    return simulated{.cost = slow_steps{}, .faults = std::move(faults), .timeout = 10};
  }
};

/// An executor whose n-th session has its own faults.
template <class Maker>
struct in_turn {
  std::vector<std::vector<fault>> faults{};
  std::shared_ptr<std::size_t> opened = std::make_shared<std::size_t>(0);

  [[nodiscard]] auto open(toy_pipeline& w, std::int64_t first = 0) const {
    auto const n = (*opened)++;
    return Maker::with(n < faults.size() ? faults[n] : std::vector<fault>{}).open(w, first);
  }
  outcome run(program const& p, toy_pipeline& w) const { return run_once(*this, p, w); }
};

constexpr std::int64_t iterations = 4;

struct survived {
  recovery_report report{};
  std::int64_t kept = 0, in_all = 0;  ///< terms, over all losses
};

/// Trains through faults, one list of them a session, and compares the end.
template <class Maker>
survived survive(planner& plans, std::vector<std::vector<fault>> faults,
                 std::vector<std::vector<number>> const& expected) {
  auto const& job = plans.job();
  toy_pipeline w(job);
  gradient_ledger kept;
  survived all;
  auto const plan = [&](dead_ranks dead) -> std::optional<program> {
    if (stage_without_worker(plans.without(dead))) return std::nullopt;
    auto p = lower_salvageable(plans.without(dead), plans.plan(dead), {}, tensors);
    w.fit(p);
    return p;
  };
  recovery config{.end = iterations};
  config.salvage = [&](dead_ranks dead,
                       interrupted_iteration const& at) -> std::optional<salvaged> {
    auto const alone = plans.without(dead);
    kept = kept_gradients(alone, at, at.rest ? kept : gradient_ledger{});
    std::vector<operation> terms;
    for (auto const& k : kept) {
      EXPECT_TRUE(alone.alive(k.rank));
      EXPECT_TRUE(std::is_sorted(k.terms.begin(), k.terms.end()));
      terms.insert(terms.end(), k.terms.begin(), k.terms.end());
    }
    std::sort(terms.begin(), terms.end());
    EXPECT_EQ(std::adjacent_find(terms.begin(), terms.end()), terms.end())
        << "a term is in two sums";
    auto rest = lower_salvageable(alone, plans.plan(dead), kept, tensors);
    sound(rest);
    auto const whole = lower_salvageable(alone, plans.plan(dead), {}, tensors).instructions();
    EXPECT_LE(rest.instructions(), whole);
    std::size_t left = static_cast<std::size_t>(job.seats() * job.microbatches) - terms.size();
    for (rank_id r : ids<rank_id>(job.ranks()))
      for (auto const& i : rest.ranks[r].instructions)
        if (i.code == opcode::compute &&
            (i.op.kind == op_kind::backward || i.op.kind == op_kind::backward_weight)) {
          operation const term{op_kind::backward_weight, i.op.pipeline, i.op.stage,
                               i.op.microbatch};
          EXPECT_FALSE(std::binary_search(terms.begin(), terms.end(), term));
          --left;
        }
    EXPECT_EQ(left, 0U);
    w.fit(rest);
    all.kept += terms_in(kept);
    all.in_all += job.seats() * job.microbatches;
    return salvaged{std::move(rest), terms_in(kept), job.seats() * job.microbatches};
  };
  std::int64_t heard = 0;
  auto const hear = [&](completed_iteration const& c) { EXPECT_EQ(c.iteration, heard++); };
  all.report = run_through_losses(in_turn<Maker>{std::move(faults)}, w, config, plan, hear);
  EXPECT_EQ(all.report.stopped, "");
  EXPECT_EQ(all.report.end, iterations);
  EXPECT_EQ(heard, iterations);
  std::int64_t reported = 0;
  for (auto const& l : all.report.losses) reported += l.kept;
  EXPECT_EQ(reported, all.kept);
  auto const states = states_of(w, job, all.report.dead);
  for (std::size_t r = 0; r < states.size(); ++r)
    if (!std::binary_search(all.report.dead.begin(), all.report.dead.end(), rank_id(r))) {
      EXPECT_EQ(states[r], expected[r]) << "rank " << r;
    }
  return all;
}

struct variant {
  bool split, stagger;
};
constexpr variant variants[] = {{true, true}, {true, false}, {false, true}, {false, false}};

planner slipstreams(std::int32_t pipelines, std::int32_t stages, std::int32_t microbatches,
                    variant v) {
  return {{.pipelines = pipelines,
           .stages = stages,
           .microbatches = microbatches,
           .costs = {1, 1, 1, 3}},
          [v](pipeline_job const& job) {
            return slipstream{.split = v.split, .stagger = v.stagger, .effort = 20'000}(job);
          }};
}

/// Every rank falls silent before every `every`-th instruction of iteration 1.
template <class Maker>
survived strike_everywhere(planner& plans, std::int32_t every = 1) {
  auto const expected = undisturbed(plans, iterations);
  auto const p = lower_salvageable(plans.job(), plans.plan({}), {}, tensors);
  sound(p);
  survived all;
  for (rank_id r : ids<rank_id>(p.ranks.size()))
    for (std::int32_t at = r.value() % every;
         at <= static_cast<std::int32_t>(p.ranks[r].instructions.size()); at += every) {
      SCOPED_TRACE("rank " + std::to_string(r.value()) + " at instruction " + std::to_string(at));
      auto const one = survive<Maker>(plans, {{{r, 1, at}}}, expected);
      EXPECT_EQ(one.report.losses.size(), 1U);
      all.kept += one.kept;
      all.in_all += one.in_all;
    }
  EXPECT_GT(all.kept, 0);
  EXPECT_LT(all.kept, all.in_all);
  return all;
}

TEST(salvage, every_instruction_of_every_rank_may_be_the_last) {
  for (auto const v : variants) {
    SCOPED_TRACE(std::string(v.split ? "split" : "fused") +
                 (v.stagger ? ", staggered" : ", all together"));
    auto plans = slipstreams(2, 3, 4, v);
    strike_everywhere<on_one_thread>(plans);
    strike_everywhere<in_virtual_time<0>>(plans);
    strike_everywhere<in_virtual_time<12>>(plans);
  }
}

TEST(salvage, of_larger_jobs_exhaustive) {
  for (auto const v : variants) {
    SCOPED_TRACE(std::string(v.split ? "split" : "fused") +
                 (v.stagger ? ", staggered" : ", all together"));
    auto plans = slipstreams(3, 4, 6, v);
    strike_everywhere<on_one_thread>(plans, 2);
    strike_everywhere<in_virtual_time<3>>(plans, 5);
  }
}

TEST(salvage, on_threads_exhaustive) {
  for (auto const v : variants) {
    auto plans = slipstreams(2, 3, 4, v);
    strike_everywhere<on_threads>(plans, 3);
  }
}

TEST(salvage, of_what_lanes_have_run_out_of_order) {
  planner plans({.pipelines = 2, .stages = 3, .microbatches = 4, .costs = {1, 1, 1, 3}},
                [](pipeline_job const& job) { return (zb_h1{} | reroute{})(job); });
  strike_everywhere<slow_sends>(plans);
}

TEST(salvage, while_others_are_an_iteration_ahead_exhaustive) {
  for (auto const v : variants) {
    auto plans = slipstreams(2, 3, 3, v);
    for (rank_id r : ids<rank_id>(plans.job().ranks())) {
      SCOPED_TRACE("slow rank " + std::to_string(r.value()));
      slow_steps::slow = r;
      strike_everywhere<slow_steps>(plans, 2);
    }
  }
}

TEST(salvage, ranks_with_several_stages) {
  auto const solve_by = [](auto solver) {
    return [solver](pipeline_job const& job) { return (solver | reroute{})(job); };
  };
  pipeline_job const shape{.pipelines = 2, .stages = 4, .microbatches = 4, .costs = {1, 1, 1, 2}};
  auto with = [&](stage_layout layout) {
    auto job = shape;
    job.layout = layout;
    return job;
  };
  planner looped(with(stage_layout::looped(2)),
                 [](pipeline_job const& job) { return slipstream{.effort = 20'000}(job); });
  planner wave(with(stage_layout::wave(2)), [](pipeline_job const& job) {
    return slipstream{.stagger = false, .effort = 20'000}(job);
  });
  planner fused(with(stage_layout::looped(2)), solve_by(interleaved_one_f_one_b{}));
  for (planner* p : {&looped, &wave, &fused}) {
    strike_everywhere<on_one_thread>(*p, 2);
    strike_everywhere<in_virtual_time<5>>(*p, 3);
  }
}

TEST(salvage, ends_twice_exhaustive) {
  for (auto const v : variants) {
    SCOPED_TRACE(std::string(v.split ? "split" : "fused") +
                 (v.stagger ? ", staggered" : ", all together"));
    auto plans = slipstreams(3, 2, 3, v);
    auto const expected = undisturbed(plans, iterations);
    auto const p = lower_salvageable(plans.job(), plans.plan({}), {}, tensors);
    std::int64_t kept = 0, both = 0;
    for (rank_id first : {rank_id(0), rank_id(3)})
      for (std::int32_t at = 1; at <= static_cast<std::int32_t>(p.ranks[first].instructions.size());
           at += 3)
        for (rank_id second : {rank_id(1), rank_id(2), rank_id(5)}) {
          bool struck = true;
          for (std::int32_t then = 0; struck; ++then) {  // until it is past the end of the list
            SCOPED_TRACE("rank " + std::to_string(first.value()) + " at " + std::to_string(at) +
                         ", " + std::to_string(second.value()) + " at " + std::to_string(then));
            std::vector<fault> twice;
            for (std::int64_t k : {0, 1, 2})
              twice.push_back({second, k, then});  // whichever is done again
            auto const one = survive<on_one_thread>(plans, {{{first, 1, at}}, twice}, expected);
            struck = one.report.losses.size() == 2;
            kept += struck ? one.report.losses[1].kept : 0;
            both += struck;
          }
        }
    EXPECT_GT(both, 100);
    EXPECT_GT(kept, both);  // more than a term each
  }
}

/// Nobody is lost, and yet a session ends: everything that was done is kept.
struct breaking {
  std::int32_t nth = 1;
  std::vector<fault> fault_there{};
  std::shared_ptr<int> opened = std::make_shared<int>(0);

  struct session {
    inline_session<toy_pipeline> inner;
    bool breaks;
    void submit(std::shared_ptr<program const> p) { inner.submit(std::move(p)); }
    [[nodiscard]] bool wait_until(std::int32_t n) { return inner.wait_until(n); }
    [[nodiscard]] ticks completed_at(std::int32_t n) const { return inner.completed_at(n); }
    [[nodiscard]] outcome wait() {
      auto all = inner.wait();
      all.lost.clear();
      return all;
    }
    [[nodiscard]] loss_times times_of_loss() const { return {}; }
  };
  [[nodiscard]] session open(toy_pipeline& w, std::int64_t first = 0) const {
    bool const breaks = ++*opened == nth;
    return {{inline_executor{.faults = breaks ? fault_there : std::vector<fault>{}}, w, first},
            breaks};
  }
  outcome run(program const& p, toy_pipeline& w) const { return run_once(*this, p, w); }
};

TEST(salvage, where_connections_break_every_term_is_computed_once) {
  for (auto const v : variants) {
    auto plans = slipstreams(2, 3, 4, v);
    auto const expected = undisturbed(plans, iterations);
    auto const p = lower_salvageable(plans.job(), plans.plan({}), {}, tensors);
    for (rank_id r : ids<rank_id>(p.ranks.size()))
      for (std::int32_t at = 0; at <= static_cast<std::int32_t>(p.ranks[r].instructions.size());
           ++at) {
        toy_pipeline w(plans.job());
        w.counting = true;
        w.fit(p);
        std::int64_t again =
            0;  // terms of the iteration after, which ranks that were ahead had begun with
        recovery config{.end = iterations};
        config.salvage = [&](dead_ranks,
                             interrupted_iteration const& was) -> std::optional<salvaged> {
          auto const kept = kept_gradients(plans.job(), was);
          for (rank_id ahead : ids<rank_id>(p.ranks.size()))
            for (std::size_t n = 0; n < was.ran_next[ahead].size(); ++n) {
              auto const& i = was.next.ranks[ahead].instructions[n];
              bool const makes_term =
                  i.op.kind == op_kind::backward || i.op.kind == op_kind::backward_weight;
              again += was.ran_next[ahead][n] && i.code == opcode::compute && makes_term;
            }
          auto rest = lower_salvageable(plans.job(), plans.plan({}), kept, tensors);
          sound(rest);
          w.fit(rest);
          return salvaged{std::move(rest)};
        };
        auto const report = run_through_losses(
            breaking{.fault_there = {{r, 1, at}}}, w, config,
            [&](dead_ranks) { return std::optional(p); }, [](completed_iteration const&) {});
        EXPECT_EQ(report.losses.size(), 1U);
        EXPECT_EQ(states_of(w, plans.job()), expected);
        std::int64_t computed = 0;
        for (auto const& [term, times] : w.computed) computed += times;
        EXPECT_EQ(computed - again, iterations * plans.job().seats() * plans.job().microbatches)
            << "rank " << r.value() << " at " << at;
      }
  }
}

/// Any terms may be kept, on any rank that holds the stage: sums that begin with them end as if all
/// had been computed.
TEST(salvage, any_ledger_will_do) {
  toys::dice d(5);
  std::vector<std::pair<pipeline_job, planner::solver>> cases;
  pipeline_job const plain{.pipelines = 3, .stages = 4, .microbatches = 5, .costs = {1, 1, 1, 2}};
  auto dead = plain;
  dead.dead = {{1, 2}, {0, 0}};
  auto two_chunks = plain, both_ways = plain, far = dead;
  two_chunks.layout = stage_layout::wave(2);
  both_ways.pipelines = 4;
  both_ways.layout = stage_layout::bidirectional();
  both_ways.microbatches = 8;
  both_ways.costs.overlap_gain = 1;
  far.costs = {2, 3, 1, 2};
  far.transfer = 2;
  cases.emplace_back(plain, [](pipeline_job const& job) { return slipstream{}(job); });
  cases.emplace_back(dead, [](pipeline_job const& job) { return slipstream{}(job); });
  cases.emplace_back(dead, [](pipeline_job const& job) {
    return slipstream{.split = false, .stagger = false}(job);
  });
  cases.emplace_back(far, [](pipeline_job const& job) { return slipstream{}(job); });
  cases.emplace_back(two_chunks, [](pipeline_job const& job) { return zb_v{}(job); });
  cases.emplace_back(both_ways, [](pipeline_job const& job) { return dual_pipe{}(job); });
  cases.emplace_back(both_ways, [](pipeline_job const& job) { return chimera{}(job); });
  std::size_t pairs = 0;
  for (std::size_t c = 0; c < cases.size(); ++c) {
    auto const& [job, solver] = cases[c];
    auto const answer = solver(job);
    ASSERT_TRUE(answer.has_plan()) << c << ' ' << answer.reason;
    toy_pipeline reference(job);
    reference.counting = true;
    auto const whole = lower_salvageable(job, answer.plan, {}, tensors);
    sound(whole);
    reference.fit(whole);
    (void)inline_executor{}.run(whole, reference);
    for (int round = 0; round < 60; ++round) {
      SCOPED_TRACE("case " + std::to_string(c) + ", round " + std::to_string(round));
      auto const odds = 1 + d.below(6);  // of 6: how many terms are kept
      gradient_ledger kept;
      for (rank_id r : ids<rank_id>(job.ranks()))
        if (job.alive(r))
          for (stage_id s : job.stages_of(r)) kept.push_back({r, s, false, {}});
      for (stage_id s : ids<stage_id>(job.stages)) {
        std::vector<kept_gradient*> holders;
        for (auto& k : kept)
          if (k.stage == s) holders.push_back(&k);
        if (d.below(6) == 0) {
          holders[static_cast<std::size_t>(d.below(static_cast<std::int64_t>(holders.size())))]
              ->reduced = true;
          for (auto* k : holders)
            if (k->reduced) k->terms = detail::terms_of(job, s);
        } else {
          for (operation const& o : detail::terms_of(job, s))
            if (d.below(6) < odds)
              holders[static_cast<std::size_t>(d.below(static_cast<std::int64_t>(holders.size())))]
                  ->terms.push_back(o);
        }
      }
      std::erase_if(kept, [](auto const& k) { return k.terms.empty(); });
      for (auto const lanes : {message_lanes::one_per_edge, message_lanes::one_per_rank}) {
        auto const rest = lower_salvageable(job, answer.plan, kept, tensors, lanes);
        sound(rest);
        for (auto const& of_rank : rest_of(job, answer.plan, kept).overlapped)
          pairs += of_rank.size();
        auto const ends_alike = [&](auto const& executor) {
          toy_pipeline w(job);
          w.fit(whole);
          w.fit(rest);
          for (auto const& k : kept) {
            auto const held = stages_of(job, tensors, k.rank);
            auto const of = std::find_if(held.begin(), held.end(),
                                         [&](auto const& h) { return h.stage == k.stage; });
            number sum = 0, flag = 0;
            for (operation const& o : k.terms) {
              auto const [term, raised] = reference.terms.at({0, o});
              sum += term;
              flag = std::max(flag, raised);
            }
            *w.at(k.rank, k.reduced ? of->reduced() : of->gradient()) = sum;
            *w.at(k.rank, k.reduced ? of->reduced_flag() : of->flag()) = flag;
          }
          auto session = executor.open(w);
          session.submit(rest);
          EXPECT_TRUE(session.wait().lost.empty());
          std::vector<rank_id> gone;
          for (rank_id r : ids<rank_id>(job.ranks()))
            if (!job.alive(r)) gone.push_back(r);
          EXPECT_EQ(states_of(w, job, gone), states_of(reference, job, gone));
        };
        ends_alike(inline_executor{});
        ends_alike(simulated{job_costs(job)});
      }
    }
  }
  EXPECT_GT(pairs, 100U);
}

TEST(salvage, of_a_whole_plan_is_the_plan) {
  for (auto const v : variants) {
    auto plans = slipstreams(3, 4, 6, v);
    rank_id const dead[] = {6};
    EXPECT_EQ(rest_of(plans.without(dead), plans.plan(dead), {}), plans.plan(dead));
    gradient_ledger all;
    for (stage_id s : ids<stage_id>(4))
      all.push_back({s.value(), s, true, detail::terms_of(plans.job(), s)});
    auto const rest = rest_of(plans.without(dead), plans.plan(dead), all);
    for (auto const& list : rest.order)
      for (operation const& o : list) EXPECT_EQ(o.kind, op_kind::step);
  }
}

TEST(salvage, asks_for_reductions_out_of_place) {
  auto plans = slipstreams(2, 2, 2, {true, true});
  auto const p = lower(plans.job(), plans.plan({}), tensors);
  interrupted_iteration at{.plan = p, .next = p};
  at.ran.resize(p.ranks.size());
  at.ran_next.resize(p.ranks.size());
  try {
    (void)kept_gradients(plans.job(), at);
    FAIL();
  } catch (invalid_program const& e) {
    EXPECT_NE(std::string(e.what()).find("stage 0 reduces its gradient in place"),
              std::string::npos)
        << e.what();
  }
}

}  // namespace
