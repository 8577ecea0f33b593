#pragma once
#include "shunt/execute/streams/stream_program.hpp"

#include <algorithm>
#include <string>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

SHUNT_INLINE void check_overflow_words(program const& p, dependencies const& d,
                                       stream_plan const& plan,
                                       std::span<std::int64_t const> words) {
  auto const allowed = [&](std::int32_t number) {
    auto const at = plan.word_at[static_cast<std::size_t>(number)];
    return at == stream_plan::none || words[static_cast<std::size_t>(at)] != 0;
  };
  auto const refuse = [&](std::int32_t number, std::string const& whose) {
    auto const at = d.point(number);
    throw invalid_program("rank " + std::to_string(at.rank.value()) + ", instruction " +
                          std::to_string(at.instruction) + ": its condition lets it run and its " +
                          whose + "'s doesn't");
  };
  for (std::int32_t number = 0; number < static_cast<std::int32_t>(d.partner.size()); ++number) {
    auto const at = d.point(number);
    auto const& i = p.ranks[at.rank].instructions[static_cast<std::size_t>(at.instruction)];
    auto const partner = d.partner[static_cast<std::size_t>(number)];
    if (i.code == opcode::receive && partner != dependencies::none && allowed(number) &&
        !allowed(partner))
      refuse(number, "send");
    if (i.code == opcode::send && partner != dependencies::none && allowed(number) &&
        !allowed(partner))
      refuse(number, "receive");
    if (!is_collective(i.code)) continue;
    auto const members = d.members_of(d.collectives[static_cast<std::size_t>(partner)]);
    if (allowed(number) && !std::all_of(members.begin(), members.end(), allowed))
      refuse(number, "other member");
    auto const overflow = plan.overflow_at[static_cast<std::size_t>(number)];
    if (overflow == stream_plan::none) continue;
    auto const n = members.size();
    for (std::size_t k = 0; k < n * n; ++k)
      if (auto const count = words[static_cast<std::size_t>(overflow) + k]; count != 0)
        throw invalid_program(
            "exchange on rank " + std::to_string(p.groups[i.group][k / n].value()) + ": count " +
            std::to_string(k % n) + " is " + std::to_string(count) + ", its part holds " +
            std::to_string(p.ranks[at.rank].reads(i)[0].size / static_cast<byte_count>(n)) +
            " bytes");
  }
}

}  // namespace shunt
