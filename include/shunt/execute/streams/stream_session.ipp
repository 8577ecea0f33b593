#pragma once
#include "shunt/execute/streams/stream_session.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace shunt {

template <stream_system System, class Work, bool Graphs>
  requires work_on_streams<Work, System>
outcome stream_session<System, Work, Graphs>::wait() {
  submitted_.close();
  (void)wait_until(submitted_.size());
  submitted_.rethrow_failure();
  std::vector<detail::rank_result> results;
  for (std::size_t r = 0; r < logs_.size(); ++r) results.push_back({logs_[r], statuses_[r].silent});
  return detail::collect(results, submitted_.programs(),
                         settings_.timed ? detail::event_order::start : detail::event_order::none);
}

template <stream_system System, class Work, bool Graphs>
  requires work_on_streams<Work, System>
void stream_session<System, Work, Graphs>::start() {
  auto const n = submitted_.size() - 1;
  auto const& latest = submitted_[static_cast<std::size_t>(n)];
  program const& p = *latest;
  if (n == 0) open_ranks(p.ranks.size());
  [[maybe_unused]] auto const range = system_.range("program " + std::to_string(n));
  instance run;
  run.of = known_.ready(latest);
  for (auto const& list : p.ranks)
    run.done.push_back(static_cast<std::int32_t>(list.instructions.size()));
  bool whole = true;
  for (rank_id const r : ids<rank_id>(statuses_.size())) {
    auto& status = statuses_[r.index()];
    status.fails_before =
        detail::failure_of(settings_.failures, p, r, first_iteration_ + n).value_or(-1);
    whole = whole && status.runs() && status.fails_before < 0;
  }
  if (!whole) {
    run.done =
        detail::completed_instructions(p, run.of->bound.links(), run.of->bound.order(), statuses_);
    auto cut = std::make_shared<program>(p);
    for (rank_id const r : ids<rank_id>(statuses_.size()))
      cut->ranks[r].instructions.resize(static_cast<std::size_t>(run.done[r.index()]));
    run.of = std::make_shared<cached_program>(std::move(cut));
  }
  for (auto const& status : statuses_) run.completes.push_back(status.runs());
  run.of->bound.bind(system_, work_);
  for (auto const& l : run.of->bound.plan().streams) (void)stream_of(l);
  if (auto const words = run.of->bound.words(); !words.empty())
    run.words.emplace(pool_.take_words(words.size()));
  run.base.emplace(pool_.take_event());
  system_.record(*run.base, *clock_);
  instances_.push_back(std::move(run));
  if constexpr (Graphs)
    launch(instances_.back());
  else
    enqueue(instances_.back());
  ++instances_.back().of->runs;
}

template <stream_system System, class Work, bool Graphs>
  requires work_on_streams<Work, System>
void stream_session<System, Work, Graphs>::open_ranks(std::size_t ranks) {
  logs_.resize(ranks);
  statuses_.resize(ranks);
  clock_.emplace(system_.make_stream());
  std::vector<std::int64_t> words(ranks + 1, first_iteration_ - 1);
  words.back() = 1;
  iterations_.emplace(system_.make_memory(words.size() * sizeof(std::int64_t)));
  system_.copy_to_device(*clock_, std::as_bytes(std::span(words)), iterations_->bytes());
  ready_.emplace(system_.make_event());
  system_.record(*ready_, *clock_);
  if constexpr (Graphs) {
    origin_.emplace(system_.make_stream());
    system_.wait(*origin_, *ready_);
    fork_.emplace(system_.make_event());
    for (std::size_t r = 0; r < ranks; ++r) joins_.push_back(system_.make_event());
  }
}

template <stream_system System, class Work, bool Graphs>
  requires work_on_streams<Work, System>
void stream_session<System, Work, Graphs>::launch(instance& run)
  requires Graphs
{
  auto const of = run.of;
  while (settings_.timed && of->collected < of->runs)
    collect_results();  // its events are about to be reused
  auto* kept = graphs_->holding(of);
  if (!kept) kept = &capture(run);
  system_.wait(*origin_, *run.base);
  system_.launch(kept->graph, *origin_);
  graphs_->launched(*kept);
  if (run.words) read_words(run, 0, run.words->bytes().size() / sizeof(std::int64_t), *origin_);
  end_on(run, *origin_);
}

template <stream_system System, class Work, bool Graphs>
  requires work_on_streams<Work, System>
auto& stream_session<System, Work, Graphs>::capture(instance& run)
  requires Graphs
{
  auto const of = run.of;
  auto& kept = graphs_->replaced_by(of);
  if (settings_.timed)
    while (static_cast<std::int32_t>(of->stamps.size()) < of->bound.plan().stamps)
      of->stamps.push_back(pool_.take_event());
  system_.begin_capture(*origin_);
  try {
    system_.record(*fork_, *origin_);
    target to{*this, run};
    of->bound.enqueue(system_, to, false);  // launches follow each other
    graphs_->captured(system_.end_capture(*origin_, kept.graph));
  } catch (...) {
    system_.abandon_capture(*origin_);
    throw;
  }
  return kept;
}

template <stream_system System, class Work, bool Graphs>
  requires work_on_streams<Work, System>
void stream_session<System, Work, Graphs>::collect_results() {
  instance run = std::move(instances_.front());
  instances_.pop_front();
  for (auto& e : run.ended) system_.finish(e);
  {
    std::lock_guard const lock(thrown_->mutex);
    if (thrown_->what) std::rethrow_exception(thrown_->what);
  }
  auto const& bound = run.of->bound;
  std::vector<std::int64_t> words(run.words ? run.words->bytes().size() / sizeof(std::int64_t) : 0);
  if (run.words)
    std::memcpy(words.data(), run.words->bytes().data(), words.size() * sizeof(std::int64_t));
  detail::check_overflow_words(bound.what(), bound.links(), bound.plan(), words);

  system_.finish(*run.base);
  base_at_ += last_base_ ? system_.elapsed(*last_base_, *run.base) : 0;
  auto const time = [&](event_type& e) { return base_at_ + system_.elapsed(*run.base, e); };
  std::vector<ticks> stamps;
  for (auto& e : Graphs ? run.of->stamps : run.stamps) stamps.push_back(time(e));
  detail::log_run(logs_, bound.plan(), run.done, run.completes, words, stamps);
  if (std::find(run.completes.begin(), run.completes.end(), false) == run.completes.end()) {
    ticks end = 0;
    for (auto& e : run.ended) end = std::max(end, time(e));
    submitted_.completed(end);
  }
  ++collected_;
  ++run.of->collected;
  if (last_base_) pool_.give(std::move(*last_base_));
  last_base_ = std::move(run.base);
  if (run.words) pool_.give(std::move(*run.words));
  for (auto* const events : {&run.stamps, &run.ended})
    for (auto& e : *events) pool_.give(std::move(e));
}

}  // namespace shunt
