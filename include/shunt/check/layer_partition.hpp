#pragma once
/// Checks a cut of layers into stages, its memory and its schedule. Shares no code with solvers,
/// measures or the maker of the plan's pipeline job.
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/check/pipeline_violation.hpp"
#include "shunt/plan/layer_partition.hpp"
#include "shunt/problem/layer_job.hpp"

namespace shunt {

/// One error in a partition of layers.
struct partition_violation {
  enum class kind : std::uint8_t {
    stages,  ///< stage `index` begins at `found` instead of `wanted`, or the last ends there
    empty,   ///< stage `index` has no layer: it ends at `found`
    sizes,   ///< pipelines, stages, micro-batches or transfer time of the pipeline job
    ranks,   ///< a pipeline has `found` ranks instead of `wanted`, or shares rank `index`
    forward,
    backward_input,
    backward_weight,
    stash,     ///< weight of stage `index`, or what its backward_input gives back
    cap,       ///< of rank `index`
    extra,     ///< the pipeline job has dead workers, a gain, steps, lengths or a matrix
    memory,    ///< rank `index` holds `found` bytes of states and stashes, `wanted` is the limit
    schedule,  ///< `broken` says what is wrong with the schedule of the pipeline job
  };
  kind what{};
  std::int64_t index = 0;
  std::int64_t found = 0;
  std::int64_t wanted = 0;
  pipeline_violation broken{};

  bool operator==(partition_violation const&) const = default;
};

/// Returns one line that names the place, the error and the numbers.
[[nodiscard]] std::string to_string(partition_violation const& v);

/// Checks these rules, in this order:
///
///  * The stages cover the layers in order, none twice, none left out, none of them empty.
///  * The pipeline job is that of the stages. Every pipeline has N ranks of its own.
///  * The schedule is a plan of that job.
///  * No rank holds more bytes than its memory: the states of its layers and, at any time, the
///    activations of the micro-batches between their forward and the end of their backward.
///
/// Returns all broken rules of the first of these groups that has one. Empty: the plan is valid.
/// Throws invalid_problem where the job is broken, or the layout of the plan does not fit its
/// stages.
/// Complexity: linear in the number of operations.
[[nodiscard]] std::vector<partition_violation> check(layer_job const& job,
                                                     layer_partition const& plan);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/layer_partition.ipp"
#endif
