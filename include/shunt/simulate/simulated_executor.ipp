#pragma once
#include "shunt/simulate/simulated_executor.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace shunt {

template <cost_model Cost, work Work>
void simulated_session<Cost, Work>::submit(std::shared_ptr<program const> p) {
  auto const n = submitted_.size();
  submitted_.append(p, [&](program const& q) {
    submitted_.require_same_ranks(q);
    auto const known = std::find_if(runs_.begin(), runs_.end(),
                                    [&](auto const& r) { return r.made_of->what == p; });
    runs_.push_back({known != runs_.end() ? known->made_of
                                          : std::make_shared<detail::prepared_program const>(p)});
  });
  ranks_.resize(runs_.front().made_of->what->ranks.size());
  if (runs_.back().made_of->order.share_links()) able_.order_by_time();
  for (rank_id const r : ids<rank_id>(ranks_.size()))
    if (auto const& s = ranks_[r.index()]; s.programs == n && !s.silent)
      able_.push({s.free_at, r, entry::begin_of_list});
}

template <cost_model Cost, work Work>
outcome simulated_session<Cost, Work>::wait() {
  submitted_.close();
  (void)wait_until(submitted_.size());
  submitted_.rethrow_failure();
  outcome all;
  std::size_t events = 0;
  for (auto const& run : runs_) events += run.start.size();
  all.timeline.events.reserve(events);
  for (rank_id const r : ids<rank_id>(ranks_.size())) {
    auto const& s = ranks_[r.index()];
    all.done.push_back(detail::report(r, s, runs_, stop_at_, all.timeline.events));
    if (s.silent) all.lost.push_back(r);
  }
  return all;
}

template <cost_model Cost, work Work>
void simulated_session<Cost, Work>::advance() {
  if (able_.empty() || able_.front().time >= stop_at_) return stop();
  for (std::optional<entry> e = able_.pop(); e;) {
    e = take(*e);
    if (e && able_.by_time() && (e->time >= stop_at_ || (!able_.empty() && able_.front() < *e))) {
      able_.push(*e);
      break;
    }
  }
}

template <cost_model Cost, work Work>
void simulated_session<Cost, Work>::stop() {
  for (auto const& e : able_.all()) {  // lists that end at this very moment have ended
    auto const& s = ranks_[e.rank.index()];
    if (e.time != stop_at_ || s.silent || e.instruction != length(e.rank)) continue;
    if (e.instruction == s.fails_before)
      mark_failed(e.rank, e.time);
    else
      end_list(e.rank, e.time);
  }
  over_ = true;
  if (any_silent_) return;
  for (rank_id const r : ids<rank_id>(ranks_.size()))
    if (auto const n = ranks_[r.index()].programs; n < static_cast<std::int32_t>(runs_.size()))
      throw invalid_program("rank " + std::to_string(r.value()) +
                            " would wait forever in program " + std::to_string(n));
}

template <cost_model Cost, work Work>
auto simulated_session<Cost, Work>::take(entry const& e) -> std::optional<entry> {
  auto& s = ranks_[e.rank.index()];
  if (s.silent) return {};
  if (e.instruction == entry::begin_of_list) {
    begin_list(e.rank, e.time);
    return {};
  }
  if (e.instruction == s.fails_before) {
    mark_failed(e.rank, e.time);
    return {};
  }
  if (e.instruction < length(e.rank)) return start(e, runs_[static_cast<std::size_t>(s.programs)]);
  end_list(e.rank, e.time);
  if (s.programs < static_cast<std::int32_t>(runs_.size())) begin_list(e.rank, e.time);
  return {};
}

