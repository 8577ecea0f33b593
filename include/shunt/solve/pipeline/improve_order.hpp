#pragma once
/// Local search over the orders of ranks: takes any plan of any layout and never returns a worse one.
///
/// What is minimised is the period, then the sum over columns of the time from their start to their end. The longest path of a schedule runs
/// through blocks, stretches without idling on one rank; a shorter one needs some operation of a block before its first or behind its last
/// (the neighbourhood N6 of job shops: Balas, Vazacopoulos 1998; Nowicki, Smutnicki 1996 for N5). With a staggered step the path goes round:
/// from the end of a column to its start one period earlier, and on from there. Each round tries all such moves, and for a micro-batch of
/// a dead rank every other live rank of its stage; takes the best, even a worse one; and leaves what it moved in place for a while (tabu
/// search). After many rounds without gain it goes back to the best plan and shakes it.
///
/// One evaluation is linear in the operations, times the number of columns where the step is staggered. Stops at the bound, or when `effort`
/// operations have been timed. Caps are kept; overlapped pairs stay together. Where the plan is none the answer says why.
/// Throws invalid_problem where the job is broken.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/measure/columns.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/solve/pipeline/restate.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {
namespace detail {

/// The lists of a plan, timed again and again. An item is an operation or an overlapped pair.
class timed_order {
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

