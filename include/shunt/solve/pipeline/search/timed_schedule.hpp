#pragma once
/// The orders of a plan, changed and timed again and again.
///
/// One run gives the ends of all operations; where the step is staggered, one end per start of a
/// stage group. These are the longest paths of measure/times.hpp; their largest cycle mean is the
/// period.
/// Complexity: linear in the operations, times the stage groups. Allocates no memory after the
/// first run.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt::detail {

/// The lists of a plan with their times. An item is an operation or an overlapped pair. Keeps
/// references to the job and the plan.
class timed_schedule {
 public:
  static constexpr std::int32_t none = -1;
  struct item {
    operation first{}, second{};
    bool pair = false, step = false;
    std::int32_t rank = 0;
    std::int32_t producer[2] = {none, none};
    ticks duration = 0;
  };
  using score = std::pair<ticks, ticks>;
  using lists = std::vector<std::vector<std::int32_t>>;

  timed_schedule(pipeline_job const& job, pipeline_schedule const& plan)
      : job_(job), plan_(plan), in_(job) {
    lanes_ = plan.staggered_step ? in_.all.size() : 1;
    auto const ranks = static_cast<std::size_t>(job.ranks());
    order.resize(ranks);
    auto const cells =
        static_cast<std::size_t>(job.workers()) * static_cast<std::size_t>(job.microbatches);
    for (auto* table : {&forward_, &gradient_, &weight_}) table->resize(cells, none);
    for (rank_id r : ids<rank_id>(job.ranks())) {
      std::size_t next_pair = 0;
      auto const& list = plan.order[r];
      for (std::size_t i = 0; i < list.size(); ++i) {
        item x{.first = list[i],
               .step = list[i].kind == op_kind::step,
               .rank = r.value(),
               .duration = cost_of(job, list[i])};
        if (x.step && !plan.staggered_step) continue;  // all steps stand at the end
        if (!plan.overlapped.empty() && next_pair < plan.overlapped[r].size() &&
            at(plan.overlapped[r][next_pair]) == i) {
          ++next_pair;
          x.pair = true;
          x.second = list[++i];
          x.duration = cost_of(job, x.first, x.second);
        }
        enter(x.first);
        if (x.pair) enter(x.second);
        order[r.index()].push_back(static_cast<std::int32_t>(items.size()));
        items.push_back(x);
      }
    }
    for (item& x : items) {
      if (x.step) continue;
      x.producer[0] = producer_of(x.first);
      if (x.pair) x.producer[1] = producer_of(x.second);
    }
    ends_.resize(items.size() * lanes_);
    done_.resize(items.size());
    waiter_.resize(items.size());
    next_waiter_.resize(ranks);
    next_.resize(ranks);
    before_step_.resize(at(job.stages));
    path_.assign(in_.all.size(), stage_group_starts(in_.all.size(), never));
  }

  lists order{};
  std::vector<item> items{};

  /// Returns the number of operations that the last run timed, each once per start.
  [[nodiscard]] std::int64_t work() const {
    return static_cast<std::int64_t>(items.size() * lanes_);
  }
  [[nodiscard]] std::int32_t stage_group_of(std::int32_t rank) const {
    return in_.of[rank_id{rank}];
  }
  [[nodiscard]] std::int32_t forward(operation const& o) const {
    return forward_[cell(o, o.stage)];
  }
  [[nodiscard]] std::int32_t gradient(operation const& o) const {
    return gradient_[cell(o, o.stage)];
  }
  [[nodiscard]] std::int32_t weight(operation const& o) const { return weight_[cell(o, o.stage)]; }

  /// Returns whether x can never follow y in one list.
  [[nodiscard]] bool must_precede(item const& x, item const& y) const {
    auto const parts = [&](operation const& a, operation const& b) {
      if (a.stage != b.stage || a.kind == op_kind::step) return false;
      if (b.kind == op_kind::step) return true;
      if (a.pipeline != b.pipeline) return false;
      if (a.microbatch == b.microbatch) return place(a.kind) < place(b.kind);
      return a.kind == b.kind && a.microbatch < b.microbatch &&
             job_.dead.empty();  // equal micro-batches are interchangeable
    };
    return parts(x.first, y.first) || (y.pair && parts(x.first, y.second)) ||
           (x.pair && parts(x.second, y.first)) || (x.pair && y.pair && parts(x.second, y.second));
  }

  /// Returns whether the list of a rank keeps its cap.
  [[nodiscard]] bool keeps_cap(std::int32_t rank) const {
    auto const most = job_.stash_limit(rank_id{rank});
    if (!most) return true;
    std::int64_t held = 0;
    auto const add = [&](operation const& o) {
      if (o.kind == op_kind::step) return true;
      auto const whole = job_.stash.forward[o.stage], early = job_.stash.backward_input[o.stage];
      held += o.kind == op_kind::forward          ? whole
              : o.kind == op_kind::backward       ? -whole
              : o.kind == op_kind::backward_input ? -early
                                                  : early - whole;
      return o.kind != op_kind::forward || held <= *most;
    };
    for (std::int32_t const i : order[at(rank)])
      if (!add(items[at(i)].first) || (items[at(i)].pair && !add(items[at(i)].second)))
        return false;
    return true;
  }

