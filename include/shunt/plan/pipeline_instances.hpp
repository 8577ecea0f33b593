#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"

namespace shunt {

/// A pipeline that runs a template.
struct pipeline_instance {
  std::int32_t nodes = 1;         ///< of the template
  std::vector<rank_id> ranks{};   ///< its nodes, in the order of the template's
  std::int64_t microbatches = 0;  ///< of an iteration

  bool operator==(pipeline_instance const&) const = default;
};

/// Pipelines that make an iteration together, ascending in nodes.
struct pipeline_instances {
  std::vector<pipeline_instance> pipelines{};

  bool operator==(pipeline_instances const&) const = default;
};

}  // namespace shunt
