#pragma once
/// An executor whose ranks are processes over Gloo.
///
/// Every process makes one of these for its own rank and then does what the others do: opens
/// sessions, submits the same programs, waits. A session is an epoch: its members agree when it
/// ends on who is left and how far each of them came, so that every process has the same
/// `outcome::lost` and `outcome::done`, and with them takes the same decisions,
/// `run_through_losses` among others. They meet when it opens, unless the epoch before had the same
/// members, all of whom completed it with every connection whole: then they go on over its mesh,
/// and a session costs no more than the agreement. The timeline has this process's own events. Rank
/// r of the programs is rank r in every epoch; in a lost one's place a new process may come (see
/// invitation.hpp).
///
/// Nothing waits for ever. A member that dies between two epochs is missed by the mesh of the
/// first, which stays up until the second has begun; one that lives and does not come within
/// `patience` is lost. Where connections break and everybody signs in all the same, the session
/// ends early and nobody is lost.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/host/failures.hpp"
#include "shunt/execute/host/rank_interpreter.hpp"
#include "shunt/gloo/join_request.hpp"
#include "shunt/gloo/membership.hpp"
#include "shunt/gloo/mesh.hpp"

namespace shunt {

template <work Work>
class gloo_session;

/// Copies share their epoch. Only one session may be open at a time.
class gloo_executor {
 public:
  /// What a fault of `failures` does to this process, on the thread that runs its programs: it
  /// doesn't come back from there.
  using end_of_process = std::function<void()>;

  /// Rank `self` of 0 .. ranks-1, all of which take part in the first epoch.
  gloo_executor(gloo_config config, std::int32_t ranks, rank_id self,
                std::vector<failure_point> failures = {}, end_of_process end_process = killed)
      : gloo_executor(std::move(config), ranks, self, every_rank(ranks), 0, std::move(failures),
                      std::move(end_process)) {}

  /// A new process in the place of rank `self`, which the others have asked to come.
  gloo_executor(gloo_config config, std::int32_t ranks, rank_id self, join_request const& asked,
                std::vector<failure_point> failures = {}, end_of_process end_process = killed)
      : gloo_executor(std::move(config), ranks, self, asked.members, asked.epoch,
                      std::move(failures), std::move(end_process)) {}

  /// Meets the others. Throws rendezvous_failed where that can't be: in the first epoch also where
  /// somebody does not come; later members that don't come in time are lost.
  template <work Work>
  [[nodiscard]] gloo_session<Work> open(Work& w, std::int64_t first_iteration = 0) const {
    return gloo_session<Work>(*this, w, first_iteration);
  }
  template <work Work>
  outcome run(program const& p, Work& w) const {
    auto session = open(w);
    session.submit(non_owning(p));
    return session.wait();
  }

  /// Makes a lost rank a member of the next epoch, and asks a new process to come in its place just
  /// before `iteration`; `dead` are the ranks that are dead until then. All members do this,
  /// between the same two sessions. Throws rendezvous_failed where the directory can't be used.
  void admit(rank_id joining, std::int64_t iteration, std::span<rank_id const> dead) const {
    auto& members = process_state_->members;
    auto const at = std::lower_bound(members.begin(), members.end(), joining);
    if (at != members.end() && *at == joining) return;
    members.insert(at, joining);
    request_join(config_, joining, self_,
                 {process_state_->epoch, iteration, members, {dead.begin(), dead.end()}});
  }

  [[nodiscard]] rank_id rank() const { return self_; }
  [[nodiscard]] std::int32_t epoch() const { return process_state_->epoch; }
  [[nodiscard]] std::vector<rank_id> const& members() const {
    return process_state_->members;
  }  ///< those that live, as far as agreed

 private:
  template <work Work>
  friend class gloo_session;

  struct process_state {
    std::int32_t epoch = 0;
    std::vector<rank_id> members{};
    std::shared_ptr<gloo_mesh>
        before{};  // of the last epoch: knows who dies until the next one has begun
    bool whole =
        false;  // all agree that it carries the next epoch too, if the members stay the same
    std::int64_t completed = 0;  // programs, over it, by all
    bool first = true;           // nobody has met yet
  };

