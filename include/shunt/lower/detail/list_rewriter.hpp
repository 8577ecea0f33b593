#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// Builds a rank's list anew from an old one. Old instructions keep their regions. Their waits
/// refer to the new places.
class list_rewriter {
 public:
  explicit list_rewriter(rank_program const& old) : old_(old), now_(old.instructions.size(), -1) {
    out.buffers = old.buffers;
    out.regions = old.regions;
    last_.fill(-1);
  }

  /// Appends an old instruction to the new list. `change(instruction, waits)` may alter it.
  /// Returns its new place.
  template <class Change>
  std::int32_t move(std::int32_t n, Change&& change) {
    auto i = old_.instructions[static_cast<std::size_t>(n)];
    std::vector<std::int32_t> after = waits_of(n);
    change(i, after);
    return now_[static_cast<std::size_t>(n)] = put(i, after);
  }
  std::int32_t move(std::int32_t n) {
    return move(n, [](auto&, auto&) {});
  }
  /// Appends a new instruction.
  /// Returns its place.
  std::int32_t add(instruction i, std::initializer_list<region> reads,
                   std::initializer_list<region> writes,
                   std::vector<std::int32_t> const& after = {}, region const& condition = {}) {
    i.reads = regions(reads);
    i.writes = regions(writes);
    if (condition.size > 0) i.condition = regions({condition}).first;
    return put(i, after);
  }
  slice regions(std::initializer_list<region> items) {
    slice const s{static_cast<std::int32_t>(out.regions.size()),
                  static_cast<std::int32_t>(items.size())};
    out.regions.insert(out.regions.end(), items.begin(), items.end());
    return s;
  }
  /// Enlarges a buffer by `size` bytes at a multiple of 8.
  /// Returns the region of these bytes.
  region extend(buffer_id b, byte_count size) {
    byte_count const at = (out.buffers[b].size + 7) / 8 * 8;
    out.buffers[b].size = at + size;
    return {b, at, size};
  }
  [[nodiscard]] std::int32_t place_of(std::int32_t n) const {
    return now_[static_cast<std::size_t>(n)];
  }
  /// Returns the new places of the instructions that an old one waits for. An instruction that
  /// isn't placed yet is represented by the last one of its lane.
  [[nodiscard]] std::vector<std::int32_t> waits_of(std::int32_t n) const {
    std::vector<std::int32_t> places;
    for (auto const w : old_.after(old_.instructions[static_cast<std::size_t>(n)])) {
      auto const moved = place_of(w);
      auto const place =
          moved >= 0 ? moved : last_[old_.instructions[static_cast<std::size_t>(w)].lane];
      if (place >= 0) places.push_back(place);
    }
    return places;
  }
  /// Returns the last instruction of every other lane.
  [[nodiscard]] std::vector<std::int32_t> ends_of_other_lanes(std::uint8_t lane) const {
    std::vector<std::int32_t> ends;
    for (std::size_t l = 0; l < last_.size(); ++l)
      if (l != lane && last_[l] >= 0) ends.push_back(last_[l]);
    return ends;
  }

  rank_program out{};

 private:
  std::int32_t put(instruction& i, std::vector<std::int32_t> const& after) {
    auto const self = static_cast<std::int32_t>(out.instructions.size());
    i.after = {static_cast<std::int32_t>(out.waits.size()),
               static_cast<std::int32_t>(after.size())};
    out.waits.insert(out.waits.end(), after.begin(), after.end());
    out.instructions.push_back(i);
    return last_[i.lane] = self;
  }

  rank_program const& old_;
  std::vector<std::int32_t> now_;  // new place of an old instruction
  std::array<std::int32_t, 256> last_{};
};

}  // namespace shunt::detail
