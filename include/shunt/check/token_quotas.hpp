#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/plan/token_quotas.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt {

/// One error in token quotas. Ids that a kind doesn't use are 0.
struct quota_violation {
  enum class kind : std::uint8_t {
    shape,         ///< number of layers, or copies of a layer that don't follow the previous ones
    unknown,       ///< an expert or rank that doesn't exist, or a dead rank
    not_positive,  ///< a copy without tokens
    at_home,       ///< a copy on the expert's own rank
    twice,         ///< a rank has two copies of an expert
    too_many,      ///< copies take more tokens than the expert has
    over_cap,      ///< a rank computes more than `cap` tokens
    no_homes,      ///< the problem has more or fewer slots than experts
  };
  kind what{};
  layer_id layer{};
  rank_id rank{};
  expert_id expert{};
  std::int64_t found = 0;
  std::int64_t wanted = 0;

  bool operator==(quota_violation const&) const = default;
};

/// Returns one line that names the place, the error and the numbers.
[[nodiscard]] std::string to_string(quota_violation const& v);

/// Checks quotas for a problem with home slots: slot k is the home of expert k, or of
/// previous[k]. A rank may compute numerator / denominator of the mean of the live ranks, rounded
/// up.
/// Returns all errors. Empty: the plan is valid.
[[nodiscard]] SHUNT_CONSTEXPR std::vector<quota_violation> check(expert_layers const& problem,
                                                                 token_quotas const& plan,
                                                                 std::int64_t numerator = 1,
                                                                 std::int64_t denominator = 1);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/token_quotas.ipp"
#endif
