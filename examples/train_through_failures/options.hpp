#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli.hpp"
#include "language_training.hpp"
#include "process_options.hpp"
#include "shunt/shunt.hpp"

namespace example {

/// A worker that takes `factor` times as long from an iteration on, written
/// pipeline:stage x factor @ iteration.
struct slow_at {
  shunt::worker who{};
  double factor = 1;
  std::int64_t iteration = 0;
};

/// The command line of train_through_failures.
struct options {
  language_training training{
      .job = {.pipelines = 3, .stages = 4, .microbatches = 6, .costs = {1, 1, 1, 3}},
      .iterations = 12};
  std::string text{}, out{};
  std::vector<worker_at> kills{}, joins{};
  std::vector<slow_at> slow{};
  std::optional<std::int32_t>
      kill_at{};  ///< instruction index; without it, the middle of the worker's list
  bool split = true, stagger = true;
  std::string policy = "slipstream";       ///< what the live workers do after a loss
  std::int64_t checkpoint_every = 10;      ///< iterations, under the policy that has checkpoints
  std::string bamboo_rules = "simulator";  ///< of its rendezvous
  bool salvage = false;  ///< after a loss only what is missing of an iteration is done again
  std::optional<std::chrono::milliseconds> timeout{};  ///< of silence
  bool compare_schedules = false;

  std::string engine = "threads";
  process_options process{};  ///< how they meet
  std::int32_t sweep = 0;     ///< runs, each with other kills

