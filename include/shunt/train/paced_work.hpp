#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/execute/work.hpp"

namespace shunt {

/// Any work, whose operations take the time of a cost model at least: one that computes faster
/// waits for the rest. A small model then shows the schedule of a large one.
template <work Work, class Costs>
class paced_work : public Work {
 public:
  /// An operation takes `costs.compute(rank, operation)` times `unit`; with a unit of 0 it takes
  /// what it takes. `for_work` makes the work.
  template <class... ForWork>
  paced_work(Costs costs, std::chrono::nanoseconds unit, std::int32_t ranks, ForWork&&... for_work)
      : Work(std::forward<ForWork>(for_work)...),
        costs_(std::move(costs)),
        unit_(unit),
        spent_(static_cast<std::size_t>(ranks)) {}

  void operator()(rank_id r, task const& t) {
    auto const start = clock::now();
    Work::operator()(r, t);
    auto const whole = costs_.compute(r, t.op) * unit_;
    if (whole.count() == 0) return;
    auto& spent = spent_[r.index()][t.op.kind];
    spent.computing += clock::now() - start;
    spent.whole += whole;
    std::this_thread::sleep_until(start + whole);
  }

  /// Returns computation over the time that operations are to take, of the rank and kind of
  /// operation where it is largest, over all that ran so far; 0 where operations don't wait.
  [[nodiscard]] double computing_share() const {
    double largest = 0;
    for (auto const& kinds : spent_)
      for (auto const& [kind, spent] : kinds)
        largest = std::max(largest, static_cast<double>(spent.computing.count()) /
                                        static_cast<double>(spent.whole.count()));
    return largest;
  }

 private:
  using clock = std::chrono::steady_clock;
  struct time_spent {
    std::chrono::nanoseconds computing{0}, whole{0};
  };

  Costs costs_;
  std::chrono::nanoseconds unit_;
  std::vector<std::map<op_kind, time_spent>> spent_;  // by rank, each of its own thread
};

}  // namespace shunt
