#pragma once
#include "shunt/nccl/executor.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <thread>

namespace shunt {

template <nccl_library Api, class Systems, class Work>
outcome nccl_session<Api, Systems, Work>::wait() {
  submitted_.close();
  join();
  for (auto const& r : ranks_)
    if (r->failure) std::rethrow_exception(r->failure);
  outcome all;
  all.timeline.seconds_per_tick = stopwatch::seconds_per_tick;
  auto const& known = submitted_.list();
  all.done.resize(known.empty() ? 0 : known[0]->ranks.size(),
                  submitted_.cancelled() ? progress{} : progress{known.size(), 0});
  for (auto const& r : ranks_) {
    r->log.append_by_start(all.timeline.events, r->rank, known.programs());
    all.done[r->rank] = r->log.done();
    if (r->silent) all.lost.push_back(r->rank);
    for (rank_id const lost : r->noticed) all.lost.push_back(lost);
  }
  std::sort(all.lost.begin(), all.lost.end());
  all.lost.erase(std::unique(all.lost.begin(), all.lost.end()), all.lost.end());
  return all;
}

template <nccl_library Api, class Systems, class Work>
void nccl_session<Api, Systems, Work>::start(std::size_t size) {
  for (rank_id const r : ids<rank_id>(size)) members_.push_back(r);
  if (config_.self && config_.self->index() >= size)
    throw invalid_program("the program is for " + std::to_string(size) + " ranks, this is rank " +
                          std::to_string(config_.self->value()));
  if (!config_.self) identity_ = Api::new_identity();
  for (rank_id const r : members_)
    if (!config_.self || *config_.self == r) {
      ranks_.push_back(std::make_unique<rank_state>());
      ranks_.back()->rank = r;
    }
  for (auto& r : ranks_) r->thread = std::thread([this, &state = *r] { run_rank(state); });
}

template <nccl_library Api, class Systems, class Work>
void nccl_session<Api, Systems, Work>::run_rank(rank_state& self) {
  bool first = true;
  try {
    auto device = config_.systems(self.rank);
    auto net_config = config_.net;
    net_config.watch = [this] { watch(); };
    std::optional<streams> lists;  // outlives `net`
    if (config_.self && config_.share_identity) identity_ = config_.share_identity(members_);
    auto const net =
        std::make_unique<nccl_transport<Api>>(identity_, members_, self.rank, net_config);
    try {
      lists.emplace(device, *net, work_, guard_, posts_, first_iteration_, config_.floats,
                    clock_.now());
      enqueue_all(self, *lists, *net);
      net->close();
      self.log = lists->log();
    } catch (...) {
      if (lists) self.log = lists->log();
      first = !submitted_.cancelled();
      if (fails_now(self)) {  // without a message: the others treat it as lost after a while
        self.silent = true;
        submitted_.wait_for_cancel(config_.timeout);
      }
      guard_.stop(device);  // the others abort once the session is cancelled
      submitted_.cancel();
      net->abort();
      if (!lists || self.silent) throw;
      try {  // survivors know to the instruction what took effect
        lists->collect_stopped();
        self.log = lists->log();
      } catch (...) {  // the device has failed
      }
      if (auto const thrown = lists->thrown()) std::rethrow_exception(thrown);
      throw;
    }
  } catch (peer_lost const& e) {
    self.noticed.push_back(e.peer());
  } catch (run_aborted const&) {
    self.silent = self.silent || fails_now(self);
  } catch (nccl_error const&) {  // an abort by another rank is no failure of this one
    if (first) self.failure = std::current_exception();
  } catch (...) {
    self.failure = std::current_exception();
  }
  if (self.failure || !self.noticed.empty()) submitted_.cancel();
}

template <nccl_library Api, class Systems, class Work>
void nccl_session<Api, Systems, Work>::enqueue_all(rank_state& self, streams& lists,
                                                   nccl_transport<Api>& net) {
  std::size_t n = 0;
  for (;;) {
    auto const p = next(n, lists.outstanding() > 0);
    if (!p && lists.outstanding() == 0) return;
    if (!p) {
      advance(self, lists, net, [&] { return lists.outstanding() == 0 || submitted_.at(n); });
      continue;
    }
    auto const& own = (*p).ranks[self.rank];
    bool const fresh = n == 0 || submitted_.at(n - 1) != p;
    bool const makes = fresh && net.must_prepare(*p);
    advance(self, lists, net, [&] { return lists.outstanding() < (makes ? 1U : 2U); });
    if (fresh) lists.prepare(*p);
    auto const fails_before =
        detail::failure_of(config_.failures, *p, self.rank, lists.iteration());
    lists.enqueue(p, fails_before.value_or(static_cast<std::int32_t>(own.instructions.size())),
                  !fails_before);
    if (fails_before) {
      advance(self, lists, net, [&] { return lists.idle(); });
      throw run_aborted{};
    }
    ++n;
  }
}

template <nccl_library Api, class Systems, class Work>
template <class Condition>
void nccl_session<Api, Systems, Work>::advance(rank_state& self, streams& lists,
                                               nccl_transport<Api>& net, Condition const& until) {
  auto last = std::chrono::steady_clock::now();
  for (detail::backoff pause;; pause()) {
    auto const before = lists.log().done().programs;
    bool const any = lists.collect_results();
    for (auto k = before; k < lists.log().done().programs; ++k)
      submitted_.list_completed(k, ranks_.size(), clock_);
    if (until()) return;
    net.poll();
    auto const now = std::chrono::steady_clock::now();
    if (any) {
      last = now;
      pause = {};
    } else if (now - last > config_.net.silence) {
      throw nccl_error("rank " + std::to_string(self.rank.value()) + " completed nothing for " +
                           std::to_string(config_.net.silence.count()) + " ms, waiting for " +
                           lists.awaited(),
                       nccl_status::in_progress);
    }
  }
}

template <nccl_library Api, class Systems, class Work>
bool nccl_session<Api, Systems, Work>::fails_now(rank_state const& self) const {
  auto const done = self.log.done();
  auto const p = submitted_.at(static_cast<std::size_t>(done.programs));
  return p &&
         detail::failure_of(config_.failures, *p, self.rank, first_iteration_ + done.programs) ==
             std::optional(done.instructions);
}

}  // namespace shunt
