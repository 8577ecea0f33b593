#pragma once
#include "shunt/launch/worker_processes.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"

namespace shunt {

SHUNT_INLINE worker_processes::worker_processes(std::string program,
                                                std::vector<std::string> arguments)
    : program_(std::move(program)), arguments_(std::move(arguments)) {}

SHUNT_INLINE worker_processes::~worker_processes() {
  for (auto& w : workers_)
    if (w.running()) ::kill(w.process, SIGKILL);
  for (auto& w : workers_) {
    if (w.running()) ::waitpid(w.process, nullptr, 0);
    if (w.pipe >= 0) ::close(w.pipe);
  }
}

SHUNT_INLINE pid_t worker_processes::start(rank_id rank, std::vector<std::string> const& more) {
  std::vector<std::string> words = arguments_;
  words.insert(words.end(), more.begin(), more.end());
  std::vector<char*> argv;
  for (auto& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);

  int lines[2], failure[2];  // the second says why the program could not begin
  if (::pipe2(lines, O_CLOEXEC) != 0)
    throw std::system_error(errno, std::generic_category(), "no pipe for a worker");
  if (::pipe2(failure, O_CLOEXEC) != 0) {
    auto const why = errno;
    for (int const end : lines) ::close(end);
    throw std::system_error(why, std::generic_category(), "no pipe for a worker");
  }
  pid_t const self = ::getpid();
  pid_t const child = ::fork();
  if (child == 0) {
    ::sigprocmask(SIG_SETMASK, &signals_.mask(), nullptr);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != self) ::_exit(2);  // the parent ended before this process was tied to it
    int const says = ::fcntl(failure[1], F_DUPFD_CLOEXEC, report_descriptor + 1);
    if (lines[1] == report_descriptor)
      ::fcntl(report_descriptor, F_SETFD, 0);
    else
      ::dup2(lines[1], report_descriptor);
    ::execvp(program_.c_str(), argv.data());
    int const why = errno;
    ::_exit(::write(says, &why, sizeof why) == sizeof why ? 127 : 126);
  }
  int why = child < 0 ? errno : 0;
  ::close(lines[1]);
  ::close(failure[1]);
  if (child > 0) {
    ssize_t got = 0;
    do got = ::read(failure[0], &why, sizeof why);
    while (got < 0 && errno == EINTR);
    if (got <= 0) why = 0;  // it runs
  }
  ::close(failure[0]);
  if (why != 0) {
    ::close(lines[0]);
    if (child > 0) ::waitpid(child, nullptr, 0);
    throw std::system_error(why, std::generic_category(), "no worker can run " + program_);
  }
  workers_.push_back({.rank = rank, .process = child, .pipe = lines[0]});
  return child;
}

SHUNT_INLINE void worker_processes::kill(std::size_t worker) {
  auto& w = workers_.at(worker);
  if (!w.running()) return;
  w.killed = true;
  ::kill(w.process, SIGKILL);
}

SHUNT_INLINE std::optional<std::vector<worker_event>> worker_processes::listen(
    std::chrono::microseconds at_most) {
  interrupt_guard::check();
  std::vector<pollfd> waiting;
  std::vector<std::size_t> numbers;
  for (std::size_t n = 0; n < workers_.size(); ++n)
    if (workers_[n].pipe >= 0) {
      waiting.push_back({workers_[n].pipe, POLLIN, 0});
      numbers.push_back(n);
    }
  if (waiting.empty()) return std::nullopt;
  timespec const time{static_cast<std::time_t>(at_most.count() / 1'000'000),
                      static_cast<long>(at_most.count() % 1'000'000 * 1000)};
  ::ppoll(waiting.data(), waiting.size(), &time, &signals_.mask());
  interrupt_guard::check();
  std::vector<worker_event> events;
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    if (waiting[i].revents == 0) continue;
    auto const n = numbers[i];
    auto& w = workers_[n];
    char bytes[4096];
    auto const got = ::read(w.pipe, bytes, sizeof bytes);
    if (got > 0) {
      w.partial_line.append(bytes, static_cast<std::size_t>(got));
      std::size_t begin = 0;
      for (std::size_t end; (end = w.partial_line.find('\n', begin)) != std::string::npos;) {
        events.push_back({n, w.partial_line.substr(begin, end - begin)});
        begin = end + 1;
      }
      w.partial_line.erase(0, begin);
    } else if (got == 0) {
      ::close(w.pipe);
      w.pipe = -1;
      int status = 0;
      ::waitpid(w.process, &status, 0);
      w.status = status;
      events.push_back({n, std::nullopt});
    }
  }
  return events;
}

}  // namespace shunt
