#pragma once
/// Judges what was seen of a history. Nothing here calls the protocol: it reads the acts on the
/// disk, the faults that took place and what the processes ended with.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "support/simulated/rehearsal.hpp"

namespace shunt::tests::simulated {

class judge {
 public:
  explicit judge(rehearsed const& seen) : seen_(seen), h_(seen.of) { read_acts(); }

  /// Returns what is wrong; empty: nothing.
  [[nodiscard]] std::vector<std::string> operator()() {
    if (!seen_.over) say("it does not end");
    if (seen_.cluster->net.messages_without_buffer > 0)
      say("a connection stops at a message whose buffer is gone");
    one_decision();
    who_is_lost();
    how_processes_end();
    times();
    return std::move(wrong_);
  }

  [[nodiscard]] std::int64_t decisions() const {
    return std::count_if(epochs_.begin(), epochs_.end(),
                         [](auto const& e) { return e.second.decided >= 0; });
  }
  [[nodiscard]] std::int64_t losses() const { return static_cast<std::int64_t>(lost_.size()); }

 private:
  using ranks = std::set<std::int32_t>;
  static constexpr nanos never = -1;

  /// What a member did in an epoch, for the first time.
  struct member {
    process const* of = nullptr;
    nanos came = never, came_running = never;          // signed in to the rendezvous
    nanos connects = never, connects_running = never;  // left its address
    nanos reported = never, reported_running = never;  // ready or failed
    bool failed = false;
    nanos left = never, left_running = never;    // signed in to the end
    nanos knows = never, knows_running = never;  // read the decision
  };
  struct epoch {
    std::map<std::int32_t, member> of{};
    nanos decided = never;
    std::string decision{};
    ranks invited{};
  };
  struct span_of_time {
    nanos from = 0, to = 0;
  };

  void say(std::string const& what) { wrong_.push_back(what); }

  // --- the acts ---

  void read_acts() {
    for (auto const& a : seen_.acts) {
      for (auto const& f : seen_.faults)
        if (f.what.kind == fault_kind::vanish && f.at <= a.at)
          for (auto& [r, all] : reports_)
            for (auto& s : all)
              if (s.from <= f.at) s.to = std::min(s.to, f.at);
      if (a.name.starts_with("ended") && !a.name.ends_with("draft")) {
        auto const r = std::stoi(a.name.substr(5));
        if (a.what == disk_act::write)
          reports_[r].push_back({a.at, std::numeric_limits<nanos>::max()});
        else if (!reports_[r].empty())
          reports_[r].back().to = std::min(reports_[r].back().to, a.at);
      }
      if (a.name.starts_with("invitation") && a.what == disk_act::rename) {
        std::istringstream in(a.text);
        int nth = 0;
        in >> nth;
        epochs_[nth].invited.insert(std::stoi(a.name.substr(10)));
      }
      if (!a.name.starts_with("epoch")) continue;
      auto const dot = a.name.find('.');
      auto const nth = std::stoi(a.name.substr(5));
      auto const what = a.name.substr(dot + 1);
      auto& e = epochs_[nth];
      if (what == "next") {
        if (a.what == disk_act::link) {
          if (e.decided >= 0) say(a.name + " was made twice");
          e.decided = a.at;
          e.decision = a.text;
        } else if (a.what == disk_act::read) {
          if (a.text != e.decision) say(a.name + " says another thing to a reader");
          auto& m = e.of[a.who->rank];
          if (m.knows == never || m.of != a.who) m.knows = a.at, m.knows_running = a.running;
        }
        continue;
      }
      auto const set = [&](std::string const& name, nanos member::* when, nanos member::* running) {
        if (!what.starts_with(name) || what.ends_with(".draft") || what.ends_with("draft"))
          return false;
        auto& m = e.of[std::stoi(what.substr(name.size()))];
        m.of = a.who;
        if (m.*when == never) m.*when = a.at, m.*running = a.running;
        return true;
      };
      if (a.what == disk_act::make_directory) {
        set("rank", &member::came, &member::came_running);
        set("ready", &member::reported, &member::reported_running);
      } else if (a.what == disk_act::rename && what.starts_with("address")) {
        auto& m = e.of[a.who->rank];  // these names say places, not ranks
        if (m.connects == never) m.connects = a.at, m.connects_running = a.running;
      } else if (a.what == disk_act::rename) {
        set("view", &member::left, &member::left_running);
        if (set("failed", &member::reported, &member::reported_running))
          e.of[std::stoi(what.substr(6))].failed = true;
      }
    }
  }
  [[nodiscard]] static ranks survivors(std::string const& decision) {
    ranks all;
    std::istringstream in(decision);
    std::int64_t r = 0, note = 0;
    while (in >> r >> note) all.insert(static_cast<std::int32_t>(r));
    return all;
  }
  [[nodiscard]] ranks members(int nth) const {
    ranks all;
    if (nth == 0) {
      for (std::int32_t r = 0; r < h_.ranks(); ++r) all.insert(r);
      return all;
    }
    if (auto const e = epochs_.find(nth - 1); e != epochs_.end())
      all = survivors(e->second.decision);
    if (auto const e = epochs_.find(nth); e != epochs_.end())
      all.insert(e->second.invited.begin(), e->second.invited.end());
    return all;
  }

