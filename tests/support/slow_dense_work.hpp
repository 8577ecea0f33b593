#pragma once
/// A training of dense_model whose ranks can be slow, and are watched.
#include <chrono>
#include <thread>

#include "shunt/core/id.hpp"
#include "shunt/simulate/cost_model.hpp"
#include "shunt/train/pipeline_training.hpp"
#include "shunt/train/stretched_work.hpp"
#include "shunt/train/watched_work.hpp"
#include "support/dense_training.hpp"

namespace shunt::tests {

/// Operations that take what the job says, a tick as 150 microseconds.
class timed_dense_work : public dense_work {
 public:
  explicit timed_dense_work(pipeline_training const& t)
      : dense_work(dense_work_of(t)), costs_(t.job) {}
  void operator()(rank_id r, task const& t) {
    auto const end =
        std::chrono::steady_clock::now() + std::chrono::microseconds(150) * costs_.compute(r, t.op);
    dense_work::operator()(r, t);
    std::this_thread::sleep_until(end);
  }

 private:
  job_costs costs_;
};

using slow_work = watched_work<stretched_work<timed_dense_work>>;

}  // namespace shunt::tests
