#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/plan/batch_split.hpp"
#include "shunt/problem/batch_problem.hpp"

namespace shunt {

/// One error in a distribution of micro-batches. `index` is a template.
struct batch_violation {
  enum class kind : std::uint8_t {
    templates,  ///< number of lists
    pipelines,  ///< length of a template's list
    too_few,    ///< micro-batches of a pipeline, below 1
    sum,        ///< of all micro-batches
  };
  kind what{};
  std::int64_t index = 0;
  std::int64_t found = 0;
  std::int64_t wanted = 0;

  bool operator==(batch_violation const&) const = default;
};

/// Returns one line that names the place, the error and the numbers.
[[nodiscard]] std::string to_string(batch_violation const& v);

/// Checks that every pipeline has a micro-batch and all together have the batch.
/// Returns all errors. Empty: the plan is valid.
[[nodiscard]] std::vector<batch_violation> check(batch_problem const& problem,
                                                 batch_split const& plan);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/batch_split.ipp"
#endif
