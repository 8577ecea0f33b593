#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/core/id.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// One rank's end of a network whose traffic is enqueued on streams: calls return before bytes
/// move, and the stream carries on when they have. Whatever is submitted stands in a group:
/// `open_group()` comes first, every message names the group it belongs to, and `close()` submits
/// all of it together, so that a send and a receive of one group never wait for each other; it
/// throws what the network refuses. The destructor closes what is open and keeps errors for the
/// next call. There are no tags: messages of one (sender, receiver) arrive in the order of
/// submission, so channels of a program must not overtake each other (`check_without_tags`). The
/// spans are memory of the device; they must stay as they are until the stream has come by.
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

/// And collectives over some of the ranks, named in one order by all of them. Every member calls
/// them in the same order. Regions are as the opcodes of the same names say.
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
