#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "shunt/execute/executor.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/execute/stream_work.hpp"
#include "shunt/execute/transport.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/program/program.hpp"

/// The least type that models each concept of the library: it has nothing that the concept does not
/// name. Generic code that compiles with it asks for no more than it says.
namespace archetypes {

using namespace shunt;

/// A base of types that can be neither copied, nor moved, nor assigned.
struct immovable {
  immovable() = default;
  immovable(immovable const&) = delete;
  immovable& operator=(immovable const&) = delete;
};
/// A base of types that can be moved and not copied.
struct movable {
  movable() = default;
  movable(movable&&) = default;
  movable& operator=(movable&&) = default;
};

/// A type with no use but its conversion.
template <class To>
class convertible : immovable {
 public:
  explicit convertible(To to) : to_(to) {}
  operator To() const { return to_; }

 private:
  To to_;
};

// Works.

using bytes_of_buffer = convertible<std::span<std::byte>>;

/// A work with one buffer of 64 bytes, for one rank.
class least_work : immovable {
 public:
  void operator()(rank_id, task const&) { ++computed; }
  [[nodiscard]] bytes_of_buffer buffer(rank_id, buffer_id) {
    return bytes_of_buffer(std::span(memory_));
  }
  int computed = 0;

 private:
  alignas(64) std::array<std::byte, 64> memory_{};
};
static_assert(work<least_work>);

struct least_restorable : immovable {
  void restore(rank_id, std::int64_t) { ++restored; }
  int restored = 0;
};
static_assert(restorable<least_restorable>);

class least_restorable_work : public least_work {
 public:
  void restore(rank_id, std::int64_t) { ++restored; }
  int restored = 0;
};
static_assert(restorable_work<least_restorable_work>);

// Transports.

struct least_transport : immovable {
  [[nodiscard]] rank_id rank() { return 0; }
  [[nodiscard]] convertible<std::int32_t> size() { return convertible<std::int32_t>(1); }
  void send(rank_id, std::int32_t, std::span<std::byte const>) {}
  void receive(rank_id, std::int32_t, std::span<std::byte>) {}
  void flush() {}
  void close() {}
};
static_assert(transport<least_transport>);

// Sessions and executors. They run on the inline executor, to which a session is a reference.

template <class Work>
class least_session : immovable {
 public:
  explicit least_session(inline_executor const& on, Work& w, std::int64_t first)
      : inner_(on, w, first) {}
  void submit(std::shared_ptr<program const> const& p) { inner_.submit(p); }
  [[nodiscard]] outcome wait() { return inner_.wait(); }

 protected:
  inline_session<Work> inner_;
};
static_assert(session<least_session<least_work>>);

template <class Work>
class least_progress_session : public least_session<Work> {
 public:
  using least_session<Work>::least_session;
  [[nodiscard]] convertible<bool> wait_until(std::int32_t n) {
    return convertible<bool>(this->inner_.wait_until(n));
  }
  [[nodiscard]] convertible<ticks> completed_at(std::int32_t n) {
    return convertible<ticks>(this->inner_.completed_at(n));
  }
};
static_assert(progress_session<least_progress_session<least_work>>);
static_assert(!progress_session<least_session<least_work>>);

template <class Work>
class least_loss_timing_session : public least_progress_session<Work> {
 public:
  using least_progress_session<Work>::least_progress_session;
  [[nodiscard]] loss_times times_of_loss() const { return {.noticed = 7, .detect = 2, .agree = 5}; }
};
static_assert(loss_timing_session<least_loss_timing_session<least_work>>);

/// The least executor for one kind of work, with sessions of one kind.
template <class Session, class Work>
struct least_executor : immovable {
  inline_executor on{};
  [[nodiscard]] Session open(Work& w, std::int64_t first) const { return Session(on, w, first); }
  [[nodiscard]] outcome run(program const& p, Work& w) const { return run_once(*this, p, w); }
};
static_assert(executor_of<least_executor<least_session<least_work>, least_work>, least_work>);
static_assert(progress_executor_of<least_executor<least_progress_session<least_work>, least_work>,
                                   least_work>);
static_assert(
    !progress_executor_of<least_executor<least_session<least_work>, least_work>, least_work>);

template <class Session, class Work>
struct least_admitting_executor : least_executor<Session, Work> {
  int mutable admitted = 0;
  void admit(rank_id, std::int64_t, std::span<rank_id const>) const { ++admitted; }
};
static_assert(admitting_executor<least_admitting_executor<least_session<least_work>, least_work>>);

// Streams: a system that does nothing.

class least_stream_ref {
 public:
  least_stream_ref(least_stream_ref const&) = default;
  least_stream_ref& operator=(least_stream_ref const&) = default;
  static least_stream_ref any() { return {}; }

