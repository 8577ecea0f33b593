#pragma once
#include "shunt/problem/measured_costs.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <string>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"

namespace shunt::detail {

// Returns the shortest text that reads back as the number.
SHUNT_INLINE std::string shown_seconds(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

SHUNT_INLINE ticks rounded_ticks(std::string const& field, double seconds, double seconds_per_tick,
                                 ticks least) {
  if (!std::isfinite(seconds_per_tick) || seconds_per_tick <= 0)
    throw invalid_problem("seconds_per_tick",
                          "must be above 0 and finite, is " + shown_seconds(seconds_per_tick));
  if (!std::isfinite(seconds) || seconds < 0)
    throw invalid_problem(field, "must be at least 0 and finite, is " + shown_seconds(seconds));
  double const exact = std::floor(seconds / seconds_per_tick + 0.5);
  if (!(exact < 0x1p61))
    throw invalid_problem(field, "is " + shown_seconds(seconds) + " seconds: ticks of " +
                                     shown_seconds(seconds_per_tick) +
                                     " seconds add up beyond 61 bits");
  return std::max(static_cast<ticks>(exact), least);
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE ticks ticks_from_seconds(double seconds, double seconds_per_tick, ticks least) {
  return detail::rounded_ticks("seconds", seconds, seconds_per_tick, least);
}

SHUNT_INLINE stage_costs costs_from_seconds(std::vector<double> const& forward,
                                            std::vector<double> const& backward_input,
                                            std::vector<double> const& backward_weight,
                                            std::vector<double> const& step,
                                            double seconds_per_tick) {
  auto const rounded = [&](std::string const& name, std::vector<double> const& seconds,
                           ticks least) {
    if (seconds.empty()) throw invalid_problem(name, "has no value");
    std::vector<ticks> all;
    for (std::size_t s = 0; s < seconds.size(); ++s)
      all.push_back(
          detail::rounded_ticks(seconds.size() == 1 ? name : name + "[" + std::to_string(s) + "]",
                                seconds[s], seconds_per_tick, least));
    return per_stage(std::move(all));
  };
  return {.forward = rounded("forward", forward, 1),
          .backward_input = rounded("backward_input", backward_input, 1),
          .backward_weight = rounded("backward_weight", backward_weight, 0),
          .step = rounded("step", step, 0)};
}

SHUNT_INLINE stage_costs slowed(pipeline_job const& job, worker slow, double factor) {
  auto const refuse = [&](std::string const& why) {
    throw invalid_problem("slow", "worker " + std::to_string(slow.pipeline.value()) + ":" +
                                      std::to_string(slow.stage.value()) + " " + why);
  };
  if (slow.pipeline < 0 || slow.pipeline >= job.pipelines || slow.stage < 0 ||
      slow.stage >= job.stages)
    refuse("is not one of " + std::to_string(job.pipelines) + " pipelines x " +
           std::to_string(job.stages) + " stages");
  if (!job.alive(slow)) refuse("is dead");
  if (!std::isfinite(factor) || factor < 1)
    refuse("must be slower by a factor of at least 1, is by " + detail::shown_seconds(factor));
  stage_costs costs = job.costs;
  auto const on_rank = job.workers_of(job.rank_of(slow));
  for (per_stage* list : {&costs.forward, &costs.backward_input, &costs.backward_weight}) {
    std::vector<ticks> all;
    for (std::int32_t p = 0; p < job.pipelines; ++p)
      for (std::int32_t s = 0; s < job.stages; ++s) all.push_back(list->of(p, s, job.stages));
    for (worker const& w : on_rank) {
      ticks& time =
          all[w.pipeline.index() * static_cast<std::size_t>(job.stages) + w.stage.index()];
      auto const before = time;
      time = detail::rounded_ticks("slow", static_cast<double>(before) * factor, 1, before);
      if (factor > 1 && before > 0 && time == before)
        refuse("takes " + std::to_string(before) + " ticks, too few to show a factor of " +
               detail::shown_seconds(factor));
    }
    *list = per_stage(std::move(all));
  }
  return costs;
}

}  // namespace shunt
