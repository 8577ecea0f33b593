#pragma once
/// A worker process of a launcher: where it meets the others, and the reports that one of them
/// reads in the end.
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/launch/environment.hpp"
#include "shunt/launch/launched_rendezvous.hpp"
#include "shunt/launch/report_files.hpp"
#include "shunt/launch/report_line.hpp"
#include "shunt/launch/shared_files.hpp"

namespace shunt {

/// The worker that a launcher made this process. The last word of each worker is "end" or "error"
/// (launch/worker_end.hpp).
class launched_worker {
 public:
  /// `joins`: it comes in the place of one that died.
  /// Throws what launched_rendezvous and report_files throw.
  launched_worker(launched_process const& as, bool joins, launched_rendezvous::config const& how);

  [[nodiscard]] launched_rendezvous const& place() const { return place_; }

  /// Returns `work(sink)`. Clears the place away where the others never came.
  template <class Work>
  auto operator()(Work const& work) const try {
    return work(reports_.sink());
  } catch (rendezvous_failed const& error) {
    if (!error.absent().empty()) place_.clear();
    throw;
  }

  /// Returns whether this is the first that lives of every `step`-th rank from `first` on. `dead`
  /// is ascending.
  [[nodiscard]] bool speaks(std::vector<rank_id> const& dead, std::int32_t first = 0,
                            std::int32_t step = 1) const;

  /// Passes on what all ranks have reported, `hear(rank, line)`, and clears the place away.
  template <class Hear>
  void read(std::int32_t ranks, std::vector<rank_id> const& dead, Hear const& hear) const {
    auto const is_last = [](std::string_view line) {
      return reported(line) == "end" || reported(line) == "error";
    };
    reports_.read(ranks, dead, patience_, is_last, hear);
    place_.clear();
  }

 private:
  rank_id rank_;
  std::chrono::milliseconds patience_;
  launched_rendezvous const place_;
  report_files const reports_;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/launch/launched_worker.ipp"
#endif
