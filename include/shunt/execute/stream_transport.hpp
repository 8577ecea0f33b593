#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/core/id.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// One rank's end of a network whose traffic is enqueued on streams. Calls return before bytes
/// move; the stream goes on when they have moved. `open_group()` comes first, and every message
/// names its group. `group.close()` submits the group as a whole, so a send and a receive of one
/// group never wait for each other. It throws what the network refuses. The group's destructor
/// closes an open group and keeps its errors for the next call. There are no tags: messages of one
/// (sender, receiver) arrive in the order of submission, so channels of a program must not overtake
/// each other (`check_without_tags`). Spans are device memory, unchanged until the stream has
/// passed.
///
/// Threads: one thread uses an end.
template <class T>
concept stream_transport =
    requires(T& t, T const& known, typename T::group& group, typename T::stream stream,
             rank_id peer, std::span<std::byte const> out, std::span<std::byte> in) {
      { known.rank() } -> std::same_as<rank_id>;
      { known.size() } -> std::convertible_to<std::int32_t>;
      { t.open_group() } -> std::same_as<typename T::group>;
      t.send(group, out, peer, stream);
      t.receive(group, in, peer, stream);
      group.close();
    };

/// A stream transport with collectives over some of the ranks. All members name them in one order
/// and call their collectives in one order. Regions are those of the opcodes of the same names.
template <class T>
concept collective_stream_transport =
    stream_transport<T> && requires(T& t, typename T::group& group, typename T::stream stream,
                                    std::span<rank_id const> members, element type, reduction how,
                                    std::span<std::byte const> out, std::span<std::byte> in) {
      t.all_reduce(group, members, type, how, in, stream);
      t.reduce_scatter(group, members, type, how, out, in, stream);
      t.all_gather(group, members, out, in, stream);
    };

}  // namespace shunt
