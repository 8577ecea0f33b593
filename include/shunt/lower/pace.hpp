#pragma once
#include <cstdint>
#include <span>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Sizes of what ranks tell each other of their pace, in bytes.
struct pace_sizes {
  byte_count report = 8;   ///< of each rank to the judge
  byte_count verdict = 8;  ///< of the judge to each rank
};

/// Returns an iteration in which ranks find out together which of them are slow. At the start of
/// its list every rank sends the judge a report on the iteration before, and the judge sends every
/// rank the verdict at which it has arrived. At the end of its list the judge receives the reports
/// and every rank the verdict. What is received was sent a whole list earlier, so under no plan
/// does a rank wait for it. All ranks hear the same verdict in the same iteration.
///
/// The work gets compute instructions of op_kind::pace. One that writes a region is to write the
/// report there, and the judge the verdict to a second one. One that reads a region hears the
/// verdict in it, and the judge the reports in those behind.
/// Ranks with an empty list take no part but those of `beside`.
/// Throws invalid_program where the judge takes no part.
/// Requires sizes above 0. Complexity: linear in the instructions.
[[nodiscard]] program with_pace(program iteration, rank_id judge, pace_sizes const& sizes,
                                std::span<rank_id const> beside = {});

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/pace.ipp"
#endif
