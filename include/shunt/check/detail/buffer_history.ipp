#pragma once
#include "shunt/check/detail/buffer_history.hpp"

#include "shunt/core/config.hpp"

namespace shunt::detail {

SHUNT_INLINE buffer_history::buffer_history(buffer_info const& b, std::size_t lanes)
    : lanes_(lanes) {
  if (b.size > 0) parts_[0] = {b.size, b.persistent ? before_start : nothing, {}};
}

SHUNT_INLINE void buffer_history::split(region const& r) {
  for (auto const offset : {r.offset, r.offset + r.size}) {
    auto const at = part_at(offset);
    if (at->first == offset || at->second.end <= offset) continue;
    part right = at->second;
    at->second.end = offset;
    parts_.emplace_hint(std::next(at), offset, std::move(right));
  }
}

}  // namespace shunt::detail
