#pragma once
/// Slow ranks and their factors, from measured timelines and the times that a job predicts.
///
/// The slowness of a rank is the mean of log(measured / predicted) over its forwards and backwards,
/// less the median of these means over all ranks: the unit of the clock drops out, and what slows
/// all. Lengths of micro-batches and costs by worker are in the prediction. The jitter of an
/// operation is the spread within ranks. Fewer than half of the ranks may be slow.
/// Complexity: linear in the events; an answer in the ranks.
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/timeline.hpp"
#include "shunt/simulate/cost_model.hpp"

namespace shunt {

/// What was measured of a rank: logarithms of measured over predicted times, and their squares.
struct pace_sums {
  std::int64_t count = 0;
  double sum = 0, squares = 0;

  /// Adds an operation of positive times.
  void add(double measured, double predicted);
  pace_sums& operator+=(pace_sums const& other);
  constexpr bool operator==(pace_sums const&) const = default;
};

/// The pace of a rank, against the median rank's.
struct rank_pace {
  bool known = false;  ///< measured, and other ranks as well
  double excess = 0;   ///< logarithm of the factor by which it is slower
  double error = 0;    ///< standard error of the excess

  /// Returns the probability that the excess is above `least`.
  [[nodiscard]] double certainty(double least) const;
  constexpr bool operator==(rank_pace const&) const = default;
};

/// Returns the paces of ranks from what was measured of them.
[[nodiscard]] indexed<rank_id, rank_pace> paces_of(indexed<rank_id, pace_sums> const& measured);

/// Returns whether operations of this kind show the pace of a rank: forwards and backwards.
[[nodiscard]] constexpr bool shows_pace(op_kind k) { return k <= op_kind::backward_weight; }

/// A rank that is slower than predicted.
struct slow_rank {
  rank_id rank{};
  double factor = 1;      ///< times as long as predicted, against the median rank
  double confidence = 0;  ///< that it is slower than `tolerated`, from 0 to 1
};

/// Takes timelines and names the slow ranks.
class slow_workers {
 public:
  /// `tolerated`: a rank that is slower by less is not named. `confidence`: the least for a name.
  explicit slow_workers(pipeline_job const& job, double tolerated = 1.1, double confidence = 0.999);

  /// Adds what was measured, of one iteration or of many, in any unit of time. Events of other
  /// kinds than forwards and backwards, or of other ranks than the job's, are not looked at.
  void add(timeline const& measured);
  /// Returns the slow ranks, ascending.
  [[nodiscard]] std::vector<slow_rank> slow() const;

 private:
  job_costs predicted_;
  double tolerated_, confidence_;
  indexed<rank_id, pace_sums> of_rank_;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/simulate/slow_workers.ipp"
#endif
