#pragma once
#include "shunt/lower/detail/list_rewriter.hpp"

#include "shunt/core/config.hpp"

namespace shunt::detail {

SHUNT_INLINE list_rewriter::list_rewriter(rank_program const& old)
    : old_(old), now_(old.instructions.size(), -1) {
  out.buffers = old.buffers;
  out.regions = old.regions;
  last_.fill(-1);
}

SHUNT_INLINE std::int32_t list_rewriter::move(std::int32_t n) {
  return move(n, [](auto&, auto&) {});
}

SHUNT_INLINE std::int32_t list_rewriter::add(instruction i, std::initializer_list<region> reads,
                                             std::initializer_list<region> writes,
                                             std::vector<std::int32_t> const& after,
                                             region const& condition) {
  i.reads = regions({reads.begin(), reads.size()});
  i.writes = regions({writes.begin(), writes.size()});
  return add(i, after, condition);
}

SHUNT_INLINE std::int32_t list_rewriter::add(instruction i, std::vector<std::int32_t> const& after,
                                             region const& condition) {
  if (condition.size > 0) i.condition = regions({&condition, 1}).first;
  return put(i, after);
}

SHUNT_INLINE slice list_rewriter::regions(std::span<region const> items) {
  slice const s{static_cast<std::int32_t>(out.regions.size()),
                static_cast<std::int32_t>(items.size())};
  out.regions.insert(out.regions.end(), items.begin(), items.end());
  return s;
}

SHUNT_INLINE region list_rewriter::extend(buffer_id b, byte_count size) {
  byte_count const at = (out.buffers[b].size + 7) / 8 * 8;
  out.buffers[b].size = at + size;
  return {b, at, size};
}

SHUNT_INLINE std::int32_t list_rewriter::place_of(std::int32_t n) const {
  return now_[static_cast<std::size_t>(n)];
}

SHUNT_INLINE std::vector<std::int32_t> list_rewriter::waits_of(std::int32_t n) const {
  std::vector<std::int32_t> places;
  for (auto const w : old_.after(old_.instructions[static_cast<std::size_t>(n)])) {
    auto const moved = place_of(w);
    auto const place =
        moved >= 0 ? moved : last_[old_.instructions[static_cast<std::size_t>(w)].lane];
    if (place >= 0) places.push_back(place);
  }
  return places;
}

SHUNT_INLINE std::vector<std::int32_t> list_rewriter::ends_of_other_lanes(std::uint8_t lane) const {
  std::vector<std::int32_t> ends;
  for (std::size_t l = 0; l < last_.size(); ++l)
    if (l != lane && last_[l] >= 0) ends.push_back(last_[l]);
  return ends;
}

SHUNT_INLINE std::int32_t list_rewriter::put(instruction& i,
                                             std::vector<std::int32_t> const& after) {
  auto const self = static_cast<std::int32_t>(out.instructions.size());
  i.after = {static_cast<std::int32_t>(out.waits.size()), static_cast<std::int32_t>(after.size())};
  out.waits.insert(out.waits.end(), after.begin(), after.end());
  out.instructions.push_back(i);
  return last_[i.lane] = self;
}

}  // namespace shunt::detail
