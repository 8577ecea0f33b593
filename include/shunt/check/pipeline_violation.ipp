#pragma once
#include "shunt/check/pipeline_violation.hpp"

#include <cstddef>

namespace shunt {

SHUNT_CONSTEXPR std::string_view to_string(pipeline_rule rule) {
  switch (rule) {
    case pipeline_rule::lists: return "lists";
    case pipeline_rule::unknown: return "unknown";
    case pipeline_rule::dead_worker: return "dead_worker";
    case pipeline_rule::wrong_stage: return "wrong_stage";
    case pipeline_rule::repeated: return "repeated";
    case pipeline_rule::missing: return "missing";
    case pipeline_rule::stash_elsewhere: return "stash_elsewhere";
    case pipeline_rule::before_its_input: return "before_its_input";
    case pipeline_rule::step_missing: return "step_missing";
    case pipeline_rule::step_not_last: return "step_not_last";
    case pipeline_rule::pair_place: return "pair_place";
    case pipeline_rule::pair_kinds: return "pair_kinds";
    case pipeline_rule::memory: return "memory";
    case pipeline_rule::cycle: return "cycle";
    case pipeline_rule::altered: return "altered";
    case pipeline_rule::bad_message: return "bad_message";
    case pipeline_rule::not_received: return "not_received";
    case pipeline_rule::sent_early: return "sent_early";
    case pipeline_rule::unmatched: return "unmatched";
    case pipeline_rule::overtaken: return "overtaken";
    case pipeline_rule::deadlock: return "deadlock";
    case pipeline_rule::untimed: return "untimed";
    case pipeline_rule::duration: return "duration";
    case pipeline_rule::early: return "early";
    case pipeline_rule::apart: return "apart";
    case pipeline_rule::overlap: return "overlap";
    case pipeline_rule::dependency: return "dependency";
    case pipeline_rule::early_step: return "early_step";
  }
  return "unknown rule";
}

SHUNT_INLINE std::string to_string(pipeline_violation const& v) {
  auto const number = [](std::int64_t n) { return std::to_string(n); };
  auto const name = [&](shunt::worker const& w) {
    return "worker " + number(w.pipeline.value()) + ":" + number(w.stage.value());
  };
  std::string const what = describe(v.operation), related = describe(v.related);
  std::string text = std::string(to_string(v.rule)) + ": ";
  if (v.rule != pipeline_rule::lists && v.rule != pipeline_rule::missing) {
    text += name(v.worker);
    if (v.index >= 0) text += ", operation " + number(v.index) + " (" + what + ")";
    text += ": ";
  }
  switch (v.rule) {
    case pipeline_rule::lists:
      return text + number(v.count) + " lists for " + number(v.limit) + " workers";
    case pipeline_rule::unknown: return text + "the job has no such operation";
    case pipeline_rule::dead_worker: return text + "the worker is dead";
    case pipeline_rule::wrong_stage: return text + "the worker doesn't hold this stage";
    case pipeline_rule::repeated: return text + "computed before, as " + related;
    case pipeline_rule::missing: return text + "nobody computes the " + what;
    case pipeline_rule::stash_elsewhere:
      return text + "the stash lies on another worker, with the " + related;
    case pipeline_rule::before_its_input: return text + "stands before the " + related;
    case pipeline_rule::step_missing:
      return text + "never steps stage " + number(v.operation.stage.value());
    case pipeline_rule::step_not_last: return text + "stands after the " + related;
    case pipeline_rule::pair_place:
      return text + "the pair at " + number(v.count) + " has no place of its own in a list of " +
             number(v.limit) + " operations";
    case pipeline_rule::pair_kinds: return text + "can't overlap with the " + related;
    case pipeline_rule::memory:
      return text + number(v.count) + " stashed, the cap is " + number(v.limit);
    case pipeline_rule::cycle:
      text +=
          "can't start, nor can " + number(v.count - 1) + " others: workers wait for each other";
      for (std::size_t i = 0; i < v.cycle.size(); ++i) {
        auto const& next = v.cycle[(i + 1) % v.cycle.size()];
        text += (i == 0 ? ": it needs the " : ", which needs the ") +
                std::string(describe(v.cycle[i].needs));
        if (next.operation != v.cycle[i].needs)
          text += ", which stands behind the " + std::string(describe(next.operation));
        text += " of " + name(next.worker);
      }
      return text;
    case pipeline_rule::altered: return text + "the schedule has the " + related + " there";
    case pipeline_rule::bad_message: return text + "no message of this job";
    case pipeline_rule::not_received:
      return text + "what it computes from is neither made nor received before it";
    case pipeline_rule::sent_early: return text + "is sent before it is made";
    case pipeline_rule::unmatched: return text + "the peer has no counterpart";
    case pipeline_rule::overtaken:
      return text + "sent as number " + number(v.count) + " to its peer, received as number " +
             number(v.limit);
    case pipeline_rule::deadlock:
      return text + "waits forever, as do " + number(v.count - 1) + " others";
    case pipeline_rule::untimed:
      return text + number(v.count) + " times for " + number(v.limit) + " operations";
    case pipeline_rule::duration:
      return text + "takes " + number(v.count) + " ticks, costs " + number(v.limit);
    case pipeline_rule::early: return text + "starts at " + number(v.count) + ", before time 0";
    case pipeline_rule::apart:
      return text + "starts or ends at " + number(v.count) + ", the " + related +
             " of the same pair at " + number(v.limit);
    case pipeline_rule::overlap:
      return text + "starts at " + number(v.count) + ", the operation before it ends at " +
             number(v.limit);
    case pipeline_rule::dependency:
      return text + "starts at " + number(v.count) + ", what it needs from the " + related +
             " is there at " + number(v.limit);
    case pipeline_rule::early_step:
      return text + "starts at " + number(v.count) + ", the " + related + " ends at " +
             number(v.limit);
  }
  return text;
}

}  // namespace shunt
