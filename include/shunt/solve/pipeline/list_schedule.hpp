#pragma once
/// List scheduling of a pipeline job: no worker idles while it has something to do that its policy allows.
///
/// Every micro-batch has its worker at every stage; the order is free. An idle worker looks at what is there: input gradients, forwards (as
/// long as the cap and the policy's own limit allow one more), backward_weights. The policy of its stage says which kind goes first;
/// within a kind the lowest micro-batch goes first. What the caps hold back always comes free: the last stage drains by itself, and so by
/// induction do the others. O(n log n) for n operations; memory is kept from run to run.
#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/reroute.hpp"

namespace shunt {

/// What the workers of a stage prefer.
struct stage_policy {
  enum class first : std::uint8_t { input, forward };  ///< which of the two, where both are there
  enum class wait : std::uint8_t { never, forward, weight };  ///< rather idle than start a forward (or a backward_weight as well) when
                                                              ///< an input gradient arrives before that would end
  static constexpr std::int32_t unlimited = std::numeric_limits<std::int32_t>::max();

  first prefer = first::input;
  wait patience = wait::never;
  bool guests_first = false;               ///< re-routed micro-batches before own ones of the same number
  std::int32_t in_flight = unlimited;      ///< the most forwards whose input gradient isn't computed yet
  std::int32_t weight_before = unlimited;  ///< backward_weight before forward once so many micro-batches are stashed
  ticks start = 0;                         ///< nothing starts before

  constexpr bool operator==(stage_policy const&) const = default;
};
using stage_policies = indexed<stage_id, stage_policy>;

class list_scheduler {
 public:
  /// The job has a live worker at every stage. `split`: backward_input and backward_weight instead of fused backwards.
  list_scheduler(pipeline_job const& job, bool split) : job_(job), routes_(job), split_(split) {
    workers_.resize(static_cast<std::size_t>(job.ranks()));
    for (rank_id r : ids<rank_id>(job.ranks())) {
      auto& w = workers_[r.index()];
      w.at = job.worker_of(r);
      w.alive = job.alive(w.at);
      w.cap = static_cast<std::int32_t>(std::min<std::int64_t>(job.stash_limit(r).value_or(stage_policy::unlimited), stage_policy::unlimited));
    }
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      for (microbatch_id m : ids<microbatch_id>(job.microbatches)) at(routes_.host(p, 0, m), 0).first_stage.emplace_back(p, m);
    for (stage_id s : ids<stage_id>(job.stages)) {
      auto const& c = job.costs;
      cost_.push_back({c.forward[s], split ? c.backward_input[s] : c.backward_input[s] + c.backward_weight[s], c.backward_weight[s]});
    }
    spans_.resize(static_cast<std::size_t>(job.stages));
  }

  /// Runs all micro-batches through. `spans` and `schedule` then speak of this run.
  void run(stage_policies const& policies) {
    policies_ = &policies;
    events_.clear();
    for (auto& s : spans_) s = {std::numeric_limits<ticks>::max(), 0};
    for (auto& w : workers_) prepare(w);
    while (!events_.empty()) {
      ticks const now = events_.front().when;
      touched_.clear();
      while (!events_.empty() && events_.front().when == now) {
        std::pop_heap(events_.begin(), events_.end(), later);
        arrive(events_.back());
        events_.pop_back();
      }
      for (worker_state* w : touched_)
        while (w->idle_from <= now && start_something(*w, now)) continue;
    }
  }

  /// Earliest start and latest end of each stage over its live peers.
  [[nodiscard]] indexed<stage_id, interval> const& spans() const { return spans_; }
  [[nodiscard]] ticks makespan() const {
    ticks last = 0;
    for (auto const& s : spans_) last = std::max(last, s.end);
    return last;
  }
  /// The largest span of a stage with its step.
  [[nodiscard]] ticks longest_span() const {
    ticks longest = 0;
    for (stage_id s : ids<stage_id>(job_.stages)) longest = std::max(longest, spans_[s].end - spans_[s].start + job_.costs.step[s]);
    return longest;
  }
  [[nodiscard]] pipeline_schedule schedule(bool staggered_step) const {
    pipeline_schedule plan{.order = indexed<rank_id, std::vector<operation>>(workers_.size()), .staggered_step = staggered_step};
    for (rank_id r : ids<rank_id>(job_.ranks())) {
      auto const& w = workers_[r.index()];
      plan.order[r] = w.done;
      if (w.alive) plan.order[r].push_back({.kind = op_kind::step, .stage = w.at.stage});
    }
    return plan;
  }

 private:
  using key = std::int64_t;  // micro-batch x D + pipeline, counted from the worker's own or from the one behind it: lower goes first
  struct costs {
    ticks forward, input, weight;
  };
  struct worker_state {
    worker at{};
    bool alive = false;
    std::int32_t cap = 0, stashed = 0, in_flight = 0;
    ticks idle_from = 0;
    std::vector<std::pair<pipeline_id, microbatch_id>> first_stage{};  // the forwards that need no input
    std::vector<key> forwards{}, inputs{}, weights{};                  // what is there; heaps, the weights in order
    std::vector<ticks> arriving{};                                     // input gradients on their way
    std::size_t next_weight = 0;
    std::vector<operation> done{};
  };
  enum class what : std::uint8_t { idle, forward, input };
  struct event {
    ticks when;
    worker_state* whose;
    what kind;
    key k;
  };
  static bool later(event const& a, event const& b) { return a.when > b.when; }

