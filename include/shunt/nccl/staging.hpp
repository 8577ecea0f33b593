#pragma once
/// Device memory that a rank's list needs beside the work's buffers, because NCCL moves whole
/// messages of fixed size and reduces in an order of its own: exchanges n x part, conditional
/// operations what they receive, float reductions what is folded, buffered sends their copy. Every
/// instruction has a place of its own, so that nothing waits for memory within a list.
#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// In which order floats are reduced.
enum class float_order : std::uint8_t {
  of_the_group,  ///< a left fold over the members: the bits of every other executor
  of_nccl,       ///< as NCCL finds fastest
};

/// What one rank's list needs beside the work's buffers, by instruction.
struct nccl_staging {
  static constexpr std::int64_t none = -1;
  std::vector<std::int64_t> place{};    ///< in bytes of staging memory
  std::vector<std::int64_t> word{};     ///< of its condition
  std::vector<std::int64_t> verdict{};  ///< of an exchange: the first of one word a member
  std::int64_t bytes = 0, words = 0;

  /// What lies side by side begins where devices like their memory aligned to.
  [[nodiscard]] static constexpr std::int64_t aligned(std::int64_t bytes) {
    return (bytes + 255) / 256 * 256;
  }
};

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
    bool const folds = reduces && floats == float_order::of_the_group &&
                       (i.type == element::float32 || i.type == element::float64);
    if (i.condition >= 0 && (i.code == opcode::receive || is_collective(i.code)) &&
        i.code != opcode::exchange)
      take(own.writes(i)[0].size);
    if (folds)
      take(n * (i.code == opcode::all_reduce ? ceil_divide(own.writes(i)[0].size, n) + 8
                                             : own.writes(i)[0].size));
    if (i.code == opcode::exchange) {
      take(own.reads(i)[0].size);
      take(n * 8);
    }
    s.place.push_back(needed > 0 ? std::exchange(s.bytes, s.bytes + needed) : nccl_staging::none);
    s.word.push_back(i.condition >= 0 ? s.words++ : nccl_staging::none);
    s.verdict.push_back(i.code == opcode::exchange ? std::exchange(s.words, s.words + n)
                                                   : nccl_staging::none);
  }
  return s;
}

}  // namespace shunt
