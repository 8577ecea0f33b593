#pragma once
/// One worker as a process of its own, over Gloo: trains through whatever happens to the others,
/// and says how it goes.
#include <algorithm>
#include <bit>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../runs.hpp"
#include "shunt/gloo.hpp"
#include "shunt/json.hpp"
#include "shunt/launch.hpp"
#include "shunt/shunt.hpp"
#include "shunt/train.hpp"
#include "worker_processes.hpp"

namespace example {

/// A plan for all workers but those that are dead, from an iteration on.
struct made_plan {
  std::int64_t iteration = 0;
  shunt::ticks period = 0;
  std::vector<shunt::rank_id> dead{};
  seen_pace pace{};  ///< what is new
};
void fields(made_plan& p, auto const& f) {
  f("iteration", p.iteration), f("period", p.period), f("dead", p.dead);
  f("paces", p.pace.ranks), f("sixteenths", p.pace.sixteenths);
  f("seen_in", p.pace.iterations), f("certain_ppm", p.pace.certain_ppm);
}
void fields(seen_change& c, auto const& f) {
  f("iteration", c.iteration), f("period", c.period), f("dead", c.dead), f("workers", c.workers);
  f("microbatches", c.microbatches), f("waiting", c.waiting), f("copies", c.copies);
  f("bytes", c.bytes), f("redone", c.redone);
}

/// What a worker says while it trains.
template <class Run>
void report_progress(Run& run, shunt::report_sink const& say) {
  auto const pace = std::make_shared<seen_pace>();
  on_change_of_pace(run, [pace](seen_pace const& c, std::int64_t) { *pace = c; });
  if constexpr (has_policy<Run>) {
    say(shunt::report_of("plan", made_plan{.period = run.plan().period}));
    run.on_plan = [&say, pace](shunt::planned_iteration const& plan, std::int64_t iteration) {
      say(shunt::report_of("plan",
                           made_plan{iteration, plan.period, {}, std::exchange(*pace, {})}));
    };
    run.on_change = [&say, pace](shunt::rearrangement const& r,
                                 shunt::planned_iteration const& plan) {
      if (!pace->ranks.empty())
        say(shunt::report_of("plan",
                             made_plan{r.iteration, plan.period, {}, std::exchange(*pace, {})}));
      say(shunt::report_of("change", change_of(r, plan.period)));
    };
  } else {
    run.on_plan = [&say, pace](shunt::planned_iteration const& plan, std::int64_t iteration) {
      made_plan made{iteration, plan.period, {}, std::exchange(*pace, {})};
      for (auto const& w : plan.job.dead) made.dead.push_back(plan.job.rank_of(w));
      say(shunt::report_of("plan", made));
    };
  }
  run.on_iteration = [&](shunt::trained_iteration const& i) {
    say(shunt::report_of("iteration", i));
  };
}

/// Trains as one worker, and says what it came to.
template <class Run>
shunt::recovery_report train_as(worker_address const& at, options const& o,
                                shunt::report_sink const& say, Run& run,
                                std::vector<shunt::failure_point> const& failures) {
  using shunt::report_line;
  auto const& training = run.work().training();
  auto const& job = training.job;
  report_progress(run, say);
  shunt::recovery plan{.end = training.iterations};
  for (auto const& w : job.dead) plan.dead.push_back(job.rank_of(w));
  for (auto const& j : o.joins) plan.joins.push_back({job.rank_of(j.who), j.iteration});
  auto const dies = [&] { shunt::kill_this_process(say, at.waits); };
  auto const executor = [&]() -> shunt::gloo_executor {
    if (!at.joins) return {at.gloo, job.ranks(), at.self, failures, dies};
    // A launcher may start it long before it is asked: for so many iterations as take the time for
    // which the others would wait for it, and then some.
    auto const asked = shunt::await_join_request(at.gloo, at.self, 20 * at.gloo.patience);
    plan.first = asked.iteration;
    plan.dead = asked.dead;
    return {at.gloo, job.ranks(), at.self, asked, failures, dies};
  }();
  auto const report = run(executor, std::move(plan));

  for (auto const& l : report.losses) say(shunt::report_of("loss", l));
  for (auto const& j : report.joined)
    say(report_line("joined").with("rank", j.rank.value()).with("iteration", j.iteration));
  if (training.validates())
    for (std::int64_t i = 0; i < report.end; ++i)
      if (auto const& s = run.work().step_of(at.self, i); s.left_out || s.clipped)
        say(shunt::report_of("step", s).with("iteration", i));
  if (auto const overflow = run.work().overflow_of(at.self))
    say(report_line("overflow").with("iteration", *overflow));
  if (!report.stopped.empty()) say(report_line("stopped").with("why", reason_to_stop(o, report)));
  auto const stages = run.work().held_by(at.self);
  std::vector<std::uint64_t> hashes;
  for (auto const s : stages) hashes.push_back(shunt::hash_of(run.work().parameters(at.self, s)));
  say(report_line("end")
          .with("iterations", report.end)
          .with("stages", stages)
          .with("hashes", hashes)
          .with("computing_share", run.work().computing_share()));
  return report;
}

/// Trains as one worker. What goes wrong is the last line it says, and thrown.
inline shunt::recovery_report work_as(worker_address const& at, options const& o,
                                      shunt::report_sink const& say) try {
  std::signal(SIGPIPE, SIG_IGN);
  auto training = o.training;
  training.only = at.self;
  auto const bytes = load_text(o.text);
  slow_language_work work(training, bytes);
  return with_run(o, work, at.self, [&](auto& run, auto const& failures) {
    return train_as(at, o, say, run, failures);
  });
} catch (std::exception const& error) {
  shunt::report_and_rethrow(say, error);
}

/// What the workers of a run say, put together: they agree on what happened, each with times of its
/// own.
class report_merger final : public run_account<shunt::loss> {
 public:
  report_merger(options const& o, progress_log* live)
      : job_(o.training.job), policy_(o.policy), live_(live) {}

