#pragma once
/// Workers that are processes which this program starts, watches, kills where asked to, and clears
/// away.
#include <sys/types.h>
#include <sys/wait.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "process_options.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/gloo/process_end.hpp"
#include "shunt/json/report.hpp"
#include "shunt/launch/own_directory.hpp"
#include "shunt/launch/run_directory.hpp"
#include "shunt/launch/worker_processes.hpp"
#include "text.hpp"

namespace example {

/// An account is told what workers say and when they are killed, and knows how far they are:
///   receive(rank, report), killed(rank, nanoseconds of the steady clock);
///   begun(): iterations that some worker runs at least; ended(rank): it has come to the end.
template <class Account>
class spawned_workers {
 public:
  using clock = std::chrono::steady_clock;

  /// `name(rank)` is what people call a worker. `bytes` must outlive this. Throws invalid_problem,
  /// naming the option, where they can't meet.
  spawned_workers(process_options const& o, command_line started_as, text_bytes const& bytes,
                  Account& merger, std::function<std::string(shunt::rank_id)> name)
      : patience_(o.patience),
        place_(o.rendezvous, "rendezvous"),
        workers_(shunt::worker_processes::this_program, std::move(started_as)),
        merger_(merger),
        name_(std::move(name)),
        bytes_(bytes) {
    if (!keep_text())
      throw shunt::invalid_problem("rendezvous", "cannot write to " + place_.path());
  }

  /// Starts a rank's process, or another one in its place, with these arguments added.
  pid_t start(shunt::rank_id r, std::vector<std::string> const& more = {}) {
    std::vector<std::string> words{"--as-worker", std::to_string(r.value()), "--meet",
                                   place_.path(), "--worker-text",           text()};
    words.insert(words.end(), more.begin(), more.end());
    latest_[r] = workers_.workers().size();
    static_cast<void>(keep_text());  // without it the worker says so
    shunt::report_start(meet(), r);
    return workers_.start(r, words);
  }

  [[nodiscard]] bool running(shunt::rank_id r) const {
    return workers_.workers()[latest_.at(r)].running();
  }
  void kill(shunt::rank_id r) { kill_process(latest_.at(r)); }

  /// Until all have ended: those that don't in time, when others have come to the end, are nobody's
  /// any more. `between()` is called now and then and says for how long it need not be called.
  /// `comes_again(rank)` says whether another process is still to come in a rank's place. Throws
  /// run_interrupted, and runtime_error where a worker can't begin.
  template <class Between, class ComesAgain>
  void watch(Between const& between, ComesAgain const& comes_again) {
    auto const receive = [&](std::size_t n, shunt::json_report const& r) {
      auto const rank = workers_.workers()[n].rank;
      merger_.receive(rank, r);
      if (r.what() == "kill_request") kill_process(n);
      if (r.what() == "error" && merger_.begun() == 0)
        throw std::runtime_error(name_(rank) + ": " + r.text("why"));
      if (r.what() == "end" && !ending_) ending_ = clock::now() + patience_;
    };
    auto const gone = [&](std::size_t n) {
      auto const& m = workers_.workers()[n];
      if (latest_.at(m.rank) == n && !comes_again(m.rank))
        shunt::report_end(meet(), m.rank);  // nobody need wait for it
      if (merger_.begun() > 0 || merger_.ended(m.rank) || m.killed) return;
      throw std::runtime_error(
          name_(m.rank) + " ended before training had begun" +
          (WIFSIGNALED(*m.status) ? ", by signal " + std::to_string(WTERMSIG(*m.status)) : ""));
    };
    for (;;) {
      std::chrono::microseconds const wait = between();
      if (ending_ && clock::now() > *ending_)
        for (std::size_t n = 0; n < workers_.workers().size(); ++n) workers_.kill(n);
      auto const events = workers_.listen(wait);
      if (!events) return;
      for (auto const& [n, line] : *events)
        if (!line)
          gone(n);
        else if (auto const report = shunt::json_report::of(*line))
          receive(n, *report);
    }
  }
  void watch() {
    watch([] { return longest_wait; }, [](shunt::rank_id) { return false; });
  }
  static constexpr std::chrono::microseconds longest_wait{200'000};

 private:
  [[nodiscard]] shunt::gloo_config meet() const { return {.directory = place_.path()}; }
  [[nodiscard]] std::string text() const { return place_.path() + "/text"; }
  /// The same for all, whatever becomes of the file that it was read from, or of this one.
  /// Returns whether it is there.
  [[nodiscard]] bool keep_text() const {
    if (std::error_code no; std::filesystem::exists(text(), no)) return true;
    if (!shunt::own_directory(place_.path()).empty()) return false;
    std::ofstream out(text(), std::ios::binary);
    out.write(reinterpret_cast<char const*>(bytes_.data()),
              static_cast<std::streamsize>(bytes_.size()));
    return static_cast<bool>(out.flush());
  }
  void kill_process(std::size_t n) {
    merger_.killed(workers_.workers()[n].rank, std::chrono::duration_cast<std::chrono::nanoseconds>(
                                                   clock::now().time_since_epoch())
                                                   .count());
    workers_.kill(n);
  }

  std::chrono::milliseconds const patience_;
  shunt::run_directory const place_;
  shunt::worker_processes workers_;
  Account& merger_;
  std::function<std::string(shunt::rank_id)> const name_;
  text_bytes const& bytes_;
  std::map<shunt::rank_id, std::size_t> latest_{};  // a rank's process, by number
  std::optional<clock::time_point> ending_{};
};

}  // namespace example
