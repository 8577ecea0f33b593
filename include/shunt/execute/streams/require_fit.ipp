#pragma once
#include "shunt/execute/streams/require_fit.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

SHUNT_INLINE void require_fit(program const& p, dependencies const& d) {
  std::int32_t number = 0;
  for (rank_id const r : ids<rank_id>(p.ranks.size())) {
    auto const& own = p.ranks[r];
    for (std::int32_t n = 0; n < static_cast<std::int32_t>(own.instructions.size());
         ++n, ++number) {
      auto const& i = own.instructions[static_cast<std::size_t>(n)];
      auto const partner = d.partner[static_cast<std::size_t>(number)];
      auto const refuse = [&](std::string const& why) {
        throw invalid_program("rank " + std::to_string(r.value()) + ", instruction " +
                              std::to_string(n) + ": " + why);
      };
      auto const need = [&](std::span<region const> regions, byte_count multiple) {
        for (region const& x : regions)
          if (x.offset % multiple != 0 || x.size % multiple != 0)
            refuse("a device can't address bytes [" + std::to_string(x.offset) + ", +" +
                   std::to_string(x.size) + ") of buffer " + std::to_string(x.buffer.value()) +
                   " as elements of " + std::to_string(multiple));
      };
      constexpr byte_count word = sizeof(std::int64_t);
      need(own.condition(i), word);
      switch (i.code) {
        case opcode::add:
        case opcode::all_reduce:
        case opcode::reduce_scatter:
          need(own.reads(i), size_of(i.type)), need(own.writes(i), size_of(i.type));
          break;
        case opcode::exchange:
          need(own.reads(i).subspan(1, 1), word), need(own.writes(i).subspan(1, 1), word);
          break;
        default: break;
      }
      if ((i.code == opcode::copy || i.code == opcode::add) &&
          own.reads(i)[0].size != own.writes(i)[0].size)
        refuse("source and target differ in size");
      if (i.code == opcode::receive && partner != dependencies::none) {
        auto const& sender = p.ranks[i.peer];
        auto const sent =
            sender
                .reads(
                    sender.instructions[static_cast<std::size_t>(d.point(partner).instruction)])[0]
                .size;
        if (sent != own.writes(i)[0].size)
          throw invalid_program("rank " + std::to_string(r.value()) + " receives " +
                                std::to_string(sent) + " bytes, not " +
                                std::to_string(own.writes(i)[0].size));
      }
      if (!is_collective(i.code) || partner == dependencies::none) continue;
      auto const& group = p.groups[i.group];
      if (group.size() > most_members_on_streams)
        refuse("a group of " + std::to_string(group.size()) + " ranks on one device");
      auto const first = d.members_of(d.collectives[static_cast<std::size_t>(partner)])[0];
      if (first == dependencies::none) continue;
      auto const& other = p.ranks[group[0]];
      auto const& j = other.instructions[static_cast<std::size_t>(d.point(first).instruction)];
      if (i.code != j.code || own.reads(i)[0].size != other.reads(j)[0].size ||
          own.writes(i)[0].size != other.writes(j)[0].size)
        throw invalid_program("the members of group " + std::to_string(i.group.value()) +
                              " call for different collectives");
    }
  }
}

}  // namespace shunt::detail