  [[nodiscard]] worker_state& at(pipeline_id p, stage_id s) { return workers_[job_.rank_of({p, s}).index()]; }
  [[nodiscard]] stage_policy const& policy(worker_state const& w) const { return (*policies_)[w.at.stage]; }
  [[nodiscard]] key key_of(worker_state const& w, pipeline_id p, microbatch_id m) const {
    auto const d = job_.pipelines;
    return key{m.value()} * d + (p.value() - w.at.pipeline.value() + d - (policy(w).guests_first ? 1 : 0)) % d;
  }
  [[nodiscard]] operation operation_of(worker_state const& w, key k, op_kind kind) const {
    auto const d = job_.pipelines;
    auto const turn = static_cast<std::int32_t>(k % d) + (policy(w).guests_first ? 1 : 0);
    return {kind, (turn + w.at.pipeline.value()) % d, w.at.stage, k / d};
  }

  void post(event const& e) {
    events_.push_back(e);
    std::push_heap(events_.begin(), events_.end(), later);
  }
  static void push(std::vector<key>& heap, key k) {
    heap.push_back(k);
    std::push_heap(heap.begin(), heap.end(), std::greater<>{});
  }
  static key pop(std::vector<key>& heap) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>{});
    key const k = heap.back();
    heap.pop_back();
    return k;
  }

  void prepare(worker_state& w) {
    for (auto* list : {&w.forwards, &w.inputs, &w.weights}) list->clear();
    w.arriving.clear();
    w.done.clear();
    w.stashed = w.in_flight = 0;
    w.next_weight = 0;
    w.idle_from = policy(w).start;
    if (!w.alive) return;
    for (auto const& [p, m] : w.first_stage) push(w.forwards, key_of(w, p, m));
    post({w.idle_from, &w, what::idle, 0});
  }

  void arrive(event const& e) {
    worker_state& w = *e.whose;
    if (e.kind == what::forward) push(w.forwards, e.k);
    if (e.kind == what::input) {
      push(w.inputs, e.k);
      w.arriving.erase(std::find(w.arriving.begin(), w.arriving.end(), e.when));
    }
    touched_.push_back(&w);
  }

  /// An input gradient will arrive before something of this length, started now, would end.
  [[nodiscard]] static bool gradient_within(worker_state const& w, ticks now, ticks length) {
    return std::any_of(w.arriving.begin(), w.arriving.end(), [&](ticks t) { return t < now + length; });
  }

  bool start_something(worker_state& w, ticks now) {
    auto const& wish = policy(w);
    auto const& cost = cost_[w.at.stage.index()];
    bool const forward = !w.forwards.empty() && w.stashed < w.cap && w.in_flight < wish.in_flight;
    bool const weight = w.next_weight < w.weights.size();
    if (!w.inputs.empty() && (wish.prefer == stage_policy::first::input || !forward)) return start_input(w, now);
    bool const weight_first = weight && w.stashed >= wish.weight_before;
    if (forward && !weight_first) {
      if (wish.patience == stage_policy::wait::never || !gradient_within(w, now, cost.forward)) return start_forward(w, now);
      return false;
    }
    if (!weight) return false;
    if (wish.patience == stage_policy::wait::weight && gradient_within(w, now, cost.weight)) return false;
    begin(w, operation_of(w, w.weights[w.next_weight++], op_kind::backward_weight), now, now + cost.weight);
    --w.stashed;
    return true;
  }

  void begin(worker_state& w, operation const& o, ticks now, ticks end) {
    w.done.push_back(o);
    w.idle_from = end;
    auto& span = spans_[w.at.stage];
    span = {std::min(span.start, now), std::max(span.end, end)};
    if (end > now) post({end, &w, what::idle, 0});
  }

  bool start_forward(worker_state& w, ticks now) {
    operation const o = operation_of(w, pop(w.forwards), op_kind::forward);
    ticks const end = now + cost_[w.at.stage.index()].forward;
    begin(w, o, now, end);
    ++w.stashed;
    ++w.in_flight;
    if (o.stage.value() + 1 < job_.stages) {
      auto& next = at(routes_.host(o.pipeline, o.stage.value() + 1, o.microbatch), o.stage.value() + 1);
      post({end + job_.transfer(job_.rank_of(w.at), job_.rank_of(next.at)), &next, what::forward, key_of(next, o.pipeline, o.microbatch)});
    } else {
      push(w.inputs, key_of(w, o.pipeline, o.microbatch));  // its own loss: there when the forward ends
    }
    return true;
  }

  bool start_input(worker_state& w, ticks now) {
    key const k = pop(w.inputs);
    operation const o = operation_of(w, k, split_ ? op_kind::backward_input : op_kind::backward);
    ticks const end = now + cost_[w.at.stage.index()].input;
    begin(w, o, now, end);
    --w.in_flight;
    if (split_)
      w.weights.push_back(k);
    else
      --w.stashed;
    if (o.stage > 0) {
      auto& next = at(routes_.host(o.pipeline, o.stage.value() - 1, o.microbatch), o.stage.value() - 1);
      ticks const there = end + job_.transfer(job_.rank_of(w.at), job_.rank_of(next.at));
      next.arriving.push_back(there);
      post({there, &next, what::input, key_of(next, o.pipeline, o.microbatch)});
    }
    return true;
  }

  pipeline_job const& job_;
  round_robin routes_;
  bool split_;
  std::vector<worker_state> workers_;
  std::vector<costs> cost_{};  // of a stage
  indexed<stage_id, interval> spans_{};
  std::vector<event> events_{};
  std::vector<worker_state*> touched_{};
  stage_policies const* policies_ = nullptr;
};

}  // namespace shunt
