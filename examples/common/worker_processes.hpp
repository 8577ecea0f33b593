#pragma once
/// Worker processes of this program's own making: copies of itself that end when it ends, however
/// it ends.
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "messages.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"

namespace example {

/// A directory of this run alone, gone in the end. A run that was killed leaves its own behind: the
/// next one there removes it. Whose run lives is known by a lock on the file `owner`, which ends
/// with its process.
class run_directory {
 public:
  /// In `where`, which is made where it is not there; or with the system's temporary files. Throws
  /// invalid_problem, naming the option.
  explicit run_directory(std::string const& where) {
    namespace files = std::filesystem;
    std::error_code failed;
    auto const parent = where.empty() ? files::temp_directory_path(failed) : files::path(where);
    if (!failed) made_parent_ = files::create_directories(parent, failed);
    if (failed)
      throw shunt::invalid_problem("rendezvous",
                                   "cannot create " + parent.string() + ": " + failed.message());
    parent_ = parent.string();
    sweep();
    std::string pattern = (parent / "shunt.XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
      auto const why = std::error_code(errno, std::generic_category()).message();
      if (made_parent_) files::remove(parent, failed);
      throw shunt::invalid_problem("rendezvous", "cannot write to " + parent.string() + ": " + why);
    }
    path_ = pattern;
    auto const owner = path_ + "/owner";
    owner_ = ::open((owner + ".draft").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (owner_ >= 0 && ::flock(owner_, LOCK_EX | LOCK_NB) == 0)
      files::rename(owner + ".draft", owner, failed);  // nobody sees it without its lock
    if (owner_ < 0) {
      auto const why = std::error_code(errno, std::generic_category()).message();
      remove();
      throw shunt::invalid_problem("rendezvous", "cannot write to " + path_ + ": " + why);
    }
  }
  run_directory(run_directory const&) = delete;
  run_directory& operator=(run_directory const&) = delete;
  ~run_directory() {
    remove();
    ::close(owner_);
  }
  [[nodiscard]] std::string const& path() const { return path_; }

 private:
  void remove() const {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
    if (made_parent_) std::filesystem::remove(parent_, ignored);
  }
  /// Removes the directories of runs that have been killed.
  void sweep() const {
    namespace files = std::filesystem;
    std::error_code failed;
    for (files::directory_iterator at(parent_, failed), end; !failed && at != end;
         at.increment(failed)) {
      auto const name = at->path().filename().string();
      std::error_code no;
      if (!name.starts_with("shunt.") || name.size() != 12 || at->is_symlink(no)) continue;
      int const owner = ::open((at->path() / "owner").c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
      if (owner < 0) continue;  // it is just being made, or somebody else's
      struct stat mine{};
      if (::fstat(owner, &mine) == 0 && mine.st_uid == ::geteuid() &&
          ::flock(owner, LOCK_EX | LOCK_NB) == 0)
        files::remove_all(at->path(), no);
      ::close(owner);
    }
  }

  std::string parent_{}, path_{};
  bool made_parent_ = false;
  int owner_ = -1;
};

/// Somebody asked this program to end (Ctrl-C).
class interrupted : public std::runtime_error {
 public:
  interrupted() : std::runtime_error("interrupted: all workers were ended") {}
};

/// While it lives, signals that ask this program to end are heard between two steps instead of
/// ending it.
class signal_guard {
 public:
  signal_guard() {
    struct sigaction note{};
    note.sa_handler = [](int) { end_requested_ = 1; };
    sigset_t blocked;
    sigemptyset(&blocked);
    for (std::size_t i = 0; i < which.size(); ++i) {
      sigaddset(&blocked, which[i]);
      ::sigaction(which[i], &note, &before_[i]);
    }
    ::sigprocmask(SIG_BLOCK, &blocked, &mask_);
    end_requested_ = 0;
  }
  signal_guard(signal_guard const&) = delete;
  signal_guard& operator=(signal_guard const&) = delete;
  ~signal_guard() {
    for (std::size_t i = 0; i < which.size(); ++i) ::sigaction(which[i], &before_[i], nullptr);
    ::sigprocmask(SIG_SETMASK, &mask_, nullptr);
  }
  [[nodiscard]] sigset_t const& mask_of_others() const { return mask_; }
  static void check() {
    if (end_requested_) throw interrupted();
  }

 private:
  static constexpr std::array<int, 3> which{SIGINT, SIGTERM, SIGHUP};
  static inline std::sig_atomic_t volatile end_requested_ = 0;
  std::array<struct sigaction, 3> before_{};
  sigset_t mask_{};
};

/// One process, or what is left of it.
struct worker_process {
  shunt::rank_id rank{};
  pid_t process = -1;
  int pipe = -1;                ///< what it says; -1 once it has ended
  std::string partial_line{};   ///< the beginning of a line
  bool killed = false;          ///< from here
  std::optional<int> status{};  ///< how it ended, as waitpid says
  [[nodiscard]] bool running() const { return !status; }
};

/// Processes that run this program with other arguments, and the lines they say on descriptor 3.
class worker_processes {
 public:
  static constexpr int report_descriptor = 3;

  explicit worker_processes(std::vector<std::string> arguments)
      : arguments_(std::move(arguments)) {}
  worker_processes(worker_processes const&) = delete;
  worker_processes& operator=(worker_processes const&) = delete;
  ~worker_processes() {
    for (auto& m : members_)
      if (m.running()) ::kill(m.process, SIGKILL);
    for (auto& m : members_) {
      if (m.running()) ::waitpid(m.process, nullptr, 0);
      if (m.pipe >= 0) ::close(m.pipe);
    }
  }

  [[nodiscard]] std::vector<worker_process> const& members() const { return members_; }

  /// Starts a process with these arguments added. Throws runtime_error.
  pid_t start(shunt::rank_id rank, std::vector<std::string> const& more) {
    std::vector<std::string> words = arguments_;
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> argv;
    for (auto& w : words) argv.push_back(w.data());
    argv.push_back(nullptr);
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
      throw std::system_error(errno, std::generic_category(), "no pipe for a worker");
    pid_t const self = ::getpid();
    pid_t const child = ::fork();
    if (child < 0) {
      auto const why = errno;
      ::close(ends[0]);
      ::close(ends[1]);
      throw std::system_error(why, std::generic_category(), "no process for a worker");
    }
    if (child == 0) {
      ::sigprocmask(SIG_SETMASK, &signals_.mask_of_others(), nullptr);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != self) ::_exit(2);  // it ended before it could be tied to
      if (ends[1] == report_descriptor)
        ::fcntl(report_descriptor, F_SETFD, 0);
      else
        ::dup2(ends[1], report_descriptor);
      ::execv("/proc/self/exe", argv.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    members_.push_back({.rank = rank, .process = child, .pipe = ends[0]});
    return child;
  }

  void kill(std::size_t n) {
    if (!members_[n].running()) return;
    members_[n].killed = true;
    ::kill(members_[n].process, SIGKILL);
  }

  /// Waits until somebody says something or ends, at most so long, and passes it on: hear(number,
  /// message), gone(number). False where nobody is left. Throws interrupted.
  template <class Hear, class Gone>
  bool listen(std::chrono::microseconds at_most, Hear const& receive, Gone const& gone) {
    signal_guard::check();
    std::vector<pollfd> waiting;
    std::vector<std::size_t> numbers;
    for (std::size_t n = 0; n < members_.size(); ++n)
      if (members_[n].pipe >= 0) {
        waiting.push_back({members_[n].pipe, POLLIN, 0});
        numbers.push_back(n);
      }
    if (waiting.empty()) return false;
    timespec const time{at_most.count() / 1'000'000, at_most.count() % 1'000'000 * 1000};
    ::ppoll(waiting.data(), waiting.size(), &time, &signals_.mask_of_others());
    signal_guard::check();
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      if (waiting[i].revents == 0) continue;
      char bytes[4096];
      auto const got = ::read(waiting[i].fd, bytes, sizeof bytes);
      auto const n = numbers[i];
      if (got > 0) {
        members_[n].partial_line.append(bytes, static_cast<std::size_t>(got));
        for (std::size_t end; (end = members_[n].partial_line.find('\n')) != std::string::npos;) {
          auto const line = members_[n].partial_line.substr(0, end);
          members_[n].partial_line.erase(0, end + 1);
          if (auto const m = parse_message(line)) receive(n, *m);
        }
      } else if (got == 0) {
        ::close(members_[n].pipe);
        members_[n].pipe = -1;
        int status = 0;
        ::waitpid(members_[n].process, &status, 0);
        members_[n].status = status;
        gone(n);
      }
    }
    return true;
  }

 private:
  signal_guard const signals_{};
  std::vector<std::string> const arguments_;
  std::vector<worker_process> members_{};
};

}  // namespace example
