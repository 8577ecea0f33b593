#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/check/pipeline_violation.hpp"
#include "shunt/core/id.hpp"
#include "shunt/plan/loss_plan.hpp"
#include "shunt/problem/worker_losses.hpp"

namespace shunt {

/// One error in a plan after losses. Ids that a kind doesn't use are 0.
struct loss_violation {
  enum class kind : std::uint8_t {
    job,           ///< other stages or costs than before, or dead workers
    microbatches,  ///< another number in all
    members,       ///< not one rank for each of the job
    not_live,      ///< a member that is dead or unknown
    twice,         ///< a rank is two members
    link,          ///< two ranks with another transfer time than before
    state,         ///< a rank's states exceed the limit
    stash,         ///< a rank's cap is larger than before
    source,        ///< of a copy: a rank that is dead or did not hold the stage
    receiver,      ///< of a copy: a rank that had the stage, or does not hold it now
    missing,       ///< a rank now holds a stage that it had not and does not receive once
    schedule,      ///< of the plan: `in_schedule` says which
  };
  kind what{};
  rank_id rank{};  ///< before the loss
  stage_id stage{};
  std::int64_t found = 0;
  std::int64_t wanted = 0;
  pipeline_violation in_schedule{};

  bool operator==(loss_violation const&) const = default;
};

/// Returns one line that names the place and the error.
[[nodiscard]] std::string to_string(loss_violation const& v);

/// Checks a plan: only live ranks train, each in one place; the job is that before the loss but for
/// its layout, pipelines and the split of its micro-batches; stages cost each rank what they did,
/// or what its pace makes of them (problem/worker_losses.hpp); no rank has a larger cap or more
/// states than it may; copies give every rank the states that it lacks, once, from live ranks that
/// had them; and the schedule is one of the job. The cap of 1F1B is not compared. Prices are not
/// looked at. Shares no code with solvers or measures. Returns all errors. Empty: the plan is
/// valid. Throws invalid_problem where the losses or the plan's job are broken. Complexity: that of
/// `check` for the schedule, and O(ranks^2) where links differ.
[[nodiscard]] std::vector<loss_violation> check(worker_losses const& losses, loss_plan const& plan);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/loss_plan.ipp"
#endif