  /// Times all items for each start of a stage group. Returns false where ranks wait for each
  /// other.
  bool run() { return run(plan_.staggered_step ? in_.all.size() : 1); }
  /// Times all items at `starts` alone. `value_at_starts` is then at or above the value.
  bool run_at_starts() { return run(1); }

  /// Returns the score of the last run: the period (makespan where the step is not staggered), then
  /// the sum over ranks of the time from the start of the stage group to the end. Where the period
  /// exceeds `worst`, the result may be any value above `worst` (early exit).
  [[nodiscard]] score value(ticks worst = std::numeric_limits<ticks>::max()) {
    find_stage_group_ends();
    if (!plan_.staggered_step) return {*std::max_element(path_[0].begin(), path_[0].end()), sum_};
    ticks low = 0, high = 0;
    for (std::size_t c = 0; c < path_.size(); ++c) {
      low = std::max(low, path_[c][c]);
      for (ticks const e : path_[c]) high = std::max(high, e);
    }
    if (low > worst || settles(path_, low, starts)) return {low, sum_};
    return {least_theta(path_, low + 1, high, starts), sum_};
  }
  /// Returns the score of the last run at the current `starts`.
  [[nodiscard]] score value_at_starts() {
    if (!plan_.staggered_step) return value();
    find_stage_group_ends();
    ticks longest = 0;
    for (std::size_t c = 0; c < starts.size(); ++c)
      longest = std::max(longest, path_[0][c] - starts[c]);
    return {longest, sum_};
  }
  stage_group_starts starts{};  ///< starts of the stage groups, set by `value`
  /// Returns the number of starts that a full run times.
  [[nodiscard]] std::size_t lanes() const { return plan_.staggered_step ? in_.all.size() : 1; }

  /// Returns the end of an item at the current `starts`.
  [[nodiscard]] ticks end_of(std::int32_t i) const {
    if (!plan_.staggered_step) return ends_[at(i)];
    ticks end = never;
    for (std::size_t c = 0; c < lanes_; ++c)
      end = std::max(end, starts[c] + ends_[at(i) * lanes_ + c]);
    return end;
  }
  /// Returns when the result of an item arrives at a rank.
  [[nodiscard]] ticks arrival(std::int32_t producer, std::int32_t rank) const {
    return end_of(producer) + job_.transfer(rank_id{items[at(producer)].rank}, rank_id{rank});
  }

  /// Returns the current orders as a schedule.
  [[nodiscard]] pipeline_schedule plan() const {
    pipeline_schedule result{.order = indexed<rank_id, std::vector<operation>>(order.size()),
                             .staggered_step = plan_.staggered_step};
    if (!plan_.overlapped.empty()) result.overlapped.resize(order.size());
    for (rank_id r : ids<rank_id>(job_.ranks())) {
      auto& list = result.order[r];
      for (std::int32_t const i : order[r.index()]) {
        item const& x = items[at(i)];
        if (x.pair) result.overlapped[r].push_back(static_cast<std::int32_t>(list.size()));
        list.push_back(x.first);
        if (x.pair) list.push_back(x.second);
      }
      if (plan_.staggered_step) continue;
      for (operation const& o : plan_.order[r])
        if (o.kind == op_kind::step) list.push_back(o);
    }
    return result;
  }

 private:
  template <class Integer>
  [[nodiscard]] static std::size_t at(Integer i) {
    return static_cast<std::size_t>(i);
  }
  static int place(op_kind k) {
    return k == op_kind::forward ? 0 : k == op_kind::backward_weight ? 2 : 1;
  }

  [[nodiscard]] std::size_t cell(operation const& o, stage_id s) const {
    return (o.pipeline.index() * at(job_.stages) + s.index()) * at(job_.microbatches) +
           o.microbatch.index();
  }
  void enter(operation const& o) {
    if (o.kind == op_kind::step) return;
    auto& table = o.kind == op_kind::forward           ? forward_
                  : o.kind == op_kind::backward_weight ? weight_
                                                       : gradient_;
    table[cell(o, o.stage)] = static_cast<std::int32_t>(items.size());
  }
  [[nodiscard]] std::int32_t producer_of(operation const& o) const {
    if (o.kind == op_kind::forward)
      return o.stage > 0 ? forward_[cell(o, o.stage.value() - 1)] : none;
    if (o.kind == op_kind::backward_weight || o.stage.value() + 1 == job_.stages) return none;
    return gradient_[cell(o, o.stage.value() + 1)];
  }

