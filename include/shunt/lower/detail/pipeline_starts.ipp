#pragma once
#include "shunt/lower/detail/pipeline_starts.hpp"

#include <algorithm>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR operation pipeline_cells::output(std::size_t number) const {
  std::size_t const c = number / 2;
  std::int32_t p = 0, end = job.pipelines;  // the last pipeline that begins at or before the cell
  if (job.microbatches.size() == 1)
    p = static_cast<std::int32_t>(c / stages / of_stage(0)), end = p;
  while (end - p > 1) {
    std::int32_t const middle = p + (end - p) / 2;
    (first_of(middle) <= c ? p : end) = middle;
  }
  std::size_t const within = c - first_of(p);
  return {number % 2 == 0 ? op_kind::forward : op_kind::backward_input, p, within / of_stage(p),
          within % of_stage(p)};
}

// Runs every rank as far as its inputs allow.
class start_finder {
 public:
  SHUNT_CONSTEXPR start_finder(pipeline_job const& job, pipeline_schedule const& schedule)
      : job_(job), schedule_(schedule), cell_(job) {
    found_.forward.assign(cell_.count, not_yet);
    found_.gradient.assign(cell_.count, not_yet);
    found_.finished.assign(cell_.stages, 0);
    waiter_.assign(2 * cell_.count, nothing);
    made_.assign(2 * cell_.count, {});
    ranks_.resize(static_cast<std::size_t>(job.ranks()));
    left_.assign(schedule.staggered_step ? cell_.stages : 1, 0);
    ready_.assign(left_.size(), 0);
    before_step_.assign(left_.size(), nothing);
    stage_.assign(cell_.stages, {});
  }

  [[nodiscard]] SHUNT_CONSTEXPR pipeline_starts operator()() && {
    for (auto const& list : schedule_.order) {
      bool stepped = false;
      for (operation const& o : list)
        if (o.kind != op_kind::step) {
          ++stage_[o.stage.index()].left;
          ++left_[group(o)];
          places_ = places_ || stepped;
        } else {
          stepped = true;
        }
    }
    places_ = places_ || (schedule_.staggered_step && groups_differ());
    if (places_) turns_.resize(ranks_.size());
    for (std::int32_t r = job_.ranks(); r-- > 0;) runnable_.push_back(r);
    while (!runnable_.empty()) {
      rank_id const r = runnable_.back();
      runnable_.pop_back();
      run(r);
    }
    order_stages();
    for (rank_id r : ids<rank_id>(job_.ranks()))
      if (ranks_[r.index()].next < static_cast<std::int32_t>(schedule_.order[r].size()))
        throw invalid_program("the orders of the ranks wait for each other");
    if (places_) place_reductions();
    return std::move(found_);
  }

 private:
  static constexpr ticks not_yet = -1;
  static constexpr std::int32_t nothing = -1;

  struct rank_state {
    std::int32_t next = 0;
    std::size_t next_pair = 0;
    ticks free = 0;
    std::int32_t next_waiter = nothing;  // in the queue before a step
  };
  struct made {
    ticks end = not_yet;
    rank_id where{};
  };

  // When an operation starts, and its number in the order of running, from 1. Both ascend along
  // all waits.
  struct turn {
    ticks start = 0;
    std::int32_t number = 0;
    std::int32_t index = 0;  // in the list
  };
  struct stage_state {
    std::int64_t left = 0;  // operations to come
    ticks end = 0;
    std::int32_t turn = 0;  // number of its last operation
  };

  // Returns whether a rank steps two stages that unlike ranks step.
  [[nodiscard]] SHUNT_CONSTEXPR bool groups_differ() const {
    std::vector<std::vector<std::int32_t>> steppers(stage_.size());
    for (rank_id const r : ids<rank_id>(job_.ranks()))
      for (operation const& o : schedule_.order[r])
        if (o.kind == op_kind::step) steppers[o.stage.index()].push_back(r.value());
    for (auto const& list : schedule_.order) {
      std::vector<std::int32_t> const* first = nullptr;
      for (operation const& o : list) {
        if (o.kind != op_kind::step) continue;
        auto const& own = steppers[o.stage.index()];
        if (first != nullptr && *first != own) return true;
        first = &own;
      }
    }
    return false;
  }

