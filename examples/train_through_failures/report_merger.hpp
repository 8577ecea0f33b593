#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "comparison.hpp"
#include "merged_losses.hpp"
#include "messages.hpp"
#include "options.hpp"

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace example {

/// What the workers of a run say, put together: they agree on what happened, each with times of its
/// own.
class report_merger {
 public:
  report_merger(options const& o, progress_log* live) : job_(o.training.job), live_(live) {}

  /// `killed_at`: when a process of this rank was killed, in nanoseconds of the steady clock.
  void killed(shunt::rank_id r, shunt::ticks at) { losses_.killed(r, at); }

  void receive(shunt::rank_id from, message const& m) {
    auto const& n = m.numbers;
    switch (m.what) {
      case report_kind::plan: {
        std::vector<shunt::worker> dead;
        for (std::size_t i = 3; i < n.size(); ++i)
          dead.push_back(job_.worker_of(shunt::rank_id(n[i])));
        auto const same = [&](made_plan const& p) {
          return p.iteration == n.at(0) && p.dead == dead;
        };
        if (std::none_of(plans_.begin(), plans_.end(), same))
          plans_.push_back({n.at(0), n.at(1), dead});
        return print_progress();
      }
      case report_kind::iteration: {
        shunt::trained_iteration i{.iteration = n.at(0),
                                   .loss = std::bit_cast<double>(n.at(1)),
                                   .live = static_cast<std::int32_t>(n.at(2)),
                                   .planned = n.at(3)};
        if (n.at(4) >= 0) i.took = n[4];
        begun_ = std::max(begun_, i.iteration + 1);
        if (job_.worker_of(from).stage != job_.stages - 1 ||
            std::bit_cast<std::uint64_t>(i.loss) == unknown)
          return;
        auto const known = std::find_if(iterations_.begin(), iterations_.end(),
                                        [&](auto const& k) { return k.iteration == i.iteration; });
        if (known == iterations_.end())
          iterations_.push_back(i);
        else if (known->loss != i.loss)
          disagreement_ =
              format("iteration %lld has loss %.17g for one worker and %.17g for another",
                     static_cast<long long>(i.iteration), known->loss, i.loss);
        return print_progress();
      }
      case report_kind::loss: return losses_.receive(from, loss_of(n));
      case report_kind::step:
        steps_[n.at(0)].seen = {std::bit_cast<double>(n.at(1)), n.at(2) != 0, n.at(3) != 0, false};
        steps_[n.at(0)].taken_back += n.at(4) != 0;
        return;
      case report_kind::overflow:
        if (!result_.overflow || n.at(0) < result_.overflow->iteration)
          result_.overflow = {from, n.at(0)};
        return;
      case report_kind::stopped: result_.stopped = m.text; return;
      case report_kind::end:
        result_.hashes[from] = static_cast<std::uint64_t>(n.at(1));
        result_.computing_share =
            std::max(result_.computing_share, static_cast<double>(n.at(2)) * 1e-6);
        return;
      case report_kind::error:
        // Who gives up a meeting says why; the others say only that it was given up.
        if (error_.empty() || error_.ends_with("was given up")) error_ = m.text;
        return;
      default: return;
    }
  }

  /// The iteration that some worker runs at least.
  [[nodiscard]] std::int64_t begun() const { return begun_; }
  /// What a worker could not go on from; empty: none.
  [[nodiscard]] std::string const& error() const { return error_; }
  [[nodiscard]] bool ended(shunt::rank_id r) const { return result_.hashes.contains(r); }

  /// After the last word.
  [[nodiscard]] trained result() {
    if (!disagreement_.empty()) throw std::runtime_error("the workers disagree: " + disagreement_);
    if (live_)
      for (auto const& [iteration, s] : steps_) live_->step(iteration, s.seen, s.taken_back);
    result_.iterations = iterations_;
    std::sort(result_.iterations.begin(), result_.iterations.end(),
              [](auto const& a, auto const& b) { return a.iteration < b.iteration; });
    result_.losses = losses_.merged([&](shunt::rank_id r) { return ended(r); });
    return result_;
  }

 private:
  static constexpr auto unknown =
      std::bit_cast<std::uint64_t>(std::numeric_limits<double>::quiet_NaN());

  struct made_plan {
    std::int64_t iteration = 0;
    shunt::ticks period = 0;
    std::vector<shunt::worker> dead{};
  };
  struct made_step {
    shunt::step_outcome seen{};
    int taken_back = 0;
  };

  /// In order, though the workers that know the loss may be the last to speak.
  void print_progress() {
    if (!live_) return;
    for (;;) {
      if (plans_printed_ < plans_.size() &&
          plans_[plans_printed_].iteration <= static_cast<std::int64_t>(iterations_printed_)) {
        auto const& p = plans_[plans_printed_++];
        live_->plan(p.iteration, p.period, p.dead);
      } else if (iterations_printed_ < iterations_.size() && plans_printed_ > 0) {
        live_->iteration(iterations_[iterations_printed_++]);
      } else {
        return;
      }
    }
  }

  shunt::pipeline_job const job_;
  progress_log* const live_;
  trained result_{};
  std::vector<made_plan> plans_{};
  std::vector<shunt::trained_iteration> iterations_{};
  std::size_t plans_printed_ = 0, iterations_printed_ = 0;
  std::int64_t begun_ = 0;
  merged_losses<shunt::loss> losses_{};
  std::map<std::int64_t, made_step> steps_{};
  std::string disagreement_{}, error_{};
};

}  // namespace example
