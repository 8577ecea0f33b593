#pragma once
/// Workers that are processes, of both training programs: what they report
/// (shunt/launch/report_line.hpp), the last word of each being "end", or "error" with `why`; one
/// under somebody else's launcher; and those that a program starts, watches, kills where asked to,
/// and clears away.
#include <algorithm>
#include <chrono>
#include <concepts>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <sys/wait.h>
#include <system_error>
#include <type_traits>
#include <unistd.h>
#include <utility>
#include <vector>

#include "process_options.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/gloo.hpp"
#include "shunt/json.hpp"
#include "shunt/launch.hpp"
#include "shunt/train/merged_losses.hpp"
#include "text.hpp"

namespace example {

/// Where and how a worker process meets the others.
struct worker_address {
  shunt::gloo_config gloo{};
  shunt::rank_id self{};
  bool joins = false;  ///< comes in the place of a dead worker, when the others ask it to
  bool waits = false;  ///< to be killed by whoever started it; otherwise kills itself
};

/// SIGKILL, for this process.
[[noreturn]] inline void kill_self(worker_address const& at, shunt::report_sink const& say) {
  if (!at.waits) std::raise(SIGKILL);
  for (say(shunt::report_line("kill_request"));; ::pause()) {}
}

/// Says what went wrong, where that is still possible, and goes on throwing it: the only thing to
/// do in a handler.
[[noreturn]] inline void report_and_rethrow(shunt::report_sink const& say,
                                            std::exception const& error) {
  try {
    std::string why = error.what();
    std::replace(why.begin(), why.end(), '\n', ' ');
    say(shunt::report_line("error").with("why", why));
  } catch (std::exception const&) {  // others have cleared the place away
  }
  throw;
}

/// What went wrong first: who gives up a rendezvous says why, the others only that it was given up.
class first_error {
 public:
  void receive(shunt::json_report const& error) {
    if (why_.empty() || why_.ends_with("was given up")) why_ = error.text("why");
  }
  std::string or_else(std::string const& otherwise) const {
    return why_.empty() ? otherwise : why_;
  }

 private:
  std::string why_{};
};

template <class T, class Of>
concept maybe_const = std::same_as<std::remove_const_t<T>, Of>;

/// A report of what an object has. `fields(object, f)` calls f(name, member) for each member that
/// is reported.
template <class T>
shunt::report_line report_of(std::string_view what, T const& object) {
  shunt::report_line line(what);
  fields(object, [&](std::string const& name, auto const& value) {
    if constexpr (!requires { value.has_value(); })
      line.with(name, value);
    else if (value)
      line.with(name, *value);
  });
  return line;
}
/// The object of a report.
template <class T>
T read_report(shunt::json_report const& r) {
  T object;
  fields(object, [&]<class Value>(std::string const& name, Value& value) {
    if constexpr (std::same_as<Value, bool>)
      value = r.boolean(name);
    else if constexpr (std::integral<Value>)
      value = r.integer<Value>(name);
    else if constexpr (std::floating_point<Value>)
      value = r.number(name);
    else if constexpr (requires { value.push_back(value.front()); })
      value = r.list<typename Value::value_type>(name);
    else if (r.has(name))
      value = r.integer(name);
  });
  return object;
}

template <class Loss>
  requires std::derived_from<Loss, shunt::loss>
void fields(Loss& l, auto const& f) {
  f("iteration", l.iteration), f("ranks", l.ranks), f("noticed", l.noticed);
  f("detect", l.detect), f("agree", l.agree), f("restore", l.restore), f("replan", l.replan);
  f("rebuild", l.rebuild), f("redo", l.redo), f("steps_undone", l.steps_undone);
  f("instructions_lost", l.instructions_lost), f("kept", l.kept), f("total", l.total);
  if constexpr (requires { l.state_bytes; }) f("state_bytes", l.state_bytes);
}

/// Whether the launcher's worker comes in the place of one that died.
inline bool launched_to_join() { return std::getenv("SHUNT_JOIN") != nullptr; }

/// The worker that a launcher made this process.
class launched_worker {
 public:
  launched_worker(shunt::launched_process const& as, process_options const& o, bool joins)
      : rank_(as.rank),
        options_(o),
        joins_(joins),
        place_(as, joins, o.launched()),
        reports_(place_.files(), place_.directory(), as, joins) {
    if (place_.open_to_all())  // one line of one process
      std::cerr << "warning: MASTER_PORT: anybody who reaches " << place_.directory()
                << " can join; give all processes the same SHUNT_RENDEZVOUS_KEY\n";
  }

  /// Returns `work(address, sink)`.
  template <class Work>
  auto operator()(Work const& work) const try {
    return work(worker_address{.gloo = options_.gloo(place_), .self = rank_, .joins = joins_},
                reports_.sink());
  } catch (shunt::rendezvous_failed const& error) {
    if (!error.absent().empty()) place_.clear();  // nobody got any further
    throw;
  }
  /// Whether this is the first that lives of every `step`-th rank from `first` on.
  bool speaks(std::vector<shunt::rank_id> const& dead, std::int32_t first = 0,
              std::int32_t step = 1) const {
    while (std::binary_search(dead.begin(), dead.end(), shunt::rank_id(first))) first += step;
    return first == rank_;
  }
  /// Passes on what all ranks have reported, and clears the place away.
  template <class Account>
  void read(std::int32_t ranks, std::vector<shunt::rank_id> const& dead, Account& merger) const {
    auto const is_last = [](std::string_view line) {
      auto const r = shunt::json_report::of(line);
      return r && (r->what() == "end" || r->what() == "error");
    };
    reports_.read(ranks, dead, options_.patience, is_last,
                  [&](shunt::rank_id r, std::string const& line) {
                    if (auto const report = shunt::json_report::of(line))
                      merger.receive(r, *report);
                  });
    place_.clear();
  }

 private:
  shunt::rank_id rank_;
  process_options const& options_;
  bool joins_;
  shunt::launched_rendezvous const place_;
  shunt::report_files const reports_;
};

/// The exit status of a worker that another process of this program started: `work(sink)`.
template <class Work>
int work_for_starter(Work const& work) try {
  work(shunt::report_to(shunt::worker_processes::report_descriptor));
  return 0;
} catch (std::exception const&) {  // it has said so
  return 2;
}

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
    refuse_if(!keep_text(), "rendezvous", "cannot write to " + place_.path());
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

  bool running(shunt::rank_id r) const { return workers_.workers()[latest_.at(r)].running(); }
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
  shunt::gloo_config meet() const { return {.directory = place_.path()}; }
  std::string text() const { return place_.path() + "/text"; }
  /// The same for all, whatever becomes of the file that it was read from, or of this one.
  /// Returns whether it is there.
  bool keep_text() const {
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
