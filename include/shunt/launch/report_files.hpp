#pragma once
/// Reports of processes that have no common parent to tell: each leaves its lines among the files
/// where they meet, and one reads all in the end.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/launch/environment.hpp"
#include "shunt/launch/report_line.hpp"
#include "shunt/launch/shared_files.hpp"

namespace shunt {

/// The reports of a run, one list of lines a process.
class report_files {
 public:
  /// Begins this process's own. `joins`: it comes in the place of one that died.
  /// Throws invalid_problem, which names the variable of the rank, where another process has it;
  /// rendezvous_failed where the directory cannot be written to.
  report_files(std::shared_ptr<shared_files const> files, std::string directory,
               launched_process const& as, bool joins);

  /// Returns a sink of this process's reports. They are lost where the directory has vanished.
  /// The sink throws runtime_error where one cannot be written.
  [[nodiscard]] report_sink sink() const;

  /// Passes on all lines, `hear(rank, line)`, rank after rank of 0 .. ranks-1. For the last line of
  /// each that is not among `dead` (ascending), by `is_last(line)`, it waits until `patience` has
  /// passed in all.
  template <class IsLast, class Hear>
  void read(std::int32_t ranks, std::vector<rank_id> const& dead,
            std::chrono::milliseconds patience, IsLast const& is_last, Hear const& hear) const {
    auto const until = std::chrono::steady_clock::now() + patience;
    for (std::int32_t r = 0; r < ranks; ++r) {
      bool const running = !std::binary_search(dead.begin(), dead.end(), rank_id(r));
      auto lines = lines_of(r);
      while (running && (lines.empty() || !is_last(lines.back())) &&
             std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
        lines = lines_of(r);
      }
      for (auto const& line : lines) hear(rank_id(r), line);
    }
  }

 private:
  [[nodiscard]] std::string name_of(rank_id r, int nth) const;
  [[nodiscard]] std::vector<std::string> lines_of(rank_id r) const;

  std::shared_ptr<shared_files const> files_;
  std::string directory_, own_{};
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/launch/report_files.ipp"
#endif
