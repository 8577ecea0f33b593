#pragma once
#include "shunt/program/renumbered.hpp"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt {

SHUNT_INLINE program renumbered(program p, std::span<rank_id const> numbers, std::int32_t ranks) {
  if (numbers.size() != p.ranks.size())
    throw invalid_program("the program is for " + std::to_string(p.ranks.size()) + " ranks, " +
                          std::to_string(numbers.size()) + " are named");
  program all;
  all.ranks.resize(static_cast<std::size_t>(ranks));
  std::vector<bool> taken(static_cast<std::size_t>(ranks), false);
  for (rank_id const r : ids<rank_id>(numbers.size())) {
    rank_id const number = numbers[r.index()];
    if (number < 0 || number.value() >= ranks || taken[number.index()])
      throw invalid_program("rank " + to_string(number) + " is not one of " +
                            std::to_string(ranks) + " ranks, or is named twice");
    taken[number.index()] = true;
    all.ranks[number] = std::move(p.ranks[r]);
    for (instruction& i : all.ranks[number].instructions)
      if (i.code == opcode::send || i.code == opcode::receive) i.peer = numbers[i.peer.index()];
  }
  all.groups = std::move(p.groups);
  for (auto& members : all.groups)
    for (rank_id& r : members) r = numbers[r.index()];
  return all;
}

}  // namespace shunt
