#pragma once
/// The ranks that are alive after a loss, and what they have.
#include <cstdint>
#include <optional>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/text.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/loss_plan.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/worker_losses.hpp"
#include "shunt/solve/pipeline/search/merged_stages.hpp"

namespace shunt::detail {

/// Which ranks have the states of which stages.
class held_states {
 public:
  held_states(std::int32_t ranks, std::int32_t stages);
  void add(rank_id r, stage_id s) { has_[at(r, s)] = 1; }
  [[nodiscard]] bool has(rank_id r, stage_id s) const { return has_[at(r, s)] != 0; }

 private:
  [[nodiscard]] std::size_t at(rank_id r, stage_id s) const {
    return r.index() * static_cast<std::size_t>(stages_) + s.index();
  }

  std::int32_t stages_;
  std::vector<char> has_;
};

/// The live ranks of a job, spares among them. Keeps a reference to the losses.
struct loss_survivors {
  /// Requires valid losses.
  explicit loss_survivors(worker_losses const& of);

  /// Returns the transfer times between these ranks, by their place in the list.
  [[nodiscard]] transfer_times links_of(std::vector<rank_id> const& members) const;
  /// Returns the caps of these ranks, by their place in the list.
  [[nodiscard]] stash_cap caps_of(std::vector<rank_id> const& members) const;
  /// Returns the costs of a job of merged stages whose workers are these ranks, pipeline by
  /// pipeline: by worker where ranks differ, else by stage.
  [[nodiscard]] stage_costs costs_of(std::vector<rank_id> const& workers,
                                     merged_borders const& borders) const;
  /// Returns what ranks have under a plan.
  [[nodiscard]] held_states held_under(loss_plan const& plan) const;

  worker_losses const& losses;
  std::vector<rank_id> live{};  ///< ascending
  held_states held;
  rank_costs costs;
  /// The least cap of a live rank where caps are by rank or for all.
  std::optional<std::int64_t> least_cap{};
};

/// A plan without its copies, or why there is none.
struct loss_draft {
  loss_plan plan{};
  ticks period = 0;  ///< 0: no plan
  text reason{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/loss_survivors.ipp"
#endif
