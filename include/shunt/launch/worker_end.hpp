#pragma once
/// How a worker process ends: what it says last, and the kills that it is asked for.
#include <exception>
#include <string>

#include "shunt/launch/report_line.hpp"

namespace shunt {

/// Says in one line what went wrong, where that is still possible, and goes on throwing it.
/// Requires a handler of `error` around the call.
[[noreturn]] void report_and_rethrow(report_sink const& say, std::exception const& error);

/// Ends this process by SIGKILL, as the end of a machine would. `by_starter`: the process that
/// started this one is asked to send it, and then knows when.
[[noreturn]] void kill_this_process(report_sink const& say, bool by_starter);

/// Returns the exit status of a worker that supervised_workers started: 0 after `work(sink)`, 2
/// where it throws. The worker has then said so.
template <class Work>
[[nodiscard]] int status_of_worker(report_sink const& sink, Work const& work) try {
  work(sink);
  return 0;
} catch (std::exception const&) {
  return 2;
}

/// What went wrong first in a run: who gives up a rendezvous says why, the others only that it was
/// given up.
class first_error {
 public:
  void receive(std::string why);
  /// Returns what went wrong; empty where nothing did.
  [[nodiscard]] std::string const& why() const { return why_; }

 private:
  std::string why_{};
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/launch/worker_end.ipp"
#endif
