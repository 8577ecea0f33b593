#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

/// Bytes [offset, offset + size) of one buffer of the instruction's rank.
struct region {
  buffer_id buffer{};
  byte_count offset = 0;
  byte_count size = 0;
  bool operator==(region const&) const = default;
};

/// The kinds of instructions. Each is followed by its regions in order, reads -> writes.
enum class opcode : std::uint8_t {
  compute,     ///< an operation of the user's work: any -> any
  send,        ///< one message to `peer` on `channel`: the message ->
  receive,     ///< the next message from `peer` on `channel`: -> the message
  copy,        ///< source -> target of equal size on this rank
  add,         ///< target += source, elementwise: source, target -> target
  fill,        ///< zeroes: -> target
  all_reduce,  ///< elementwise over `group`, in place: own -> the same region
  /// Member i of `group` gets the reduction of all i-th parts, which are equal in size: whole ->
  /// own part.
  reduce_scatter,
  all_gather,  ///< member i contributes part i; parts are equal in size: own part -> whole
  /// All-to-all over `group` with capacities fixed at planning and counts known at run time. Member
  /// i sends the first counts[j] bytes of the j-th part of its payload to member j. Parts are equal
  /// in size. Bytes of a part beyond its count stay unchanged. Payload, counts (int64 bytes, one
  /// per member) -> payload, counts.
  exchange,
};

[[nodiscard]] SHUNT_CONSTEXPR std::string_view to_string(opcode c);

[[nodiscard]] constexpr bool is_collective(opcode c) { return c >= opcode::all_reduce; }

/// The element types of add and of the reductions.
enum class element : std::uint8_t { bytes, int32, int64, float32, float64, bfloat16, float16 };
enum class reduction : std::uint8_t { sum, max };

[[nodiscard]] SHUNT_CONSTEXPR std::string_view to_string(element e);
[[nodiscard]] SHUNT_CONSTEXPR std::string_view to_string(reduction r);

[[nodiscard]] constexpr byte_count size_of(element e) {
  switch (e) {
    case element::bytes: return 1;
    case element::int32: return 4;
    case element::int64: return 8;
    case element::float32: return 4;
    case element::float64: return 8;
    case element::bfloat16: return 2;
    case element::float16: return 2;
  }
  return 1;
}

/// Whether a sum of these elements depends on its order.
[[nodiscard]] constexpr bool is_floating(element e) { return e >= element::float32; }

/// Consecutive entries in a table of a rank_program.
struct slice {
  std::int32_t first = 0;
  std::int32_t count = 0;
  bool operator==(slice const&) const = default;
};

/// One instruction of one rank.
struct instruction {
  opcode code = opcode::compute;
  element type = element::bytes;      ///< add, all_reduce, reduce_scatter
  reduction reduce = reduction::sum;  ///< all_reduce, reduce_scatter
  /// Stream. Instructions of one lane run in list order. Lane 0 computes, the others carry
  /// transfers.
  std::uint8_t lane = 0;
  /// send, receive: messages of one (sender, receiver, channel) stay in order and have no tags.
  std::int32_t channel = 0;
  /// Neighbours of one batch are submitted together (an NCCL group). -1: no batch.
  std::int32_t batch = -1;
  rank_id peer{};           ///< send, receive
  group_id group{};         ///< collectives
  operation op{};           ///< compute
  slice reads{}, writes{};  ///< into rank_program::regions
  /// Into rank_program::waits: instructions of other lanes that must end first.
  slice after{};
  /// Index in rank_program::regions of an int64, or -1 for no condition. It is read when the
  /// instruction would start; where it is 0 the instruction ends at once without effect. Sender and
  /// receiver of a message, and all members of a collective, must read the same decision.
  std::int32_t condition = -1;

  bool operator==(instruction const&) const = default;
};

/// A buffer of a rank. A persistent buffer keeps its content from one program to the next and
/// counts as written at the start.
struct buffer_info {
  byte_count size = 0;
  bool persistent = false;
  bool operator==(buffer_info const&) const = default;
};

/// Instructions of one rank in one iteration. One thread can run the list in order: no instruction
/// precedes one that it waits for.
struct rank_program {
  std::vector<instruction> instructions{};
  std::vector<region> regions{};
  std::vector<std::int32_t> waits{};
  indexed<buffer_id, buffer_info> buffers{};

  [[nodiscard]] SHUNT_CONSTEXPR std::span<region const> reads(instruction const& i) const;
  [[nodiscard]] SHUNT_CONSTEXPR std::span<region const> writes(instruction const& i) const;
  [[nodiscard]] SHUNT_CONSTEXPR std::span<std::int32_t const> after(instruction const& i) const;
  /// Returns the region of an instruction's condition, or nothing.
  [[nodiscard]] SHUNT_CONSTEXPR std::span<region const> condition(instruction const& i) const;

  bool operator==(rank_program const&) const = default;

 private:
  template <class T>
  [[nodiscard]] static constexpr std::span<T const> entries(std::vector<T> const& table, slice s) {
    return std::span(table).subspan(static_cast<std::size_t>(s.first),
                                    static_cast<std::size_t>(s.count));
  }
};

/// One iteration of all ranks, the input of every executor. Ranks exchange data only by
/// instructions. The n-th send on (sender, receiver, channel) matches the n-th receive. All members
/// of a group issue its collectives in the same order.
struct program {
  indexed<rank_id, rank_program> ranks{};
  indexed<group_id, std::vector<rank_id>> groups{};

  [[nodiscard]] SHUNT_CONSTEXPR std::size_t instructions() const;
  bool operator==(program const&) const = default;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/program/program.ipp"
#endif
