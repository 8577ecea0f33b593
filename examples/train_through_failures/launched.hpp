#pragma once
/// One worker under somebody else's launcher, which says by environment variables who it is: RANK and WORLD_SIZE (torchrun and others),
/// OMPI_COMM_WORLD_RANK and _SIZE (Open MPI), PMI_RANK and _SIZE, or SLURM_PROCID and SLURM_NTASKS. All meet in SHUNT_RENDEZVOUS, a
/// directory that all can write to, over the network interface SHUNT_INTERFACE. The lowest worker of the last stage that is left speaks for all.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "account.hpp"
#include "cli.hpp"
#include "options.hpp"
#include "text.hpp"
#include "training_run.hpp"
#include "verdict.hpp"
#include "worker.hpp"

namespace example {

struct launch {
  std::int32_t rank = 0, size = 0;
};

/// What a launcher says; nothing without one. Throws invalid_problem where it says only half of it.
[[nodiscard]] inline std::optional<launch> launch_of_environment() {
  for (auto const& [rank, size] : {std::pair{"RANK", "WORLD_SIZE"}, {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, {"PMI_RANK", "PMI_SIZE"},
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

/// Trains as the worker that a launcher made this process; the exit status.
[[nodiscard]] inline int train_launched(launch const& as, options const& o) {
  namespace files = std::filesystem;
  auto const& job = o.training.job;
  if (as.size != job.ranks())
    throw shunt::invalid_problem("WORLD_SIZE", "is " + std::to_string(as.size) + ", " + std::to_string(job.pipelines) + " pipelines of " +
                                                   std::to_string(job.stages) + " stages need " + std::to_string(job.ranks()));
  if (o.rendezvous.empty()) throw shunt::invalid_problem("SHUNT_RENDEZVOUS", "names no directory to meet in");
  auto const bytes = load_text(o.text);
  auto const place = files::path(o.rendezvous) / "shunt";
  std::error_code failed;
  files::create_directories(place, failed);
  if (failed) throw shunt::invalid_problem("SHUNT_RENDEZVOUS", "cannot create " + place.string() + ": " + failed.message());
  bool const joins = std::getenv("SHUNT_JOIN") != nullptr;
  auto const report_of = [&](std::int32_t rank, int n) { return place / ("report" + std::to_string(rank) + (n > 0 ? "." + std::to_string(n) : "")); };
  int nth = 0;
  if (joins)
    while (files::exists(report_of(as.rank, nth), failed)) ++nth;
  int const file = ::open(report_of(as.rank, nth).c_str(), O_CREAT | O_EXCL | O_WRONLY | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0) {
    if (errno == EEXIST)
      throw shunt::invalid_problem("RANK", std::to_string(as.rank) + " is in " + place.string() +
                                               " already: two processes have this rank, or the directory is left over from another run");
    throw shunt::invalid_problem("SHUNT_RENDEZVOUS", "cannot write to " + place.string() + ": " + std::error_code(errno, std::generic_category()).message());
  }
  shunt::recovery_report report;
  try {
    report = work_as({.gloo = gloo_config_of(o, place.string()), .self = as.rank, .joins = joins}, o, voice(file));
  } catch (shunt::no_mesh const& error) {
    if (!error.absent().empty()) files::remove_all(place, failed);  // nobody got any further
    throw;
  }
  ::close(file);

  std::int32_t speaker = job.stages - 1;
  while (speaker < job.ranks() && std::binary_search(report.dead.begin(), report.dead.end(), shunt::rank_id(speaker))) speaker += job.stages;
  if (speaker != as.rank) {
    if (!report.stopped.empty()) std::cerr << "stopped: " << report.stopped << "\n";
    return report.stopped.empty() ? 0 : 1;
  }
  diary live(std::cout, o);
  account heard(o, &live);
  auto const until = std::chrono::steady_clock::now() + o.patience;
  for (shunt::rank_id const r : shunt::ids<shunt::rank_id>(job.ranks())) {
    bool const lives = !std::binary_search(report.dead.begin(), report.dead.end(), r);
    for (;; std::this_thread::sleep_for(std::chrono::milliseconds(1))) {
      std::vector<message> said;
      bool ended = false;
      for (int n = 0; files::exists(report_of(r.value(), n), failed); ++n) {
        std::ifstream in(report_of(r.value(), n));
        for (std::string line; std::getline(in, line);)
          if (auto const m = parse_message(line)) {
            said.push_back(*m);
            ended = m->what == says::end || m->what == says::error;
          }
      }
      if (lives && !ended && std::chrono::steady_clock::now() < until) continue;
      for (auto const& m : said) heard.hear(r, m);
      break;
    }
  }
  auto const result = heard.result();
  files::remove_all(place, failed);
  return conclude(std::cout, result, expected_of(train_undisturbed(o.training, bytes)), job);
}

}  // namespace example
