#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <vector>

#include "shunt/check/program_order.hpp"
#include "shunt/check/program_violation.hpp"
#include "shunt/program/program.hpp"

/// Rules on bytes: each is written before it is read, and no two instructions whose order is open
/// touch the same ones unless both only read. The history of a buffer is a map of intervals, each
/// with its last writer and, a lane, its last reader since: to be ordered after those is to be
/// ordered after all before them. O(m log m) in the number of regions, times the lanes where there
/// are several.
namespace shunt::detail {

class buffer_history {
 public:
  static constexpr std::int32_t nobody = -1, before_start = -2;

  buffer_history(buffer_info const& b, std::size_t lanes) : lanes_(lanes) {
    if (b.size > 0) parts_[0] = {b.size, b.persistent ? before_start : nobody, {}};
  }

  /// Calls `unwritten(region part)` for runs of bytes that nobody wrote, `touched(instruction)` for
  /// each writer of the bytes.
  template <class Unwritten, class Touched>
  void read(std::int32_t n, std::size_t lane, region const& r, Unwritten&& unwritten,
            Touched&& touched) {
    if (r.size == 0) return;
    if (lanes_ > 0) split(r);
    byte_count hole = -1;  // where the current run of unwritten bytes begins
    for (auto at = part_at(r.offset); at != parts_.end() && at->first < r.offset + r.size; ++at) {
      auto& [end, writer, readers] = at->second;
      auto const begin = std::max(at->first, r.offset);
      if (writer == nobody && hole < 0) hole = begin;
      if (writer != nobody && hole >= 0) {
        unwritten({r.buffer, hole, begin - hole});
        hole = -1;
      }
      if (writer >= 0) touched(writer);
      if (lanes_ > 0) {
        readers.resize(lanes_, nobody);
        readers[lane] = n;
      }
    }
    if (hole >= 0) unwritten({r.buffer, hole, r.offset + r.size - hole});
  }

  /// Calls `touched(instruction)` for each last reader and writer of the bytes. They count as
  /// written where the writer is sure to run; otherwise as much as before.
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
        if (at->second.writer == nobody) return;  // whoever reads this is told so
    parts_.erase(std::next(first), last);
    first->second = {r.offset + r.size, n, {}};
  }

 private:
  struct part {
    byte_count end = 0;
    std::int32_t writer = nobody;
    std::vector<std::int32_t> readers{};  // by lane; empty where nobody has read it
  };

  using parts = std::map<byte_count, part>;  // by where each begins

  parts::iterator part_at(byte_count offset) { return std::prev(parts_.upper_bound(offset)); }

  /// Makes the region's ends ends of parts.
  void split(region const& r) {
    for (auto const offset : {r.offset, r.offset + r.size}) {
      auto const at = part_at(offset);
      if (at->first == offset || at->second.end <= offset) continue;
      part right = at->second;
      at->second.end = offset;
      parts_.emplace_hint(std::next(at), offset, std::move(right));
    }
  }

  std::size_t
      lanes_;  // 0: the order of the list is the order of all, nobody needs to know the readers
  std::map<byte_count, part> parts_{};
};

}  // namespace shunt::detail

namespace shunt {

/// Appends what is wrong with one rank's use of its memory: one violation for each hole a region
/// reads, one for each pair that races.
inline void check_memory(rank_program const& own, rank_id r, lane_order const& order,
                         program_violations& out) {
  std::vector<detail::buffer_history> histories;
  histories.reserve(own.buffers.size());
  for (auto const& b : own.buffers) histories.emplace_back(b, order.total() ? 0 : order.lanes());
  std::vector<std::int32_t> raced;
  for (std::int32_t n = 0; n < static_cast<std::int32_t>(own.instructions.size()); ++n) {
    auto const& i = own.instructions[static_cast<std::size_t>(n)];
    raced.clear();
    region now{};
    auto const touched = [&](std::int32_t other) {
      if (other == n || order.before(other, n) ||
          std::find(raced.begin(), raced.end(), other) != raced.end())
        return;
      raced.push_back(other);
      out.push_back({.rule = program_rule::race, .at = {r, n}, .other = {r, other}, .where = now});
    };
    auto const unwritten = [&](region const& hole) {
      out.push_back({.rule = program_rule::unwritten, .at = {r, n}, .where = hole});
    };
    for (auto const regions : {own.condition(i), own.reads(i)})
      for (region const& x : regions) {
        now = x;
        histories[x.buffer.index()].read(n, order.lane(n), x, unwritten, touched);
      }
    for (region const& x : own.writes(i)) {
      now = x;
      histories[x.buffer.index()].write(n, x, i.condition < 0, touched);
    }
  }
}

}  // namespace shunt