  /// The iteration that some worker runs at least.
  std::int64_t begun() const { return begun_; }

  /// After the last word. Throws runtime_error where the workers disagree, or none came to the end.
  trained result() {
    if (!disagreement_.empty()) throw std::runtime_error("the workers disagree: " + disagreement_);
    if (live_)
      for (auto const& [iteration, s] : steps_) live_->step(iteration, s.first, s.second);
    result_.iterations = iterations_;
    std::sort(result_.iterations.begin(), result_.iterations.end(),
              [](auto const& a, auto const& b) { return a.iteration < b.iteration; });
    result_.losses = losses();
    require_end("no worker is left");
    return result_;
  }

 private:
  void hear(shunt::rank_id from, shunt::json_report const& r) override {
    auto const& what = r.what();
    if (what == "plan") {
      auto const p = r.object<made_plan>();
      auto const same = [&](made_plan const& other) {
        return other.iteration == p.iteration && other.dead == p.dead;
      };
      if (std::none_of(plans_.begin(), plans_.end(), same)) plans_.push_back(p);
      print_progress();
    } else if (what == "change") {
      auto const c = r.object<seen_change>();
      auto const same = [&](seen_change const& other) {
        return other.dead == c.dead && other.iteration == c.iteration;
      };
      if (std::any_of(changes_.begin(), changes_.end(), same)) return;
      changes_.push_back(c);
      print_progress();
    } else if (what == "iteration") {
      receive_iteration(from, r.object<shunt::trained_iteration>());
    } else if (what == "step") {
      auto& [seen, taken_back] = steps_[r.integer("iteration")];
      seen = r.object<shunt::step_outcome>();
      taken_back += seen.taken_back;
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
    }
  }

  static constexpr auto unknown =
      std::bit_cast<std::uint64_t>(std::numeric_limits<double>::quiet_NaN());

  void receive_iteration(shunt::rank_id from, shunt::trained_iteration const& i) {
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
                             i.iteration, known->loss, i.loss);
    print_progress();
  }

  /// In order, though the workers that know the loss may be the last to speak.
  void print_progress() {
    if (!live_) return;
    for (;;) {
      if (plans_printed_ < plans_.size() &&
          plans_[plans_printed_].iteration <= static_cast<std::int64_t>(iterations_printed_)) {
        auto const& p = plans_[plans_printed_++];
        std::vector<shunt::worker> dead;
        for (auto const r : p.dead) dead.push_back(job_.worker_of(r));
        if (!p.pace.ranks.empty()) print_pace(live_->out(), job_, p.pace, p.iteration);
        if (policy_ == "slipstream" || p.iteration == 0)
          live_->plan(p.iteration, p.period, dead);
        else
          live_->same_parts(policy_, p.period);
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
  /// By iteration, and how many workers took each back.
  std::map<std::int64_t, std::pair<shunt::step_outcome, int>> steps_{};
  std::string disagreement_{};
};

}  // namespace example
