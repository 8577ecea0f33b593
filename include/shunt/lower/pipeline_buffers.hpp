#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Bytes of a stage's tensors: one value for all stages, or one value per stage.
struct pipeline_tensors {
  /// Output of stage s for one micro-batch, sent to s + 1, and its gradient. Unused for the last.
  per_stage activation = 8;
  per_stage stash = 8;     ///< kept by a forward for the gradients of its micro-batch
  per_stage gradient = 8;  ///< sum of the parameters' gradients, int64 fixed point: a multiple of 8
  per_stage state = 8;     ///< parameters and optimizer state; the kept copy has the same size

  constexpr bool operator==(pipeline_tensors const&) const = default;
};

/// Buffer numbers of a rank. The first four of each stage it holds, stages ascending, are the same
/// for every plan of a job, so that persistent content survives re-planning. The others are sets of
/// five, one set per micro-batch in flight at a stage. A rank has as many sets as its plan needs at
/// once. A set serves all stages of the rank: its buffers have the largest size of each kind.
struct pipeline_buffers {
  /// Persistent. `chunk`: number of the stage among those of the rank.
  static constexpr buffer_id state(std::int32_t chunk = 0) { return 4 * chunk; }
  /// Persistent: the state before the last step.
  static constexpr buffer_id kept(std::int32_t chunk = 0) { return 1 + 4 * chunk; }
  /// Zero at the start of an iteration.
  static constexpr buffer_id gradient(std::int32_t chunk = 0) { return 2 + 4 * chunk; }
  /// Two int64, 0 at the start. Above 0: a value overflowed or wasn't finite, in this stage and (no
  /// staggered step, first chunk) in any stage.
  static constexpr buffer_id flag(std::int32_t chunk = 0) { return 3 + 4 * chunk; }

  /// `held`: number of stages that the rank holds. `set`: number of the buffer set.
  static constexpr buffer_id input(std::int32_t set, std::int32_t held = 1) {
    return 4 * held + 5 * set;
  }
  static constexpr buffer_id output(std::int32_t set, std::int32_t held = 1) {
    return 1 + 4 * held + 5 * set;
  }
  static constexpr buffer_id stash(std::int32_t set, std::int32_t held = 1) {
    return 2 + 4 * held + 5 * set;
  }
  static constexpr buffer_id output_gradient(std::int32_t set, std::int32_t held = 1) {
    return 3 + 4 * held + 5 * set;
  }
  static constexpr buffer_id input_gradient(std::int32_t set, std::int32_t held = 1) {
    return 4 + 4 * held + 5 * set;
  }
};

/// Regions of stage s on a rank that holds `held` stages. The first stage's input and the last
/// stage's output have no bytes: data and labels belong to (iteration, micro-batch) and are known
/// to the user's work.
struct stage_regions {
  pipeline_job const& job;
  pipeline_tensors const& tensors;
  stage_id stage;
  std::int32_t chunk = 0;
  std::int32_t held = 1;

  using at = pipeline_buffers;
  [[nodiscard]] constexpr region state() const {
    return {at::state(chunk), 0, tensors.state[stage]};
  }
  [[nodiscard]] constexpr region kept() const { return {at::kept(chunk), 0, tensors.state[stage]}; }
  [[nodiscard]] constexpr region gradient() const {
    return {at::gradient(chunk), 0, tensors.gradient[stage]};
  }
  [[nodiscard]] constexpr region flag() const {
    return {at::flag(chunk), 0, size_of(element::int64)};
  }
  [[nodiscard]] constexpr region flag_of_all() const {
    return {at::flag(chunk), size_of(element::int64), size_of(element::int64)};
  }
  /// Result of a reduction out of place (lower/salvage.hpp), behind its operands: gradient and
  /// flag.
  [[nodiscard]] constexpr region reduced() const {
    return {at::gradient(chunk), tensors.gradient[stage], tensors.gradient[stage]};
  }
  [[nodiscard]] constexpr region reduced_flag() const {
    return {at::flag(chunk), 2 * size_of(element::int64), size_of(element::int64)};
  }
  [[nodiscard]] constexpr region input(std::int32_t set) const {
    return {at::input(set, held), 0, arriving()};
  }
  [[nodiscard]] constexpr region output(std::int32_t set) const {
    return {at::output(set, held), 0, leaving()};
  }
  [[nodiscard]] constexpr region stash(std::int32_t set) const {
    return {at::stash(set, held), 0, tensors.stash[stage]};
  }
  [[nodiscard]] constexpr region output_gradient(std::int32_t set) const {
    return {at::output_gradient(set, held), 0, leaving()};
  }
  [[nodiscard]] constexpr region input_gradient(std::int32_t set) const {
    return {at::input_gradient(set, held), 0, arriving()};
  }

  [[nodiscard]] constexpr byte_count arriving() const {
    return stage == 0 ? 0 : tensors.activation[stage.value() - 1];
  }
  [[nodiscard]] constexpr byte_count leaving() const {
    return stage.value() + 1 == job.stages ? 0 : tensors.activation[stage];
  }
};

/// Returns the regions of every stage that a rank holds, stages ascending.
[[nodiscard]] constexpr std::vector<stage_regions> stages_of(pipeline_job const& job,
                                                             pipeline_tensors const& tensors,
                                                             rank_id r) {
  auto const held = job.stages_of(r);
  std::vector<stage_regions> all;
  for (stage_id const s : held)
    all.push_back({job, tensors, s, static_cast<std::int32_t>(all.size()),
                   static_cast<std::int32_t>(held.size())});
  return all;
}

/// Throws invalid_problem where a list has another length than the stages, a size is negative, or
/// the size of a gradient is no multiple of 8.
constexpr void validate(pipeline_job const& job, pipeline_tensors const& tensors) {
  auto const check = [&](char const* field, per_stage const& bytes, byte_count multiple) {
    if (bytes.size() != 1 && bytes.size() != static_cast<std::size_t>(job.stages))
      throw invalid_problem(std::string("tensors.") + field,
                            "has " + std::to_string(bytes.size()) + " values for " +
                                std::to_string(job.stages) + " stages");
    for (stage_id s : ids<stage_id>(job.stages))
      if (bytes[s] < 0 || bytes[s] % multiple != 0)
        throw invalid_problem(std::string("tensors.") + field,
                              "must be a multiple of " + std::to_string(multiple) +
                                  " and at least 0, is " + std::to_string(bytes[s]) + " at stage " +
                                  std::to_string(s.value()));
  };
  check("activation", tensors.activation, 1);
  check("stash", tensors.stash, 1);
  check("gradient", tensors.gradient, size_of(element::int64));
  check("state", tensors.state, 1);
}

}  // namespace shunt
