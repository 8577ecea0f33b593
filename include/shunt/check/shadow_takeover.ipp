#pragma once
#include "shunt/check/shadow_takeover.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <set>

#include "shunt/check/pipeline.hpp"
#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt::detail {

class takeover_checker {
 public:
  takeover_checker(pipeline_job const& job, std::int64_t lockstep, shadow_takeover const& plan)
      : job_(job), lockstep_(lockstep), plan_(plan), lost_(job.dead.back()) {}

  std::vector<takeover_violation> find_violations() {
    for (worker const w : job_.dead)
      if (before(w) == w || !job_.alive(before(w)))
        found_.push_back({.what = kind::fatal, .of_worker = w});
    if (!found_.empty()) return found_;
    if (plan_.lost != lost_) found_.push_back({.what = kind::lost, .of_worker = plan_.lost});
    if (plan_.shadow != before(lost_))
      found_.push_back({.what = kind::shadow, .of_worker = plan_.shadow});
    check_layout();
    if (!found_.empty()) return found_;
    for (auto const& broken : check(plan_.job, plan_.schedule))
      found_.push_back({.what = kind::following, .of = broken});
    check_extent();
    check_steps();
    if (found_.empty()) execute();
    return found_;
  }

 private:
  using kind = takeover_violation::kind;

  [[nodiscard]] worker before(worker w) const {
    return {w.pipeline, w.stage == 0 ? job_.stages - 1 : w.stage.value() - 1};
  }
  [[nodiscard]] bool early(operation const& o) const {
    return lockstep_of(o, job_.stages) < lockstep_;
  }

  void check_layout() {
    auto same = job_;
    same.dead.clear();
    same.layout = plan_.job.layout;
    if (!(same == plan_.job)) found_.push_back({.what = kind::job});
    std::set<rank_id> const live(plan_.survivors.begin(), plan_.survivors.end());
    auto const& ranks = plan_.job.layout.form() == stage_layout::shape::custom
                            ? plan_.job.layout.ranks_of_workers()
                            : std::vector<rank_id>{};
    std::set<rank_id> expected;
    for (rank_id r : ids<rank_id>(job_.ranks()))
      if (job_.alive(r)) expected.insert(r);
    if (live != expected || live.size() != plan_.survivors.size() ||
        ranks.size() != static_cast<std::size_t>(job_.workers()) ||
        plan_.job.layout.ranks(job_.pipelines, job_.stages) !=
            static_cast<std::int64_t>(live.size()))
      return found_.push_back({.what = kind::layout});
    std::size_t next = 0;
    for (pipeline_id p : ids<pipeline_id>(job_.pipelines))
      for (stage_id s : ids<stage_id>(job_.stages)) {
        worker const w{p, s};
        rank_id const wanted = job_.rank_of(job_.alive(w) ? w : before(w)), is = ranks[next++];
        if (is < 0 || is.index() >= plan_.survivors.size() || plan_.survivors[is.index()] != wanted)
          found_.push_back({.what = kind::layout, .of_worker = w});
      }
  }

  // Every forward and backward that remains is there once.
  void check_extent() {
    std::map<operation, int> wanted;  // 1: to be done, 2: done
    auto const p = lost_.pipeline;
    for (microbatch_id m : ids<microbatch_id>(job_.microbatches[p]))
      for (op_kind const k : {op_kind::forward, op_kind::backward})
        for (stage_id const s : {lost_.stage, before(lost_).stage})
          if (operation const o{k, p, s, m}; s == lost_.stage || !early(o)) wanted[o] = 1;
    for (operation const& o : plan_.reused) {
      operation const behind{op_kind::backward, p, before(lost_).stage, o.microbatch};
      auto const at = wanted.find(o);
      bool const possible = job_.dead.size() == 1 && at != wanted.end() && at->second == 1 &&
                            o.kind == op_kind::forward && o.stage == lost_.stage &&
                            lost_.stage > 0 && early(behind);
      if (!possible)
        found_.push_back({.what = kind::reused, .op = o});
      else
        at->second = 2;
    }
    for (operation const& o : plan_.resumed) {
      if (o.kind == op_kind::step) continue;
      auto const at = wanted.find(o);
      if (at == wanted.end() || at->second == 2)
        found_.push_back({.what = kind::surplus, .op = o});
      else
        at->second = 2;
    }
    for (auto const& [o, state] : wanted)
      if (state == 1) found_.push_back({.what = kind::missing, .op = o});
  }

