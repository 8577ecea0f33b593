#pragma once
#include "shunt/simulate/detail/virtual_run.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/host/in_process_ranks.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"
#include "shunt/simulate/detail/lanes.hpp"

namespace shunt::detail {

SHUNT_INLINE prepared_program::prepared_program(std::shared_ptr<program const> p)
    : what(std::move(p)), d(find_dependencies(*what)), order(*what) {
  require_runnable(*what, d, serial_order(*what, d));
}

SHUNT_INLINE void virtual_run::begin(bool with_messages) {
  begun = true;
  auto const n = made_of->d.partner.size();
  start.assign(n, not_yet);
  end.assign(n, not_yet);
  waits = made_of->order.waits();
  ready.assign(waits.size(), 0);
  for (auto const& m : made_of->d.collectives) missing.push_back(m.members.count);
  if (with_messages) messages.resize(n);
}

SHUNT_INLINE std::vector<rank_id> virtual_run::missing_members(
    dependencies::collective_match const& m) const {
  std::vector<rank_id> absent;
  auto const& group = made_of->what->groups[m.group];
  auto const numbers = made_of->d.members_of(m);
  for (std::size_t k = 0; k < group.size(); ++k)
    if (numbers[k] == dependencies::none || start[static_cast<std::size_t>(numbers[k])] == not_yet)
      absent.push_back(group[k]);
  return absent;
}

SHUNT_INLINE progress report(rank_id r, virtual_rank const& s, std::vector<virtual_run> const& runs,
                             ticks stop_at, std::vector<event>& events) {
  ticks const limit = s.silent ? std::min(s.silent_at, stop_at) : stop_at;
  progress done{s.programs, 0};
  for (std::int32_t n = 0; n <= s.programs && n < static_cast<std::int32_t>(runs.size()); ++n) {
    auto const& run = runs[static_cast<std::size_t>(n)];
    if (!run.begun) break;
    auto const& list = run.made_of->what->ranks[r].instructions;
    auto const begin = static_cast<std::ptrdiff_t>(events.size());
    for (std::int32_t i = 0; i < static_cast<std::int32_t>(list.size()); ++i) {
      auto const& what = list[static_cast<std::size_t>(i)];
      auto const number = static_cast<std::size_t>(run.made_of->d.number({r, i}));
      if (run.end[number] == virtual_run::left_out) {
        if (n == s.programs && i == done.instructions && run.start[number] <= limit)
          ++done.instructions;
        continue;
      }
      bool const waits = what.code == opcode::receive || is_collective(what.code);
      if (run.start[number] == virtual_run::not_yet || run.end[number] == virtual_run::not_yet ||
          (waits && run.end[number] > limit))
        continue;
      events.push_back({r, n, i, what.code, what.op, run.start[number], run.end[number]});
      if (n == s.programs && i == done.instructions) ++done.instructions;
    }
    if (run.made_of->order.several(r))
      std::sort(events.begin() + begin, events.end(), [](event const& a, event const& b) {
        return std::pair(a.start, a.instruction) < std::pair(b.start, b.instruction);
      });
  }
  return done;
}

}  // namespace shunt::detail
