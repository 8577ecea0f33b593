#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/elements.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// One rank's buffers as its program addresses them, and the instructions that need nothing else: compute, copy, add and fill.
template <work Work>
class rank_memory {
 public:
  rank_memory(Work& w, rank_id rank) : work_(&w), rank_(rank) {}

  /// Looks the program's buffers up. Throws invalid_program where the work's buffer is smaller than the program says, or a region
  /// leaves its buffer. Costs nothing when the same program is bound again.
  void bind(rank_program const& p) {
    if (bound_ == &p) return;
    buffers_.assign(p.buffers.size(), {});
    for (buffer_id const b : ids<buffer_id>(p.buffers.size())) {
      auto const size = p.buffers[b].size;
      if (size == 0) continue;
      std::span<std::byte> const memory = work_->buffer(rank_, b);
      if (size < 0 || memory.size() < static_cast<std::size_t>(size))
        refuse(b, "has " + std::to_string(memory.size()) + " of " + std::to_string(size) + " bytes");
      buffers_[b.index()] = memory.first(static_cast<std::size_t>(size));
    }
    for (region const& r : p.regions)
      if (!p.buffers.contains(r.buffer) || r.offset < 0 || r.size < 0 || r.offset > p.buffers[r.buffer].size - r.size)
        refuse(r.buffer, "has no bytes [" + std::to_string(r.offset) + ", +" + std::to_string(r.size) + ")");
    bound_ = &p;
  }

  [[nodiscard]] std::span<std::byte> operator[](region const& r) const {
    return buffers_[r.buffer.index()].subspan(static_cast<std::size_t>(r.offset), static_cast<std::size_t>(r.size));
  }

  /// Whether an instruction's condition lets it run.
  [[nodiscard]] bool allows(rank_program const& p, instruction const& i) const {
    for (region const& word : p.condition(i)) {
      std::int64_t value = 0;
      std::memcpy(&value, (*this)[word].data(), std::min(sizeof value, static_cast<std::size_t>(word.size)));
      return value != 0;
    }
    return true;
  }

  /// Runs an instruction that is neither a message nor a collective.
  void run(rank_program const& p, instruction const& i, std::int64_t iteration) const {
    auto const reads = p.reads(i), writes = p.writes(i);
    switch (i.code) {
      case opcode::compute: (*work_)(rank_, task{i.op, iteration, reads, writes}); break;
      case opcode::copy: copy((*this)[reads[0]], (*this)[writes[0]]); break;
      case opcode::add: accumulate(i.type, reduction::sum, (*this)[writes[0]], (*this)[reads[0]]); break;
      case opcode::fill: {
        auto const target = (*this)[writes[0]];
        if (!target.empty()) std::memset(target.data(), 0, target.size());
        break;
      }
      default: break;
    }
  }

  /// Bytes of equal number that don't overlap.
  static void copy(std::span<std::byte const> source, std::span<std::byte> target) {
    if (!source.empty()) std::memcpy(target.data(), source.data(), source.size());
  }

 private:
  [[noreturn]] void refuse(buffer_id b, std::string const& why) const {
    throw invalid_program("rank " + std::to_string(rank_.value()) + ", buffer " + std::to_string(b.value()) + ": " + why);
  }

  Work* work_;
  rank_id rank_;
  rank_program const* bound_ = nullptr;
  std::vector<std::span<std::byte>> buffers_;
};

}  // namespace shunt