 private:
  least_stream_ref() = default;
};

class least_system : immovable {
 public:
  using stream_ref = least_stream_ref;
  class stream : movable {
   public:
    explicit stream(int) {}
    operator stream_ref() const { return stream_ref::any(); }
  };
  struct event : movable {
    explicit event(int) {}
  };
  class memory : movable {
   public:
    explicit memory(std::size_t size) : all_(std::make_unique<std::byte[]>(size)), size_(size) {}
    [[nodiscard]] std::span<std::byte> bytes() { return {all_.get(), size_}; }

   private:
    std::unique_ptr<std::byte[]> all_;
    std::size_t size_;
  };

  stream make_stream() { return stream(0); }
  event make_event() { return event(0); }
  event make_timed_event() { return event(0); }
  memory make_memory(std::size_t size) { return memory(size); }
  memory make_host_memory(std::size_t size) { return memory(size); }
  void move(stream_ref, std::span<stream_part const>, std::int64_t const*) {}
  void fold(stream_ref, element, reduction, std::span<std::byte const* const>,
            std::span<std::byte* const>, std::size_t, std::int64_t const*) {}
  void fill(stream_ref, std::span<std::byte>, std::int64_t const*) {}
  void copy_to_host(stream_ref, std::span<std::byte const>, std::span<std::byte>) {}
  void copy_to_device(stream_ref, std::span<std::byte const>, std::span<std::byte>) {}
  void set_word(std::int64_t&, std::int64_t) {}
  void record(event&, stream_ref) {}
  void wait(stream_ref, event&) {}
  void finish(event&) {}
  [[nodiscard]] bool finished(event&) { return true; }
  [[nodiscard]] ticks elapsed(event&, event&) { return 0; }
  void synchronize() {}
  struct named_range : immovable {
    ~named_range() {}
  };
  [[nodiscard]] named_range range(std::string const&) { return {}; }
};
static_assert(stream_system<least_system>);

class least_calling_system : public least_system {
 public:
  void call(stream_ref, std::function<void()> f) { f(); }
};
static_assert(calling_stream_system<least_calling_system>);

class least_graph_system : public least_system {
 public:
  struct graph : movable {};
  void begin_capture(stream_ref) {}
  [[nodiscard]] graph_change end_capture(stream_ref, graph&) { return graph_change::made; }
  void abandon_capture(stream_ref) {}
  void launch(graph&, stream_ref) {}
  void stamp(event&, stream_ref) {}
};
static_assert(graph_system<least_graph_system>);

class least_stream_work : immovable {
 public:
  void operator()(rank_id, stream_task const&, least_stream_ref) {}
  [[nodiscard]] bytes_of_buffer buffer(rank_id, buffer_id) {
    return bytes_of_buffer(std::span(memory_));
  }

 private:
  alignas(64) std::array<std::byte, 64> memory_{};
};
static_assert(stream_work<least_stream_work, least_stream_ref>);
static_assert(work_on_streams<least_stream_work, least_system>);
static_assert(work_on_streams<least_work, least_calling_system>);
static_assert(!work_on_streams<least_work, least_system>);

}  // namespace archetypes
