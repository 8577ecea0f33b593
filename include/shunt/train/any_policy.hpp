#pragma once
#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "shunt/core/solution.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/plan/redundancy.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/train/arrangement.hpp"
#include "shunt/train/training_policy.hpp"

namespace shunt {

/// A copy of any training_policy, for a program that chooses it while it runs: a run under any of
/// them is then of one type. What the policy does not have is as start_under has it, or nothing.
class any_policy {
 public:
  std::string name{};
  std::int64_t every = 0;
  bool follows_paces = false;

  template <training_policy P>
    requires(!std::same_as<P, any_policy>)
  any_policy(P policy)
      : name(policy.name),
        every(policy.every),
        follows_paces(shunt::follows_paces(policy)),
        next_(policy),
        schedule_([policy](pipeline_job const& job) { return policy.schedule(job); }),
        start_([policy](pipeline_job const& job) { return start_under(policy, job); }) {
    if constexpr (requires(arrangement const& a, pipeline_schedule const& plain) {
                    policy.repeated(a, plain);
                  })
      repeated_ = [policy](arrangement const& a, pipeline_schedule const& plain) {
        return policy.repeated(a, plain);
      };
  }

  [[nodiscard]] solution<arrangement> operator()(situation const& s) const { return next_(s); }
  [[nodiscard]] solution<pipeline_schedule> schedule(pipeline_job const& job) const {
    return schedule_(job);
  }
  [[nodiscard]] arrangement start(pipeline_job const& job) const { return start_(job); }
  [[nodiscard]] std::optional<redundant_schedule> repeated(arrangement const& a,
                                                           pipeline_schedule const& plain) const {
    return repeated_ ? repeated_(a, plain) : std::nullopt;
  }

 private:
  std::function<solution<arrangement>(situation const&)> next_{};
  std::function<solution<pipeline_schedule>(pipeline_job const&)> schedule_{};
  std::function<arrangement(pipeline_job const&)> start_{};
  std::function<std::optional<redundant_schedule>(arrangement const&, pipeline_schedule const&)>
      repeated_{};
};
static_assert(training_policy<any_policy>);

}  // namespace shunt
