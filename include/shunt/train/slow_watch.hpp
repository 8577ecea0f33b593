#pragma once
/// Which ranks of a training are slow, from the times of its own operations.
///
/// Every rank notes the times of its forwards and backwards, and reports the sums of
/// log(measured / predicted). Once an iteration a judge gets these sums of all ranks, decides, and
/// tells the verdict in the next (lower/pace.hpp). It looks at the last iteration, the last two,
/// and so on to `window`, and takes the first that shows another pace than the last verdict says
/// (simulate/slow_workers.hpp).
/// Complexity: a reading of the clock an operation; linear in ranks x window a verdict.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/lower/pace.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/simulate/cost_model.hpp"
#include "shunt/simulate/slow_workers.hpp"

namespace shunt {

/// How ranks are found slow.
struct slow_watch_config {
  double tolerated = 1.1;     ///< ranks whose factor changes by less keep their verdict
  double confidence = 0.999;  ///< the least that changes a verdict
  std::int32_t window = 5;    ///< iterations that a verdict looks back
};

/// The verdict on a rank.
struct slow_verdict {
  /// One sixteenth of the ticks that a prediction in sixteenths grows to: 16 of a rank that is not
  /// slow. Whole numbers, so that all ranks plan alike.
  static constexpr std::int64_t normal = 16;

  std::int64_t sixteenths = normal;
  std::int64_t iterations = 0;  ///< that showed it
  double confidence = 0;        ///< that the pace differs from that of the verdict before

  [[nodiscard]] constexpr double factor() const {
    return static_cast<double>(sixteenths) / static_cast<double>(normal);
  }
  [[nodiscard]] constexpr bool slow() const { return sixteenths != normal; }
  constexpr bool operator==(slow_verdict const&) const = default;
};

/// The verdicts on all ranks.
using slow_verdicts = indexed<rank_id, slow_verdict>;

/// Returns whether two verdicts name the same factors.
[[nodiscard]] bool same_factors(slow_verdicts const& a, slow_verdicts const& b);

/// Returns a job's costs with the factors of the verdicts on its live ranks, in sixteenths of
/// ticks: transfers and steps as well, so that nothing is rounded.
/// Throws invalid_problem where the ticks exceed 61 bits.
[[nodiscard]] pipeline_job in_sixteenths(pipeline_job job, slow_verdicts const& of);

/// The sums, the judge and the verdicts of one process.
///
/// Threads: `measured`, `report` and `hear` for different ranks may be called at once, those for
/// one rank never; all other members at any time but `judge`, which only the judge calls.
class slow_watch {
 public:
  /// Throws invalid_problem where `tolerated` is below 1, `confidence` is not between 0 and 1 or
  /// `window` is below 1.
  slow_watch(pipeline_job const& job, slow_watch_config const& config = {});

  /// Notes an operation that took so many nanoseconds, if it is a forward or a backward.
  void measured(rank_id r, operation const& op, ticks took);
  [[nodiscard]] pace_sizes sizes() const;
  /// Writes what was measured of the rank since its last report.
  void report(rank_id r, std::span<std::byte> to);
  /// Writes the verdict at which the judge has arrived.
  void tell(std::span<std::byte> verdict) const;
  /// Decides by the reports of all live ranks that came in an iteration.
  void judge(std::int64_t iteration, std::span<std::span<std::byte const> const> reports);
  /// Takes the verdict that came in an iteration.
  void hear(std::int64_t iteration, std::span<std::byte const> verdict);

  /// Returns the last verdicts of iterations before this one.
  [[nodiscard]] slow_verdicts before(std::int64_t iteration) const;
  /// All ranks count as not slow again, as they do for a rank that joins.
  void forget();

 private:
  struct sample {
    operation op{};
    ticks took = 0;
  };
  struct alignas(64) own_samples {
    std::vector<sample> since_report{};
  };
  struct message {
    rank_id rank{};
    pace_sums sums{};
  };

  void decide();

  slow_watch_config const config_;
  job_costs const predicted_;
  std::vector<own_samples> own_;                      // by rank
  std::deque<indexed<rank_id, pace_sums>> recent_{};  // reports, the latest first
  std::mutex mutable mutex_{};                        // guards what follows
  slow_verdicts last_;                                // of this process
  std::int64_t latest_ = -1;                          // the iteration in which it is told
  std::map<std::int64_t, slow_verdicts> heard_{};     // by iteration
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/slow_watch.ipp"
#endif