  timed_order(pipeline_job const& job, pipeline_schedule const& plan) : job_(job), plan_(plan), in_(job) {
    lanes_ = plan.staggered_step ? in_.all.size() : 1;
    auto const ranks = static_cast<std::size_t>(job.ranks());
    order.resize(ranks);
    auto const cells = static_cast<std::size_t>(job.seats()) * static_cast<std::size_t>(job.microbatches);
    for (auto* table : {&forward_, &gradient_, &weight_}) table->resize(cells, none);
    for (rank_id r : ids<rank_id>(job.ranks())) {
      std::size_t next_pair = 0;
      auto const& list = plan.order[r];
      for (std::size_t i = 0; i < list.size(); ++i) {
        item x{.first = list[i], .step = list[i].kind == op_kind::step, .rank = r.value(), .duration = cost_of(job, list[i])};
        if (x.step && !plan.staggered_step) continue;  // all of them at the end
        if (!plan.overlapped.empty() && next_pair < plan.overlapped[r].size() && at(plan.overlapped[r][next_pair]) == i) {
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
    path_.assign(in_.all.size(), column_starts(in_.all.size(), never));
  }

  lists order{};
  std::vector<item> items{};

  [[nodiscard]] std::int64_t work() const { return static_cast<std::int64_t>(items.size() * lanes_); }
  [[nodiscard]] std::int32_t column_of(std::int32_t rank) const { return in_.of[rank_id{rank}]; }
  [[nodiscard]] std::int32_t forward(operation const& o) const { return forward_[cell(o, o.stage)]; }
  [[nodiscard]] std::int32_t gradient(operation const& o) const { return gradient_[cell(o, o.stage)]; }
  [[nodiscard]] std::int32_t weight(operation const& o) const { return weight_[cell(o, o.stage)]; }

  /// x can never stand behind y in one list.
  [[nodiscard]] bool must_precede(item const& x, item const& y) const {
    auto const parts = [&](operation const& a, operation const& b) {
      if (a.stage != b.stage || a.kind == op_kind::step) return false;
      if (b.kind == op_kind::step) return true;
      if (a.pipeline != b.pipeline) return false;
      if (a.microbatch == b.microbatch) return place(a.kind) < place(b.kind);
      return a.kind == b.kind && a.microbatch < b.microbatch && job_.dead.empty();  // equal micro-batches: the same by another name
    };
    return parts(x.first, y.first) || (y.pair && parts(x.first, y.second)) || (x.pair && parts(x.second, y.first)) ||
           (x.pair && y.pair && parts(x.second, y.second));
  }

  [[nodiscard]] bool keeps_cap(std::int32_t rank) const {
    auto const most = job_.stash_limit(rank_id{rank});
    if (!most) return true;
    std::int64_t held = 0;
    auto const add = [&](operation const& o) {
      if (o.kind == op_kind::step) return true;
      auto const whole = job_.stash.forward[o.stage], early = job_.stash.backward_input[o.stage];
      held += o.kind == op_kind::forward ? whole : o.kind == op_kind::backward ? -whole : o.kind == op_kind::backward_input ? -early : early - whole;
      return o.kind != op_kind::forward || held <= *most;
    };
    for (std::int32_t const i : order[at(rank)])
      if (!add(items[at(i)].first) || (items[at(i)].pair && !add(items[at(i)].second))) return false;
    return true;
  }

  /// Ends of all items for each start of a column; false where ranks wait for each other.
  bool run() {
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
        for (std::int32_t w = waiter_[at(own)]; w != none; w = next_waiter_[at(w)]) runnable_.push_back(w);
        if (x.step || !plan_.staggered_step) continue;
        reduce(x.first.stage, own);
        if (x.pair) reduce(x.second.stage, own);
      }
    }
    return reached == items.size();
  }

  /// Of the last run. `worst`: where the period is more than this, no more than that it is more may be said.
  [[nodiscard]] score value(ticks worst = std::numeric_limits<ticks>::max()) {
    if (!plan_.staggered_step) {
      ticks longest = 0, sum = 0;
      ends_of_columns();
      for (ticks const e : path_[0]) {
        longest = std::max(longest, e);
        sum += std::max<ticks>(0, e);
      }
      return {longest, sum};
    }
    ends_of_columns();
    ticks low = 0, high = 0, sum = 0;
    for (std::size_t c = 0; c < path_.size(); ++c) {
      low = std::max(low, path_[c][c]);
      sum += std::max<ticks>(0, path_[c][c]);
      for (ticks const e : path_[c]) high = std::max(high, e);
    }
    if (low > worst || settles(path_, low, starts)) return {low, sum};
    ++low;
    while (low < high) {
      ticks const middle = low + (high - low) / 2;
      if (settles(path_, middle, starts))
        high = middle;
      else
        low = middle + 1;
    }
    settles(path_, high, starts);
    return {high, sum};
  }
  column_starts starts{};  ///< of the columns, as `value` found them

  [[nodiscard]] ticks end_of(std::int32_t i) const {
    if (!plan_.staggered_step) return ends_[at(i)];
    ticks end = never;
    for (std::size_t c = 0; c < lanes_; ++c) end = std::max(end, starts[c] + ends_[at(i) * lanes_ + c]);
    return end;
  }
  [[nodiscard]] ticks arrival(std::int32_t producer, std::int32_t rank) const {
    return end_of(producer) + job_.transfer(rank_id{items[at(producer)].rank}, rank_id{rank});
  }

  [[nodiscard]] pipeline_schedule plan() const {
    pipeline_schedule result{.order = indexed<rank_id, std::vector<operation>>(order.size()), .staggered_step = plan_.staggered_step};
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
  [[nodiscard]] static std::size_t at(Integer i) { return static_cast<std::size_t>(i); }
  static int place(op_kind k) { return k == op_kind::forward ? 0 : k == op_kind::backward_weight ? 2 : 1; }

  [[nodiscard]] std::size_t cell(operation const& o, stage_id s) const {
    return (o.pipeline.index() * at(job_.stages) + s.index()) * at(job_.microbatches) + o.microbatch.index();
  }
  void enter(operation const& o) {
    if (o.kind == op_kind::step) return;
    auto& table = o.kind == op_kind::forward ? forward_ : o.kind == op_kind::backward_weight ? weight_ : gradient_;
    table[cell(o, o.stage)] = static_cast<std::int32_t>(items.size());
  }
  [[nodiscard]] std::int32_t producer_of(operation const& o) const {
    if (o.kind == op_kind::forward) return o.stage > 0 ? forward_[cell(o, o.stage.value() - 1)] : none;
    if (o.kind == op_kind::backward_weight || o.stage.value() + 1 == job_.stages) return none;
    return gradient_[cell(o, o.stage.value() + 1)];
  }

  void time(item const& x, std::int32_t own, std::int32_t before) {
    ticks* const end = &ends_[at(own) * lanes_];
    if (before != none) {
      std::copy_n(&ends_[at(before) * lanes_], lanes_, end);
    } else {
      std::fill_n(end, lanes_, plan_.staggered_step ? never : 0);
      if (plan_.staggered_step) end[column_of(x.rank)] = 0;
    }
    auto const after = [&](ticks const* other, ticks delay) {
      for (std::size_t c = 0; c < lanes_; ++c) end[c] = std::max(end[c], other[c] + delay);
    };
    for (std::int32_t const p : x.producer)
      if (p != none) after(&ends_[at(p) * lanes_], job_.transfer(rank_id{items[at(p)].rank}, rank_id{x.rank}));
    if (x.step) after(&ready_[x.first.stage.index() * lanes_], 0);
    for (std::size_t c = 0; c < lanes_; ++c) end[c] = end[c] < 0 ? never : end[c] + x.duration;
  }

  void reduce(stage_id s, std::int32_t own) {
    for (std::size_t c = 0; c < lanes_; ++c) ready_[s.index() * lanes_ + c] = std::max(ready_[s.index() * lanes_ + c], ends_[at(own) * lanes_ + c]);
    if (--left_[s.index()] == 0)
      for (std::int32_t const w : before_step_[s.index()]) runnable_.push_back(w);
  }

  void ends_of_columns() {
    for (auto& row : path_) std::fill(row.begin(), row.end(), never);
    for (std::size_t r = 0; r < order.size(); ++r) {
      if (order[r].empty()) continue;
      auto const d = at(column_of(static_cast<std::int32_t>(r)));
      for (std::size_t c = 0; c < lanes_; ++c) path_[c][d] = std::max(path_[c][d], ends_[at(order[r].back()) * lanes_ + c]);
    }
  }

  pipeline_job const& job_;
  pipeline_schedule const& plan_;
  columns in_;
  std::size_t lanes_ = 1;
  std::vector<std::int32_t> forward_{}, gradient_{}, weight_{};  // items by cell
  std::vector<ticks> ends_{};                                    // [item x lanes + column that starts]
  std::vector<char> done_{};
  std::vector<std::int32_t> waiter_{}, next_waiter_{}, runnable_{};
  std::vector<std::size_t> next_{};
  std::vector<std::int64_t> left_{};
  std::vector<ticks> ready_{};
  std::vector<std::vector<std::int32_t>> before_step_{};
  std::vector<column_starts> path_{};
};

/// Tabu search from one plan.
class order_search {
 public:
  order_search(pipeline_job const& job, pipeline_schedule const& plan, bool reroute, std::int64_t effort)
      : job_(job), timed_(job, plan), staggered_(plan.staggered_step), reroute_(reroute && !job.dead.empty()), left_(effort) {
    moved_.resize(timed_.items.size(), 0);
    for (auto const& x : timed_.items) rank_of_.push_back(x.rank);
  }

  /// The best plan found on the way, at or above the bound of the period.
  [[nodiscard]] pipeline_schedule best(ticks bound) {
    ticks steps = 0;
    if (!staggered_)
      for (column const& c : columns(job_).all) {
        ticks sum = 0;
        for (stage_id s : c.stages) sum += job_.costs.step[s];
        steps = std::max(steps, sum);
      }
    timed_.run();
    current_ = best_ = timed_.value();
    keep();
    std::int64_t stalled = 0;
    for (round_ = 1; best_.first + steps > bound && left_ > 0; ++round_) {
      if (!step()) {
        if (!shake()) break;
        continue;
      }
      if (current_ < best_) {
        best_ = current_;
        keep();
        stalled = 0;
      } else if (++stalled > patience) {
        stalled = 0;
        if (!shake()) break;
      }
    }
    recall();
    return timed_.plan();
  }

 private:
  using score = timed_order::score;
  static constexpr std::int32_t none = timed_order::none;
  static constexpr std::int64_t patience = 60;

  struct move {
    std::int32_t item = none;
    std::int32_t to_rank = none;            // another rank, or
    std::size_t from = 0, to = 0;           // positions in its own
  };

  template <class Integer>
  [[nodiscard]] static std::size_t at(Integer i) { return static_cast<std::size_t>(i); }

  void keep() {
    kept_ = timed_.order;
    for (std::size_t i = 0; i < rank_of_.size(); ++i) rank_of_[i] = timed_.items[i].rank;
  }
  void recall() {
    timed_.order = kept_;
    for (std::size_t i = 0; i < rank_of_.size(); ++i) timed_.items[i].rank = rank_of_[i];
  }

  std::uint64_t random() {
    seed_ += 0x9e3779b97f4a7c15u;
    std::uint64_t z = seed_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  /// The longest path as blocks: [first, last] of positions on a rank.
  struct block {
    std::int32_t rank;
    std::size_t first, last;
  };
  void find_blocks() {
    blocks_.clear();
    positions();
    auto const columns_count = staggered_ ? timed_.starts.size() : 0;
    std::vector<char> seen(std::max<std::size_t>(1, columns_count), 0);
    // the column that takes longest, and its rank that ends last
    std::int32_t last = none;
    ticks longest = never;
    for (std::size_t r = 0; r < timed_.order.size(); ++r) {
      if (timed_.order[r].empty()) continue;
      auto const i = timed_.order[r].back();
      ticks const length = timed_.end_of(i) - (staggered_ ? timed_.starts[at(timed_.column_of(static_cast<std::int32_t>(r)))] : 0);
      if (length > longest) {
        longest = length;
        last = i;
      }
    }
    while (last != none) {
      std::int32_t const column = trace(last);
      last = none;
      if (!staggered_ || seen[at(column)]) break;
      seen[at(column)] = 1;
      ticks latest = never;
      for (std::size_t r = 0; r < timed_.order.size(); ++r)
        if (!timed_.order[r].empty() && timed_.column_of(static_cast<std::int32_t>(r)) == column)
          if (ticks const e = timed_.end_of(timed_.order[r].back()); e > latest) {
            latest = e;
            last = timed_.order[r].back();
          }
    }
  }

  /// Back from an item to the start of a column, which it returns.
  std::int32_t trace(std::int32_t i) {
    for (;;) {
      auto const rank = timed_.items[at(i)].rank;
      auto const& list = timed_.order[at(rank)];
      std::size_t const behind = position_[at(i)];
      std::size_t first = behind;
      std::int32_t source = none;
      for (;; --first) {
        auto const& x = timed_.items[at(list[first])];
        ticks const start = timed_.end_of(list[first]) - x.duration;
        bool const joined = first > 0 && timed_.end_of(list[first - 1]) == start;
        if (joined && !(first < behind && random() % 8 == 0 && fed(x, rank, start) != none)) continue;
        source = fed(x, rank, start);
        if (source == none && x.step) source = last_of_stage(x.first.stage, start);
        break;
      }
      blocks_.push_back({rank, first, behind});
      if (source == none) return timed_.column_of(rank);
      i = source;
    }
  }
  [[nodiscard]] std::int32_t fed(timed_order::item const& x, std::int32_t rank, ticks start) const {
    for (std::int32_t const p : x.producer)
      if (p != none && timed_.arrival(p, rank) == start) return p;
    return none;
  }
  [[nodiscard]] std::int32_t last_of_stage(stage_id s, ticks end) const {
    for (std::size_t i = 0; i < timed_.items.size(); ++i) {
      auto const& x = timed_.items[i];
      if (!x.step && (x.first.stage == s || (x.pair && x.second.stage == s)) && timed_.end_of(static_cast<std::int32_t>(i)) == end)
        return static_cast<std::int32_t>(i);
    }
    return none;
  }

  void positions() {
    position_.resize(timed_.items.size());
    for (auto const& list : timed_.order)
      for (std::size_t k = 0; k < list.size(); ++k) position_[at(list[k])] = k;
  }

  void find_moves() {
    moves_.clear();
    find_blocks();
    for (block const& b : blocks_) {
      auto const& list = timed_.order[at(b.rank)];
      for (std::size_t k = b.first; k <= b.last; ++k) {
        auto const& x = timed_.items[at(list[k])];
        std::size_t left = k, right = k;
        while (left > b.first && !timed_.must_precede(timed_.items[at(list[left - 1])], x)) --left;
        while (right < b.last && !timed_.must_precede(x, timed_.items[at(list[right + 1])])) ++right;
        if (left < k) moves_.push_back({.item = list[k], .from = k, .to = left});
        if (left + 1 < k) moves_.push_back({.item = list[k], .from = k, .to = k - 1});
        if (right > k) moves_.push_back({.item = list[k], .from = k, .to = right});
        if (right > k + 1) moves_.push_back({.item = list[k], .from = k, .to = k + 1});
        if (reroute_ && !x.step && !x.pair && !job_.alive(worker{x.first.pipeline, x.first.stage}))
          for (rank_id const q : job_.live_holders(x.first.stage))
            if (q != b.rank) moves_.push_back({.item = list[k], .to_rank = q.value()});
      }
    }
  }

  static void shift(std::vector<std::int32_t>& list, std::size_t from, std::size_t to) {
    auto const first = list.begin() + static_cast<std::ptrdiff_t>(std::min(from, to)), last = list.begin() + static_cast<std::ptrdiff_t>(std::max(from, to)) + 1;
    if (from < to)
      std::rotate(first, first + 1, last);
    else
      std::rotate(first, last - 1, last);
  }

  /// The three operations of a micro-batch at a stage go to another rank, each where it would start now.
  bool rehost(move const& m) {
    operation const o = timed_.items[at(m.item)].first;
    auto& target = timed_.order[at(m.to_rank)];
    auto& source = timed_.order[at(timed_.items[at(m.item)].rank)];
    std::size_t least = 0;
    for (std::int32_t const i : {timed_.forward(o), timed_.gradient(o), timed_.weight(o)}) {
      if (i == none) continue;
      auto& x = timed_.items[at(i)];
      if (x.pair) return false;
      ticks const start = when_[at(i)] - x.duration;
      std::size_t to = least;
      while (to < target.size() && when_[at(target[to])] - timed_.items[at(target[to])].duration < start && !timed_.items[at(target[to])].step) ++to;
      source.erase(std::find(source.begin(), source.end(), i));
      target.insert(target.begin() + static_cast<std::ptrdiff_t>(to), i);
      x.rank = m.to_rank;
      least = to + 1;
    }
    return true;
  }

  /// Makes the move; false where it breaks a cap.
  bool make(move const& m) {
    auto const rank = timed_.items[at(m.item)].rank;
    if (m.to_rank != none) {
      saved_ = {timed_.order[at(rank)], timed_.order[at(m.to_rank)]};
      return rehost(m) && timed_.keeps_cap(m.to_rank) && timed_.keeps_cap(rank);
    }
    shift(timed_.order[at(rank)], m.from, m.to);
    return timed_.keeps_cap(rank);
  }
  void undo(move const& m, std::int32_t rank) {
    if (m.to_rank == none) return shift(timed_.order[at(rank)], m.to, m.from);
    timed_.order[at(rank)] = std::move(saved_.first);
    timed_.order[at(m.to_rank)] = std::move(saved_.second);
    operation const o = timed_.items[at(m.item)].first;
    for (std::int32_t const i : {timed_.forward(o), timed_.gradient(o), timed_.weight(o)})
      if (i != none && !timed_.items[at(i)].pair) timed_.items[at(i)].rank = rank;
  }

  void remember_times() {
    if (!reroute_) return;
    when_.resize(timed_.items.size());
    for (std::size_t i = 0; i < when_.size(); ++i) when_[i] = timed_.end_of(static_cast<std::int32_t>(i));
  }

  /// The best of all moves that isn't forbidden; false where there is none.
  bool step() {
    find_moves();
    remember_times();
    std::size_t chosen = moves_.size();
    score least{};
    for (std::size_t k = 0; k < moves_.size() && left_ > 0; ++k) {
      move const& m = moves_[k];
      auto const rank = timed_.items[at(m.item)].rank;
      if (make(m)) {
        left_ -= timed_.work();
        if (timed_.run()) {
          score const now = timed_.value(chosen < moves_.size() ? least.first : std::numeric_limits<ticks>::max());
          bool const allowed = moved_[at(m.item)] <= round_ || now < best_;
          if (allowed && (chosen == moves_.size() || now < least)) {
            least = now;
            chosen = k;
          }
        }
      }
      undo(m, rank);
    }
    if (chosen == moves_.size()) return false;
    make(moves_[chosen]);
    moved_[at(moves_[chosen].item)] = round_ + 4 + static_cast<std::int64_t>(random() % 8);
    timed_.run();
    current_ = timed_.value();
    return true;
  }

  /// Back to the best plan, and a few moves of its longest path at random.
  bool shake() {
    recall();
    std::fill(moved_.begin(), moved_.end(), 0);
    timed_.run();
    current_ = timed_.value();
    bool any = false;
    for (std::uint64_t kicks = 2 + random() % 6; kicks > 0 && left_ > 0; --kicks) {
      find_moves();
      remember_times();
      if (moves_.empty()) break;
      move const m = moves_[random() % moves_.size()];
      auto const rank = timed_.items[at(m.item)].rank;
      left_ -= timed_.work();
      if (make(m) && timed_.run()) {
        current_ = timed_.value();
        any = true;
      } else {
        undo(m, rank);
        timed_.run();
        current_ = timed_.value();
      }
    }
    return any || !moves_.empty();
  }

  pipeline_job const& job_;
  timed_order timed_;
  bool staggered_, reroute_;
  std::int64_t left_;
  std::int64_t round_ = 1;
  std::uint64_t seed_ = 0;
  score current_{}, best_{};
  timed_order::lists kept_{};
  std::vector<std::int32_t> rank_of_{};
  std::vector<std::int64_t> moved_{};  // the round from which an item may move again
  std::vector<std::size_t> position_{};
  std::vector<ticks> when_{};
  std::vector<block> blocks_{};
  std::vector<move> moves_{};
  std::pair<std::vector<std::int32_t>, std::vector<std::int32_t>> saved_{};
};

}  // namespace detail

struct improve_order {
  static constexpr std::string_view name = "improve_order";
  static constexpr bool improves = true;

  bool reroute = true;              ///< micro-batches of dead ranks may move to other live ranks
  std::int64_t effort = 2'000'000;  ///< operations to time at most, once for each column where the step is staggered

  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job, pipeline_schedule schedule) const {
    validate(job);
    auto before = restate(job, std::move(schedule));
    if (before.status != status::feasible) return before;
    auto after = restate(job, detail::order_search(job, before.plan, reroute, effort).best(static_cast<ticks>(before.lower_bound)));
    return after.has_plan() && after.objective <= before.objective ? after : before;
  }
};
static_assert(improver_for<improve_order, pipeline_job, pipeline_schedule>);

}  // namespace shunt
