#pragma once
/// Workers that come back: the program that gives each the state of its stage.
///
/// All live workers of a stage hold the same state between iterations, so the lowest one sends it (SlipStream's re-join). Only `state`
/// travels: everything else is made anew by the next iteration.
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/builder.hpp"

namespace shunt {

/// `job` is as it was without the joining workers: they are among its dead. Run it between two iterations.
/// Throws invalid_problem where a joining worker isn't dead, or its stage has no live worker to take the state from.
[[nodiscard]] constexpr program lower_join(pipeline_job const& job, std::vector<worker> const& joining,
                                           pipeline_tensors const& tensors = {}) {
  validate(job);
  validate(job, tensors);
  program_builder builder(job.ranks());
  auto const declare = [&](rank_id r, stage_regions const& of) {
    builder.buffer(r, of.state().buffer, of.state().size, true);
    builder.buffer(r, of.kept().buffer, of.kept().size, true);
  };
  for (worker const& w : joining) {
    auto const refuse = [&](char const* why) {
      throw invalid_problem("joining", "worker " + std::to_string(w.pipeline.value()) + ":" + std::to_string(w.stage.value()) + why);
    };
    if (job.alive(w)) refuse(" isn't dead");
    auto const peers = job.live_peers(w.stage);
    if (peers.empty()) refuse(" has no live peer to take the state from");
    stage_regions const of{job, tensors, w.stage};
    rank_id const from = job.rank_of({peers.front(), w.stage}), to = job.rank_of(w);
    declare(from, of);
    declare(to, of);
    builder.message(from, of.state(), to, of.state());
  }
  return std::move(builder).finish();
}

}  // namespace shunt
