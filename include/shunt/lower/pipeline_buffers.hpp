#pragma once
#include <cstdint>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Bytes of what the stages of a pipeline keep and pass on: one value for every stage, or one value a stage.
struct pipeline_tensors {
  per_stage activation = 8;  ///< what stage s sends to s + 1 for one micro-batch, and the gradient that comes back; unused for the last
  per_stage stash = 8;       ///< what a forward leaves for the gradients of its micro-batch
  per_stage gradient = 8;    ///< sum of the parameters' gradients in fixed point, int64: a multiple of 8
  per_stage state = 8;       ///< parameters and the optimizer's state; the copy kept for going back is as large

  constexpr bool operator==(pipeline_tensors const&) const = default;
};

/// The buffers of a worker, by number. The first four are the same for every worker and every plan of a job, so that what is
/// persistent survives re-planning. The others come in sets of five, one set a micro-batch in flight: `lower` gives a micro-batch the
/// lowest free set of its worker from the first receive to the last gradient, so that a rank has as many sets as its plan needs at once.
struct pipeline_buffers {
  static constexpr buffer_id state() { return 0; }     ///< persistent
  static constexpr buffer_id kept() { return 1; }      ///< persistent: the state as it was before the last step
  static constexpr buffer_id gradient() { return 2; }  ///< zero at the start of an iteration
  /// Two int64, 0 at the start; above 0: something overflowed or wasn't finite, in this stage and (no staggered step) in any stage.
  static constexpr buffer_id flag() { return 3; }

  static constexpr buffer_id input(std::int32_t set) { return 4 + 5 * set; }
  static constexpr buffer_id output(std::int32_t set) { return 5 + 5 * set; }
  static constexpr buffer_id stash(std::int32_t set) { return 6 + 5 * set; }
  static constexpr buffer_id output_gradient(std::int32_t set) { return 7 + 5 * set; }
  static constexpr buffer_id input_gradient(std::int32_t set) { return 8 + 5 * set; }
};

/// The buffers of a worker of stage s, whole but for the flags. The first stage's input and the last one's output have no bytes: data and labels belong
/// to (iteration, micro-batch), and the user's work knows them.
struct stage_regions {
  pipeline_job const& job;
  pipeline_tensors const& tensors;
  stage_id stage;

  using at = pipeline_buffers;
  [[nodiscard]] constexpr region state() const { return {at::state(), 0, tensors.state[stage]}; }
  [[nodiscard]] constexpr region kept() const { return {at::kept(), 0, tensors.state[stage]}; }
  [[nodiscard]] constexpr region gradient() const { return {at::gradient(), 0, tensors.gradient[stage]}; }
  [[nodiscard]] constexpr region flag() const { return {at::flag(), 0, size_of(element::int64)}; }
  [[nodiscard]] constexpr region flag_of_all() const { return {at::flag(), size_of(element::int64), size_of(element::int64)}; }
  [[nodiscard]] constexpr region input(std::int32_t set) const { return {at::input(set), 0, arriving()}; }
  [[nodiscard]] constexpr region output(std::int32_t set) const { return {at::output(set), 0, leaving()}; }
  [[nodiscard]] constexpr region stash(std::int32_t set) const { return {at::stash(set), 0, tensors.stash[stage]}; }
  [[nodiscard]] constexpr region output_gradient(std::int32_t set) const { return {at::output_gradient(set), 0, leaving()}; }
  [[nodiscard]] constexpr region input_gradient(std::int32_t set) const { return {at::input_gradient(set), 0, arriving()}; }

 private:
  [[nodiscard]] constexpr byte_count arriving() const { return stage == 0 ? 0 : tensors.activation[stage.value() - 1]; }
  [[nodiscard]] constexpr byte_count leaving() const { return stage.value() + 1 == job.stages ? 0 : tensors.activation[stage]; }
};

/// Throws invalid_problem where a list has another length than the stages, a size is negative, or a gradient's is no multiple of 8.
constexpr void validate(pipeline_job const& job, pipeline_tensors const& tensors) {
  auto const check = [&](char const* field, per_stage const& bytes, byte_count multiple) {
    if (bytes.size() != 1 && bytes.size() != static_cast<std::size_t>(job.stages))
      throw invalid_problem(std::string("tensors.") + field,
                            "has " + std::to_string(bytes.size()) + " values for " + std::to_string(job.stages) + " stages");
    for (stage_id s : ids<stage_id>(job.stages))
      if (bytes[s] < 0 || bytes[s] % multiple != 0)
        throw invalid_problem(std::string("tensors.") + field, "must be a multiple of " + std::to_string(multiple) +
                                                                   " and at least 0, is " + std::to_string(bytes[s]) + " at stage " +
                                                                   std::to_string(s.value()));
  };
  check("activation", tensors.activation, 1);
  check("stash", tensors.stash, 1);
  check("gradient", tensors.gradient, size_of(element::int64));
  check("state", tensors.state, 1);
}

}  // namespace shunt
