#pragma once
#include <cstdint>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Sizes of what ranks tell each other of their pace, in bytes.
struct pace_sizes {
  byte_count report = 8;   ///< of each rank to the judge
  byte_count verdict = 8;  ///< of the judge to each rank
};

/// Returns an iteration in which ranks find out together which of them are slow. As the first
/// instruction every rank writes a report on the iteration before and sends it to the judge. At the
/// end of its list the judge decides, and every rank hears the verdict. Reports
/// are there when the judge wants them, and the verdict is there for ranks whose lists end no
/// earlier than the judge's: a rank with the last stage is a good judge. All ranks hear the same
/// verdict of the same iteration.
///
/// The work gets compute instructions of op_kind::pace. One that only writes is to write the
/// report. One that reads and writes reads all reports, one a region, and is to write the verdict.
/// One that only reads hears the verdict; the judge hears none but its own.
/// Throws invalid_program where the judge takes no part.
/// Requires sizes above 0. Complexity: linear in the instructions.
[[nodiscard]] program with_pace(program iteration, rank_id judge, pace_sizes const& sizes);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/pace.ipp"
#endif
