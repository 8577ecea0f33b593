#pragma once
#include "shunt/launch/report_files.hpp"

#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/launch/environment.hpp"
#include "shunt/launch/report_line.hpp"
#include "shunt/launch/shared_files.hpp"

namespace shunt {

SHUNT_INLINE report_files::report_files(std::shared_ptr<shared_files const> files,
                                        std::string directory, launched_process const& as,
                                        bool joins)
    : files_(std::move(files)), directory_(std::move(directory)) {
  int nth = 0;
  if (joins)
    while (files_->exists(name_of(as.rank, nth))) ++nth;
  own_ = name_of(as.rank, nth);
  auto const failed = files_->make_directory(own_);  // atomic: one process succeeds
  if (failed == std::errc::file_exists)
    throw invalid_problem(as.rank_variable, std::to_string(as.rank) + " is in " + directory_ +
                                                " already: two processes have this rank, or the "
                                                "directory is left over from another run");
  if (failed) throw rendezvous_failed(directory_ + ": can't be written: " + failed.message());
}

SHUNT_INLINE report_sink report_files::sink() const {
  return [*this](report_line const& report) {
    auto const failed = files_->append(own_ + "/lines", report.text());
    if (failed && files_->exists(own_))
      throw std::runtime_error("what this worker found can't be written: " + failed.message());
  };
}

SHUNT_INLINE std::string report_files::name_of(rank_id r, int nth) const {
  return directory_ + "/report" + std::to_string(r.value()) +
         (nth > 0 ? "." + std::to_string(nth) : "");
}

/// Returns the whole lines of a rank's processes, in order.
SHUNT_INLINE std::vector<std::string> report_files::lines_of(rank_id r) const {
  std::vector<std::string> lines;
  for (int nth = 0; files_->exists(name_of(r, nth)); ++nth) {
    std::istringstream in(files_->read(name_of(r, nth) + "/lines").value_or(""));
    for (std::string line; std::getline(in, line) && !in.eof();) lines.push_back(line);
  }
  return lines;
}

}  // namespace shunt