  bool run(std::size_t lanes) {
    lanes_ = lanes;
    std::fill(done_.begin(), done_.end(), false);
    std::fill(waiter_.begin(), waiter_.end(), none);
    std::fill(next_.begin(), next_.end(), 0);
    if (plan_.staggered_step) {
      left_.assign(before_step_.size(), 0);
      ready_.assign(before_step_.size() * lanes_, never);
      for (auto& list : before_step_) list.clear();
      for (item const& x : items) {
        left_[x.first.stage.index()] += !x.step;
        if (x.pair) ++left_[x.second.stage.index()];
      }
    }
    std::size_t reached = 0;
    runnable_.clear();
    for (std::size_t r = order.size(); r-- > 0;) runnable_.push_back(static_cast<std::int32_t>(r));
    while (!runnable_.empty()) {
      std::int32_t const r = runnable_.back();
      runnable_.pop_back();
      auto const& list = order[at(r)];
      for (std::size_t& i = next_[at(r)]; i < list.size(); ++i) {
        std::int32_t const own = list[i];
        item const& x = items[at(own)];
        if (x.step && left_[x.first.stage.index()] > 0) {
          before_step_[x.first.stage.index()].push_back(r);
          break;
        }
        std::int32_t blocked = none;
        for (std::int32_t const p : x.producer)
          if (p != none && !done_[at(p)]) blocked = p;
        if (blocked != none) {
          next_waiter_[at(r)] = waiter_[at(blocked)];
          waiter_[at(blocked)] = r;
          break;
        }
        time(x, own, i > 0 ? list[i - 1] : none);
        done_[at(own)] = true;
        ++reached;
        for (std::int32_t w = waiter_[at(own)]; w != none; w = next_waiter_[at(w)])
          runnable_.push_back(w);
        if (x.step || !plan_.staggered_step) continue;
        reduce(x.first.stage, own);
        if (x.pair) reduce(x.second.stage, own);
      }
    }
    return reached == items.size();
  }

  /// Computes the ends of one item from its producers and the item before it.
  void time(item const& x, std::int32_t own, std::int32_t before) {
    ticks* const end = &ends_[at(own) * lanes_];
    if (before != none) {
      std::copy_n(&ends_[at(before) * lanes_], lanes_, end);
    } else {
      std::fill_n(end, lanes_, plan_.staggered_step ? never : 0);
      auto const stage_group = at(stage_group_of(x.rank));
      if (plan_.staggered_step && lanes_ == in_.all.size()) end[stage_group] = 0;
      if (plan_.staggered_step && lanes_ != in_.all.size()) end[0] = starts[stage_group];
    }
    auto const after = [&](ticks const* other, ticks delay) {
      for (std::size_t c = 0; c < lanes_; ++c) end[c] = std::max(end[c], other[c] + delay);
    };
    for (std::int32_t const p : x.producer)
      if (p != none)
        after(&ends_[at(p) * lanes_], job_.transfer(rank_id{items[at(p)].rank}, rank_id{x.rank}));
    if (x.step) after(&ready_[x.first.stage.index() * lanes_], 0);
    for (std::size_t c = 0; c < lanes_; ++c) end[c] = end[c] < 0 ? never : end[c] + x.duration;
  }

  /// Counts an operation of a stage as done. After the last one its steps can start.
  void reduce(stage_id s, std::int32_t own) {
    for (std::size_t c = 0; c < lanes_; ++c)
      ready_[s.index() * lanes_ + c] =
          std::max(ready_[s.index() * lanes_ + c], ends_[at(own) * lanes_ + c]);
    if (--left_[s.index()] == 0)
      for (std::int32_t const w : before_step_[s.index()]) runnable_.push_back(w);
  }

  /// Computes the latest end of each stage group for each start, and the sum of the times from the
  /// start of their stage group to the end over all ranks.
  void find_stage_group_ends() {
    for (auto& row : path_) std::fill(row.begin(), row.end(), never);
    sum_ = 0;
    bool const at_starts = plan_.staggered_step && lanes_ != in_.all.size();
    for (std::size_t r = 0; r < order.size(); ++r) {
      if (order[r].empty()) continue;
      auto const d = at(stage_group_of(static_cast<std::int32_t>(r)));
      ticks const* const end = &ends_[at(order[r].back()) * lanes_];
      for (std::size_t c = 0; c < lanes_; ++c) path_[c][d] = std::max(path_[c][d], end[c]);
      sum_ += lanes_ > 1 ? end[d] : end[0] - (at_starts ? starts[d] : 0);
    }
  }

  pipeline_job const& job_;
  pipeline_schedule const& plan_;
  stage_groups in_;
  std::size_t lanes_ = 1;
  ticks sum_ = 0;
  std::vector<std::int32_t> forward_{}, gradient_{}, weight_{};  // items by cell
  std::vector<ticks> ends_{};  // [item * lanes + starting stage group]
  std::vector<char> done_{};
  std::vector<std::int32_t> waiter_{}, next_waiter_{}, runnable_{};
  std::vector<std::size_t> next_{};
  std::vector<std::int64_t> left_{};
  std::vector<ticks> ready_{};
  std::vector<std::vector<std::int32_t>> before_step_{};
  std::vector<stage_group_starts> path_{};
};

}  // namespace shunt::detail