template <cost_model Cost, work Work>
void simulated_session<Cost, Work>::begin_list(rank_id r, ticks now) {
  auto& s = ranks_[r.index()];
  auto& run = runs_[static_cast<std::size_t>(s.programs)];
  program const& p = *run.made_of->what;
  if (!run.begun) run.begin(real);
  if constexpr (real) effects_.bind(p, r);
  s.free_at = now;
  s.remaining = length(r);
  s.fails_before =
      detail::failure_of(config_.failures, p, r, first_iteration_ + s.programs).value_or(-1);
  if (!run.made_of->order.several(r)) return able_.push({now, r, 0});
  auto const first = run.made_of->d.first[r.index()];
  for (std::int32_t i = 0; i < s.remaining; ++i)
    if (run.waits[static_cast<std::size_t>(first + i)] == 0) able_.push({now, r, i});
}

template <cost_model Cost, work Work>
void simulated_session<Cost, Work>::end_list(rank_id r, ticks now) {
  auto& s = ranks_[r.index()];
  auto& run = runs_[static_cast<std::size_t>(s.programs++)];
  run.ended_at = std::max(run.ended_at, now);
  if (++run.ranks_done < static_cast<std::int32_t>(ranks_.size())) return;
  run.messages.clear();
  submitted_.completed(run.ended_at);
}

template <cost_model Cost, work Work>
auto simulated_session<Cost, Work>::start(entry const& e, instance& run) -> std::optional<entry> {
  rank_id const r = e.rank;
  auto const& d = run.made_of->d;
  rank_program const& own = run.made_of->what->ranks[r];
  auto const& what = own.instructions[static_cast<std::size_t>(e.instruction)];
  auto const number = d.number({r, e.instruction});
  auto const partner = d.partner[static_cast<std::size_t>(number)];
  run.start[static_cast<std::size_t>(number)] = e.time;

  if (!allows(own, r, what)) {
    auto const next = finish(r, number, e.time, run);
    run.end[static_cast<std::size_t>(number)] = detail::virtual_run::left_out;
    return next;
  }
  if (what.code == opcode::send) return send(e, run, own, what, partner);
  if (what.code == opcode::receive) {
    auto const arrival = run.end[static_cast<std::size_t>(number)];
    if (arrival != not_yet) return receive(r, number, std::max(e.time, arrival), run);
    if (ranks_[what.peer.index()].silent) give_up_on(what.peer, e.time);
    return {};
  }
  if (is_collective(what.code)) {
    if (partner == dependencies::none) return {};
    auto const& m = d.collectives[static_cast<std::size_t>(partner)];
    if (--run.missing[static_cast<std::size_t>(partner)] == 0) return run_collective(r, run, m);
    for (auto const member : missing_in(run, m))
      if (ranks_[member.index()].silent) give_up_on(member, e.time);
    return {};
  }
  if constexpr (real) effects_.local(own, r, what, first_iteration_ + ranks_[r.index()].programs);
  ticks takes = 0;
  if (what.code == opcode::compute) takes = config_.cost.compute(r, what.op);
  return finish(r, number, e.time + takes, run);
}

template <cost_model Cost, work Work>
auto simulated_session<Cost, Work>::send(entry const& e, instance& run, rank_program const& own,
                                         instruction const& what, std::int32_t partner)
    -> std::optional<entry> {
  transfer_time const takes = config_.cost.transfer(e.rank, what.peer, own.reads(what)[0].size);
  // A single lane already serialises its sends, so its links are never contended.
  bool const contended = takes.occupancy > 0 && run.made_of->order.several(e.rank);
  ticks const begin =
      contended ? links_.occupy(e.rank, what.peer, e.time, takes.occupancy) : e.time;
  ticks const end = begin + takes.occupancy, arrival = end + takes.latency;
  if (partner != dependencies::none) {
    auto const to = static_cast<std::size_t>(partner);
    if constexpr (real) run.messages[to] = effects_.send(own, e.rank, what);
    if (run.start[to] == not_yet)
      run.end[to] = arrival;
    else if (!ranks_[what.peer.index()].silent)
      if (auto const next = receive(what.peer, partner, std::max(run.start[to], arrival), run))
        able_.push(*next);
  }
  return finish(e.rank, run.made_of->d.number({e.rank, e.instruction}), end, run);
}