  /// Whether workers are streams of one GPU.
  bool cuda() const { return engine.starts_with("cuda"); }
};

/// "2@5,0@7:3": stage 2 in iteration 5, micro-batch 0, and stage 0 in iteration 7, micro-batch 3;
/// the empty text is the empty list.
inline std::vector<bad_gradient> parse_bad_gradients(std::string const& field,
                                                     std::string_view text) {
  return parse_each(field, text, [](std::string const& name, std::string_view item) {
    auto const [stage, when] =
        halves_of(name, item, '@', "stage@iteration or stage@iteration:micro-batch");
    auto const colon = when.find(':');
    return bad_gradient{
        parse_integer(name + " (stage)", stage, 0, std::numeric_limits<std::int32_t>::max()),
        parse_integer(name + " (iteration)", when.substr(0, colon), 0),
        colon == std::string_view::npos
            ? 0
            : parse_integer(name + " (micro-batch)", when.substr(colon + 1), 0)};
  });
}

/// "1:2x2@5": worker 1:2 takes twice as long from iteration 5 on; the empty text is the empty list.
inline std::vector<slow_at> parse_slow(std::string_view text) {
  return parse_each("slow", text, [](std::string const& name, std::string_view item) {
    std::string const form = "pipeline:stage x factor @ iteration, as 1:2x2@5";
    auto const [what, when] = halves_of(name, item, '@', form);
    auto const [who, times] = halves_of(name, what, 'x', form);
    auto const factor = parse_factor(name + " (factor)", times);
    return slow_at{parse_worker(name, who),
                   static_cast<double>(factor.numerator) / static_cast<double>(factor.denominator),
                   parse_integer(name + " (iteration)", when, 0)};
  });
}

/// The elements of --gradients.
inline shunt::element parse_gradients(std::string const& name) {
  for (auto const e : {shunt::element::int64, shunt::element::float32, shunt::element::float16,
                       shunt::element::bfloat16})
    if (name == to_string(e)) return e;
  throw shunt::invalid_problem("gradients",
                               quoted_text(name) + " is not int64, float32, float16 or bfloat16");
}

/// What printf takes of a value.
inline char const* passed(std::string const& text) { return text.c_str(); }
template <class T>
auto passed(T value) {
  if constexpr (std::is_same_v<T, std::int64_t>)
    return static_cast<long long>(value);
  else
    return value;
}
/// printf into a string.
template <class... Parts>
std::string format(char const* pattern, Parts const&... parts) {
  char text[400];
  std::snprintf(text, sizeof text, pattern, passed(parts)...);
  return text;
}

/// "0:1, 1:2"
inline std::string describe(shunt::pipeline_job const& job,
                            std::vector<shunt::rank_id> const& ranks) {
  std::string words;
  for (auto const r : ranks)
    words += (words.empty() ? "" : ", ") + shunt::describe(job.worker_of(r));
  return words;
}

/// Which workers are dead at the start of an iteration, and in it after its kills: joins come
/// before kills.
inline std::vector<shunt::worker> dead_in(options const& o, std::int64_t iteration,
                                          bool after_kills) {
  std::vector<shunt::worker> dead;
  for (std::int64_t i = 0; i <= iteration; ++i) {
    for (auto const& j : o.joins)
      if (j.iteration == i) std::erase(dead, j.who);
    if (i < iteration || after_kills)
      for (auto const& k : o.kills)
        if (k.iteration == i) dead.push_back(k.who);
  }
  return dead;
}

/// Throws invalid_problem, naming the item, where workers can't be slow as asked.
inline void validate_slow(options const& o) {
  auto const& job = o.training.job;
  for (std::size_t n = 0; n < o.slow.size(); ++n) {
    auto const& [who, factor, at] = o.slow[n];
    std::string const field = "slow[" + std::to_string(n) + "]",
                      worker = "worker " + shunt::describe(who);
    refuse_if(who.pipeline >= job.pipelines || who.stage >= job.stages, field,
              worker + " is not one of " + std::to_string(job.pipelines) + " pipelines x " +
                  std::to_string(job.stages) + " stages");
    refuse_if(factor < 1, field,
              format("%s must be slower by a factor of at least 1, is by %.6g", worker, factor));
    refuse_if(at >= o.training.iterations, field,
              "iteration " + std::to_string(at) + " is not one of 0.." +
                  std::to_string(o.training.iterations - 1));
    auto const dead = dead_in(o, at, false);
    refuse_if(std::find(dead.begin(), dead.end(), who) != dead.end(), field,
              worker + " is dead in iteration " + std::to_string(at));
    for (std::size_t k = 0; k < n; ++k)
      refuse_if(o.slow[k].who == who && o.slow[k].iteration == at, field,
                worker + " is named twice for iteration " + std::to_string(at));
  }
  if (o.slow.empty()) return;
  refuse_if(o.training.unit.count() == 0, "slow",
            "needs --op-ms above 0: a worker is slow beside the times that are planned");
  refuse_if(o.cuda(), "slow",
            "needs --engine threads, inline or gloo: on one GPU, which all workers share, an "
            "operation's time says nothing of its worker");
}

/// Throws invalid_problem, naming the option and the item, where kills and joins can't happen as
/// asked.
inline void validate(options const& o) {
  auto const check = [&](char const* field, std::vector<worker_at> const& list, bool kill) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      auto const& [who, at] = list[i];
      auto const refuse = [&](std::string const& why) {
        throw shunt::invalid_problem(std::string(field) + "[" + std::to_string(i) + "]", why);
      };
      auto job = o.training.job;
      job.dead = {who};
      try {
        validate(job);
      } catch (shunt::invalid_problem const& error) {
        refuse(std::string(error.what()).substr(std::string("dead[0]: ").size()));
      }
      if (at >= o.training.iterations)
        refuse("iteration " + std::to_string(at) + " is not one of 0.." +
               std::to_string(o.training.iterations - 1));
      auto const same = [&](worker_at const& other) {
        return other.who == who && other.iteration == at;
      };
      if (std::count_if(list.begin(), list.end(), same) > 1) refuse("is named twice");
      if (!kill && at == 0) refuse("nobody can join before iteration 1");
      // a kill wants a worker that lives when the iteration starts (and has joined by then), a join
      // one that does not
      auto const dead = dead_in(o, kill ? at : at - 1, !kill);
      bool const is_dead = std::find(dead.begin(), dead.end(), who) != dead.end();
      if (is_dead == kill)
        refuse("worker " + shunt::describe(who) + (kill ? " is already dead" : " is not dead") +
               " in iteration " + std::to_string(at));
      if (kill && o.policy == "slipstream") {
        job.dead = dead_in(o, at, true);
        if (auto const stage = stage_without_worker(job))
          refuse("leaves stage " + std::to_string(stage->value()) +
                 " without a live worker in iteration " + std::to_string(at));
      }
    }
  };
  naming_options({{"costs.forward", "forward"},
                  {"costs.backward_input", "backward-input"},
                  {"costs.backward_weight", "backward-weight"},
                  {"costs.step", "step"}},
                 [&] { validate(o.training.job); });
  validate(o.training.model);
  refuse_if(o.salvage && o.training.validates(), "salvage",
            "can't be together with --clip or --inject-nan: the rest of an iteration has no "
            "validated steps");
  check("kill", o.kills, true);
  check("join", o.joins, false);
  validate_slow(o);
}

}  // namespace example
