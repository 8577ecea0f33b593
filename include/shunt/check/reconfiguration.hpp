#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/plan/pipeline_template.hpp"
#include "shunt/plan/reconfiguration.hpp"
#include "shunt/problem/pipeline_losses.hpp"

namespace shunt {

/// One error in a reconfiguration. Ids that a kind doesn't use are 0.
struct reconfiguration_violation {
  enum class kind : std::uint8_t {
    not_live,     ///< a pipeline has a rank that is lost or unknown
    twice,        ///< a rank stands twice in the pipelines
    left_out,     ///< a live rank is in no pipeline
    too_short,    ///< a pipeline of fewer ranks than the minimum
    unsorted,     ///< a rank below the one before, or a pipeline below the one before
    no_template,  ///< for a pipeline's length
    source,       ///< of a copy: a rank that is lost or did not hold the layer
    receiver,     ///< of a copy: a rank that had the layer, or does not hold it now
    missing,      ///< a rank now holds a layer that it had not and does not receive once
    lost_layer,   ///< a layer listed as lost that a live rank has, or the other way round
  };
  kind what{};
  pipeline_id pipeline{};
  layer_id layer{};
  rank_id rank{};

  bool operator==(reconfiguration_violation const&) const = default;
};

/// Returns one line that names the place and the error.
[[nodiscard]] std::string to_string(reconfiguration_violation const& v);

/// Checks a reconfiguration: its pipelines are a partition of the live ranks, none too short, and
/// its copies give every rank the layers that it lacks, from live ranks that had them. A layer that
/// is lost, or where the published rule stops, may lack copies. An empty set of templates: copies
/// are not looked at.
/// Returns all errors. Empty: the plan is valid.
[[nodiscard]] std::vector<reconfiguration_violation> check(pipeline_losses const& losses,
                                                           template_set const& templates,
                                                           reconfiguration const& plan);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/reconfiguration.ipp"
#endif
