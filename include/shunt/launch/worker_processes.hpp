#pragma once
/// Worker processes of one program: it starts them, hears their lines, kills them, and clears them
/// away. They end when it ends, however it ends (Linux).
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/launch/interrupt_guard.hpp"

namespace shunt {

/// One process, or what is left of it.
struct worker_process {
  rank_id rank{};
  pid_t process = -1;
  int pipe = -1;                ///< its lines; -1 once it has ended
  std::string partial_line{};   ///< the beginning of a line
  bool killed = false;          ///< by `kill`
  std::optional<int> status{};  ///< how it ended, as waitpid says

  [[nodiscard]] bool running() const { return !status; }
};

/// What a worker does.
struct worker_event {
  std::size_t worker = 0;             ///< its number, in order of `start`
  std::optional<std::string> line{};  ///< what it wrote, without the line's end; nothing: it ended
};

/// Processes that run one program, and the lines that they write to descriptor 3. The destructor
/// kills those that run and waits for their end.
class worker_processes {
 public:
  static constexpr int report_descriptor = 3;
  /// The program that is running.
  static constexpr char const* this_program = "/proc/self/exe";

  /// `program` is a path, or a name that PATH finds. `arguments` begin with its name.
  worker_processes(std::string program, std::vector<std::string> arguments);
  worker_processes(worker_processes const&) = delete;
  worker_processes& operator=(worker_processes const&) = delete;
  ~worker_processes();

  /// Starts a process with these arguments added.
  /// Throws system_error where there can be none: no process, or no such program.
  pid_t start(rank_id rank, std::vector<std::string> const& more = {});
  /// Ends a process by SIGKILL, where it is running.
  void kill(std::size_t worker);

  /// Waits until a process writes or ends, for `at_most`.
  /// Returns what happened, in order; nothing where no process is left.
  /// Throws run_interrupted where the user asks the program to end.
  [[nodiscard]] std::optional<std::vector<worker_event>> listen(std::chrono::microseconds at_most);

  /// Returns the processes, by number.
  [[nodiscard]] std::vector<worker_process> const& workers() const { return workers_; }

 private:
  interrupt_guard const signals_{};
  std::string const program_;
  std::vector<std::string> const arguments_;
  std::vector<worker_process> workers_{};
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/launch/worker_processes.ipp"
#endif
