#pragma once
/// Worker processes from their start to their end, through the ends of some of them.
#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/launch/report_line.hpp"
#include "shunt/launch/worker_processes.hpp"

namespace shunt {

/// What keeps the account of a run: it is told what workers write and when they are killed (in
/// nanoseconds of the steady clock), and knows how far they are.
template <class A>
concept worker_account =
    requires(A& a, A const& known, rank_id r, std::string_view line, ticks at) {
      a.receive(r, line);
      a.killed(r, at);
      { known.begun() } -> std::convertible_to<bool>;         // training is under way somewhere
      { known.ended(r) } -> std::convertible_to<bool>;        // the worker has come to the end
      { known.error() } -> std::convertible_to<std::string>;  // what a worker could not go on from
    };

/// How workers are watched.
struct supervision {
  std::chrono::milliseconds patience{30'000};  ///< for the others, once one has come to the end
  std::function<std::string(rank_id)> name{};  ///< what people call a worker
  std::function<void(rank_id)> starts{};       ///< told before a process of a rank starts
  std::function<void(rank_id)> ended{};        ///< told when no process of a rank is left
};

/// Processes that run one program and report: the last word of each is "end" or "error" with `why`,
/// and by "kill_request" it asks to be killed (launch/worker_end.hpp).
template <worker_account Account>
class supervised_workers {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr std::chrono::microseconds longest_wait{200'000};

  /// `program` and `arguments` are those of worker_processes.
  /// Requires that `account` lives longer.
  supervised_workers(std::string program, std::vector<std::string> arguments, Account& account,
                     supervision how)
      : how_(std::move(how)),
        workers_(std::move(program), std::move(arguments)),
        account_(account) {}

  /// Starts a rank's process, or another one in its place, with these arguments added.
  pid_t start(rank_id r, std::vector<std::string> const& more) {
    latest_[r] = workers_.workers().size();
    if (how_.starts) how_.starts(r);
    return workers_.start(r, more);
  }

  [[nodiscard]] bool running(rank_id r) const {
    return workers_.workers()[latest_.at(r)].running();
  }
  /// Ends a rank's process by SIGKILL, where it is running.
  void kill(rank_id r) { kill_process(latest_.at(r)); }

  /// Waits until all have ended. Kills those that have not when `patience` has passed after the
  /// first has come to the end. `between()` is called now and then, and returns for how long it
  /// need not be called. `comes_again(rank)` says whether another process is still to come in a
  /// rank's place.
  /// Throws run_interrupted; runtime_error, which names the worker, where one cannot begin.
  template <class Between, class ComesAgain>
  void watch(Between const& between, ComesAgain const& comes_again) {
    for (;;) {
      std::chrono::microseconds const wait = between();
      if (ending_ && clock::now() > *ending_)
        for (std::size_t n = 0; n < workers_.workers().size(); ++n) workers_.kill(n);
      auto const events = workers_.listen(wait);
      if (!events) return;
      for (auto const& [n, line] : *events)
        if (line)
          hear(n, *line);
        else
          gone(n, comes_again);
    }
  }
  void watch() {
    watch([] { return longest_wait; }, [](rank_id) { return false; });
  }

 private:
  void hear(std::size_t n, std::string const& line) {
    auto const what = reported(line);
    if (what.empty()) return;
    auto const rank = workers_.workers()[n].rank;
    account_.receive(rank, line);
    if (what == "kill_request") kill_process(n);
    if (what == "error" && !account_.begun())
      throw std::runtime_error(how_.name(rank) + ": " + account_.error());
    if (what == "end" && !ending_) ending_ = clock::now() + how_.patience;
  }
  template <class ComesAgain>
  void gone(std::size_t n, ComesAgain const& comes_again) {
    auto const& process = workers_.workers()[n];
    if (latest_.at(process.rank) == n && !comes_again(process.rank) && how_.ended)
      how_.ended(process.rank);
    if (account_.begun() || account_.ended(process.rank) || process.killed) return;
    throw std::runtime_error(how_.name(process.rank) + " ended before training had begun" +
                             (WIFSIGNALED(*process.status)
                                  ? ", by signal " + std::to_string(WTERMSIG(*process.status))
                                  : ""));
  }
  void kill_process(std::size_t n) {
    account_.killed(
        workers_.workers()[n].rank,
        std::chrono::duration_cast<std::chrono::nanoseconds>(clock::now().time_since_epoch())
            .count());
    workers_.kill(n);
  }

  supervision const how_;
  worker_processes workers_;
  Account& account_;
  std::map<rank_id, std::size_t> latest_{};  // a rank's process, by number
  std::optional<clock::time_point> ending_{};
};

}  // namespace shunt
