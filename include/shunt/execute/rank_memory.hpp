#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "shunt/core/units.hpp"
#include "shunt/execute/elements.hpp"
#include "shunt/execute/host/rank_buffers.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// One rank's buffers as its program addresses them, and the instructions that need nothing else:
/// compute, copy, add and fill.
template <work Work>
class rank_memory {
 public:
  rank_memory(Work& w, rank_id rank) : work_(&w), rank_(rank) {}

  /// Looks up the buffers of the program. A second call with the same program costs nothing.
  /// Throws invalid_program where a buffer of the work is too small, or a region leaves its buffer.
  void bind(rank_program const& p) { buffers_.bind(*work_, rank_, p); }

  /// Returns the bytes of a region of the bound program.
  [[nodiscard]] std::span<std::byte> operator[](region const& r) const { return buffers_[r]; }

  /// Returns whether an instruction's condition lets it run.
  [[nodiscard]] bool allows(rank_program const& p, instruction const& i) const {
    for (region const& word : p.condition(i)) {
      std::int64_t value = 0;
      std::memcpy(&value, (*this)[word].data(),
                  std::min(sizeof value, static_cast<std::size_t>(word.size)));
      return value != 0;
    }
    return true;
  }

  /// Runs an instruction that is neither a message nor a collective. `started`: as of a task.
  /// Throws what the work throws.
  void run(rank_program const& p, instruction const& i, std::int64_t iteration,
           ticks started = 0) const {
    auto const reads = p.reads(i), writes = p.writes(i);
    switch (i.code) {
      case opcode::compute: (*work_)(rank_, task{i.op, iteration, reads, writes, started}); break;
      case opcode::copy: copy((*this)[reads.front()], (*this)[writes.front()]); break;
      case opcode::add:
        accumulate(i.type, reduction::sum, (*this)[writes.front()], (*this)[reads.front()]);
        break;
      case opcode::fill: {
        auto const target = (*this)[writes.front()];
        if (!target.empty()) std::memset(target.data(), 0, target.size());
        break;
      }
      default: break;
    }
  }

  /// Copies bytes.
  /// Requires equal sizes and no overlap.
  static void copy(std::span<std::byte const> source, std::span<std::byte> target) {
    if (!source.empty()) std::memcpy(target.data(), source.data(), source.size());
  }

 private:
  Work* work_;
  rank_id rank_;
  detail::rank_buffers buffers_{};
};

}  // namespace shunt
