#pragma once
/// Gantt charts as text, like the grids in the papers.
#include <cstdint>
#include <ostream>

#include "shunt/io/gantt.hpp"

namespace shunt {

/// Writes a chart with letters: one row a worker, time to the right. F is a forward, B a fused
/// backward, I a backward_input, W a backward_weight, S a step, followed by the micro-batch. R is a
/// redundant forward, of the next stage.
/// A re-routed micro-batch is named with its pipeline (p:m). b, c ... behind the number stand for
/// the second, third ... chunk of the rank. F1:0 in a bidirectional layout is a micro-batch of the
/// pipeline from the last rank to the first. F3+B1 is an overlapped pair. '-' continues an
/// operation, '.' is idle, 'x' dead.
/// The scale is a whole number of characters a tick, enough for every label if `most_columns` allow
/// it; otherwise of ticks a character.
void write_text(std::ostream& out, gantt const& chart, std::int64_t most_columns = 200);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/text_grid.ipp"
#endif
