#pragma once
#include "shunt/check/layer_partition.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include "shunt/check/pipeline.hpp"
#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"

namespace shunt::detail {

/// The checker of one partition. Keeps references to the job and the plan.
class partition_checker {
 public:
  using kind = partition_violation::kind;

  partition_checker(layer_job const& job, layer_partition const& plan) : job_(job), plan_(plan) {}

  [[nodiscard]] std::vector<partition_violation> run() {
    cover();
    if (found_.empty()) sizes();
    if (found_.empty()) ranks();
    if (found_.empty()) costs();
    if (found_.empty())
      for (auto& broken : check(plan_.job, plan_.schedule))
        found_.push_back({kind::schedule, 0, 0, 0, std::move(broken)});
    if (found_.empty()) memory();
    return std::move(found_);
  }

 private:
  void expect(kind what, std::int64_t index, std::int64_t is, std::int64_t wanted) {
    if (is != wanted) found_.push_back({what, index, is, wanted, {}});
  }

  void cover() {
    std::int64_t next = 0, index = 0;
    for (layer_range const& s : plan_.stages) {
      expect(kind::stages, index, s.first, next);
      if (s.end <= s.first) found_.push_back({kind::empty, index, s.end, s.first + 1, {}});
      next = s.end;
      ++index;
    }
    expect(kind::stages, index, next, static_cast<std::int64_t>(job_.layers.size()));
  }

  void sizes() {
    auto const& made = plan_.job;
    expect(kind::sizes, 0, made.pipelines, job_.pipelines);
    expect(kind::sizes, 1, made.stages, static_cast<std::int64_t>(plan_.stages.size()));
    for (auto const count : made.microbatches.values())
      expect(kind::sizes, 2, count, job_.microbatches);
    for (ticks const time : {made.transfer.within_node, made.transfer.between_nodes})
      expect(kind::sizes, 3, time, job_.transfer);
    expect(kind::extra, 0, static_cast<std::int64_t>(made.dead.size()), 0);
    expect(kind::extra, 1, made.costs.overlap_gain, 0);
    expect(kind::extra, 3, static_cast<std::int64_t>(made.lengths.size()), 0);
    expect(kind::extra, 4, static_cast<std::int64_t>(made.transfer.matrix.size()), 0);
    for (ticks const step : made.costs.step.values()) expect(kind::extra, 2, step, 0);
    if (found_.empty()) validate(made.layout, made.pipelines, made.stages);
  }

  void ranks() {
    std::map<std::int32_t, std::int32_t> pipeline_of;
    for (std::int32_t p = 0; p < plan_.job.pipelines; ++p) {
      std::int64_t own = 0;
      for (std::int32_t s = 0; s < plan_.job.stages; ++s) {
        auto const r = plan_.job.layout.rank_of({p, s}, plan_.job.stages).value();
        auto const [at, added] = pipeline_of.try_emplace(r, p);
        own += added;
        if (at->second != p) found_.push_back({kind::ranks, r, at->second, p, {}});
      }
      expect(kind::ranks, p, own, job_.ranks);
    }
  }

  void costs() {
    auto const stages = static_cast<std::size_t>(plan_.job.stages);
    for (auto const* list : {&plan_.job.costs.forward, &plan_.job.costs.backward_input,
                             &plan_.job.costs.backward_weight, &plan_.job.stash.forward})
      if (list->size() != 1)
        expect(kind::sizes, 1, static_cast<std::int64_t>(list->size()),
               static_cast<std::int64_t>(stages));
    if (!found_.empty()) return;
    std::map<std::int32_t, std::int64_t> caps;
    for (std::size_t s = 0; s < stages; ++s) {
      auto const at = static_cast<std::int32_t>(s);
      ticks f = 0, i = 0, w = 0;
      for (auto l = plan_.stages[s].first; l < plan_.stages[s].end; ++l) {
        auto const& layer = job_.layers[static_cast<std::size_t>(l)];
        f += layer.forward, i += layer.backward_input, w += layer.backward_weight;
      }
      expect(kind::forward, at, plan_.job.costs.forward[at], f == 0 ? 1 : f);
      expect(kind::backward_input, at, plan_.job.costs.backward_input[at], i == 0 ? 1 : i);
      expect(kind::backward_weight, at, plan_.job.costs.backward_weight[at], w);
      auto const bytes = activations(at);
      expect(kind::stash, at, plan_.job.stash.forward[at], bytes == 0 ? 1 : bytes);
      for (std::int32_t p = 0; p < plan_.job.pipelines; ++p) caps[rank_of({p, at})] += states(at);
    }
    for (auto const given : plan_.job.stash.backward_input.values())
      expect(kind::stash, 0, given, 0);
    auto const& memory = plan_.job.memory;
    if (job_.memory == 0) {
      expect(kind::cap, 0, memory.rule == stash_cap::kind::none, 1);
    } else if (memory.rule != stash_cap::kind::per_rank || memory.limits.size() != caps.size()) {
      found_.push_back({kind::cap,
                        0,
                        static_cast<std::int64_t>(memory.limits.size()),
                        static_cast<std::int64_t>(caps.size()),
                        {}});
    } else {
      for (auto const& [r, held] : caps) {
        expect(kind::cap, r, memory.limits[static_cast<std::size_t>(r)], job_.memory - held);
        if (held >= job_.memory)  // and at least a byte of a stash
          found_.push_back({kind::memory, r, held + 1, job_.memory, {}});
      }
    }
  }

