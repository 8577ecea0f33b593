#pragma once
/// What an executor asks of streams. Its order of events is written and tested once: CUDA models
/// the concept, and so does a host double that runs its streams in the least convenient order.
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Bytes that a stream moves. With a count, only the first *count bytes move, and *count is written
/// to `count_to`. A count outside 0 .. bytes moves nothing and is written to `refused` instead,
/// which becomes 0 otherwise.
struct stream_part {
  std::byte const* from = nullptr;
  std::byte* to = nullptr;
  std::int64_t bytes = 0;
  std::int64_t const* count = nullptr;
  std::int64_t* count_to = nullptr;
  std::int64_t* refused = nullptr;
};

/// The size of the largest group whose collective a stream system performs in one call.
inline constexpr std::size_t most_members_on_streams = 128;

/// Streams, events and memory of a device. All calls but `finish`, `finished`, `elapsed` and
/// `synchronize` return before their effect has happened. Work of one stream happens in the order
/// of the calls. `wait` makes a stream wait for the work before the event's last `record`; it is a
/// no-op if the event was never recorded. Where a guard is not null and its word is 0 when the
/// stream gets there, move, fold and fill have no effect but a 0 in each `refused`. Parts of one
/// move do not overlap, unless they have the same place. `fold` makes every target the left fold of
/// all sources in their order, element by element, with the arithmetic of `accumulate`. A target
/// may be one of the sources. There are at most most_members_on_streams sources, and as many
/// targets. Memory is zeroed and lives as long as its owner. Streams read memory of the host as
/// well, words of it as guards. `set_word` writes such a word at once and uses no stream. An error
/// is thrown by the call that learns of it. `range` returns an object; profilers show its name for
/// the work enqueued while it lives.
///
/// Threads: one thread uses a system.
template <class S>
concept stream_system =
    std::movable<typename S::stream> && std::movable<typename S::event> &&
    std::movable<typename S::memory> && std::copyable<typename S::stream_ref> &&
    std::convertible_to<typename S::stream const&, typename S::stream_ref> &&
    requires(S& s, typename S::stream_ref stream, typename S::event& event,
             typename S::memory& memory, std::span<stream_part const> parts,
             std::int64_t const* guard, std::int64_t& word,
             std::span<std::byte const* const> sources, std::span<std::byte* const> targets,
             std::span<std::byte> bytes, std::span<std::byte const> from, element type,
             reduction how, std::string const& name) {
      { s.make_stream() } -> std::same_as<typename S::stream>;
      { s.make_event() } -> std::same_as<typename S::event>;        // to wait for
      { s.make_timed_event() } -> std::same_as<typename S::event>;  // also has a time
      { s.make_memory(std::size_t{}) } -> std::same_as<typename S::memory>;
      { s.make_host_memory(std::size_t{}) } -> std::same_as<typename S::memory>;
      { memory.bytes() } -> std::same_as<std::span<std::byte>>;
      s.move(stream, parts, guard);
      s.fold(stream, type, how, sources, targets, std::size_t{}, guard);
      s.fill(stream, bytes, guard);
      s.copy_to_host(stream, from, bytes);    // into memory of make_host_memory
      s.copy_to_device(stream, from, bytes);  // `from`: any memory; it may change after the call
      s.set_word(word, std::int64_t{});       // of make_host_memory
      s.record(event, stream);
      s.wait(stream, event);
      s.finish(event);
      { s.finished(event) } -> std::same_as<bool>;
      { s.elapsed(event, event) } -> std::same_as<ticks>;  // ns between two finished events
      s.synchronize();
      { s.range(name) } -> std::destructible;
    };

/// A stream system that can call back: `call` runs a function of the host when the stream gets
/// there. The function must not throw or use the system.
template <class S>
concept calling_stream_system =
    stream_system<S> && requires(S& s, typename S::stream_ref stream, std::function<void()> f) {
      s.call(stream, std::move(f));
    };

/// How a captured graph was made ready for its launch.
enum class graph_change : std::uint8_t { made, updated, remade };

/// A stream system that can keep enqueued work as a graph, to launch it as a whole. Between
/// `begin_capture` and `end_capture` nothing runs. Work enqueued on the stream, or on a stream that
/// waits for an event recorded there, becomes part of the graph. All of it must lead back to the
/// stream. A graph that is not empty is updated, or made anew where its shape differs. Times of
/// events recorded by `stamp` are those of the last launch.
template <class S>
concept graph_system = stream_system<S> && std::movable<typename S::graph> &&
                       std::default_initializable<typename S::graph> &&
                       requires(S& s, typename S::stream_ref stream, typename S::graph& graph,
                                typename S::event& event) {
                         s.begin_capture(stream);
                         { s.end_capture(stream, graph) } -> std::same_as<graph_change>;
                         s.abandon_capture(stream);  // after an error; never throws
                         s.launch(graph, stream);
                         s.stamp(event, stream);  // while capturing: `record`, for its time alone
                       };

}  // namespace shunt
