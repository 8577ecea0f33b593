#pragma once
#include "shunt/measure/moved_bytes.hpp"

#include <cstddef>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt {

SHUNT_CONSTEXPR moved_bytes bytes_moved(program const& p) {
  moved_bytes sum;
  for (rank_id r : ids<rank_id>(p.ranks.size())) {
    auto const& rank = p.ranks[r];
    struct written {
      region where;
      bool received;
    };
    std::vector<written> writes;
    auto const arrived = [&](region const& source) {
      for (auto at = writes.rbegin(); at != writes.rend(); ++at)
        if (at->where.buffer == source.buffer && at->where.offset < source.offset + source.size &&
            source.offset < at->where.offset + at->where.size)
          return at->received;
      return false;
    };
    for (auto const& i : rank.instructions) {
      auto const own = rank.reads(i);
      byte_count const size = own.empty() ? 0 : own[0].size;
      auto const others = [&] { return static_cast<byte_count>(p.groups[i.group].size()) - 1; };
      bool const leads = is_collective(i.code) && p.groups[i.group].front() == r;
      switch (i.code) {
        case opcode::send: sum.network += size; break;
        case opcode::copy:
        case opcode::add: {
          bool const inside = own[0].buffer == rank.writes(i)[0].buffer;
          bool const counted = i.code == opcode::add && arrived(own[0]);
          (inside ? sum.within : sum.local) += counted ? 0 : size;
          break;
        }
        case opcode::all_reduce: sum.network += leads ? 2 * others() * size : 0; break;
        case opcode::reduce_scatter: sum.network += leads ? others() * size : 0; break;
        case opcode::all_gather: sum.network += others() * size; break;
        case opcode::compute:
        case opcode::receive:
        case opcode::fill:
        case opcode::exchange: break;
      }
      for (region const& w : rank.writes(i)) writes.push_back({w, i.code == opcode::receive});
    }
  }
  return sum;
}

SHUNT_CONSTEXPR std::vector<byte_count> message_bytes(program const& p) {
  std::vector<byte_count> bytes(p.ranks.size() * p.ranks.size(), 0);
  for (rank_id r : ids<rank_id>(p.ranks.size()))
    for (auto const& i : p.ranks[r].instructions)
      if (i.code == opcode::send)
        bytes[r.index() * p.ranks.size() + i.peer.index()] += p.ranks[r].reads(i)[0].size;
  return bytes;
}

SHUNT_CONSTEXPR byte_count bytes_received(program const& p,
                                          indexed<rank_id, progress> const& done) {
  byte_count sum = 0;
  for (rank_id const r : ids<rank_id>(p.ranks.size())) {
    auto const& own = p.ranks[r];
    auto const ran = done[r].programs > 0 ? own.instructions.size()
                                          : static_cast<std::size_t>(done[r].instructions);
    for (std::size_t i = 0; i < ran; ++i)
      if (auto const& what = own.instructions[i]; what.code == opcode::receive)
        sum += own.writes(what)[0].size;
  }
  return sum;
}

}  // namespace shunt