  static void killed() { std::raise(SIGKILL); }
  static std::vector<rank_id> every_rank(std::int32_t ranks) {
    std::vector<rank_id> all;
    for (std::int32_t r = 0; r < ranks; ++r) all.emplace_back(r);
    return all;
  }
  gloo_executor(gloo_config config, std::int32_t ranks, rank_id self, std::vector<rank_id> members,
                std::int32_t epoch, std::vector<failure_point> failures, end_of_process end_process)
      : config_(std::move(config)),
        self_(self),
        ranks_(ranks),
        failures_(std::move(failures)),
        end_process_(std::move(end_process)),
        process_state_(std::make_shared<process_state>()) {
    process_state_->members = std::move(members);
    process_state_->epoch = epoch;
    process_state_->first = epoch == 0;
  }

  gloo_config config_;
  rank_id self_;
  std::int32_t ranks_;
  std::vector<failure_point> failures_;  // of this process, for tests
  end_of_process end_process_;
  std::shared_ptr<process_state> process_state_;
};

/// Iterations of this process's rank, on a thread of its own.
template <work Work>
class gloo_session {
 public:
  gloo_session(gloo_executor const& of, Work& w, std::int64_t first_iteration)
      : of_(of), first_iteration_(first_iteration) {
    if (!rendezvous()) return;
    loop_.emplace(*net_, w, first_iteration, clock_);
    runner_ = std::thread([this] { run_rank(); });
  }
  gloo_session(gloo_session const&) = delete;
  gloo_session& operator=(gloo_session const&) = delete;
  ~gloo_session() {
    close();
    if (runner_.joinable() && net_ && !waited_)
      net_->leave();  // nobody waits for the end: to the others this rank is lost
    if (runner_.joinable()) runner_.join();
  }

  /// Appends a program. Throws invalid_program where it is for another number of ranks, logic_error
  /// after `wait`.
  void submit(std::shared_ptr<program const> p) {
    std::lock_guard const lock(mutex_);
    if (closed_) throw std::logic_error("submit: the session was waited for and is over");
    if (p->ranks.size() != static_cast<std::size_t>(of_.ranks_))
      throw invalid_program(std::to_string(p->ranks.size()) + " lists for " +
                            std::to_string(of_.ranks_) + " processes");
    programs_.push_back(std::move(p));
    submitted_.notify_all();
  }
  void submit(program p) { submit(std::make_shared<program const>(std::move(p))); }

  /// Waits until all members have completed the first `programs` programs; false where one is lost
  /// before that.
  [[nodiscard]] bool wait_until(std::int32_t programs) {
    if (programs > static_cast<std::int32_t>(programs_.size()))
      throw std::logic_error("wait_until: that many were not submitted");
    if (!net_ || !net_->all_reached(before_ + programs)) return false;
    completions_.resize(static_cast<std::size_t>(programs), clock_.now());
    of_.process_state_->before.reset();  // everybody is here
    return true;
  }
  /// When this process knew that all had completed the n-th program (from 1).
  [[nodiscard]] ticks completed_at(std::int32_t n) const {
    return completions_.at(static_cast<std::size_t>(n - 1));
  }

  /// Ends the session on every process and agrees on what it came to. Rethrows what the work threw:
  /// to the others this rank is then lost.
  [[nodiscard]] outcome wait() {
    close();
    if (runner_.joinable()) runner_.join();
    waited_ = true;
    if (failure_) std::rethrow_exception(failure_);
    if (net_) settle(loop_->log().done());

    outcome all;
    all.timeline.seconds_per_tick = stopwatch::seconds_per_tick;
    all.done.resize(static_cast<std::size_t>(of_.ranks_));
    for (survivor const& s : left_) all.done[s.rank] = exit_status::of(s.note).done;
    all.lost = lost_;
    if (loop_) loop_->log().append_to(all.timeline.events, of_.self_, programs_);
    return all;
  }

  /// After `wait`: the loss that ended the session, as this process saw it.
  [[nodiscard]] loss_times times_of_loss() const { return times_; }

 private:
  using clock = gloo_mesh::clock;

  /// What a member signs in to the end of an epoch with: how far it came, and whether its mesh is
  /// whole.
  struct exit_status {
    progress done{};
    bool whole = false;
    [[nodiscard]] std::int64_t note() const {
      return (std::int64_t{done.programs} << 32) + (std::int64_t{done.instructions} << 1) + whole;
    }
    [[nodiscard]] static exit_status of(std::int64_t note) {
      return {{static_cast<std::int32_t>(note >> 32),
               static_cast<std::int32_t>((note >> 1) & 0x7fffffff)},
              (note & 1) != 0};
    }
  };

