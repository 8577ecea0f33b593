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
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/timeline.hpp"
#include "shunt/simulate/cost_model.hpp"

namespace shunt {

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
  struct sums {
    std::int64_t count = 0;
    double sum = 0, squares = 0;
    bool operator==(sums const&) const = default;
  };
  job_costs predicted_;
  double tolerated_, confidence_;
  indexed<rank_id, sums> of_rank_;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/simulate/slow_workers.ipp"
#endif
