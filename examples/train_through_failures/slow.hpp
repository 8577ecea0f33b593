#pragma once
/// --slow: workers that become slower, or as fast as before, while they train.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
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

/// Makes workers slow as asked, and lets the run find them; nothing where none is to be slow.
template <class Run>
void watch_slow(Run& run, options const& o) {
  if constexpr (requires { run.watch(); }) {
    if (o.slow.empty()) return;
    std::vector<shunt::stretch> all;
    for (auto const& s : o.slow)
      all.push_back({o.training.job.rank_of(s.who), s.factor, s.iteration});
    run.work().stretch_by(std::move(all));
    run.watch({.tolerated = 1.2});
  }
}

/// Workers whose pace is another than before: what a run says of them.
struct seen_pace {
  std::vector<shunt::rank_id> ranks{};
  std::vector<std::int64_t> sixteenths{}, iterations{}, certain_ppm{};
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
    shunt::slow_verdict const v{c.sixteenths[n], c.iterations[n],
                                static_cast<double>(c.certain_ppm[n]) * 1e-6};
    out << "worker " << shunt::describe(job.worker_of(c.ranks[n])) << " is "
        << (v.slow() ? format("%.4g times as slow as planned", v.factor())
                     : std::string("as fast as planned again"));
    if (v.iterations > 0)
      out << format(" (confidence %.4f, seen in %lld iteration%s)", v.confidence, v.iterations,
                    v.iterations == 1 ? "" : "s");
    out << ": iteration " << iteration << " is planned anew" << std::endl;
  }
}

/// The workers that are slow in an iteration, and by what factor.
inline std::string slow_in(options const& o, std::int64_t iteration) {
  std::map<shunt::rank_id, slow_at> last;
  for (auto const& s : o.slow) {
    auto const r = o.training.job.rank_of(s.who);
    auto const known = last.find(r);
    if (s.iteration <= iteration && (known == last.end() || known->second.iteration < s.iteration))
      last[r] = s;
  }
  std::string all;
  for (auto const& [r, s] : last)
    if (s.factor > 1)
      all += (all.empty() ? "" : ",") + shunt::describe(s.who) + format("x%.4g", s.factor);
  return all.empty() ? "none" : all;
}

/// Planned and measured periods, of consecutive iterations with one plan and the same slow workers.
inline void print_periods(std::ostream& out, options const& o, trained const& run) {
  if (o.slow.empty()) return;
  double const unit = std::chrono::duration<double, std::milli>(o.training.unit).count();
  out << "periods, in milliseconds:\n"
      << format("%-12s %-20s %5s %9s %9s\n", "iterations", "slow", "live", "planned", "measured");
  for (std::size_t n = 0; n < run.iterations.size();) {
    auto const& first = run.iterations[n];
    auto const slow = slow_in(o, first.iteration);
    std::vector<double> took;
    auto last = first.iteration;
    for (; n < run.iterations.size(); ++n) {
      auto const& i = run.iterations[n];
      if (i.planned != first.planned || i.live != first.live || slow_in(o, i.iteration) != slow)
        break;
      last = i.iteration;
      if (i.took) took.push_back(milliseconds(*i.took));
    }
    out << format("%-12s %-20s %5d %9.1f %9s\n",
                  (std::to_string(first.iteration) + ".." + std::to_string(last)).c_str(),
                  slow.c_str(), first.live, static_cast<double>(first.planned) * unit,
                  took.empty() ? "-" : format("%.1f", shunt::spread(took).median).c_str());
  }
}

}  // namespace example
