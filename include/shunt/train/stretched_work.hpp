#pragma once
#include <chrono>
#include <cmath>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/execute/host/stopwatch.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/simulate/slow_workers.hpp"

namespace shunt {

/// A rank is so many times slower from an iteration on, 1 for as fast as ever.
struct stretch {
  rank_id rank{};
  double factor = 1;
  std::int64_t iteration = 0;
  constexpr bool operator==(stretch const&) const = default;
};

/// Any work, of which some ranks are slow: after a forward or a backward such a rank waits for as
/// long as makes it `factor` times as long as it was. Nothing else changes.
template <work Work>
class stretched_work : public Work {
 public:
  using Work::Work;
  explicit stretched_work(Work plain) : Work(std::move(plain)) {}

  /// Of several stretches of one rank the one with the latest iteration holds. No session may be
  /// running.
  void stretch_by(std::vector<stretch> all) { all_ = std::move(all); }

  /// Returns the factor of a rank in an iteration.
  [[nodiscard]] double factor_of(rank_id r, std::int64_t iteration) const {
    stretch last{.rank = r, .iteration = -1};
    for (stretch const& s : all_)
      if (s.rank == r && s.iteration <= iteration && s.iteration > last.iteration) last = s;
    return last.factor;
  }

  void operator()(rank_id r, task const& t) {
    double const factor = shows_pace(t.op.kind) ? factor_of(r, t.iteration) : 1;
    if (factor <= 1) return Work::operator()(r, t);
    stopwatch const since;
    Work::operator()(r, t);
    auto const longer = static_cast<double>(since.now()) * (factor - 1);
    std::this_thread::sleep_for(std::chrono::nanoseconds(std::llround(longer)));
  }

 private:
  std::vector<stretch> all_{};
};

}  // namespace shunt
