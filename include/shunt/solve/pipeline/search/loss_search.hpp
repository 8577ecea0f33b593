#pragma once
/// The plans of each move after a loss of workers: the engine of loss_planner.
#include <cstdint>
#include <optional>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/plan/loss_plan.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/worker_losses.hpp"
#include "shunt/solve/pipeline/search/loss_survivors.hpp"
#include "shunt/solve/pipeline/search/merged_stages.hpp"

namespace shunt::detail {

/// Plans and prices the moves one by one. Keeps a reference to the losses.
class loss_search {
 public:
  /// Requires valid losses with a live holder of every stage.
  loss_search(worker_losses const& losses, std::int64_t effort, std::int32_t candidates);

  /// Tries all moves. Returns the plan with the lowest price, all prices in it, or nothing.
  [[nodiscard]] std::optional<loss_plan> search();
  /// Returns the prices of all moves that `search` tried.
  [[nodiscard]] std::vector<priced_move> const& prices() const { return prices_; }

 private:
  // By part, the rank that plays it where all live ranks keep their own; -1: none.
  [[nodiscard]] std::vector<rank_id> own_parts() const;
  [[nodiscard]] loss_draft rerouted();
  [[nodiscard]] loss_draft normalized(std::int32_t joining);
  [[nodiscard]] loss_draft dropped();

  /// Plans a job of merged stages by `slipstream`. Its rank r is played by the rank `played[r]`, -1
  /// where dead.
  [[nodiscard]] loss_draft planned(pipeline_job const& job, std::vector<rank_id> const& played);
  /// Sets the costs of a job of merged stages by those who play its ranks.
  void set_costs(pipeline_job& job, std::vector<rank_id> const& players,
                 merged_borders const& borders) const;
  /// Spreads a plan of merged stages over those of the job.
  void spread(loss_plan& plan) const;
  [[nodiscard]] std::int32_t first_of(std::int32_t k) const {
    return borders_[static_cast<std::size_t>(k)];
  }
  [[nodiscard]] std::int32_t end_of(std::int32_t k) const { return first_of(k + 1); }

  void add_copies(loss_plan& plan) const;
  [[nodiscard]] priced_move priced(loss_move what, loss_draft const& d) const;

  std::int64_t effort_;
  std::int32_t candidates_;
  loss_survivors from_;
  merged_borders borders_;
  pipeline_job merged_;  // the job before the loss
  std::vector<priced_move> prices_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/loss_search.ipp"
#endif
