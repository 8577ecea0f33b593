#pragma once
#include "shunt/lower/pipeline_buffers.hpp"

#include <cstddef>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt {

SHUNT_CONSTEXPR buffer_id pipeline_buffers::input(std::int32_t set, std::int32_t held) {
  return 4 * held + 5 * set;
}

SHUNT_CONSTEXPR buffer_id pipeline_buffers::output(std::int32_t set, std::int32_t held) {
  return 1 + 4 * held + 5 * set;
}

SHUNT_CONSTEXPR buffer_id pipeline_buffers::stash(std::int32_t set, std::int32_t held) {
  return 2 + 4 * held + 5 * set;
}

SHUNT_CONSTEXPR buffer_id pipeline_buffers::output_gradient(std::int32_t set, std::int32_t held) {
  return 3 + 4 * held + 5 * set;
}

SHUNT_CONSTEXPR buffer_id pipeline_buffers::input_gradient(std::int32_t set, std::int32_t held) {
  return 4 + 4 * held + 5 * set;
}

SHUNT_CONSTEXPR region stage_regions::state() const {
  return {at::state(chunk), 0, tensors.state[stage]};
}

SHUNT_CONSTEXPR region stage_regions::gradient() const {
  return {at::gradient(chunk), 0, tensors.gradient[stage]};
}

SHUNT_CONSTEXPR region stage_regions::flag() const {
  return {at::flag(chunk), 0, (1 + tensors.sums[stage]) * size_of(element::int64)};
}

SHUNT_CONSTEXPR region stage_regions::flag_of_all() const {
  return {at::flag(chunk), flag().size, size_of(element::int64)};
}

SHUNT_CONSTEXPR region stage_regions::reduced() const {
  return {at::gradient(chunk), tensors.gradient[stage], tensors.gradient[stage]};
}

SHUNT_CONSTEXPR region stage_regions::reduced_flag() const {
  return {at::flag(chunk), flag().size + flag_of_all().size, flag().size};
}

SHUNT_CONSTEXPR region stage_regions::input(std::int32_t set) const {
  return {at::input(set, held), 0, arriving()};
}

SHUNT_CONSTEXPR region stage_regions::output(std::int32_t set) const {
  return {at::output(set, held), 0, leaving()};
}

SHUNT_CONSTEXPR region stage_regions::stash(std::int32_t set) const {
  return {at::stash(set, held), 0, tensors.stash[stage]};
}

SHUNT_CONSTEXPR region stage_regions::output_gradient(std::int32_t set) const {
  return {at::output_gradient(set, held), 0, leaving()};
}

SHUNT_CONSTEXPR region stage_regions::input_gradient(std::int32_t set) const {
  return {at::input_gradient(set, held), 0, arriving()};
}

SHUNT_CONSTEXPR byte_count stage_regions::arriving() const {
  return stage == 0 ? 0 : tensors.activation[stage.value() - 1];
}

SHUNT_CONSTEXPR byte_count stage_regions::leaving() const {
  return stage.value() + 1 == job.stages ? 0 : tensors.activation[stage];
}

SHUNT_CONSTEXPR std::vector<stage_regions> regions_of(pipeline_job const& job,
                                                      pipeline_tensors const& tensors,
                                                      std::vector<stage_id> const& held) {
  std::vector<stage_regions> all;
  for (stage_id const s : held)
    all.push_back({job, tensors, s, static_cast<std::int32_t>(all.size()),
                   static_cast<std::int32_t>(held.size())});
  return all;
}

SHUNT_CONSTEXPR std::vector<stage_regions> stages_of(pipeline_job const& job,
                                                     pipeline_tensors const& tensors, rank_id r) {
  return regions_of(job, tensors, job.stages_of(r));
}

SHUNT_CONSTEXPR void validate(pipeline_job const& job, pipeline_tensors const& tensors) {
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
  check("gradient", tensors.gradient, size_of(tensors.gradient_type));
  check("state", tensors.state, 1);
  check("sums", tensors.sums, 1);
}

}  // namespace shunt
