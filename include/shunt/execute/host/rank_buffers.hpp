#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// One rank's buffers as its program addresses them: on the host, or on a device, for nothing here
/// touches a byte.
class rank_buffers {
 public:
  /// Looks the program's buffers up. Throws invalid_program where the work's buffer is smaller than
  /// the program says, or a region leaves its buffer. Costs nothing when the same program is bound
  /// again.
  template <class Work>
  void bind(Work& w, rank_id rank, rank_program const& p) {
    if (bound_ == &p) return;
    bound_ = nullptr;
    buffers_.assign(p.buffers.size(), {});
    for (buffer_id const b : ids<buffer_id>(p.buffers.size())) {
      auto const size = p.buffers[b].size;
      if (size == 0) continue;
      std::span<std::byte> const memory = w.buffer(rank, b);
      if (size < 0 || memory.size() < static_cast<std::size_t>(size))
        refuse(rank, b,
               "has " + std::to_string(memory.size()) + " of " + std::to_string(size) + " bytes");
      buffers_[b.index()] = memory.first(static_cast<std::size_t>(size));
    }
    for (region const& r : p.regions)
      if (!p.buffers.contains(r.buffer) || r.offset < 0 || r.size < 0 ||
          r.offset > p.buffers[r.buffer].size - r.size)
        refuse(rank, r.buffer,
               "has no bytes [" + std::to_string(r.offset) + ", +" + std::to_string(r.size) + ")");
    bound_ = &p;
  }

  [[nodiscard]] std::span<std::byte> operator[](region const& r) const;

 private:
  [[noreturn]] static void refuse(rank_id rank, buffer_id b, std::string const& why);

  rank_program const* bound_ = nullptr;
  std::vector<std::span<std::byte>> buffers_{};
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/execute/host/rank_buffers.ipp"
#endif
