#pragma once
#include "shunt/nccl/detail/rank_streams.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/core/units.hpp"
#include "shunt/nccl/detail/staging.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

template <nccl_library Api, stream_system System, work_on_streams<System> Work>
void rank_streams<Api, System, Work>::enqueue(std::shared_ptr<program const> p, std::int32_t count,
                                              bool whole) {
  runs_.push_back({.what = programs_.bind(system_, work_, p, net_.rank(), net_.routes().buffered,
                                          floats_, posts_)});
  auto& run = runs_.back();
  auto const& own = p->ranks[net_.rank()];
  auto const list = std::span(own.instructions).first(static_cast<std::size_t>(count));
  run.whole = whole;
  run.count = list.size();
  log_.expect(list.size());
  begin(run);
  for (std::size_t n = 0; n < list.size();) {
    std::size_t end = n + 1;
    while (list[n].batch >= 0 && end < list.size() && list[end].batch == list[n].batch) ++end;
    for (auto k = n; k < end; ++k) arrive(run, own, k);
    operations_->perform(run, own, n, end, stream_of(list[n].lane));
    for (auto k = n; k < end; ++k) {
      if (list[k].condition < 0 && waits_for_others(list[k]) && !ends_by_copy(own, list[k]))
        take_effect(run, k, watch_->guard_bytes(), stream_of(list[k].lane));
      system_.record(run.ended[k], stream_of(list[k].lane));
    }
    n = end;
  }
  operations_->leave(run, own, own.instructions.size());
  for (auto& [lane, stream] : lanes_)
    if (lane != 0) {  // the main stream joins all lanes
      run.ties.push_back(take());
      system_.record(run.ties.back(), stream);
      system_.wait(lanes_.at(0), run.ties.back());
    }
  if (run.words) {
    auto const words = run.what->words->bytes();
    system_.copy_to_host(lanes_.at(0), words, run.words->bytes().subspan(words.size()));
  }
  run.over.emplace(take());
  system_.record(*run.over, lanes_.at(0));
  ++iteration_;
}

template <nccl_library Api, stream_system System, work_on_streams<System> Work>
bool rank_streams<Api, System, Work>::collect_results() {
  // What ends after a stop may have had no effect: first the end is asked for, then the stop.
  auto const has_ended = [&](event& e) { return system_.finished(e) && !watch_->stopped(); };
  bool any = false;
  while (!runs_.empty()) {
    auto& run = runs_.front();
    auto const& own = run.what->of->ranks[net_.rank()];
    for (; run.collected < run.count && has_ended(run.ended[run.collected]);
         ++run.collected, any = true)
      read(run, own, run.collected);
    watch_->rethrow();
    if (run.collected < run.count || !has_ended(*run.over)) return any;
    if (!run.whole) return any;
    log_.list_ended();
    any = true;
    drop(std::move(run));
    runs_.pop_front();
  }
  return any;
}

template <nccl_library Api, stream_system System, work_on_streams<System> Work>
void rank_streams<Api, System, Work>::collect_stopped() {
  system_.synchronize();
  std::size_t begun = runs_.size();  // the last list that begins; those before it have ended
  while (begun > 0 && !any_effect(runs_[begun - 1])) --begun;
  while (begun > 0 && !runs_.empty()) {
    auto& run = runs_.front();
    bool const ended = begun-- > 1;
    bool reached = true;
    for (auto n = run.collected; n < run.count; ++n) {
      reached = reached && (ended || has_effect(run, n));
      if (!ended && !has_effect(run, n))
        log_.instruction_not_reached();
      else if (auto const at = times_of(run, n); reached)
        log_.instruction_ended(at.first, at.second);
      else
        log_.instruction_ended_ahead(at.first, at.second);
    }
    if (!reached || !run.whole) return;
    log_.list_ended();
    drop(std::move(run));
    runs_.pop_front();
  }
}

template <nccl_library Api, stream_system System, work_on_streams<System> Work>
std::string rank_streams<Api, System, Work>::awaited() const {
  if (runs_.empty()) return "nothing";
  auto const& run = runs_.front();
  auto const& list = run.what->of->ranks[net_.rank()].instructions;
  if (run.collected >= run.count) return "the end of its list";
  auto const& i = list[run.collected];
  auto text =
      "instruction " + std::to_string(run.collected) + ", " + std::string(to_string(i.code));
  if (i.code == opcode::send || i.code == opcode::receive)
    text += (i.code == opcode::send ? " to rank " : " from rank ") + std::to_string(i.peer.value());
  if (is_collective(i.code)) text += " over " + names_of(run.what->of->groups[i.group]);
  return text;
}

template <nccl_library Api, stream_system System, work_on_streams<System> Work>
void rank_streams<Api, System, Work>::arrive(list_run<System>& run, rank_program const& own,
                                             std::size_t n) {
  auto const& i = own.instructions[n];
  auto const stream = stream_of(i.lane);
  for (auto const w : own.after(i))
    if (own.instructions[static_cast<std::size_t>(w)].lane != i.lane)
      system_.wait(stream, run.ended[static_cast<std::size_t>(w)]);
  system_.record(run.started[n], stream);
  if (i.condition >= 0) {
    auto& b = *run.what;
    auto const at = b.stage.word[n];
    operations_->move(stream, b.buffers[own.condition(i)[0]], b.words_at(at), watch_->guard());
    system_.copy_to_host(stream, b.words_at(at), run.words_at(at));
  } else if (!waits_for_others(i)) {
    take_effect(run, n, watch_->guard_bytes(), stream);
  }
}

template <nccl_library Api, stream_system System, work_on_streams<System> Work>
void rank_streams<Api, System, Work>::read(list_run<System>& run, rank_program const& own,
                                           std::size_t n) {
  auto const& i = own.instructions[n];
  auto const& stage = run.what->stage;
  auto const value = [&](std::int64_t at) {
    std::int64_t v = 0;
    std::memcpy(&v, run.words_at(at).data(), word_size);
    return v;
  };
  auto const [start, end] = times_of(run, n);
  if (i.code == opcode::exchange) {
    auto const& members = run.what->of->groups[i.group];
    auto const place = std::find(members.begin(), members.end(), net_.rank()) - members.begin();
    auto const width = std::min(own.reads(i)[0].size, own.writes(i)[0].size) /
                       static_cast<byte_count>(members.size());
    for (std::size_t j = 0; j < members.size(); ++j)
      if (auto const refused = value(stage.overflow[n] + static_cast<std::int64_t>(j));
          refused != 0)
        throw invalid_program("exchange on rank " + std::to_string(members[j].value()) +
                              ": count " + std::to_string(place) + " is " +
                              std::to_string(refused) + ", its part holds " +
                              std::to_string(width) + " bytes");
  }
  if (i.condition >= 0 && value(stage.word[n]) == 0)
    log_.instruction_left_out();
  else
    log_.instruction_ended(start, end);
}

}  // namespace shunt::detail