  void memory() {
    if (job_.memory == 0) return;
    std::map<std::int32_t, std::int64_t> held;
    for (std::int32_t p = 0; p < plan_.job.pipelines; ++p)
      for (std::int32_t s = 0; s < plan_.job.stages; ++s) held[rank_of({p, s})] += states(s);
    for (auto const& [r, state] : held) {
      std::int64_t now = state, peak = state;
      for (operation const& op : plan_.schedule.order[r]) {
        if (op.kind == op_kind::forward) now += activations(op.stage.value());
        peak = std::max(peak, now);
        if (op.kind == op_kind::backward || op.kind == op_kind::backward_weight)
          now -= activations(op.stage.value());
      }
      if (peak > job_.memory) found_.push_back({kind::memory, r, peak, job_.memory, {}});
    }
  }

  [[nodiscard]] std::int32_t rank_of(worker w) const {
    return plan_.job.layout.rank_of(w, plan_.job.stages).value();
  }
  [[nodiscard]] byte_count states(std::int32_t s) const {
    byte_count sum = 0;
    auto const [first, end] = plan_.stages[static_cast<std::size_t>(s)];
    for (auto l = first; l < end; ++l) sum += job_.layers[static_cast<std::size_t>(l)].state_bytes;
    return sum;
  }
  [[nodiscard]] byte_count activations(std::int32_t s) const {
    byte_count sum = 0;
    auto const [first, end] = plan_.stages[static_cast<std::size_t>(s)];
    for (auto l = first; l < end; ++l)
      sum += job_.layers[static_cast<std::size_t>(l)].activation_bytes;
    return sum;
  }

  layer_job const& job_;
  layer_partition const& plan_;
  std::vector<partition_violation> found_{};
};

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE std::string to_string(partition_violation const& v) {
  using kind = partition_violation::kind;
  auto const numbers =
      ": found " + std::to_string(v.found) + ", wanted " + std::to_string(v.wanted);
  auto const at = std::to_string(v.index);
  switch (v.what) {
    case kind::stages: return "stage " + at + ", first layer" + numbers;
    case kind::empty: return "stage " + at + ", end" + numbers;
    case kind::sizes: {
      static constexpr char const* const names[] = {"pipelines", "stages", "microbatches",
                                                    "transfer"};
      return std::string(names[v.index & 3]) + numbers;
    }
    case kind::ranks: return "ranks of pipeline, " + at + numbers;
    case kind::forward: return "stage " + at + ", forward" + numbers;
    case kind::backward_input: return "stage " + at + ", backward_input" + numbers;
    case kind::backward_weight: return "stage " + at + ", backward_weight" + numbers;
    case kind::stash: return "stage " + at + ", stash" + numbers;
    case kind::cap: return "rank " + at + ", cap" + numbers;
    case kind::extra:
      return "dead workers, overlap gain, step, lengths or matrix of links" + numbers;
    case kind::memory: return "rank " + at + ", bytes" + numbers;
    case kind::schedule: return "schedule: " + to_string(v.broken);
  }
  return "unknown";
}

SHUNT_INLINE std::vector<partition_violation> check(layer_job const& job,
                                                    layer_partition const& plan) {
  validate(job);
  return detail::partition_checker(job, plan).run();
}

}  // namespace shunt
