#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "language_training.hpp"
#include "options.hpp"
#include "shunt/core/error.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/io/gantt.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/program/timeline.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/train/planned_iteration.hpp"

namespace example {

/// Predicted against measured periods of the four variants that SlipStream compares (SOSP'24 slides
/// 10 to 25).
struct measured_variant {
  std::string name{};
  shunt::planned_iteration plan{};
  double predicted_ms = 0;
  double measured_ms = 0;        ///< median distance of the ends of iterations
  double slowest_ms = 0;         ///< the largest of them
  double computing_share = 0;    ///< real computation over the time that operations are to take
  std::vector<double> losses{};  ///< by iteration
  shunt::timeline last{};        ///< the last two iterations

  [[nodiscard]] double ratio() const { return measured_ms / predicted_ms; }
};

inline constexpr std::int32_t settling_iterations =
    3;  ///< stages drift apart until a staggered schedule is in its steady state
inline constexpr std::int32_t steady_iterations = 7;

[[nodiscard]] inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  auto const half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

/// Trains with one schedule from the start, without a failure on the way, and times its iterations.
[[nodiscard]] inline measured_variant measure_variant(std::string name, language_training training,
                                                      shunt::planned_iteration plan,
                                                      text_bytes const& bytes) {
  training.iterations = settling_iterations + steady_iterations;
  language_work work(training, bytes);
  work.fit(*plan.iteration);
  auto session = shunt::thread_executor{}.open(work);
  for (std::int64_t i = 0; i < training.iterations; ++i) session.submit(plan.iteration);
  if (plan.closing) session.submit(plan.closing);
  auto const count = static_cast<std::int32_t>(training.iterations);
  if (!session.wait_until(count))
    throw std::runtime_error("a worker was lost without having been killed");
  std::vector<double> distances;
  for (std::int32_t n = settling_iterations + 1; n <= count; ++n)
    distances.push_back(static_cast<double>(session.completed_at(n) - session.completed_at(n - 1)) *
                        1e-6);
  auto done = session.wait();

  measured_variant v{.name = std::move(name), .plan = std::move(plan)};
  v.predicted_ms = static_cast<double>(v.plan.period) *
                   std::chrono::duration<double, std::milli>(training.unit).count();
  v.measured_ms = median(distances);
  v.slowest_ms = *std::max_element(distances.begin(), distances.end());
  v.computing_share = work.computing_share();
  for (std::int64_t i = 0; i < training.iterations; ++i) v.losses.push_back(work.loss(i));
  v.last = shunt::iterations_of(done.timeline, count - 2, count - 1);
  return v;
}

/// All four, one after the other. The workers that --kill names are dead from the start (without
/// any: stage 2 of pipeline 1, as in the paper's figures, or the nearest there is). Throws
/// invalid_problem where that leaves a stage without a worker.
[[nodiscard]] inline std::vector<measured_variant> compare_schedules(options const& o,
                                                                     text_bytes const& bytes) {
  auto const tensors = language_work(o.training, bytes).tensors();
  auto const form =
      o.training.validates() ? shunt::iteration_form::validated : shunt::iteration_form::plain;
  auto job = o.training.job;
  std::vector<measured_variant> all;
  auto const whole = shunt::plan_iteration(shunt::one_f_one_b{}, job, tensors, form);
  for (auto const& k : o.kills)
    if (job.alive(k.who)) job.dead.push_back(k.who);
  if (job.dead.empty())
    job.dead.push_back({std::min(1, job.pipelines - 1), std::min(2, job.stages - 1)});
  if (auto const stage = stage_without_worker(job))
    throw shunt::invalid_problem("compare-schedules", "leaves stage " +
                                                          std::to_string(stage->value()) +
                                                          " without a live worker");
  all.push_back(measure_variant("no failure, 1F1B", o.training, whole, bytes));
  auto const add = [&](char const* name, shunt::slipstream const& solver) {
    all.push_back(measure_variant(name, o.training,
                                  shunt::plan_iteration(solver, job, tensors, form), bytes));
  };
  job.memory = shunt::stash_cap::one_f_one_b();
  add("re-routed", {.split = false, .stagger = false});
  job.memory = shunt::stash_cap::none();
  add("+ split backward", {.stagger = false});
  add("+ staggered step", {});
  return all;
}

/// One line a variant, and whether their losses are the same bits.
inline bool print(std::ostream& out, std::vector<measured_variant> const& all,
                  std::chrono::nanoseconds unit) {
  auto const line = [&](auto... parts) { out << format(parts...) << "\n"; };
  line("%-18s %10s %12s %12s %8s %12s %10s", "schedule", "period", "predicted", "measured", "ratio",
       "slowest", "computing");
  for (auto const& v : all)
    line("%-18s %10lld %9.1f ms %9.1f ms %8.4f %9.1f ms %8.1f %%", v.name.c_str(),
         static_cast<long long>(v.plan.period), v.predicted_ms, v.measured_ms, v.ratio(),
         v.slowest_ms, 100 * v.computing_share);
  for (auto const& v : all)
    if (v.computing_share > 0.04)
      line("warning: %s: real computation takes %.1f %% of the time of operations, more than 4 %%; "
           "raise --op-ms above %.1f",
           v.name.c_str(), 100 * v.computing_share,
           std::chrono::duration<double, std::milli>(unit).count());
  bool const same = std::all_of(all.begin(), all.end(),
                                [&](auto const& v) { return v.losses == all.front().losses; });
  if (same)
    out << "identical: " << all.front().losses.size() << " losses\n";
  else
    out << "differ: the losses of the schedules are not the same bits\n";
  return same;
}

}  // namespace example
