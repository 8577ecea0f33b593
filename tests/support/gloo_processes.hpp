#pragma once
/// Ranks as processes that meet over Gloo.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <stdexcept>
#include <vector>

#include "shunt/core/indexed.hpp"
#include "shunt/gloo/mesh.hpp"

namespace shunt::tests::gloo_ranks {

inline std::vector<rank_id> every_rank(std::int32_t ranks) {
  std::vector<rank_id> all;
  for (std::int32_t r = 0; r < ranks; ++r) all.emplace_back(r);
  return all;
}

/// Runs a function as a process each; its answer is the exit status, 99 where it throws.
class processes {
 public:
  template <class F>
  processes(std::int32_t ranks, F const& f) {
    for (rank_id const r : ids<rank_id>(ranks)) {
      pid_t const child = fork();
      if (child == 0) {
        int status = 99;
        std::signal(SIGPIPE, SIG_IGN);
        try {
          status = f(r);
        } catch (std::exception const& error) {
          fprintf(stderr, "rank %d: %s\n", r.value(), error.what());
        }
        _exit(status);
      }
      children_.push_back(child);
    }
  }
  ~processes() {
    for (std::size_t i = 0; i < children_.size(); ++i)
      if (children_[i] > 0) {
        kill(children_[i], SIGKILL);
        waitpid(children_[i], nullptr, 0);
      }
  }
  void signal(rank_id r, int what) { kill(children_[r.index()], what); }
  /// The exit status, or minus the signal that ended it.
  int status(rank_id r) {
    int how = 0;
    waitpid(children_[r.index()], &how, 0);
    children_[r.index()] = -1;
    return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
  }

 private:
  std::vector<pid_t> children_;
};

inline void pass_round(gloo_mesh& net, std::int64_t token) {
  auto const& all = net.members();
  auto const at =
      static_cast<std::size_t>(std::find(all.begin(), all.end(), net.rank()) - all.begin());
  std::int64_t got = 0;
  net.send(all[(at + 1) % all.size()], 3, std::as_bytes(std::span(&token, 1)));
  net.receive(all[(at + all.size() - 1) % all.size()], 3,
              std::as_writable_bytes(std::span(&got, 1)));
  if (got != token) throw std::logic_error("another token came round");
}

}  // namespace shunt::tests::gloo_ranks