  // --- who survives ---

  void one_decision() {
    std::map<std::int32_t, std::vector<std::int32_t>> held;
    for (auto const& l : seen_.lives)
      for (auto const& [nth, those] : l->members) {
        auto const& first = held.emplace(nth, those).first->second;
        if (first != those) say("members of epoch " + std::to_string(nth) + " differ");
      }
  }

  /// So many of these ranks a fault may cost.
  struct cost {
    ranks of{};
    std::size_t most = 0;
  };
  /// Returns what a fault may cost; nothing: no rank.
  [[nodiscard]] std::optional<cost> cost_of(done_fault const& f) const {
    ranks const struck(f.ranks.begin(), f.ranks.end());
    ranks const live(f.live.begin(), f.live.end());
    bool const short_one = f.until - f.at < h_.silence * millisecond / 2;
    switch (f.what.kind) {
      case fault_kind::kill:
      case fault_kind::crash:
      case fault_kind::stillborn: return cost{struck, struck.size()};
      case fault_kind::stop:
        if (short_one || struck == live) return std::nullopt;
        return cost{struck, struck.size()};
      case fault_kind::cut: {
        if (short_one) return std::nullopt;
        ranks one, other;  // new processes are cut off like those before them
        for (std::int32_t r = 0; r < h_.ranks(); ++r) (struck.contains(r) ? one : other).insert(r);
        // Of two that do not hear each other either may go: so many as the smaller side has.
        auto const most = std::min(one.size(), other.size());
        one.insert(other.begin(), other.end());
        return cost{one, most};
      }
      case fault_kind::split:
        if (short_one) return std::nullopt;
        return cost{struck, 1};
      case fault_kind::reset: return cost{struck, 1};
      default: return std::nullopt;
    }
  }
  /// Returns whether the faults from the n-th on, as far as they go on after a time, may cost all
  /// these ranks.
  [[nodiscard]] bool explained(ranks const& lost, std::size_t n = 0, nanos since = 0) const {
    if (lost.empty()) return true;
    if (n == seen_.faults.size()) return false;
    auto const may = cost_of(seen_.faults[n]);
    bool const counts = may && seen_.faults[n].until >= since;
    return explained_with(lost, counts ? *may : cost{}, n + 1, since);
  }
  /// The same, where the n-th fault may also cost these.
  [[nodiscard]] bool explained_with(ranks const& lost, cost const& may, std::size_t next,
                                    nanos since) const {
    if (explained(lost, next, since)) return true;
    if (may.most == 0) return false;
    return std::any_of(may.of.begin(), may.of.end(), [&](auto const r) {
      if (!lost.contains(r)) return false;
      auto left = lost;
      left.erase(r);
      auto rest = may;
      --rest.most;
      rest.of.erase(rest.of.begin(), rest.of.upper_bound(r));  // in ascending order
      return explained_with(left, rest, next, since);
    });
  }
  [[nodiscard]] static std::string listed(ranks const& all) {
    std::string text;
    for (auto const r : all) text += " " + std::to_string(r);
    return text;
  }

  void who_is_lost() {
    for (auto const& [nth, e] : epochs_) {
      if (e.decided < 0) continue;
      auto const left = survivors(e.decision);
      for (auto const r : members(nth))
        if (!left.contains(r)) lost_.insert(r);
    }
    for (auto const& l : seen_.lives)
      if (!l->finished && l->of->dead) lost_.insert(l->rank);
    if (!explained(lost_)) say("lost without a reason:" + listed(lost_));
  }

