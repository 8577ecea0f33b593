#pragma once
/// Device memory that a rank's list needs besides the work's buffers, since NCCL moves whole
/// messages of fixed size and reduces in its own order: exchanges need n x part, operations aside
/// what they receive, float reductions what is folded, buffered sends their copy. Every instruction
/// has its own place, so nothing waits for memory within a list.
#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/nccl/config.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// Places of one rank's list in staging memory and among its words, by instruction; `none` where an
/// instruction needs none.
struct nccl_staging {
  static constexpr std::int64_t none = -1;
  std::vector<std::int64_t> place{};  ///< offset in staging memory, in bytes
  std::vector<std::int64_t> word{};   ///< index of the word that says whether it took effect
  std::vector<std::int64_t>
      overflow{};  ///< of an exchange: index of the first of one word a member
  std::int64_t bytes = 0, words = 0;

  /// Rounds a size up to the alignment of device memory.
  [[nodiscard]] static constexpr std::int64_t aligned(std::int64_t bytes) {
    return (bytes + 255) / 256 * 256;
  }
};

/// Returns whether an instruction is a message or a collective, which no condition holds back.
[[nodiscard]] inline bool waits_for_others(instruction const& i) {
  return i.code == opcode::send || i.code == opcode::receive || is_collective(i.code);
}

/// Returns whether an instruction of `own` works on staging memory: one with a condition, and an
/// all_reduce of a persistent buffer. NCCL may still run a collective after a stop, with garbage,
/// and what a program keeps from the last iteration must survive that. Other messages and
/// collectives write where they like: programs let them write beside what they may need again.
[[nodiscard]] inline bool works_aside(rank_program const& own, instruction const& i) {
  if (i.code == opcode::exchange) return false;
  if (i.condition >= 0) return i.code == opcode::receive || is_collective(i.code);
  return i.code == opcode::all_reduce && own.buffers[own.writes(i)[0].buffer].persistent;
}

/// Returns whether the effect of a message or a collective is a copy from staging memory, which its
/// word allows.
[[nodiscard]] inline bool ends_by_copy(rank_program const& own, instruction const& i) {
  return i.code == opcode::exchange || works_aside(own, i);
}

/// Returns the places of rank r's list. `buffered`: sends are buffered (message_routes).
[[nodiscard]] inline nccl_staging stage(program const& p, rank_id r, bool buffered,
                                        float_order floats) {
  auto const& own = p.ranks[r];
  nccl_staging s;
  for (auto const& i : own.instructions) {
    auto const n = is_collective(i.code) ? static_cast<std::int64_t>(p.groups[i.group].size()) : 1;
    std::int64_t needed = 0;
    auto const take = [&](std::int64_t bytes) { needed += nccl_staging::aligned(bytes); };
    if (i.code == opcode::send && buffered) take(own.reads(i)[0].size);
    bool const reduces = i.code == opcode::all_reduce || i.code == opcode::reduce_scatter;
    bool const folds = reduces && floats == float_order::of_the_group && is_floating(i.type);
    if (works_aside(own, i)) take(own.writes(i)[0].size);
    if (folds)
      take(n * (i.code == opcode::all_reduce ? ceil_divide(own.writes(i)[0].size, n) + 8
                                             : own.writes(i)[0].size));
    if (i.code == opcode::exchange) {
      take(own.reads(i)[0].size);
      take(n * 8);
    }
    s.place.push_back(needed > 0 ? std::exchange(s.bytes, s.bytes + needed) : nccl_staging::none);
    s.word.push_back(s.words++);
    s.overflow.push_back(i.code == opcode::exchange ? std::exchange(s.words, s.words + n)
                                                    : nccl_staging::none);
  }
  return s;
}

}  // namespace shunt::detail
