#pragma once
/// Plays a history: virtual processes train through it, and what is seen of them is written down.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/core/indexed.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/gloo/executor.hpp"
#include "shunt/gloo/join_request.hpp"
#include "shunt/gloo/process_end.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/pipeline_join.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/program/program.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "support/integer_pipeline.hpp"
#include "support/simulated/history.hpp"
#include "support/simulated/platform.hpp"

namespace shunt::tests::simulated {

using integer_pipeline::dead_ranks;
using integer_pipeline::number;

/// A job with its plans and how it ends, found once.
class known_job {
 public:
  explicit known_job(history const& h)
      : plans_({.pipelines = h.pipelines,
                .stages = h.stages,
                .microbatches = h.microbatches,
                .costs = {1, 1, 1, 3}},
               [](pipeline_job const& job) { return slipstream{.effort = 2'000}(job); }) {}

  static known_job& of(history const& h) {
    static std::map<std::tuple<int, int, int>, std::unique_ptr<known_job>> all;
    auto& one = all[{h.pipelines, h.stages, h.microbatches}];
    if (!one) one = std::make_unique<known_job>(h);
    return *one;
  }

  [[nodiscard]] pipeline_job const& job() const { return plans_.job(); }
  [[nodiscard]] std::optional<program> plan(dead_ranks dead) {
    if (stage_without_worker(plans_.without(dead))) return std::nullopt;
    std::vector<rank_id> const key(dead.begin(), dead.end());
    auto& p = programs_[key];
    if (!p)
      p = std::make_unique<program>(lower(plans_.without(dead), plans_.plan(dead), tensors()));
    return *p;
  }
  [[nodiscard]] std::optional<program> transfer(rank_id joining, dead_ranks dead) const {
    auto const without = plans_.without(dead);
    if (stage_without_worker(without)) return std::nullopt;
    return lower_join(without, {job().worker_of(joining)}, tensors());
  }
  /// Returns the states after so many iterations without faults, by rank and chunk.
  [[nodiscard]] std::vector<std::vector<number>> const& expected(std::int64_t iterations) {
    auto& known = expected_[iterations];
    if (known.empty()) known = integer_pipeline::undisturbed(plans_, iterations);
    return known;
  }

 private:
  [[nodiscard]] static pipeline_tensors const& tensors() { return integer_pipeline::tensors; }

  integer_pipeline::planner plans_;
  std::map<std::vector<rank_id>, std::unique_ptr<program>> programs_{};
  std::map<std::int64_t, std::vector<std::vector<number>>> expected_{};
};

/// Takes virtual time, and restores as the documentation says: kept is copied over state.
class timed_work : public integer_pipeline::toy_pipeline {
 public:
  timed_work(known_job& of, nanos longest)
      : toy_pipeline(of.job()), job_(of.job()), longest_(longest) {
    fit(*of.plan({}));
  }
  void operator()(rank_id r, task const& t) {
    auto& w = *current_world();
    w.sleep(1 + w.below(longest_));
    toy_pipeline::operator()(r, t);
  }
  void restore(rank_id r, std::int64_t) {
    for (std::int32_t c = 0; c < static_cast<std::int32_t>(job_.stages_of(r).size()); ++c)
      *at(r, {pipeline_buffers::state(c), 0, 8}) = *at(r, {pipeline_buffers::kept(c), 0, 8});
  }

 private:
  pipeline_job job_;
  nanos longest_;
};
static_assert(restorable_work<timed_work>);

/// An act on the disk, as seen from outside.
struct seen_act {
  nanos at = 0, running = 0;  ///< without the time in which the process stood still
  process const* who = nullptr;
  disk_act what{};
  std::string name{}, text{};
};

/// What is known of a process.
struct life {
  process* of = nullptr;
  std::int32_t rank = 0;
  bool joins = false, asked = false, finished = false, in_order = true;
  std::int64_t end = 0;
  std::string stopped{};
  std::vector<std::int32_t> dead{};
  std::vector<number> states{};
  std::map<std::int32_t, std::vector<std::int32_t>> members{};  ///< by epoch, as it held them
};

/// A fault as it took place.
struct done_fault {
  fault what{};
  nanos at = 0, until = 0;
  std::vector<std::int32_t> ranks{}, live{};  ///< of those that it struck; that lived
};

struct rehearsed {
  history of{};
  std::vector<seen_act> acts{};
  std::vector<std::unique_ptr<life>> lives{};
  std::vector<done_fault> faults{};
  std::vector<nanos> changes{};  ///< when something went wrong or right again
  bool over = false;
  nanos begun = 0, ended = 0;
  std::uint64_t trace = 0;
  std::int64_t events = 0;
  std::unique_ptr<virtual_cluster> cluster{};  ///< owns the processes
};

/// Plays one history.
class rehearsal {
 public:
  explicit rehearsal(history const& h) : job_(known_job::of(h)) {
    out_.of = h;
    out_.cluster = std::make_unique<virtual_cluster>(h.seed);
    (void)job_.expected(h.iterations);
    (void)job_.plan({});
  }

  [[nodiscard]] rehearsed operator()() && {
    auto& w = time();
    auto const& h = out_.of;
    w.coarseness = (1 + w.below(4)) * 500 * microsecond;
    w.latency = w.one_in(4) ? 500 * microsecond : 20 * microsecond;
    cluster().net.lost_once_in = h.lost_once_in;
    cluster().net.sent_again_after = h.silence * millisecond * 2 / 5;
    planning_ = w.one_in(2) ? w.below(60 * millisecond) : 0;
    longest_ = (1 + w.below(4)) * millisecond;
    cluster().files.seen = [this](auto const* who, auto what, auto const& name, auto const& text) {
      see(who, what, name, text);
    };
    w.on_end = [this](process& p) { ended(p); };
    (void)cluster().files.own_directory(directory);
    latest_.assign(static_cast<std::size_t>(h.ranks()), nullptr);
    started_.assign(h.joins.size(), false);
    for (std::int32_t r = 0; r < h.ranks(); ++r)
      w.at(w.now() + w.below(10 * millisecond), [this, r] { start(r, false); });
    nanos const limit = w.now() + (40 * h.patience + 60 * h.silence) * millisecond;
    w.run(limit, [this] { return over(); });
    out_.over = over();
    out_.ended = w.now();
    out_.trace = w.trace();
    out_.events = w.happened();
    return std::move(out_);
  }

 private:
  static constexpr char const* directory = "/meet";

  [[nodiscard]] virtual_cluster& cluster() { return *out_.cluster; }
  [[nodiscard]] world& time() { return out_.cluster->time; }
  [[nodiscard]] gloo_config config() const {
    return {.directory = directory,
            .files = std::make_shared<virtual_files const>(),
            .silence = std::chrono::milliseconds(out_.of.silence),
            .patience = std::chrono::milliseconds(out_.of.patience)};
  }

  void see(process const* who, disk_act what, std::string const& name, std::string const& text) {
    auto const now = time().now();
    if (what == disk_act::read && !name.ends_with(".next")) return;
    out_.acts.push_back({now, who ? now - who->stood_still : now, who, what,
                         name.substr(name.rfind('/') + 1), text});
    if (name.ends_with(".next")) {
      if (what == disk_act::link) aware_.clear(), latest_decision_ = name;
      if (name == latest_decision_) aware_.insert(who);
    }
    if (auto const at = name.find("/epoch"); what == disk_act::rename && who &&
                                             name.find(".view") != std::string::npos &&
                                             std::stoi(name.substr(at + 6)) >= agreed_) {
      agreed_ = std::stoi(name.substr(at + 6)) + 1;
      ++agreements_;
      for (auto const& f : out_.of.faults)
        if (f.meeting < 0 && -f.meeting == agreements_)
          time().at(now + f.at * millisecond, [this, f] { strike(f); });
    }
    if (auto const at = name.find("/epoch"); what == disk_act::make_directory &&
                                             name.find(".rank") != std::string::npos &&
                                             std::stoi(name.substr(at + 6)) > met_) {
      met_ = std::stoi(name.substr(at + 6));
      ++meetings_;
      for (auto const& f : out_.of.faults)
        if (f.meeting > 0 && f.meeting == meetings_)
          time().at(now + f.at * millisecond, [this, f] { strike(f); });
    }
    if (what == disk_act::make_directory && name.find("/epoch0.ready") != std::string::npos &&
        ++ready_ == out_.of.ranks())
      begin();
  }

  /// All have met: faults begin.
  void begin() {
    auto& w = time();
    out_.begun = w.now();
    for (auto const& f : out_.of.faults)
      if (f.kind != fault_kind::stillborn && f.meeting == 0)
        w.at(w.now() + f.at * millisecond, [this, f] { strike(f); });
    w.at(w.now(), [this] { start_joining(); });
  }

  void start(std::int32_t rank, bool joins) {
    auto& one = *out_.lives.emplace_back(std::make_unique<life>());
    one.rank = rank;
    one.joins = joins;
    report_start(config(), rank);
    auto const n = static_cast<std::int64_t>(
        std::count_if(out_.lives.begin(), out_.lives.end(),
                      [&](auto const& l) { return l->rank == rank && l->joins; }) -
        1);
    one.of = &time().start(rank, [this, &one, n] { work(one, n); });
    latest_[static_cast<std::size_t>(rank)] = &one;
  }

  /// The program of a process.
  void work(life& me, std::int64_t nth_joining) {
    auto const& h = out_.of;
    try {
      timed_work w(job_, longest_);
      recovery what{.end = h.iterations};
      for (auto const& j : h.joins) what.joins.push_back({j.rank, j.iteration});
      auto const executor = [&]() -> basic_gloo_executor<virtual_platform> {
        if (!me.joins) return {config(), h.ranks(), me.rank};
        auto const asked =
            await_join_request<virtual_platform>(config(), me.rank, 20 * config().patience);
        me.asked = true;
        for (auto const& f : h.faults)
          if (f.kind == fault_kind::stillborn && f.ranks.front() == me.rank && f.at == nth_joining)
            die_soon(me, f);
        what.first = asked.iteration;
        what.dead = asked.dead;
        return {config(), h.ranks(), me.rank, asked};
      }();
      auto next = what.first;
      auto const note = [&] {
        auto& held = me.members[executor.epoch()];
        held.clear();
        for (rank_id const r : executor.members()) held.push_back(r.value());
      };
      auto const report = run_through_losses(
          executor, w, what,
          [&](dead_ranks dead) {
            note();
            if (planning_ > 0) time().sleep(time().below(planning_));
            auto p = job_.plan(dead);
            if (p) w.fit(*p);
            return p;
          },
          [&](completed_iteration const& c) {
            me.in_order = me.in_order && c.iteration == next++;
            begun_ = std::max(begun_, c.iteration + 1);
          },
          [&](rank_id joining, dead_ranks dead) { return job_.transfer(joining, dead); });
      note();
      me.end = report.end;
      me.stopped = report.stopped;
      for (rank_id const r : report.dead) me.dead.push_back(r.value());
      me.states = integer_pipeline::states_of(w, job_.job())[static_cast<std::size_t>(me.rank)];
      me.in_order = me.in_order && next == report.end;
      me.finished = true;
    } catch (fenced_off const& error) {
      me.of->end = std::string("fenced off: ") + error.what();
    } catch (std::exception const& error) {
      me.of->end = std::string("failed: ") + error.what();
    }
  }

  void die_soon(life& me, fault const& f) {
    auto& w = time();
    w.at(w.now() + f.lasts * millisecond, [this, &me, f] {
      if (me.of->dead) return;
      note_fault(f, {me.rank});
      time().kill(*me.of, "killed");
    });
  }

  // --- what starts the processes ---

  [[nodiscard]] life* living(std::int32_t rank) const {
    auto* const l = latest_[static_cast<std::size_t>(rank)];
    return l && !l->of->dead ? l : nullptr;
  }
  void start_joining() {
    auto& w = time();
    for (std::size_t j = 0; j < out_.of.joins.size(); ++j) {
      auto const& c = out_.of.joins[j];
      if (started_[j] || begun_ + 1 < c.iteration || living(c.rank) || starting_.contains(c.rank))
        continue;
      started_[j] = true;
      starting_.insert(c.rank);
      // What starts processes may be late, though not too late.
      auto const late = w.one_in(3) ? w.below(out_.of.patience * millisecond * 3 / 5) : 0;
      w.at(w.now() + late, [this, c] { launch(c.rank); });
    }
    if (!over()) w.at(w.now() + 1 + w.below(10 * millisecond), [this] { start_joining(); });
  }
  void launch(std::int32_t rank) {
    if (time().now() < all_stopped_until_)  // it stands still with all others
      return time().at(all_stopped_until_, [this, rank] { launch(rank); });
    starting_.erase(rank);
    start(rank, true);
  }
  void ended(process& p) {
    out_.changes.push_back(time().now());
    auto& w = time();
    w.at(w.now() + 1 + w.below(10 * millisecond), [this, &p] {
      if (latest_[static_cast<std::size_t>(p.rank)]->of != &p || starting_.contains(p.rank)) return;
      for (std::size_t j = 0; j < out_.of.joins.size(); ++j)
        if (!started_[j] && out_.of.joins[j].rank == p.rank) return;
      report_end(config(), p.rank);
    });
  }
  /// Whether all have ended but those that wait to be asked.
  [[nodiscard]] bool over() const {
    if (out_.begun == 0) return false;
    return std::all_of(latest_.begin(), latest_.end(), [](life const* l) {
      return l->of->dead || (l->joins && !l->asked && !l->of->stopped);
    });
  }

  // --- what goes wrong ---

  void note_fault(fault const& f, std::vector<std::int32_t> ranks) {
    auto& w = time();
    done_fault done{f, w.now(), w.now() + f.lasts * millisecond, std::move(ranks), {}};
    for (std::int32_t r = 0; r < out_.of.ranks(); ++r)
      if (living(r)) done.live.push_back(r);
    out_.faults.push_back(std::move(done));
    out_.changes.push_back(w.now());
    if (f.lasts > 0) out_.changes.push_back(w.now() + f.lasts * millisecond);
  }
  void strike(fault const& f) {
    auto& w = time();
    nanos const until = w.now() + f.lasts * millisecond;
    std::vector<std::int32_t> there;  // those of its ranks that live
    for (std::int32_t r = 0; r < out_.of.ranks(); ++r)
      if (living(r) && (f.ranks.empty() || std::count(f.ranks.begin(), f.ranks.end(), r) > 0))
        there.push_back(r);
    switch (f.kind) {
      case fault_kind::kill:
      case fault_kind::crash:
        for (auto const r : there) {
          note_fault(f, {r});
          w.kill(*living(r)->of, "killed", f.kind == fault_kind::crash);
        }
        return;
      case fault_kind::stop:
        for (auto const r : there) {
          w.stop(*living(r)->of, until);
        }
        if (f.ranks.empty()) all_stopped_until_ = std::max(all_stopped_until_, until);
        return note_fault(f, there);
      case fault_kind::cut:
      case fault_kind::split: {
        network::cut c{.until = until};
        if (f.kind == fault_kind::split) {
          c.one = {f.ranks[0]}, c.other = {f.ranks[1]};
        } else {
          for (std::int32_t r = 0; r < out_.of.ranks(); ++r)
            (std::count(f.ranks.begin(), f.ranks.end(), r) > 0 ? c.one : c.other).insert(r);
        }
        cluster().net.cuts.push_back(c);
        return note_fault(f, f.ranks);
      }
      case fault_kind::reset:
        cluster().net.reset(f.ranks[0], f.ranks[1]);
        return note_fault(f, f.ranks);
      case fault_kind::full:
        cluster().files.full_until = std::max(cluster().files.full_until, until);
        return note_fault(f, {});
      case fault_kind::slow:
        cluster().files.slow_until = std::max(cluster().files.slow_until, until);
        return note_fault(f, {});
      case fault_kind::vanish:
        if (over()) return;
        if (!disk_is_quiet()) {
          w.at(w.now() + 2 * millisecond, [this, f] { strike(f); });
          return;
        }
        cluster().files.vanish(directory);
        return note_fault(f, {});
      case fault_kind::stillborn: return;
    }
  }
  /// Whether no process agrees or meets, and all know the latest decision.
  [[nodiscard]] bool disk_is_quiet() {
    auto const now = time().now();
    return std::all_of(latest_.begin(), latest_.end(), [&](life const* l) {
      auto const& p = *l->of;
      if (p.dead || (l->joins && !l->asked)) return true;
      return (aware_.empty() || aware_.contains(&p)) &&
             (p.stopped ? p.stopped_at : now) - p.stood_still - p.disk_used > 20 * millisecond;
    });
  }

  rehearsed out_{};
  known_job& job_;
  nanos all_stopped_until_ = 0;
  nanos longest_ = 0, planning_ = 0;  // of an operation, and of a plan
  std::int32_t ready_ = 0, met_ = 0, meetings_ = 0, agreed_ = 0, agreements_ = 0;
  std::int64_t begun_ = 0;
  std::string latest_decision_{};
  std::set<process const*> aware_{};   // of the latest decision
  std::vector<life*> latest_{};        // by rank
  std::vector<bool> started_{};        // by join
  std::set<std::int32_t> starting_{};  // ranks whose new process is late
};

/// Prints what was seen, in virtual milliseconds since training began.
inline void print(std::ostream& out, rehearsed const& seen) {
  constexpr std::array<char const*, 6> acts{"writes", "renames to", "links",
                                            "makes",  "reads",      "removes"};
  auto const ms = [&](nanos at) { return static_cast<double>(at - seen.begun) * 1e-6; };
  auto const list = [&](std::vector<std::int32_t> const& ranks) {
    for (auto const r : ranks) out << ' ' << r;
  };
  for (auto const& a : seen.acts) {
    out << ms(a.at) << " ms: ";
    if (a.who) out << "rank " << a.who->rank << " (process " << a.who->number << ") ";
    out << acts[static_cast<std::size_t>(a.what)] << ' ' << a.name << ' ' << a.text << '\n';
  }
  for (auto const& f : seen.faults) {
    out << fault_names[static_cast<std::size_t>(f.what.kind)];
    list(f.ranks);
    out << " at " << ms(f.at) << " ms until " << ms(f.until) << " ms\n";
  }
  for (auto const& l : seen.lives) {
    out << "rank " << l->rank << " (process " << l->of->number << (l->joins ? ", new) " : ") ");
    if (!l->of->dead)
      out << "has not ended";
    else
      out << "ended at " << ms(l->of->ended) << " ms";
    if (l->finished) out << " after " << l->end << " iterations";
    out << ' ' << l->stopped << l->of->end << '\n';
  }
}

}  // namespace shunt::tests::simulated
