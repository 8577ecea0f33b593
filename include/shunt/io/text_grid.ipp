#pragma once
#include "shunt/io/text_grid.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

// Returns the label of a bar; write_text documents it.
SHUNT_INLINE std::string grid_label(gantt::bar const& b, bool bidirectional) {
  if (b.code != opcode::compute) return "-";
  if (b.op.kind == op_kind::step) return "S";
  if (!is_of_microbatch(b.op.kind)) return std::string(to_string(b.op.kind)).substr(0, 3);
  constexpr char letters[] = "FBIW";
  bool const owned = b.rerouted || (bidirectional && b.chunk > 0);
  std::string label = (b.redundant ? 'R' : letters[static_cast<std::size_t>(b.op.kind)]) +
                      (owned ? std::to_string(b.op.pipeline.value()) + ":" : std::string()) +
                      std::to_string(b.op.microbatch.value());
  if (!bidirectional && b.chunk > 0) label += static_cast<char>('a' + b.chunk % 26);
  return label;
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE void write_text(std::ostream& out, gantt const& chart, std::int64_t most_columns) {
  std::int64_t const span = std::max<ticks>(1, chart.end - chart.start);
  std::vector<std::string> names;
  for (auto const& b : chart.bars) {
    names.push_back(detail::grid_label(b, chart.bidirectional));
    if (b.part == gantt::bar::share::second && names.size() > 1)
      names.back() = names[names.size() - 2] + "+" + names.back();
  }
  std::int64_t wanted = 1;
  for (std::size_t i = 0; i < chart.bars.size(); ++i)
    if (auto const& b = chart.bars[i]; b.end > b.start)
      wanted =
          std::max(wanted, ceil_divide<std::int64_t>(static_cast<std::int64_t>(names[i].size()) + 1,
                                                     b.end - b.start));
  std::int64_t const characters =
      std::clamp<std::int64_t>(most_columns / span, 1, wanted);  // per tick
  std::int64_t const per_character =
      ceil_divide(span, std::max<std::int64_t>(1, most_columns));  // ticks
  auto const column = [&](ticks t) {
    return static_cast<std::size_t>((std::clamp(t, chart.start, chart.end) - chart.start) *
                                    characters / per_character);
  };
  auto const width = column(chart.end) + (span * characters % per_character != 0);

  std::vector<std::string> lines(chart.rows.size(), std::string(width, '.'));
  std::size_t labels = 4;
  for (std::size_t r = 0; r < lines.size(); ++r) {
    if (auto const dead = chart.rows[r].dead_from)
      std::fill(lines[r].begin() + static_cast<std::ptrdiff_t>(column(*dead)), lines[r].end(), 'x');
    labels = std::max(labels, chart.rows[r].label.size());
  }
  for (std::size_t i = 0; i < chart.bars.size(); ++i) {
    auto const& b = chart.bars[i];
    if (b.row >= lines.size()) continue;
    auto const from = column(b.start), to = column(b.end);
    // For a pair the label of the second part, which is written last and names both.
    auto const& label = names[i];
    for (auto c = from; c < to; ++c)
      lines[b.row][c] = c - from < label.size() ? label[c - from] : '-';
  }

  auto const row = [&](std::string_view label, std::string_view cells) {
    out << std::string(labels - label.size(), ' ') << label << " |" << cells << "|\n";
  };
  std::string ruler(width, ' ');
  std::int64_t step = 5;
  while (step * characters / per_character < 8) step *= 2;
  for (std::int64_t t = 0; t <= span; t += step) {
    auto const text = std::to_string(t);
    auto const at = column(chart.start + t);
    if (at + text.size() <= width) ruler.replace(at, text.size(), text);
  }
  row("time", ruler);
  for (std::size_t r = 0; r < lines.size(); ++r) row(chart.rows[r].label, lines[r]);
}

}  // namespace shunt
