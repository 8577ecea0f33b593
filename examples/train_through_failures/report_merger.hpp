#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "comparison.hpp"
#include "merged_losses.hpp"
#include "options.hpp"
#include "worker_reports.hpp"

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/json/report.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace example {

/// What the workers of a run say, put together: they agree on what happened, each with times of its
/// own.
class report_merger {
 public:
  report_merger(options const& o, progress_log* live)
      : job_(o.training.job), policy_(o.policy), live_(live) {}

  /// `killed_at`: when a process of this rank was killed, in nanoseconds of the steady clock.
  void killed(shunt::rank_id r, shunt::ticks at) { losses_.killed(r, at); }

  void receive(shunt::rank_id from, shunt::json_report const& r) {
    auto const& what = r.what();
    if (what == "plan") {
      made_plan p{.iteration = r.integer("iteration"), .period = r.integer("period")};
      for (auto const dead : r.list<shunt::rank_id>("dead")) p.dead.push_back(job_.worker_of(dead));
      auto const same = [&](made_plan const& other) {
        return other.iteration == p.iteration && other.dead == p.dead;
      };
      if (std::none_of(plans_.begin(), plans_.end(), same)) plans_.push_back(std::move(p));
      print_progress();
    } else if (what == "change") {
      receive_change(r);
    } else if (what == "iteration") {
      receive_iteration(from, r);
    } else if (what == "loss") {
      losses_.receive(from, loss_of(r));
    } else if (what == "step") {
      auto& s = steps_[r.integer("iteration")];
      s.seen = {r.number("norm"), r.boolean("left_out"), r.boolean("clipped"), false};
      s.taken_back += r.boolean("taken_back");
    } else if (what == "overflow") {
      auto const iteration = r.integer("iteration");
      if (!result_.overflow || iteration < result_.overflow->iteration)
        result_.overflow = {from, iteration};
    } else if (what == "stopped") {
      result_.stopped = r.text("why");
    } else if (what == "end") {
      auto& mine = result_.hashes[from];
      auto const stages = r.list<shunt::stage_id>("stages");
      auto const hashes = r.list<std::uint64_t>("hashes");
      for (std::size_t n = 0; n < stages.size() && n < hashes.size(); ++n)
        mine[stages[n]] = hashes[n];
      result_.computing_share = std::max(result_.computing_share, r.number("computing_share"));
    } else if (what == "error") {
      error_.receive(r);
    }
  }

  /// The iteration that some worker runs at least.
  [[nodiscard]] std::int64_t begun() const { return begun_; }
  /// What a worker could not go on from.
  [[nodiscard]] first_error const& error() const { return error_; }
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

  void receive_change(shunt::json_report const& r) {
    seen_change const c{.iteration = r.integer("iteration"),
                        .period = r.integer("period"),
                        .dead = r.list<shunt::rank_id>("dead"),
                        .workers = r.list<std::int32_t>("workers"),
                        .microbatches = r.list<std::int32_t>("microbatches"),
                        .waiting = r.integer("waiting"),
                        .copies = r.integer("copies"),
                        .bytes = r.integer("bytes"),
                        .redone = r.integer("redone")};
    auto const same = [&](seen_change const& other) {
      return other.dead == c.dead && other.iteration == c.iteration;
    };
    if (std::any_of(changes_.begin(), changes_.end(), same)) return;
    changes_.push_back(c);
    print_progress();
  }

  void receive_iteration(shunt::rank_id from, shunt::json_report const& r) {
    shunt::trained_iteration i{.iteration = r.integer("iteration"),
                               .loss = r.number("loss"),
                               .live = r.integer<std::int32_t>("live"),
                               .planned = r.integer("planned")};
    if (r.has("took")) i.took = r.integer("took");
    begun_ = std::max(begun_, i.iteration + 1);
    bool const has_losses =
        policy_ != "slipstream" || job_.worker_of(from).stage == job_.stages - 1;
    if (!has_losses || std::bit_cast<std::uint64_t>(i.loss) == unknown) return;
    auto const known = std::find_if(iterations_.begin(), iterations_.end(),
                                    [&](auto const& k) { return k.iteration == i.iteration; });
    if (known == iterations_.end())
      iterations_.push_back(i);
    else if (known->loss != i.loss)
      disagreement_ = format("iteration %lld has loss %.17g for one worker and %.17g for another",
                             static_cast<long long>(i.iteration), known->loss, i.loss);
    print_progress();
  }

  /// In order, though the workers that know the loss may be the last to speak.
  void print_progress() {
    if (!live_) return;
    for (;;) {
      if (plans_printed_ < plans_.size() &&
          plans_[plans_printed_].iteration <= static_cast<std::int64_t>(iterations_printed_)) {
        auto const& p = plans_[plans_printed_++];
        live_->plan(p.iteration, p.period, p.dead);
      } else if (changes_printed_ < changes_.size() &&
                 changes_[changes_printed_].iteration <=
                     static_cast<std::int64_t>(iterations_printed_)) {
        live_->change(policy_, changes_[changes_printed_++]);
      } else if (iterations_printed_ < iterations_.size() && plans_printed_ > 0) {
        live_->iteration(iterations_[iterations_printed_++]);
      } else {
        return;
      }
    }
  }

  shunt::pipeline_job const job_;
  std::string const policy_;
  progress_log* const live_;
  trained result_{};
  std::vector<made_plan> plans_{};
  std::vector<seen_change> changes_{};
  std::vector<shunt::trained_iteration> iterations_{};
  std::size_t plans_printed_ = 0, changes_printed_ = 0, iterations_printed_ = 0;
  std::int64_t begun_ = 0;
  merged_losses<shunt::loss> losses_{};
  std::map<std::int64_t, made_step> steps_{};
  std::string disagreement_{};
  first_error error_{};
};

}  // namespace example