template <cost_model Cost, work Work>
auto simulated_session<Cost, Work>::receive(rank_id r, std::int32_t number, ticks end,
                                            instance& run) -> std::optional<entry> {
  if constexpr (real) {
    rank_program const& own = run.made_of->what->ranks[r];
    auto const& what =
        own.instructions[static_cast<std::size_t>(number - run.made_of->d.first[r.index()])];
    effects_.receive(own, r, what, std::move(run.messages[static_cast<std::size_t>(number)]));
  }
  return finish(r, number, end, run);
}

template <cost_model Cost, work Work>
auto simulated_session<Cost, Work>::run_collective(rank_id self, instance& run,
                                                   dependencies::collective_match const& m)
    -> std::optional<entry> {
  program const& p = *run.made_of->what;
  auto const& d = run.made_of->d;
  auto const& group = p.groups[m.group];
  auto const numbers = d.members_of(m);
  ticks end = 0;
  for (auto const n : numbers) end = std::max(end, run.start[static_cast<std::size_t>(n)]);
  if constexpr (collective_cost_model<Cost>) {
    auto const& own = p.ranks[group[0]];
    auto const& what =
        own.instructions[static_cast<std::size_t>(numbers[0] - d.first[group[0].index()])];
    end += config_.cost.collective(what.code, group, own.reads(what)[0].size);
  }
  if constexpr (real) effects_.run_collective(p, d, m);
  std::optional<entry> mine;
  for (std::size_t k = 0; k < group.size(); ++k) {
    auto const next = finish(group[k], numbers[k], end, run);
    if (group[k] == self)
      mine = next;
    else if (next)
      able_.push(*next);
  }
  return mine;
}

template <cost_model Cost, work Work>
auto simulated_session<Cost, Work>::finish(rank_id r, std::int32_t number, ticks end, instance& run)
    -> std::optional<entry> {
  auto& s = ranks_[r.index()];
  auto const first = run.made_of->d.first[r.index()];
  run.end[static_cast<std::size_t>(number)] = end;
  s.free_at = std::max(s.free_at, end);
  if (--s.remaining == 0) return entry{s.free_at, r, length(r)};
  if (!run.made_of->order.several(r)) return entry{end, r, number - first + 1};
  for (auto const next : run.made_of->order.next(number)) {
    auto const n = static_cast<std::size_t>(next);
    run.ready[n] = std::max(run.ready[n], end);
    if (--run.waits[n] == 0) able_.push({run.ready[n], r, next - first});
  }
  return {};
}

template <cost_model Cost, work Work>
void simulated_session<Cost, Work>::mark_failed(rank_id r, ticks now) {
  ranks_[r.index()].silent = any_silent_ = true;
  ranks_[r.index()].silent_at = now;
  for (rank_id const other : ids<rank_id>(ranks_.size())) {
    auto const& s = ranks_[other.index()];
    if (s.silent || s.programs == static_cast<std::int32_t>(runs_.size())) continue;
    auto const& run = runs_[static_cast<std::size_t>(s.programs)];
    if (!run.begun) continue;
    auto const& d = run.made_of->d;
    for (std::int32_t i = 0; i < length(other); ++i) {
      auto const& what = list_of(other).instructions[static_cast<std::size_t>(i)];
      auto const n = static_cast<std::size_t>(d.number({other, i}));
      if (run.start[n] == not_yet || run.end[n] != not_yet) continue;
      if (what.code == opcode::receive && what.peer == r) give_up_on(r, run.start[n]);
      if (is_collective(what.code) && d.partner[n] != dependencies::none)
        for (auto const member :
             missing_in(run, d.collectives[static_cast<std::size_t>(d.partner[n])]))
          if (member == r) give_up_on(r, run.start[n]);
    }
  }
}

}  // namespace shunt
