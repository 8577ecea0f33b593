#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"

/// What an executor asks of streams, so that its order of events is written and tested once: CUDA
/// is one model, a host double that runs its streams in the most inconvenient order another.
namespace shunt {

/// Bytes to be moved by a stream. With a count, only the first *count of them, and *count goes to
/// `count_to`; a count outside 0 .. bytes moves nothing and goes to `refused` instead, which is 0
/// otherwise.
struct stream_part {
  std::byte const* from = nullptr;
  std::byte* to = nullptr;
  std::int64_t bytes = 0;
  std::int64_t const* count = nullptr;
  std::int64_t* count_to = nullptr;
  std::int64_t* refused = nullptr;
};

/// The largest group whose collectives a stream system does in one go.
inline constexpr std::size_t most_members_on_streams = 128;

/// Everything but `finish`, `finished`, `elapsed` and `synchronize` returns before it has happened.
/// Work of one stream happens in the order of the calls. `wait` makes a stream wait for what the
/// event's last `record` before the call stood behind; where there was none it is no wait at all.
/// Where a guard isn't null and its word is 0 when the stream gets there, move, fold and fill leave
/// no trace but a 0 in each `refused`. Parts of one move don't overlap, unless they have the same
/// place. `fold` makes every target the left fold of all sources in their order, element by
/// element, with the arithmetic of `accumulate`; a target may be one of the sources. Sources and
/// targets are at most most_members_on_streams each. Memory comes zeroed and lives as long as its
/// owner. Errors are thrown by whichever call learns of them. `range` names what the caller
/// enqueues while its result lives, for profilers.
template <class S>
concept stream_system =
    std::movable<typename S::stream> && std::movable<typename S::event> &&
    std::movable<typename S::memory> && std::copyable<typename S::stream_ref> &&
    std::convertible_to<typename S::stream const&, typename S::stream_ref> &&
    requires(S& s, typename S::stream_ref stream, typename S::event& event,
             typename S::memory& memory, std::span<stream_part const> parts,
             std::int64_t const* guard, std::span<std::byte const* const> sources,
             std::span<std::byte* const> targets, std::span<std::byte> bytes,
             std::span<std::byte const> from, element type, reduction how,
             std::string const& name) {
      { s.make_stream() } -> std::same_as<typename S::stream>;
      { s.make_event() } -> std::same_as<typename S::event>;        // to wait for
      { s.make_timed_event() } -> std::same_as<typename S::event>;  // and to ask for its time
      { s.make_memory(std::size_t{}) } -> std::same_as<typename S::memory>;
      { s.make_host_memory(std::size_t{}) } -> std::same_as<typename S::memory>;
      { memory.bytes() } -> std::same_as<std::span<std::byte>>;
      s.move(stream, parts, guard);
      s.fold(stream, type, how, sources, targets, std::size_t{}, guard);
      s.fill(stream, bytes, guard);
      s.copy_to_host(stream, from, bytes);  // into memory of make_host_memory
      s.copy_to_device(stream, from,
                       bytes);  // from memory of any kind, which may change after the call
      s.record(event, stream);
      s.wait(stream, event);
      s.finish(event);
      { s.finished(event) } -> std::same_as<bool>;
      {
        s.elapsed(event, event)
      } -> std::same_as<ticks>;  // nanoseconds between two that have finished
      s.synchronize();
      s.range(name);
    };

/// And can call back: `call` runs a function of the host when the stream gets there; it must not
/// throw or use the system.
template <class S>
concept calling_stream_system =
    stream_system<S> && requires(S& s, typename S::stream_ref stream, std::function<void()> f) {
      s.call(stream, std::move(f));
    };

/// How a captured graph came to be what is launched.
enum class graph_change : std::uint8_t { made, updated, remade };

/// And can keep what was enqueued, to launch it as a whole: between `begin_capture` and
/// `end_capture` nothing runs, and whatever is enqueued on the stream, or on one that waits for an
/// event recorded there, becomes part of the graph; all of it must lead back to the stream. Where
/// the graph holds something already it is updated, or made anew where its shape differs. Times of
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
