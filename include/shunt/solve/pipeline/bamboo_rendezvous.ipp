#pragma once
#include "shunt/solve/pipeline/bamboo_rendezvous.hpp"

#include <string>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"

namespace shunt {

SHUNT_INLINE std::string_view to_string(rendezvous_cause c) {
  switch (c) {
    case rendezvous_cause::none: return "none";
    case rendezvous_cause::replacement: return "replacement";
    case rendezvous_cause::unprotected: return "unprotected";
    case rendezvous_cause::another_pipeline: return "another_pipeline";
  }
  return "unknown cause";
}

SHUNT_INLINE rendezvous_cause bamboo_rendezvous::operator()(bamboo_nodes const& nodes) const {
  constexpr std::int64_t most = std::int64_t{1} << 30;
  auto const within = [](char const* field, std::int64_t value, std::int64_t least,
                         std::int64_t greatest) {
    if (value < least || value > greatest)
      throw invalid_problem(field, "must be from " + std::to_string(least) + " to " +
                                       std::to_string(greatest) + ", is " + std::to_string(value));
  };
  within("pipelines", nodes.pipelines, 0, most);
  within("stages", nodes.stages, 1, most);
  within("waiting", nodes.waiting, 0, most);
  within("overloaded", nodes.overloaded, 0, nodes.pipelines * nodes.stages / 2);
  auto const active = nodes.pipelines * nodes.stages - nodes.overloaded;
  auto const suffice = [&](std::int64_t all) { return all / nodes.stages > nodes.pipelines; };
  if (of == rules::coordinator)
    return suffice(active + nodes.waiting - nodes.overloaded) ? rendezvous_cause::another_pipeline
                                                              : rendezvous_cause::none;
  if (nodes.overloaded > 0 && nodes.waiting >= nodes.overloaded)
    return rendezvous_cause::replacement;
  if (nodes.overloaded > active / 40) return rendezvous_cause::unprotected;
  return suffice(active + nodes.waiting) ? rendezvous_cause::another_pipeline
                                         : rendezvous_cause::none;
}

}  // namespace shunt
