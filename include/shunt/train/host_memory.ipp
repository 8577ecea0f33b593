#pragma once
#include "shunt/train/host_memory.hpp"

#include <algorithm>

#include "shunt/core/indexed.hpp"

namespace shunt {

SHUNT_INLINE host_memory::host_memory(std::size_t ranks, std::optional<rank_id> only)
    : only_(only), buffers_(ranks), kept_(ranks) {}

SHUNT_INLINE aligned_bytes& host_memory::operator()(rank_id r, buffer_id b) {
  if (!has(r) || b.index() >= buffers_[r.index()].size()) return none_;
  return buffers_[r.index()][b.index()];
}

SHUNT_INLINE std::span<std::byte> host_memory::operator()(rank_id r, region const& at) {
  return std::span<std::byte>((*this)(r, at.buffer))
      .subspan(static_cast<std::size_t>(at.offset), static_cast<std::size_t>(at.size));
}

template <class Size>
void host_memory::resize(program const& sizes, Size const& wanted) {
  for (rank_id const r : ids<rank_id>(sizes.ranks.size())) {
    if (!has(r)) continue;
    auto const& declared = sizes.ranks[r].buffers;
    auto& own = buffers_[r.index()];
    if (own.size() < declared.size()) own.resize(declared.size());
    for (buffer_id const b : ids<buffer_id>(declared.size()))
      if (auto const size = static_cast<std::size_t>(declared[b].size); size > 0)
        own[b.index()].resize(wanted(own[b.index()].size(), size));
  }
}

SHUNT_INLINE void host_memory::fit(program const& sizes) {
  resize(sizes, [](std::size_t, std::size_t declared) { return declared; });
}

SHUNT_INLINE void host_memory::grow(program const& sizes) {
  resize(sizes, [](std::size_t now, std::size_t declared) { return std::max(now, declared); });
}

SHUNT_INLINE void host_memory::forget(rank_id r) {
  for (auto& bytes : buffers_[r.index()]) std::fill(bytes.begin(), bytes.end(), std::byte{0xff});
}

SHUNT_INLINE void host_memory::keep(rank_id r, buffer_id b, std::int64_t iteration) {
  auto& all = kept_[r.index()];
  auto at = std::find_if(all.begin(), all.end(), [b](auto const& k) { return k.buffer == b; });
  if (at == all.end()) at = all.insert(at, {.buffer = b});
  at->iteration = iteration;
  at->bytes = (*this)(r, b);
}

SHUNT_INLINE void host_memory::restore(rank_id r, std::int64_t iteration) {
  for (auto const& k : kept_[r.index()])
    if (k.iteration == iteration) (*this)(r, k.buffer) = k.bytes;
  kept_[r.index()].clear();
}

}  // namespace shunt