  void check_steps() {
    for (stage_id const s : {before(lost_).stage, lost_.stage}) {
      operation const step{.kind = op_kind::step, .stage = s};
      auto const at = std::find(plan_.resumed.begin(), plan_.resumed.end(), step);
      if (at == plan_.resumed.end()) found_.push_back({.what = kind::missing, .op = step});
      for (auto later = at; later != plan_.resumed.end(); ++later)
        if (later != at && later->stage == s)
          found_.push_back({.what = *later == step ? kind::surplus : kind::step_early, .op = step});
    }
    for (operation const& o : plan_.resumed)
      if (o.kind == op_kind::step && (o.pipeline != 0 || o.microbatch != 0 ||
                                      (o.stage != lost_.stage && o.stage != before(lost_).stage)))
        found_.push_back({.what = kind::surplus, .op = o});
  }

  // Runs what remains of the pipeline's ranks, each as far as it can.
  void execute() {
    auto const p = lost_.pipeline;
    std::set<operation> done(plan_.reused.begin(), plan_.reused.end());
    std::map<rank_id, std::vector<operation>> lists;
    for (stage_id s : ids<stage_id>(job_.stages)) {
      for (microbatch_id m : ids<microbatch_id>(job_.microbatches[p]))
        for (op_kind const k : {op_kind::forward, op_kind::backward})
          if (operation const o{k, p, s, m}; s != lost_.stage && early(o)) done.insert(o);
      lists[plan_.job.rank_of({p, s})];
    }
    rank_id const shadow = plan_.job.rank_of(lost_);
    for (auto& [r, list] : lists)
      for (operation const& o : r == shadow ? plan_.resumed : plan_.schedule.order[r])
        if (o.kind != op_kind::step && (r == shadow || !early(o))) list.push_back(o);
    auto const ready = [&](operation const& o) {
      auto const has = [&](op_kind k, std::int32_t s) {
        return done.contains({k, p, s, o.microbatch});
      };
      auto const s = o.stage.value();
      if (o.kind == op_kind::forward) return s == 0 || has(op_kind::forward, s - 1);
      return has(op_kind::forward, s) && (s + 1 == job_.stages || has(op_kind::backward, s + 1));
    };
    std::map<rank_id, std::size_t> next;
    for (bool moved = true; moved;) {
      moved = false;
      for (auto const& [r, list] : lists)
        for (auto& i = next[r]; i < list.size() && ready(list[i]); ++i) {
          done.insert(list[i]);
          moved = true;
        }
    }
    for (auto const& [r, list] : lists)
      if (next[r] < list.size()) found_.push_back({.what = kind::waits, .op = list[next[r]]});
  }

  pipeline_job const& job_;
  std::int64_t lockstep_;
  shadow_takeover const& plan_;
  worker lost_;
  std::vector<takeover_violation> found_{};
};

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE std::string to_string(takeover_violation const& v) {
  using kind = takeover_violation::kind;
  std::string const w =
      "worker " + to_string(v.of_worker.pipeline) + ":" + to_string(v.of_worker.stage);
  std::string const what = "the " + std::string(describe(v.op));
  switch (v.what) {
    case kind::fatal: return w + " has no live shadow";
    case kind::lost: return w + " was not lost last";
    case kind::shadow: return w + " is not the shadow";
    case kind::job: return "the following iterations are those of another job";
    case kind::layout: return w + " is on another rank than its own or its shadow's";
    case kind::following: return "following iterations: " + to_string(v.of);
    case kind::reused: return what + " can't be reused";
    case kind::surplus: return what + " needn't be done here";
    case kind::missing: return what + " is missing";
    case kind::step_early: return what + " stands before an operation of its stage";
    case kind::waits: return what + " can never start";
  }
  return "unknown violation";
}

SHUNT_INLINE std::vector<takeover_violation> check(pipeline_job const& job, std::int64_t lockstep,
                                                   shadow_takeover const& plan) {
  validate(job);
  if (job.dead.empty()) throw invalid_problem("dead", "has no worker: none is lost");
  return detail::takeover_checker(job, lockstep, plan).find_violations();
}

}  // namespace shunt