  /// Connects to the other members, unless they still are connected; false where some are lost
  /// before that, on which all have agreed then.
  bool rendezvous() {
    constexpr int attempts = 4;
    auto& process_state = *of_.process_state_;
    if (process_state.whole && process_state.before &&
        process_state.before->members() == process_state.members) {
      net_ = process_state.before;
      before_ = process_state.completed;
      return true;
    }
    for (int n = 1;; ++n) try {
        net_ = std::make_shared<gloo_mesh>(of_.config_, process_state.epoch, process_state.members,
                                           of_.self_, process_state.before.get());
        process_state.first = false;
        return true;
      } catch (rendezvous_failed const& error) {
        if (process_state.first || n == attempts ||
            (error.absent().empty() && !error.unconnected()))
          throw;
        absent_ = error.absent();
        settle({});
        if (!lost_.empty()) return false;
      }
  }

  /// Agrees on who is left, and how far all have come.
  void settle(progress const& own) {
    auto& process_state = *of_.process_state_;
    auto const begun = clock::now();
    auto const missed = [&]() -> std::vector<rank_id> {
      if (net_) return net_->lost();
      auto all = absent_;
      if (clock::now() - begun >
          of_.config_.patience +
              2 * of_.config_.silence) {  // nobody watches over them: who has not signed in is lost
        all = process_state.members;
        std::erase(all, of_.self_);
      } else if (process_state.before) {
        for (rank_id const r : process_state.before->lost())
          if (std::find(all.begin(), all.end(), r) == all.end()) all.push_back(r);
      }
      return all;
    };
    auto const* const previous_mesh = net_ ? net_.get() : process_state.before.get();
    auto const seen = previous_mesh ? previous_mesh->when_lost() : std::nullopt;
    auto const noticed = seen && net_ ? seen->noticed : begun;

    exit_status const mine{own, net_ && net_->whole()};
    left_ = agree(of_.config_, process_state.epoch, process_state.members, of_.self_, missed,
                  mine.note());
    times_ = {.noticed = in_ticks(noticed.time_since_epoch()),
              .detect = seen ? in_ticks(noticed - seen->heard) : 0,
              .agree = in_ticks(clock::now() - noticed)};
    std::vector<rank_id> members;
    for (survivor const& s : left_) members.push_back(s.rank);
    lost_.clear();
    std::set_difference(process_state.members.begin(), process_state.members.end(), members.begin(),
                        members.end(), std::back_inserter(lost_));
    process_state.whole = lost_.empty() && mine.whole &&
                          std::all_of(left_.begin(), left_.end(),
                                      [&](survivor const& s) { return s.note == mine.note(); });
    process_state.completed = before_ + own.programs;
    process_state.members = std::move(members);
    process_state.before = net_;  // without one, whoever has one lets go of the mesh before it: it
                                  // is no witness any more
    ++process_state.epoch;
  }
  [[nodiscard]] static ticks in_ticks(clock::duration d) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(d).count();
  }

  void run_rank() {
    try {
      while (auto const p = next()) {
        auto const fails_before = failure_of(of_.failures_, *p, of_.self_, loop_->iteration());
        loop_->run(*p, [&](std::int32_t i) {
          if (i == fails_before) of_.end_process_();
        });
        net_->publish(before_ + loop_->log().done().programs);
      }
    } catch (peer_lost const&) {
    } catch (run_aborted const&) {
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

  gloo_executor const of_;
  std::int64_t const first_iteration_;
  stopwatch const clock_{};
  std::shared_ptr<gloo_mesh> net_{};
  std::int64_t before_ = 0;        // programs completed over it before this session
  std::vector<rank_id> absent_{};  // from the meeting, where there is no mesh
  std::optional<rank_interpreter<gloo_mesh, Work>> loop_{};
  std::vector<ticks> completions_{};
  std::exception_ptr failure_{};
  bool waited_ = false;
  std::vector<survivor> left_{};  // what was agreed on, and what follows from it
  std::vector<rank_id> lost_{};
  loss_times times_{};

  std::mutex mutex_{};  // guards these three
  std::condition_variable submitted_{};
  std::vector<std::shared_ptr<program const>> programs_{};
  bool closed_ = false;

  std::thread runner_{};
};

}  // namespace shunt
