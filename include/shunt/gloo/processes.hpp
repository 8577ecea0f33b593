#pragma once
/// An executor whose ranks are processes over Gloo.
///
/// Every process makes one of these for its own rank and then does what the others do: opens sessions, submits the same programs, waits. A
/// session is an epoch: its members meet when it opens and agree when it ends on who is left and how far each of them came, so that every
/// process has the same `outcome::lost` and `outcome::done`, and with them takes the same decisions, `run_through_losses` among others. The
/// timeline has this process's own events. Rank r of the programs is rank r in every epoch; a lost one never comes back.
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <condition_variable>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/faults.hpp"
#include "shunt/execute/rank_loop.hpp"
#include "shunt/gloo/agreement.hpp"
#include "shunt/gloo/mesh.hpp"

namespace shunt {

template <work Work>
class process_session;

/// Copies share their epoch. Only one session may be open at a time.
class gloo_processes {
 public:
  /// Rank `self` of 0 .. ranks-1, all of which take part in the first epoch.
  gloo_processes(gloo_config config, std::int32_t ranks, rank_id self, std::vector<fault> faults = {})
      : config_(std::move(config)), self_(self), ranks_(ranks), faults_(std::move(faults)), life_(std::make_shared<life>()) {
    for (std::int32_t r = 0; r < ranks; ++r) life_->members.emplace_back(r);
  }

  /// Meets the others. Throws no_mesh where that can't be; members that don't come in time are lost.
  template <work Work>
  [[nodiscard]] process_session<Work> open(Work& w, std::int64_t first_iteration = 0) const {
    return process_session<Work>(*this, w, first_iteration);
  }
  template <work Work>
  outcome run(program const& p, Work& w) const {
    auto session = open(w);
    session.submit(borrowed(p));
    return session.wait();
  }

  [[nodiscard]] rank_id rank() const { return self_; }
  [[nodiscard]] std::int32_t epoch() const { return life_->epoch; }
  [[nodiscard]] std::vector<rank_id> const& members() const { return life_->members; }  ///< those that live, as far as agreed

 private:
  template <work Work>
  friend class process_session;

  struct life {
    std::int32_t epoch = 0;
    std::vector<rank_id> members{};
  };

  gloo_config config_;
  rank_id self_;
  std::int32_t ranks_;
  std::vector<fault> faults_;  // this process kills itself there, for tests
  std::shared_ptr<life> life_;
};

/// Iterations of this process's rank, on a thread of its own.
template <work Work>
class process_session {
 public:
  process_session(gloo_processes const& of, Work& w, std::int64_t first_iteration) : of_(of), first_iteration_(first_iteration) {
    try {
      net_.emplace(of_.config_, of_.life_->epoch, of_.life_->members, of_.self_);
    } catch (no_mesh const& error) {
      if (error.absent().empty()) throw;
      absent_ = error.absent();
      return;
    }
    loop_.emplace(*net_, w, first_iteration, clock_);
    runner_ = std::thread([this] { live(); });
  }
  process_session(process_session const&) = delete;
  process_session& operator=(process_session const&) = delete;
  ~process_session() {
    close();
    if (runner_.joinable() && net_ && !waited_) net_->leave();  // nobody waits for the end: to the others this rank is lost
    if (runner_.joinable()) runner_.join();
  }

  /// Appends a program. Throws invalid_program where it is for another number of ranks, logic_error after `wait`.
  void submit(std::shared_ptr<program const> p) {
    std::lock_guard const lock(mutex_);
    if (closed_) throw std::logic_error("submit: the session was waited for and is over");
    if (p->ranks.size() != static_cast<std::size_t>(of_.ranks_))
      throw invalid_program(std::to_string(p->ranks.size()) + " lists for " + std::to_string(of_.ranks_) + " processes");
    programs_.push_back(std::move(p));
    submitted_.notify_all();
  }
  void submit(program p) { submit(std::make_shared<program const>(std::move(p))); }

  /// Waits until all members have completed the first `programs` programs; false where one is lost before that.
  [[nodiscard]] bool wait_until(std::int32_t programs) {
    if (programs > static_cast<std::int32_t>(programs_.size())) throw std::logic_error("wait_until: that many were not submitted");
    if (!net_ || !net_->told_by_all(programs)) return false;
    completions_.resize(static_cast<std::size_t>(programs), clock_.now());
    return true;
  }
  /// When this process knew that all had completed the n-th program (from 1).
  [[nodiscard]] ticks completed_at(std::int32_t n) const { return completions_.at(static_cast<std::size_t>(n - 1)); }

  /// Ends the session on every process and agrees on what it came to. Rethrows what the work threw: to the others this rank is then lost.
  [[nodiscard]] outcome wait() {
    close();
    if (runner_.joinable()) runner_.join();
    waited_ = true;
    if (failure_) std::rethrow_exception(failure_);
    auto& life = *of_.life_;
    auto const lost = [&] { return net_ ? net_->lost() : absent_; };
    progress const own = loop_ ? loop_->log().done() : progress{};
    auto const note = (std::int64_t{own.programs} << 32) + own.instructions;
    auto const left = agree(of_.config_, life.epoch, life.members, of_.self_, lost, note);
    ++life.epoch;

    outcome all;
    all.timeline.seconds_per_tick = stopwatch::seconds_per_tick;
    all.done.resize(static_cast<std::size_t>(of_.ranks_));
    std::vector<rank_id> members;
    for (survivor const& s : left) {
      members.push_back(s.rank);
      all.done[s.rank] = {static_cast<std::int32_t>(s.note >> 32), static_cast<std::int32_t>(s.note & 0x7fffffff)};
    }
    for (rank_id const r : life.members)
      if (std::find(members.begin(), members.end(), r) == members.end()) all.lost.push_back(r);
    life.members = std::move(members);
    if (loop_) loop_->log().append_to(all.timeline.events, of_.self_, programs_);
    return all;
  }

 private:
  void live() {
    try {
      while (auto const p = next()) {
        auto const strike = strike_of(of_.faults_, *p, of_.self_, loop_->iteration());
        loop_->run(*p, [&](std::int32_t i) {
          if (i == strike) std::_Exit(137);
        });
        net_->tell(loop_->log().done().programs);
      }
    } catch (peer_lost const&) {
    } catch (...) {
      failure_ = std::current_exception();
      net_->leave();
    }
  }

  /// The next program, or nothing when all are done and no more come.
  [[nodiscard]] std::shared_ptr<program const> next() {
    auto const n = static_cast<std::size_t>(loop_->log().done().programs);
    std::unique_lock lock(mutex_);
    submitted_.wait(lock, [&] { return n < programs_.size() || closed_; });
    return n < programs_.size() ? programs_[n] : nullptr;
  }
  void close() {
    {
      std::lock_guard const lock(mutex_);
      closed_ = true;
    }
    submitted_.notify_all();
  }

  gloo_processes const of_;
  std::int64_t const first_iteration_;
  stopwatch const clock_{};
  std::optional<gloo_mesh> net_{};
  std::vector<rank_id> absent_{};
  std::optional<rank_loop<gloo_mesh, Work>> loop_{};
  std::vector<ticks> completions_{};
  std::exception_ptr failure_{};
  bool waited_ = false;

  std::mutex mutex_{};  // guards these three
  std::condition_variable submitted_{};
  std::vector<std::shared_ptr<program const>> programs_{};
  bool closed_ = false;

  std::thread runner_{};
};

}  // namespace shunt
