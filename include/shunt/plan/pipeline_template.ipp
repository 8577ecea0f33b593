#pragma once
#include "shunt/plan/pipeline_template.hpp"

namespace shunt {

SHUNT_INLINE pipeline_template const* template_set::of(std::int64_t nodes) const {
  for (auto const& t : templates)
    if (t.nodes == nodes) return &t;
  return nullptr;
}

}  // namespace shunt