  /// Returns whether a process comes to an epoch when others have waited for all their patience.
  [[nodiscard]] bool comes_late(life const& l) const {
    for (auto const& [nth, e] : epochs_) {
      auto const own = e.of.find(l.rank);
      if (own == e.of.end() || own->second.of != l.of || own->second.came == never) continue;
      for (auto const& [r, m] : e.of)
        if (m.came != never && own->second.came > m.came + patience() - 100 * millisecond)
          return true;
    }
    return false;
  }

  void how_processes_end() {
    auto& job = known_job::of(h_);
    auto const& wanted = job.expected(h_.iterations);
    for (auto const& l : seen_.lives) {
      auto const who = "rank " + std::to_string(l->rank) + (l->joins ? " (new)" : "");
      if (l->of->end.starts_with("terminated")) say(who + " " + l->of->end);
      bool const struck = explained({l->rank}, 0, l->of->started);
      if (l->of->end.find("nobody asked") != std::string::npos)
        limit(l->of->ended - l->of->started - l->of->stood_still,
              20 * patience() + slack(l->of->started, l->of->ended), 0, l->rank, "to be asked");
      if (!l->finished) {
        bool const unasked = l->joins && !l->asked;
        if (!unasked && !comes_late(*l) && (!struck || !l->of->dead))
          say(who + " does not come to the end: " + (l->of->dead ? l->of->end : "it waits"));
        continue;
      }
      if (!l->in_order) say(who + " completed iterations out of order");
      ranks const dead(l->dead.begin(), l->dead.end());
      if (!l->stopped.empty()) {
        std::vector<rank_id> without(l->dead.begin(), l->dead.end());
        if (job.plan(without)) say(who + " stopped though it had a plan: " + l->stopped);
        continue;
      }
      if (l->end != h_.iterations) say(who + " ended early");
      if (l->states != wanted[static_cast<std::size_t>(l->rank)]) say(who + " has wrong weights");
      if (!dead.empty() && !explained(dead)) say(who + " thinks dead:" + listed(dead));
    }
  }

  // --- how long they wait ---

  /// Returns whether a fault of these kinds has an effect between two times, or soon before.
  template <class... Kinds>
  [[nodiscard]] bool disturbed(nanos from, nanos to, Kinds... kinds) const {
    return std::any_of(seen_.faults.begin(), seen_.faults.end(), [&](auto const& f) {
      return ((f.what.kind == kinds) || ...) && f.at <= to && f.until + soon() >= from;
    });
  }
  [[nodiscard]] nanos soon() const { return 100 * millisecond; }
  [[nodiscard]] nanos patience() const { return h_.patience * millisecond; }
  [[nodiscard]] nanos silence() const { return h_.silence * millisecond; }
  /// The most by which a wait may be longer than stated: steps of waits, stops, a slow disk or a
  /// full one.
  [[nodiscard]] nanos slack(nanos from, nanos to) const {
    nanos all = 30 * millisecond;
    for (auto const& f : seen_.faults) {
      if (f.at > to || f.until + soon() < from) continue;
      if (f.what.kind == fault_kind::stop) all += 110 * millisecond;
      if (f.what.kind == fault_kind::slow) all += 300 * millisecond;
      if (f.what.kind == fault_kind::full) all += f.until - f.at;
    }
    return all;
  }
  void limit(nanos took, nanos most, int nth, std::int32_t r, std::string const& what) {
    if (took > most)
      say("epoch " + std::to_string(nth) + ": rank " + std::to_string(r) + " waits " +
          std::to_string(took / millisecond) + " ms, not " + std::to_string(most / millisecond) +
          ", " + what);
  }
  [[nodiscard]] nanos end_of(process const& p) const { return p.dead ? p.ended : seen_.ended; }

  void times() {
    for (auto const& [nth, e] : epochs_)
      for (auto const& [r, m] : e.of) {
        if (!m.of) continue;
        wait_to_come(nth, e, r, m);
        wait_to_agree(nth, e, r, m);
      }
    for (auto const& f : seen_.faults)
      if (f.what.kind == fault_kind::kill || f.what.kind == fault_kind::crash) notice(f);
  }

