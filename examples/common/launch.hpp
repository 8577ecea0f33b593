#pragma once
/// One worker under somebody else's launcher, which says by environment variables who it is: RANK
/// and WORLD_SIZE (torchrun and others), OMPI_COMM_WORLD_RANK and _SIZE (Open MPI), PMI_RANK and
/// _SIZE, or SLURM_PROCID and SLURM_NTASKS. All meet in SHUNT_RENDEZVOUS, a directory that all can
/// write to, over the network interface SHUNT_INTERFACE.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "cli.hpp"
#include "messages.hpp"
#include "process_options.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/gloo/detail/own_directory.hpp"

namespace example {

struct launch {
  std::int32_t rank = 0, size = 0;
};

/// What a launcher says; nothing without one. Throws invalid_problem where it says only half of it.
[[nodiscard]] inline std::optional<launch> launch_of_environment() {
  for (auto const& [rank, size] : {std::pair{"RANK", "WORLD_SIZE"},
                                   {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                   {"PMI_RANK", "PMI_SIZE"},
                                   {"SLURM_PROCID", "SLURM_NTASKS"}}) {
    char const* const r = std::getenv(rank);
    char const* const s = std::getenv(size);
    if (!r && !s) continue;
    if (!r || !s) throw shunt::invalid_problem(r ? size : rank, "is not set");
    auto const of = static_cast<std::int32_t>(parse_integer(size, s, 1, 1 << 20));
    return launch{static_cast<std::int32_t>(parse_integer(rank, r, 0, of - 1)), of};
  }
  return std::nullopt;
}
/// Whether the launcher's worker comes in the place of one that died.
[[nodiscard]] inline bool launched_to_join() { return std::getenv("SHUNT_JOIN") != nullptr; }

/// Where a launcher's workers meet, and where each leaves what it says for the others to read.
class launch_directory {
 public:
  /// Throws invalid_problem, naming the variable, where it can't be used, where somebody else could
  /// meddle with it, or where this rank is there already and doesn't join.
  launch_directory(process_options const& o, launch const& as, bool joins)
      : patience_(o.patience), path_(std::filesystem::path(o.rendezvous) / "shunt") {
    namespace files = std::filesystem;
    if (o.rendezvous.empty())
      throw shunt::invalid_problem("SHUNT_RENDEZVOUS", "names no directory to meet in");
    if (auto const why = shunt::detail::own_directory(path()); !why.empty())
      throw shunt::invalid_problem("SHUNT_RENDEZVOUS", "cannot meet in " + path() + ": " + why);
    struct stat above{};  // who may rename what is in it
    if (::stat(o.rendezvous.c_str(), &above) == 0 &&
        ((above.st_uid != ::geteuid() && above.st_uid != 0) ||
         (above.st_mode & (S_IWOTH | S_ISVTX)) == S_IWOTH))
      throw shunt::invalid_problem("SHUNT_RENDEZVOUS",
                                   o.rendezvous +
                                       " belongs to another user, or all users can write to it");
    std::error_code failed;
    int nth = 0;
    if (joins)
      while (files::exists(report_of(as.rank, nth), failed)) ++nth;
    file_ = ::open(report_of(as.rank, nth).c_str(),
                   O_CREAT | O_EXCL | O_WRONLY | O_APPEND | O_CLOEXEC, 0666);
    if (file_ >= 0) return;
    if (errno == EEXIST)
      throw shunt::invalid_problem("RANK", std::to_string(as.rank) + " is in " + path() +
                                               " already: two processes have this rank, or the "
                                               "directory is left over from another run");
    throw shunt::invalid_problem("SHUNT_RENDEZVOUS",
                                 "cannot write to " + path() + ": " +
                                     std::error_code(errno, std::generic_category()).message());
  }
  launch_directory(launch_directory const&) = delete;
  launch_directory& operator=(launch_directory const&) = delete;
  ~launch_directory() { ::close(file_); }

  [[nodiscard]] std::string path() const { return path_.string(); }
  [[nodiscard]] report_pipe say() const { return report_pipe(file_); }

  /// Passes on what the first `ranks` ranks have said, hear(rank, message), when those that live
  /// have come to the end, or don't in time.
  template <class Hear>
  void read(std::int32_t ranks, std::vector<shunt::rank_id> const& dead,
            Hear const& receive) const {
    auto const until = std::chrono::steady_clock::now() + patience_;
    for (shunt::rank_id const r : shunt::ids<shunt::rank_id>(ranks)) {
      bool const running = !std::binary_search(dead.begin(), dead.end(), r);
      for (;; std::this_thread::sleep_for(std::chrono::milliseconds(1))) {
        std::vector<message> lines;
        bool ended = false;
        std::error_code failed;
        for (int n = 0; std::filesystem::exists(report_of(r.value(), n), failed); ++n) {
          std::ifstream in(report_of(r.value(), n));
          for (std::string line;
               std::getline(in, line) &&
               !in.eof();)  // what ends the file without a line's end is half a line
            if (auto const m = parse_message(line)) {
              lines.push_back(*m);
              ended = m->what == report_kind::end || m->what == report_kind::error;
            }
        }
        if (running && !ended && std::chrono::steady_clock::now() < until) continue;
        for (auto const& m : lines) receive(r, m);
        break;
      }
    }
  }

  /// Removes it with all that is in it.
  void clear() const {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

 private:
  [[nodiscard]] std::filesystem::path report_of(std::int32_t rank, int n) const {
    return path_ / ("report" + std::to_string(rank) + (n > 0 ? "." + std::to_string(n) : ""));
  }

  std::chrono::milliseconds const patience_;
  std::filesystem::path const path_;
  int file_ = -1;
};

}  // namespace example
