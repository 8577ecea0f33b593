#pragma once
/// --slow: workers that become slower, or as fast as before, while they train.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "comparison.hpp"
#include "language_training.hpp"
#include "options.hpp"
#include "shunt/shunt.hpp"
#include "shunt/train.hpp"

namespace example {

/// Work whose workers may be slow, and are then found.
using slow_language_work = shunt::watched_work<shunt::stretched_work<language_work>>;

/// Whether the live workers answer to a slow one. Others than our own policies have, by their
/// authors' design, no answer.
inline bool answers_slow(options const& o) {
  return o.policy == "slipstream" || o.policy == shunt::best_policy<>::name;
}

/// Makes workers slow as asked, and lets the run find them where it has an answer; nothing where
/// none is to be slow.
template <class Run>
void watch_slow(Run& run, options const& o) {
  if constexpr (requires { run.watch(); }) {
    if (o.slow.empty()) return;
    std::vector<shunt::stretch> all;
    for (auto const& s : o.slow)
      all.push_back({o.training.job.rank_of(s.who), s.factor, s.iteration});
    run.work().stretch_by(std::move(all));
    if (answers_slow(o)) run.watch({.tolerated = 1.2});
  }
}

/// A line where workers are to be slow and the policy has no answer.
inline void print_no_answer(std::ostream& out, options const& o) {
  if (!o.slow.empty() && !answers_slow(o))
    out << o.policy
        << ": has no answer to slow workers: training goes on as planned, and others wait for them"
        << std::endl;
}

/// Workers whose pace is another than before: what a run says of them.
struct seen_pace {
  std::vector<shunt::rank_id> ranks{};
  std::vector<std::int64_t> sixteenths{}, iterations{}, certain_ppm{};

  [[nodiscard]] shunt::slow_verdict verdict(std::size_t n) const {
    return {sixteenths[n], iterations[n], static_cast<double>(certain_ppm[n]) * 1e-6};
  }
};
inline seen_pace change_between(shunt::slow_verdicts const& before,
                                shunt::slow_verdicts const& now) {
  seen_pace all;
  for (shunt::rank_id const r : shunt::ids<shunt::rank_id>(now.size())) {
    if (before.contains(r) ? before[r].sixteenths == now[r].sixteenths : !now[r].slow()) continue;
    all.ranks.push_back(r);
    all.sixteenths.push_back(now[r].sixteenths);
    all.iterations.push_back(now[r].iterations);
    all.certain_ppm.push_back(static_cast<std::int64_t>(now[r].confidence * 1e6));
  }
  return all;
}

/// The same, and the first iteration that was planned for it.
struct pace_change {
  std::int64_t iteration = 0;
  seen_pace what{};
};

/// Calls `f(change, iteration)` for every change of paces.
template <class Run, class F>
void on_change_of_pace(Run& run, F f) {
  run.on_slow = [f, before = shunt::slow_verdicts{}](shunt::slow_verdicts const& now,
                                                     std::int64_t iteration) mutable {
    f(change_between(std::exchange(before, now), now), iteration);
  };
}

/// A line for each of them.
inline void print_pace(std::ostream& out, shunt::pipeline_job const& job, seen_pace const& c,
                       std::int64_t iteration) {
  for (std::size_t n = 0; n < c.ranks.size(); ++n) {
    auto const v = c.verdict(n);
    out << "worker " << shunt::describe(job.worker_of(c.ranks[n])) << " is "
        << (v.slow() ? format("%.4g times as slow as planned", v.factor())
                     : std::string("as fast as planned again"));
    if (v.iterations > 0)
      out << format(" (confidence %.4f, seen in %lld iteration%s)", v.confidence, v.iterations,
                    v.iterations == 1 ? "" : "s");
    out << ": iteration " << iteration << " is planned anew" << std::endl;
  }
}

/// The workers that are alive and slow in an iteration, by how much and since when.
inline std::vector<slow_at> slow_in(options const& o, std::int64_t iteration) {
  std::map<shunt::rank_id, slow_at> last;
  for (auto const& s : o.slow) {
    auto const r = o.training.job.rank_of(s.who);
    auto const known = last.find(r);
    if (s.iteration <= iteration && (known == last.end() || known->second.iteration < s.iteration))
      last[r] = s;
  }
  auto const dead = dead_in(o, iteration, true);
  std::vector<slow_at> all;
  for (auto const& [r, s] : last)
    if (s.factor > 1 && std::find(dead.begin(), dead.end(), s.who) == dead.end()) all.push_back(s);
  return all;
}
/// "1:2x2,0:1x1.5"
inline std::string text_of(std::vector<slow_at> const& slow, char between = ',') {
  std::string all;
  for (auto const& s : slow)
    all += (all.empty() ? std::string() : std::string(1, between)) + shunt::describe(s.who) +
           format("x%.4g", s.factor);
  return all;
}

/// Consecutive iterations with one planned period and the same slow and live workers.
struct period_row {
  std::int64_t first = 0, last = 0;
  std::string slow{};  ///< "none" where no worker is
  std::int32_t live = 0;
  double planned = 0;                ///< milliseconds
  std::optional<double> measured{};  ///< the median; nothing where all came after a start

  [[nodiscard]] std::string iterations() const {
    return std::to_string(first) + ".." + std::to_string(last);
  }
  [[nodiscard]] std::string took() const { return measured ? format("%.1f", *measured) : "-"; }
};
inline std::vector<period_row> periods_of(options const& o,
                                          std::vector<shunt::trained_iteration> const& trained) {
  double const unit = std::chrono::duration<double, std::milli>(o.training.unit).count();
  std::vector<period_row> rows;
  std::vector<double> took;
  for (auto const& i : trained) {
    auto slow = text_of(slow_in(o, i.iteration));
    if (slow.empty()) slow = "none";
    double const planned = static_cast<double>(i.planned) * unit;
    if (rows.empty() || rows.back().slow != slow || rows.back().live != i.live ||
        rows.back().planned != planned) {
      rows.push_back({i.iteration, i.iteration, slow, i.live, planned});
      took.clear();
    }
    rows.back().last = i.iteration;
    if (!i.took) continue;
    took.push_back(milliseconds(*i.took));
    rows.back().measured = shunt::spread(took).median;
  }
  return rows;
}

/// Planned and measured periods; nothing where no worker is to be slow.
inline void print_periods(std::ostream& out, options const& o, trained const& run) {
  if (o.slow.empty()) return;
  out << "periods, in milliseconds:\n"
      << format("%-12s %-20s %5s %9s %9s\n", "iterations", "slow", "live", "planned", "measured");
  for (auto const& row : periods_of(o, run.iterations))
    out << format("%-12s %-20s %5d %9.1f %9s\n", row.iterations(), row.slow, row.live, row.planned,
                  row.took());
}

}  // namespace example