  void wait_to_come(int nth, epoch const& e, std::int32_t r, member const& m) {
    if (m.came == never) return;
    nanos end = end_of(*m.of), running = end - m.of->stood_still;
    auto const first = [&](nanos at, nanos at_running) {
      if (at != never && at < end) end = at, running = at_running;
    };
    first(m.connects, m.connects_running);
    first(m.reported, m.reported_running);
    first(m.left, m.left_running);
    nanos const more = slack(m.came, end);
    limit(running - m.came_running, patience() + more, nth, r, "for others to come");

    // Where all that have not come have ended, and that was said, none waits.
    nanos known = m.came;
    bool all_ended = true, any = false;
    for (auto const other : members(nth)) {
      auto const there = e.of.find(other);
      if (there != e.of.end() && there->second.came != never && there->second.came < end) {
        known = std::max(known, there->second.came);
        continue;
      }
      any = true;
      nanos since = never;
      auto const said = reports_.find(other);
      if (said != reports_.end())
        for (auto const& s : said->second)
          if (s.from < end && s.to > end) since = s.from;
      all_ended = all_ended && since != never;
      known = std::max(known, since);
    }
    if (any && all_ended &&
        !disturbed(m.came, end, fault_kind::stop, fault_kind::slow, fault_kind::full))
      limit(end - known, 30 * millisecond, nth, r, "for those that have ended");

    if (m.connects != never) {
      nanos const reported = m.reported != never ? m.reported : end_of(*m.of);
      nanos const reported_running =
          m.reported != never ? m.reported_running : reported - m.of->stood_still;
      limit(reported_running - m.connects_running,
            std::max(patience(), 5 * silence() / 2) + slack(m.connects, reported), nth, r,
            "to connect");
    }
    if (m.reported != never && m.left != never) {
      auto const those = members(nth);
      bool const all_ready = std::all_of(those.begin(), those.end(), [&](auto const other) {
        auto const there = e.of.find(other);
        return there != e.of.end() && there->second.reported != never && !there->second.failed;
      });
      if (!all_ready)
        limit(m.left_running - m.reported_running,
              patience() + silence() + slack(m.reported, m.left), nth, r, "for others to connect");
    }
  }

  /// From when nothing changes any more there is a decision within the stated time.
  void wait_to_agree(int nth, epoch const& e, std::int32_t r, member const& m) {
    if (m.left == never) return;
    nanos const end = m.knows != never ? m.knows : end_of(*m.of);
    nanos since = m.left;
    for (auto const& [other, there] : e.of)
      if (there.left != never && there.left < end) since = std::max(since, there.left);
    for (auto const change : seen_.changes)
      if (change < end) since = std::max(since, change);
    limit(end - since, patience() + 4 * silence() + slack(m.left, end), nth, r, "to agree");
  }

  /// A death is noticed within `silence` and a quarter, where a mesh watches.
  void notice(done_fault const& f) {
    nanos const bound = silence() * 5 / 4 + 60 * millisecond;
    auto const dead = f.ranks.front();
    for (auto const& [nth, e] : epochs_) {
      auto const those = members(nth);
      if (!those.contains(dead)) continue;
      bool meshed = true;
      nanos whole = 0;
      for (auto const r : those) {
        auto const there = e.of.find(r);
        meshed = meshed && there != e.of.end() && there->second.reported != never &&
                 !there->second.failed;
        if (meshed) whole = std::max(whole, there->second.reported);
      }
      if (!meshed || f.at < whole + silence()) continue;  // the first heartbeat may be late
      for (auto const r : those) {
        auto const& m = e.of.at(r);
        if (r == dead || m.of->ended < f.at ||
            disturbed(f.at - bound, f.at + bound, fault_kind::stop, fault_kind::cut,
                      fault_kind::split, fault_kind::slow, fault_kind::full) ||
            (m.of->dead && m.of->ended < f.at + bound))
          continue;
        if (m.left != never && m.left <= f.at) continue;
        nanos const left = m.left != never ? m.left : end_of(*m.of);
        limit(left - f.at, bound, nth, r, "to notice a death");
      }
    }
  }

  rehearsed const& seen_;
  history const& h_;
  std::map<int, epoch> epochs_{};
  std::map<std::int32_t, std::vector<span_of_time>> reports_{};
  ranks lost_{};
  std::vector<std::string> wrong_{};
};

/// Returns what is wrong with a history; empty: nothing.
[[nodiscard]] inline std::vector<std::string> faults_of(history const& h) {
  auto const seen = rehearsal(h)();
  return judge(seen)();
}

}  // namespace shunt::tests::simulated
