#pragma once
/// After a loss of ranks: new pipelines from the live ranks, and the copies of layers.
/// Reference: Jang et al., Oobleck, SOSP 2023, section 5; the rules are those of the authors'
/// engine.
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/plan/pipeline_template.hpp"
#include "shunt/plan/reconfiguration.hpp"
#include "shunt/problem/pipeline_losses.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Takes the lost ranks out of their pipelines. Then, pipeline by pipeline:
/// 1. One without ranks is gone. One of at least n_min ranks stays.
/// 2. A shorter one gets the last ranks of the longest pipeline (the later of equals) while that
///    has more than n_min, then of the next one.
/// 3. If none had more, short ones are joined: the first with the next ones until it has n_min,
///    in need with the first of the others.
/// Ranks are sorted in each pipeline, and pipelines by length and first rank.
///
/// A rank of the new pipelines that had no part in a layer receives it. With `templates`, the
/// copies of each layer come from a live rank that had it: one on the receiver's node if there is
/// one, then the lowest. Objective: the number of layers received; optimal, for each has to be.
/// Infeasible, with pipelines and copies as far as they go, if too few ranks are left, a length has
/// no template, or a layer has no source; the reason names it.
/// Throws invalid_problem if the problem is broken or an old pipeline's length has no template.
/// Complexity: O(P^2 n_min + R log R + L P^2) for P pipelines of R ranks.
struct oobleck_reconfigure {
  static constexpr std::string_view name = "oobleck_reconfigure";

  template_set templates{};  ///< one GPU a stage; empty: no copies are planned
  /// The engine's rule: the source of all copies of a layer is the first old holder that keeps the
  /// layer. It finds none in cases where a live rank has the layer and gets other ones.
  bool published_sources = false;

  [[nodiscard]] solution<reconfiguration> operator()(pipeline_losses const& losses) const;
};
static_assert(solver_for<oobleck_reconfigure, pipeline_losses>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/oobleck_reconfigure.ipp"
#endif
