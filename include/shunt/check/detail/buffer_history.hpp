#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// Accesses to one buffer: a map of intervals, each with its last writer and the last reader of
/// each lane since. An instruction ordered after these is ordered after all earlier accesses.
class buffer_history {
 public:
  static constexpr std::int32_t nothing = -1, before_start = -2;

  buffer_history(buffer_info const& b, std::size_t lanes);

  /// Calls `unwritten(region part)` for runs of unwritten bytes, `touched(instruction)` for each
  /// writer of the bytes.
  template <class Unwritten, class Touched>
  void read(std::int32_t n, std::size_t lane, region const& r, Unwritten&& unwritten,
            Touched&& touched) {
    if (r.size == 0) return;
    if (lanes_ > 0) split(r);
    byte_count hole = -1;  // begin of the current run of unwritten bytes
    for (auto at = part_at(r.offset); at != parts_.end() && at->first < r.offset + r.size; ++at) {
      auto& [end, writer, readers] = at->second;
      auto const begin = std::max(at->first, r.offset);
      if (writer == nothing && hole < 0) hole = begin;
      if (writer != nothing && hole >= 0) {
        unwritten({r.buffer, hole, begin - hole});
        hole = -1;
      }
      if (writer >= 0) touched(writer);
      if (lanes_ > 0) {
        readers.resize(lanes_, nothing);
        readers[lane] = n;
      }
    }
    if (hole >= 0) unwritten({r.buffer, hole, r.offset + r.size - hole});
  }

  /// Calls `touched(instruction)` for each last reader and writer of the bytes. Where the write is
  /// conditional (not `sure`), the bytes count as written only if they did before.
  template <class Touched>
  void write(std::int32_t n, region const& r, bool sure, Touched&& touched) {
    if (r.size == 0) return;
    split(r);
    auto const first = parts_.find(r.offset), last = parts_.lower_bound(r.offset + r.size);
    for (auto at = first; at != last; ++at) {
      if (at->second.writer >= 0) touched(at->second.writer);
      for (auto const reader : at->second.readers)
        if (reader >= 0) touched(reader);
    }
    if (!sure)
      for (auto at = first; at != last; ++at)
        if (at->second.writer == nothing) return;  // stays unwritten, so a later read is reported
    parts_.erase(std::next(first), last);
    first->second = {r.offset + r.size, n, {}};
  }

 private:
  struct part {
    byte_count end = 0;
    std::int32_t writer = nothing;
    std::vector<std::int32_t> readers{};  // by lane; empty where there was no read
  };

  using parts = std::map<byte_count, part>;  // by begin

  parts::iterator part_at(byte_count offset) { return std::prev(parts_.upper_bound(offset)); }

  /// Splits parts at both ends of the region.
  void split(region const& r);

  std::size_t lanes_;  // 0: the list is totally ordered, so that readers aren't recorded
  std::map<byte_count, part> parts_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/check/detail/buffer_history.ipp"
#endif
