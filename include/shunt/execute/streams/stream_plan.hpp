#pragma once
/// How a program becomes work on streams: one stream a lane of a rank, one flat list of commands
/// for all of them.
///
/// Waiting on an event that was not recorded yet is no wait at all, so commands stand in the order
/// of `serial_order`, in which whatever is waited for comes first. A dependency becomes an event
/// unless it is known already: a stream that waited for an event knows everything the event's
/// stream knew when it was recorded (vector clocks), and events nobody waits for are not recorded.
/// A rank's streams fork from its main one (lane 0) at the begin of its list and join it at the
/// end, so that its next list starts when this one has ended.
///
/// A message passes through a place of its own in `message_bytes` of device memory: its send copies
/// it there and goes on, its receive waits for that copy; so sends are buffered as `check` takes
/// for granted. In the program's next run the send waits until the receive has taken what lay there
/// before (`wait_previous`), where the end of the list doesn't say so already. A collective is
/// performed by its group's first member once all have arrived, and all others wait for it.
///
/// O(n s) time and memory for n instructions and s streams.
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// One thing to do on one stream.
struct stream_command {
  enum class code : std::uint8_t {
    begin,          ///< `what` is a rank whose list begins on this stream, its main one
    wait,           ///< for event `what`
    wait_previous,  ///< for event `what` of this program's run before, where there was one
    stamp,          ///< time `what`
    keep,           ///< the word of the condition of instruction `what` as it is now
    perform,        ///< instruction `what`, of a collective all of it
    record,         ///< event `what`
    end,            ///< of the list of rank `what`
  };
  code todo = code::begin;
  std::int32_t stream = 0;
  std::int32_t what = 0;
  constexpr bool operator==(stream_command const&) const = default;
};

/// A program made ready for streams. Instructions are named by their number in `dependencies`.
struct stream_plan {
  static constexpr std::int32_t none = -1;
  struct times {
    std::int32_t start = 0, end = 0;  ///< the stamps between which an instruction runs
    constexpr bool operator==(times const&) const = default;
  };

  struct lane {
    rank_id rank{};
    std::uint8_t number = 0;
    constexpr bool operator==(lane const&) const = default;
    constexpr auto operator<=>(lane const&) const = default;
  };

  std::vector<stream_command> commands{};
  std::vector<lane> streams{};  ///< whose each is; stream r is lane 0 of rank r, its main one
  std::int32_t events = 0;      ///< to wait for
  std::int32_t stamps = 0;
  std::vector<times> spans{};  ///< by number
  std::vector<byte_count>
      message_at{};  ///< by number of a send or receive: the message's place; else none
  byte_count message_bytes = 0;
  std::vector<std::int32_t>
      word_at{};  ///< by number: where its condition is kept, counted in words; else none
  std::vector<std::int32_t> overflow_at{};  ///< by number: where an exchange keeps one word a part,
                                            ///< from rank to rank; else none
  std::vector<std::int32_t>
      first_word{};  ///< by rank, and one more: the words that its streams write
  constexpr bool operator==(stream_plan const&) const = default;
};

namespace detail {}  // namespace detail

/// Turns a program into commands on streams. `order` is the program's whole serial order. A message
/// whose receive never comes is sent all the same. Throws invalid_program where sizes that must be
/// equal differ, or a device could not address the elements.
[[nodiscard]] stream_plan plan_streams(program const& p, dependencies const& d,
                                       std::vector<program_point> const& order);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/execute/streams/stream_plan.ipp"
#endif