  // Orders stages by the end of their last operations. Operations may take no time: stages that
  // end together are in the order of running. Stages without operations are first.
  SHUNT_CONSTEXPR void order_stages() {
    std::vector<std::size_t> order(stage_.size(), 0);
    for (std::size_t s = 0; s < order.size(); ++s) order[s] = s;
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      if (stage_[a].end != stage_[b].end) return stage_[a].end < stage_[b].end;
      return stage_[a].turn != stage_[b].turn ? stage_[a].turn < stage_[b].turn : a < b;
    });
    for (std::size_t k = 0; k < order.size(); ++k)
      found_.finished[order[k]] = static_cast<std::int32_t>(k);
  }

  SHUNT_CONSTEXPR void place_reductions() {
    found_.reductions.resize(ranks_.size());
    for (rank_id const r : ids<rank_id>(job_.ranks())) {
      auto const& turns = turns_[r.index()];
      auto& places = found_.reductions[r];
      for (operation const& o : schedule_.order[r]) {
        if (o.kind != op_kind::step) continue;
        stage_state const& own = stage_[o.stage.index()];
        auto const later = std::partition_point(turns.begin(), turns.end(), [&](turn const& t) {
          return t.start < own.end || (t.start == own.end && t.number <= own.turn);
        });
        places.push_back({later->index, o.stage});  // the step at the latest
      }
      std::sort(places.begin(), places.end(), [&](auto const& a, auto const& b) {
        return found_.finished[a.stage.index()] < found_.finished[b.stage.index()];
      });
    }
  }

  // Notes that the next operation of a rank, or the next pair, starts.
  SHUNT_CONSTEXPR void take_turn(rank_id r, ticks start) {
    ++turn_;
    if (places_) turns_[r.index()].push_back({start, turn_, ranks_[r.index()].next});
  }

  [[nodiscard]] SHUNT_CONSTEXPR std::size_t group(operation const& o) const {
    return schedule_.staggered_step ? o.stage.index() : 0;
  }

  [[nodiscard]] SHUNT_CONSTEXPR ticks cost(operation const& o, rank_id r) const {
    auto const& c = job_.costs;
    auto const on = [&](per_stage const& list) { return job_.cost_on(list, r, o.stage); };
    auto const length = [&] { return job_.length_of(o.pipeline, o.microbatch); };
    switch (o.kind) {
      case op_kind::forward: return on(c.forward) * length();
      case op_kind::backward: return (on(c.backward_input) + on(c.backward_weight)) * length();
      case op_kind::backward_input: return on(c.backward_input) * length();
      case op_kind::backward_weight: return on(c.backward_weight) * length();
      default: return on(c.step);
    }
  }

  // Delays `start` until the input of an operation is there.
  // Returns false where the input isn't made yet; the rank is then woken when it is.
  [[nodiscard]] SHUNT_CONSTEXPR bool input(rank_id r, operation const& o, ticks& start) {
    std::size_t from = 0;
    if (o.kind == op_kind::forward && o.stage > 0)
      from = 2 * (cell_(o) - cell_.of_stage(o.pipeline));
    else if (makes_gradient(o.kind) && o.stage.index() + 1 < cell_.stages)
      from = 2 * (cell_(o) + cell_.of_stage(o.pipeline)) + 1;
    else
      return true;
    made const& m = made_[from];
    if (m.end == not_yet) {
      waiter_[from] = r.value();
      return false;
    }
    start = std::max(start, m.end + job_.transfer(m.where, r));
    return true;
  }

  SHUNT_CONSTEXPR void run(rank_id r) {
    auto const& list = schedule_.order[r];
    auto& own = ranks_[r.index()];
    while (own.next < static_cast<std::int32_t>(list.size())) {
      operation const& o = list[static_cast<std::size_t>(own.next)];
      ticks start = own.free;
      if (o.kind == op_kind::step) {
        auto const g = group(o);
        if (left_[g] > 0) {
          own.next_waiter = before_step_[g];
          before_step_[g] = r.value();
          return;
        }
        start = std::max(start, ready_[g]);
        take_turn(r, start);
        own.free = start + cost(o, r);
        ++own.next;
        continue;
      }
      operation const* const second = pair(r, own);
      if (!input(r, o, start) || (second != nullptr && !input(r, *second, start))) return;
      ticks end = start + cost(o, r);
      if (second != nullptr)
        end += cost(*second, r) - std::min({job_.costs.overlap_gain, cost(o, r), cost(*second, r)});
      take_turn(r, start);
      own.free = end;
      ++own.next;
      finish(r, o, start, end);
      if (second == nullptr) continue;
      ++own.next;
      finish(r, *second, start, end);
    }
  }

  // Returns the second operation where the next one begins an overlapped pair, or null.
  [[nodiscard]] SHUNT_CONSTEXPR operation const* pair(rank_id r, rank_state& own) const {
    if (schedule_.overlapped.empty()) return nullptr;
    auto const& pairs = schedule_.overlapped[r];
    while (own.next_pair < pairs.size() && pairs[own.next_pair] < own.next) ++own.next_pair;
    bool const begins = own.next_pair < pairs.size() && pairs[own.next_pair] == own.next;
    return begins ? &schedule_.order[r][static_cast<std::size_t>(own.next) + 1] : nullptr;
  }

  SHUNT_CONSTEXPR void finish(rank_id r, operation const& o, ticks start, ticks end) {
    auto const c = cell_(o);
    if (o.kind == op_kind::forward) {
      found_.forward[c] = start;
      give(r, 2 * c, end);
    } else if (makes_gradient(o.kind)) {
      found_.gradient[c] = start;
      give(r, 2 * c + 1, end);
    }
    found_.latest = std::max(found_.latest, end);
    auto& stage = stage_[o.stage.index()];
    stage.end = std::max(stage.end, end);
    if (--stage.left == 0) stage.turn = turn_;
    auto const g = group(o);
    ready_[g] = std::max(ready_[g], end);
    if (--left_[g] > 0) return;
    for (std::int32_t w = before_step_[g]; w != nothing;
         w = ranks_[static_cast<std::size_t>(w)].next_waiter)
      runnable_.push_back(w);
  }
  SHUNT_CONSTEXPR void give(rank_id r, std::size_t output, ticks end) {
    made_[output] = {end, r};
    if (waiter_[output] != nothing) runnable_.push_back(waiter_[output]);
  }

  pipeline_job const& job_;
  pipeline_schedule const& schedule_;
  pipeline_cells cell_;
  pipeline_starts found_{};
  std::vector<std::int32_t> waiter_{};  // by output
  std::vector<made> made_{};            // by output
  std::vector<rank_state> ranks_{};
  std::vector<rank_id> runnable_{};
  std::vector<std::int64_t> left_{};  // operations to come before a step
  std::vector<stage_state> stage_{};
  std::vector<ticks> ready_{};
  std::vector<std::int32_t> before_step_{};
  std::int32_t turn_ = 0;
  bool places_ = false;                     // reductions have places of their own
  std::vector<std::vector<turn>> turns_{};  // by rank; empty unless places_
};

SHUNT_CONSTEXPR pipeline_starts starts_of(pipeline_job const& job,
                                          pipeline_schedule const& schedule) {
  return start_finder(job, schedule)();
}

}  // namespace shunt::detail
