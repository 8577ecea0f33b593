#pragma once
#include <algorithm>
#include <cassert>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include "shunt/program/program.hpp"

namespace shunt {

/// Lane, batch, waits and condition of an instruction.
struct placing {
  std::uint8_t lane = 0;
  std::int32_t batch = -1;
  /// Indices of instructions on other lanes of the same rank, all smaller than its own.
  std::initializer_list<std::int32_t> after = {};
  /// An int64. The instruction runs where it isn't 0. Of size 0: it always runs.
  region condition = {};
};

/// Builds programs instruction by instruction. It checks no rules; `check` does. Each member that
/// adds an instruction appends it to the list of rank `r` and returns its index there.
class program_builder {
 public:
  using regions = std::span<region const>;

  constexpr explicit program_builder(std::int32_t ranks) {
    program_.ranks.resize(static_cast<std::size_t>(ranks));
  }

  [[nodiscard]] constexpr std::int32_t ranks() const {
    return static_cast<std::int32_t>(program_.ranks.size());
  }
  [[nodiscard]] constexpr std::int32_t size(rank_id r) const {
    return static_cast<std::int32_t>(program_.ranks[r].instructions.size());
  }

  /// Adds a buffer of a rank under the next free number.
  /// Returns the number.
  constexpr buffer_id buffer(rank_id r, byte_count size, bool persistent = false) {
    program_.ranks[r].buffers.push_back({size, persistent});
    return program_.ranks[r].buffers.size() - 1;
  }
  /// Adds a buffer under a given number. Numbers left out in between have size 0.
  constexpr void buffer(rank_id r, buffer_id at, byte_count size, bool persistent = false) {
    auto& table = program_.ranks[r].buffers;
    if (table.size() <= at.index()) table.resize(at.index() + 1);
    table[at] = {size, persistent};
  }
  /// Returns the region of a whole buffer.
  [[nodiscard]] constexpr region all_of(rank_id r, buffer_id b) const {
    return {b, 0, program_.ranks[r].buffers[b].size};
  }

  /// Returns the group of these ranks in this order. The same list is the same group.
  constexpr group_id group(std::vector<rank_id> members) {
    auto const& known = program_.groups.items();
    if (auto const at = std::find(known.begin(), known.end(), members); at != known.end())
      return at - known.begin();
    program_.groups.push_back(std::move(members));
    return program_.groups.size() - 1;
  }

  constexpr std::int32_t compute(rank_id r, operation const& op, regions reads, regions writes,
                                 placing const& at = {}) {
    instruction i{.code = opcode::compute, .op = op};
    return append(r, i, reads, writes, at);
  }
  constexpr std::int32_t compute(rank_id r, operation const& op,
                                 std::initializer_list<region> reads,
                                 std::initializer_list<region> writes, placing const& at = {}) {
    return compute(r, op, regions(reads.begin(), reads.size()),
                   regions(writes.begin(), writes.size()), at);
  }
  constexpr std::int32_t send(rank_id r, rank_id to, region const& message,
                              std::int32_t channel = 0, placing const& at = {}) {
    instruction i{.code = opcode::send, .channel = channel, .peer = to};
    return append(r, i, one(message), {}, at);
  }
  constexpr std::int32_t receive(rank_id r, rank_id from, region const& message,
                                 std::int32_t channel = 0, placing const& at = {}) {
    instruction i{.code = opcode::receive, .channel = channel, .peer = from};
    return append(r, i, {}, one(message), at);
  }
  constexpr std::int32_t copy(rank_id r, region const& source, region const& target,
                              placing const& at = {}) {
    return append(r, {.code = opcode::copy}, one(source), one(target), at);
  }
  constexpr std::int32_t add(rank_id r, element type, region const& source, region const& target,
                             placing const& at = {}) {
    region const both[] = {source, target};
    instruction i{.code = opcode::add, .type = type};
    return append(r, i, both, one(target), at);
  }
  constexpr std::int32_t fill(rank_id r, region const& target, placing const& at = {}) {
    return append(r, {.code = opcode::fill}, {}, one(target), at);
  }
  /// The part of one member. Every member of the group needs its own call, in the same order of
  /// collectives. So do the other collectives.
  constexpr std::int32_t all_reduce(rank_id r, group_id g, element type, reduction reduce,
                                    region const& own, placing const& at = {}) {
    instruction i{.code = opcode::all_reduce, .type = type, .reduce = reduce, .group = g};
    return append(r, i, one(own), one(own), at);
  }
  constexpr std::int32_t reduce_scatter(rank_id r, group_id g, element type, reduction reduce,
                                        region const& whole, region const& part,
                                        placing const& at = {}) {
    instruction i{.code = opcode::reduce_scatter, .type = type, .reduce = reduce, .group = g};
    return append(r, i, one(whole), one(part), at);
  }
  constexpr std::int32_t all_gather(rank_id r, group_id g, region const& part, region const& whole,
                                    placing const& at = {}) {
    instruction i{.code = opcode::all_gather, .group = g};
    return append(r, i, one(part), one(whole), at);
  }
  constexpr std::int32_t exchange(rank_id r, group_id g, region const& payload_out,
                                  region const& counts_out, region const& payload_in,
                                  region const& counts_in, placing const& at = {}) {
    region const out[] = {payload_out, counts_out};
    region const in[] = {payload_in, counts_in};
    instruction i{.code = opcode::exchange, .group = g};
    return append(r, i, out, in, at);
  }

  /// Moves a region of one rank to a region of equal size of another: a send and a receive, or a
  /// copy where both ranks are the same. `at` applies to each instruction.
  constexpr void message(rank_id from, region const& source, rank_id to, region const& target,
                         std::int32_t channel = 0, placing const& at = {}) {
    if (from == to) {
      copy(from, source, target, at);
    } else {
      send(from, to, source, channel, at);
      receive(to, from, target, channel, at);
    }
  }

  [[nodiscard]] constexpr program const& peek() const { return program_; }
  [[nodiscard]] constexpr program finish() && { return std::move(program_); }

 private:
  static constexpr regions one(region const& r) { return {&r, 1}; }

  static constexpr slice put(std::vector<region>& table, regions items) {
    slice const s{static_cast<std::int32_t>(table.size()), static_cast<std::int32_t>(items.size())};
    table.insert(table.end(), items.begin(), items.end());
    return s;
  }

  constexpr std::int32_t append(rank_id r, instruction i, regions reads, regions writes,
                                placing const& at) {
    auto& rank = program_.ranks[r];
    i.lane = at.lane;
    i.batch = at.batch;
    i.reads = put(rank.regions, reads);
    i.writes = put(rank.regions, writes);
    i.after = {static_cast<std::int32_t>(rank.waits.size()),
               static_cast<std::int32_t>(at.after.size())};
    rank.waits.insert(rank.waits.end(), at.after.begin(), at.after.end());
    if (at.condition.size > 0) i.condition = put(rank.regions, one(at.condition)).first;
    rank.instructions.push_back(i);
    return static_cast<std::int32_t>(rank.instructions.size()) - 1;
  }

  program program_;
};

}  // namespace shunt
