#pragma once
/// A program as commands on streams: one stream a lane of a rank, one flat list of commands.
///
/// Commands stand in the order of `serial_order`: a wait for an event that was not recorded yet
/// would be a no-op. A dependency becomes an event unless the stream knows it already (vector
/// clocks). Messages pass through places of their own, so sends are buffered.
/// See docs/engines.md.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/execute/streams/require_fit.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// One command on one stream.
struct stream_command {
  enum class code : std::uint8_t {
    begin,          ///< the list of rank `what` begins on this stream, its main one
    wait,           ///< wait for event `what`
    wait_previous,  ///< wait for event `what` of this program's previous run, if there was one
    stamp,          ///< take time `what`
    keep,           ///< copy the word of the condition of instruction `what`
    perform,        ///< perform instruction `what`; of a collective, for all members
    record,         ///< record event `what`
    end,            ///< the list of rank `what` ends
  };
  code todo = code::begin;
  std::int32_t stream = 0;
  std::int32_t what = 0;
  bool operator==(stream_command const&) const = default;
};

/// A program planned for streams. Instructions are numbered as in `dependencies`.
struct stream_plan {
  static constexpr std::int32_t none = -1;
  struct times {
    std::int32_t start = 0, end = 0;  ///< the stamps between which an instruction runs
    bool operator==(times const&) const = default;
  };

  struct lane {
    rank_id rank{};
    std::uint8_t number = 0;
    bool operator==(lane const&) const = default;
    auto operator<=>(lane const&) const = default;
  };

  std::vector<stream_command> commands{};
  std::vector<lane> streams{};  ///< the lane of each; stream r is lane 0 of rank r, its main one
  std::int32_t events = 0;      ///< number of events to wait for
  std::int32_t stamps = 0;      ///< number of times to take
  std::vector<times> spans{};   ///< by number
  /// By number of a send or receive: the message's offset in message_bytes; else none.
  std::vector<byte_count> message_at{};
  byte_count message_bytes = 0;
  /// By number: index of the word that keeps its condition; else none.
  std::vector<std::int32_t> word_at{};
  /// By number: index of the first of the n x n words that an exchange of n ranks writes, one a
  /// part, from rank to rank; else none.
  std::vector<std::int32_t> overflow_at{};
  /// By rank, and one more: index of the first word that its streams write.
  std::vector<std::int32_t> first_word{};
  bool operator==(stream_plan const&) const = default;
};

/// Plans a program for streams. A message without a receive is sent all the same.
/// Throws invalid_program where sizes that must be equal differ, or a device could not address the
/// elements.
/// Requires that `order` is the program's whole serial order.
/// Complexity: O(n s) time and memory for n instructions and s streams.
[[nodiscard]] stream_plan plan_streams(program const& p, dependencies const& d,
                                       std::vector<program_point> const& order);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/execute/streams/stream_plan.ipp"
#endif
