#pragma once
#include "shunt/train/slow_watch.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <string>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/problem/stage_costs.hpp"

namespace shunt {

SHUNT_INLINE bool same_factors(slow_verdicts const& a, slow_verdicts const& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](auto const& x, auto const& y) { return x.sixteenths == y.sixteenths; });
}

SHUNT_INLINE pipeline_job in_sixteenths(pipeline_job job, slow_verdicts const& of) {
  auto const times = [](ticks& time, std::int64_t factor) {
    auto const product = checked_multiply(time, factor);
    if (!product || *product >= (std::int64_t{1} << 61))
      throw invalid_problem("costs", "are " + std::to_string(time) +
                                         " ticks: slower they add up beyond 61 bits");
    time = *product;
  };
  for (per_stage* list :
       {&job.costs.forward, &job.costs.backward_input, &job.costs.backward_weight}) {
    std::vector<ticks> all;
    for (pipeline_id const p : ids<pipeline_id>(job.pipelines))
      for (stage_id const s : ids<stage_id>(job.stages)) {
        all.push_back(list->of(p, s, job.stages));
        rank_id const r = job.rank_of({p, s});
        times(all.back(), job.alive(r) ? of[r].sixteenths : slow_verdict::normal);
      }
    *list = per_stage(std::move(all));
  }
  auto steps = job.costs.step.values();
  for (ticks& t : steps) times(t, slow_verdict::normal);
  job.costs.step = per_stage(std::move(steps));
  times(job.costs.overlap_gain, slow_verdict::normal);
  for (ticks* t : {&job.transfer.within_node, &job.transfer.between_nodes})
    times(*t, slow_verdict::normal);
  for (ticks& t : job.transfer.matrix) times(t, slow_verdict::normal);
  return job;
}

SHUNT_INLINE slow_watch::slow_watch(pipeline_job const& job, slow_watch_config const& config)
    : config_(config),
      predicted_(job),
      own_(static_cast<std::size_t>(job.ranks())),
      last_(own_.size()) {
  if (!(config.tolerated >= 1)) throw invalid_problem("tolerated", "must be at least 1");
  if (!(config.confidence > 0 && config.confidence < 1))
    throw invalid_problem("confidence", "must be between 0 and 1");
  if (config.window < 1)
    throw invalid_problem("window", "must be at least 1, is " + std::to_string(config.window));
}

SHUNT_INLINE void slow_watch::measured(rank_id r, operation const& op, ticks took) {
  if (shows_pace(op.kind)) own_[r.index()].since_report.push_back({op, took});
}

SHUNT_INLINE pace_sizes slow_watch::sizes() const {
  return {static_cast<byte_count>(sizeof(message)),
          static_cast<byte_count>(sizeof(slow_verdict) * own_.size())};
}

SHUNT_INLINE void slow_watch::report(rank_id r, std::span<std::byte> to) {
  message all{.rank = r};
  auto& samples = own_[r.index()].since_report;
  for (sample const& s : samples)
    if (ticks const due = predicted_.compute(r, s.op); due > 0 && s.took > 0)
      all.sums.add(static_cast<double>(s.took), static_cast<double>(due));
  samples.clear();
  std::memcpy(to.data(), &all, sizeof all);
}

SHUNT_INLINE void slow_watch::judge(std::int64_t iteration,
                                    std::span<std::span<std::byte const> const> reports) {
  indexed<rank_id, pace_sums> latest{};
  if (recent_.size() == static_cast<std::size_t>(config_.window)) {
    latest = std::move(recent_.back());  // its memory
    recent_.pop_back();
  }
  latest.resize(0);
  latest.resize(own_.size());
  for (auto const& from : reports) {
    message one;
    std::memcpy(&one, from.data(), sizeof one);
    latest[one.rank] = one.sums;
  }
  recent_.push_front(std::move(latest));
  std::lock_guard const lock(mutex_);
  decide();
  latest_ = iteration + 1;  // the iteration in which it is told
}

SHUNT_INLINE void slow_watch::tell(std::span<std::byte> verdict) const {
  std::lock_guard const lock(mutex_);
  std::memcpy(verdict.data(), last_.items().data(), sizeof(slow_verdict) * last_.size());
}

SHUNT_INLINE void slow_watch::decide() {
  double const tolerated = std::log(config_.tolerated);
  indexed<rank_id, pace_sums> sums(own_.size());
  for (std::size_t n = 0; n < recent_.size(); ++n) {
    for (rank_id const r : ids<rank_id>(sums.size())) sums[r] += recent_[n][r];
    auto const paces = paces_of(sums);
    bool changed = false;
    for (rank_id const r : ids<rank_id>(paces.size())) {
      rank_pace pace = paces[r];
      if (!pace.known) continue;
      double const excess = pace.excess;
      pace.excess = std::abs(excess - (last_[r].slow() ? std::log(last_[r].factor()) : 0));
      // Most ranks keep their pace: at even odds or worse there is nothing to weigh.
      if (pace.excess <= tolerated && config_.confidence > .5) continue;
      double const sure = pace.certainty(tolerated);
      if (sure < config_.confidence) continue;
      double const factor = std::exp(excess);
      auto const sixteenths =
          factor < config_.tolerated
              ? slow_verdict::normal
              : std::llround(factor * static_cast<double>(slow_verdict::normal));
      if (sixteenths == last_[r].sixteenths) continue;
      last_[r] = {sixteenths, static_cast<std::int64_t>(n + 1), sure};
      changed = true;
    }
    if (!changed) continue;
    recent_.clear();  // a mean over both paces would be neither
    return;
  }
}

SHUNT_INLINE void slow_watch::hear(std::int64_t iteration, std::span<std::byte const> verdict) {
  std::lock_guard const lock(mutex_);
  auto known = heard_.upper_bound(iteration);
  bool const changes = known == heard_.begin() || std::memcmp((--known)->second.items().data(),
                                                              verdict.data(), verdict.size()) != 0;
  if (changes) {
    slow_verdicts all(own_.size());
    for (rank_id const r : ids<rank_id>(all.size()))
      std::memcpy(&all[r], verdict.data() + r.index() * sizeof(slow_verdict), sizeof(slow_verdict));
    known = heard_.insert_or_assign(iteration, std::move(all)).first;
    constexpr std::int64_t kept = 8;  // ranks are at most one iteration apart
    while (std::next(heard_.begin()) != heard_.end() &&
           std::next(heard_.begin())->first < iteration - kept)
      heard_.erase(heard_.begin());
  }
  if (iteration <= latest_) return;  // the judge of this process may be ahead
  latest_ = iteration;
  last_ = known->second;
}

SHUNT_INLINE slow_verdicts slow_watch::before(std::int64_t iteration) const {
  std::lock_guard const lock(mutex_);
  auto const next = heard_.lower_bound(iteration);
  return next == heard_.begin() ? slow_verdicts(own_.size()) : std::prev(next)->second;
}

SHUNT_INLINE void slow_watch::forget() {
  recent_.clear();
  std::lock_guard const lock(mutex_);
  last_ = slow_verdicts(own_.size());
  latest_ = -1;
  heard_.clear();
}

}  // namespace shunt
