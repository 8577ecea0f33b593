#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

/// Bytes [offset, offset + size) of one buffer of the rank whose instruction names it.
struct region {
  buffer_id buffer{};
  byte_count offset = 0;
  byte_count size = 0;
  constexpr bool operator==(region const&) const = default;
};

/// What a rank can be told to do. Under each: its regions, in order (reads -> writes).
enum class opcode : std::uint8_t {
  compute,         ///< an operation of the user's work: any -> any
  send,            ///< one message to `peer` on `channel`: the message ->
  receive,         ///< the next message from `peer` on `channel`: -> the message
  copy,            ///< source -> target of equal size on this rank
  add,             ///< target += source, elementwise: source, target -> target
  fill,            ///< zeroes: -> target
  all_reduce,      ///< elementwise over `group`, in place: own -> the same region
  reduce_scatter,  ///< member i of `group` gets the reduction of all i-th parts: whole -> own part;
                   ///< parts are equal
  all_gather,      ///< member i contributes part i: own part -> whole; parts are equal
  /// All-to-all over `group` whose capacities are fixed and whose counts are known only at run
  /// time. Member i sends the first counts[j] bytes of the j-th part of its payload to member j:
  /// payload, counts (int64 bytes, one a member) -> payload, counts. Parts are equal; what lies in
  /// a part beyond its count is left as it is.
  exchange,
};

[[nodiscard]] constexpr std::string_view to_string(opcode c) {
  switch (c) {
    case opcode::compute: return "compute";
    case opcode::send: return "send";
    case opcode::receive: return "receive";
    case opcode::copy: return "copy";
    case opcode::add: return "add";
    case opcode::fill: return "fill";
    case opcode::all_reduce: return "all_reduce";
    case opcode::reduce_scatter: return "reduce_scatter";
    case opcode::all_gather: return "all_gather";
    case opcode::exchange: return "exchange";
  }
  return "unknown";
}

[[nodiscard]] constexpr bool is_collective(opcode c) { return c >= opcode::all_reduce; }

/// The elements that add and the reductions work on.
enum class element : std::uint8_t { bytes, int32, int64, float32, float64 };
enum class reduction : std::uint8_t { sum, max };

[[nodiscard]] constexpr std::string_view to_string(element e) {
  switch (e) {
    case element::bytes: return "bytes";
    case element::int32: return "int32";
    case element::int64: return "int64";
    case element::float32: return "float32";
    case element::float64: return "float64";
  }
  return "unknown";
}
[[nodiscard]] constexpr std::string_view to_string(reduction r) {
  return r == reduction::sum ? "sum" : "max";
}

[[nodiscard]] constexpr byte_count size_of(element e) {
  switch (e) {
    case element::bytes: return 1;
    case element::int32: return 4;
    case element::int64: return 8;
    case element::float32: return 4;
    case element::float64: return 8;
  }
  return 1;
}

/// A run of entries in one of the tables of a rank_program.
struct slice {
  std::int32_t first = 0;
  std::int32_t count = 0;
  constexpr bool operator==(slice const&) const = default;
};

/// One instruction of one rank.
struct instruction {
  opcode code = opcode::compute;
  element type = element::bytes;      ///< add, all_reduce, reduce_scatter
  reduction reduce = reduction::sum;  ///< all_reduce, reduce_scatter
  std::uint8_t lane = 0;     ///< stream; instructions of one lane run in list order. 0 computes,
                             ///< others carry transfers
  std::int32_t channel = 0;  ///< send, receive: messages of one (sender, receiver, channel) stay in
                             ///< order and have no tags
  std::int32_t batch =
      -1;            ///< neighbours of one batch are submitted together (an NCCL group); -1: alone
  rank_id peer{};    ///< send, receive
  group_id group{};  ///< collectives
  operation op{};    ///< compute
  slice reads{}, writes{};  ///< into rank_program::regions
  slice after{};  ///< into rank_program::waits: instructions of other lanes that must end first
  /// Into rank_program::regions: an int64 that is read when the instruction would start, which ends
  /// at once, without any effect, where it is 0. -1: no condition. Whoever sends and whoever
  /// receives a message, and all members of a collective, must find the same answer.
  std::int32_t condition = -1;

  constexpr bool operator==(instruction const&) const = default;
};

/// A buffer that a rank needs. A persistent one holds its content from one program to the next and
/// counts as written at the start.
struct buffer_info {
  byte_count size = 0;
  bool persistent = false;
  constexpr bool operator==(buffer_info const&) const = default;
};

/// What one rank does in one iteration. The order of the list is an order in which one thread can
/// run it: no instruction stands before one that it waits for.
struct rank_program {
  std::vector<instruction> instructions{};
  std::vector<region> regions{};
  std::vector<std::int32_t> waits{};
  indexed<buffer_id, buffer_info> buffers{};

  [[nodiscard]] constexpr std::span<region const> reads(instruction const& i) const {
    return entries(regions, i.reads);
  }
  [[nodiscard]] constexpr std::span<region const> writes(instruction const& i) const {
    return entries(regions, i.writes);
  }
  [[nodiscard]] constexpr std::span<std::int32_t const> after(instruction const& i) const {
    return entries(waits, i.after);
  }
  /// The word that an instruction's condition is read from: one region, or none.
  [[nodiscard]] constexpr std::span<region const> condition(instruction const& i) const {
    return i.condition < 0 ? std::span<region const>{} : entries(regions, {i.condition, 1});
  }

  constexpr bool operator==(rank_program const&) const = default;

 private:
  template <class T>
  [[nodiscard]] static constexpr std::span<T const> entries(std::vector<T> const& table, slice s) {
    return std::span(table).subspan(static_cast<std::size_t>(s.first),
                                    static_cast<std::size_t>(s.count));
  }
};

/// One iteration of all ranks: the only thing executors know. Whatever passes between ranks passes
/// by its instructions. The n-th send on (sender, receiver, channel) meets the n-th receive; all
/// members of a group issue its collectives in one order.
struct program {
  indexed<rank_id, rank_program> ranks{};
  indexed<group_id, std::vector<rank_id>> groups{};

  [[nodiscard]] constexpr std::size_t instructions() const {
    std::size_t sum = 0;
    for (auto const& r : ranks) sum += r.instructions.size();
    return sum;
  }
  constexpr bool operator==(program const&) const = default;
};

}  // namespace shunt
