#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/host/failures.hpp"
#include "shunt/execute/host/rank_buffers.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/execute/stream_work.hpp"
#include "shunt/execute/streams/stream_plan.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt::detail {

/// A program planned for streams and, once bound, with its resources on one system: events, places
/// for messages, words for its conditions and for counts that exchanges refused. It can be enqueued
/// any number of times. Each run waits for the previous one wherever both use the same memory.
template <stream_system System>
class stream_program {
 public:
  using stream_ref = typename System::stream_ref;

  /// Throws invalid_program where the program has a deadlock.
  explicit stream_program(std::shared_ptr<program const> p)
      : program_(std::move(p)),
        d_(find_dependencies(*program_)),
        order_(serial_order(*program_, d_)) {
    require_runnable(*program_, d_, order_);
  }

  [[nodiscard]] program const& what() const { return *program_; }
  [[nodiscard]] std::shared_ptr<program const> const& handle() const { return program_; }
  [[nodiscard]] dependencies const& links() const { return d_; }
  [[nodiscard]] std::vector<program_point> const& order() const { return order_; }
  [[nodiscard]] stream_plan const& plan() const { return plan_; }
  /// Returns the int64 words that the program's streams write about conditions and exchanges, in
  /// device memory.
  [[nodiscard]] std::span<std::byte const> words() {
    return words_ ? words_->bytes() : std::span<std::byte>{};
  }

  /// Plans the program and makes its resources. A second call costs nothing.
  /// Throws invalid_program where the work's buffers are too small or `plan_streams` throws; what
  /// the system throws.
  template <class Work>
  void bind(System& s, Work& w) {
    if (bound_) return;
    plan_ = plan_streams(*program_, d_, order_);
    buffers_.resize(program_->ranks.size());
    for (rank_id const r : ids<rank_id>(program_->ranks.size()))
      buffers_[r.index()].bind(w, r, program_->ranks[r]);
    events_.clear();
    for (std::int32_t e = 0; e < plan_.events; ++e) events_.push_back(s.make_event());
    if (plan_.message_bytes > 0)
      messages_ = s.make_memory(static_cast<std::size_t>(plan_.message_bytes));
    if (plan_.first_word.back() > 0)
      words_ =
          s.make_memory(static_cast<std::size_t>(plan_.first_word.back()) * sizeof(std::int64_t));
    bound_ = true;
  }

  /// Enqueues the whole program. `to.stream(lane)` returns a stream. `to.begin(rank, stream)` and
  /// `to.end(rank, stream)` mark a list's begin and end, `to.stamp(time, stream)` takes a time.
  /// `to.compute(rank, task, stream)` enqueues an operation of the work. `to.iteration(rank)`
  /// returns the device word of the iteration. `again`: there was a previous run to wait for.
  /// Throws what the system and `to` throw.
  template <class Target>
  void enqueue(System& s, Target& to, bool again) {
    for (auto const& c : plan_.commands) {
      stream_ref const stream = to.stream(plan_.streams[static_cast<std::size_t>(c.stream)]);
      auto const at = static_cast<std::size_t>(c.what);
      switch (c.todo) {
        case stream_command::code::begin: to.begin(rank_id{c.what}, stream); break;
        case stream_command::code::end: to.end(rank_id{c.what}, stream); break;
        case stream_command::code::wait: s.wait(stream, events_[at]); break;
        case stream_command::code::wait_previous:
          if (again) s.wait(stream, events_[at]);
          break;
        case stream_command::code::stamp: to.stamp(c.what, stream); break;
        case stream_command::code::record: s.record(events_[at], stream); break;
        case stream_command::code::keep: keep(s, at, stream); break;
        case stream_command::code::perform: perform(s, to, at, stream); break;
      }
    }
  }

 private:
  [[nodiscard]] std::int64_t* word(std::int32_t at) {
    return at == stream_plan::none ? nullptr
                                   : reinterpret_cast<std::int64_t*>(words_->bytes().data()) + at;
  }
  [[nodiscard]] std::span<std::byte> message(std::size_t number, std::size_t size) {
    return messages_ ? messages_->bytes().subspan(
                           static_cast<std::size_t>(plan_.message_at[number]), size)
                     : std::span<std::byte>{};
  }

  static stream_part part(std::span<std::byte const> from, std::span<std::byte> to) {
    return {.from = from.data(), .to = to.data(), .bytes = static_cast<std::int64_t>(from.size())};
  }
  static void move(System& s, stream_ref stream, stream_part const& one,
                   std::int64_t const* guard) {
    if (one.bytes > 0 && one.from != one.to) s.move(stream, {&one, 1}, guard);
  }

  void keep(System& s, std::size_t number, stream_ref stream) {
    auto const at = d_.point(static_cast<std::int32_t>(number));
    auto const& own = program_->ranks[at.rank];
    auto const from =
        buffers_[at.rank.index()]
                [own.condition(own.instructions[static_cast<std::size_t>(at.instruction)])[0]];
    stream_part const kept{.from = from.data(),
                           .to = reinterpret_cast<std::byte*>(word(plan_.word_at[number])),
                           .bytes = static_cast<std::int64_t>(sizeof(std::int64_t))};
    move(s, stream, kept, nullptr);
  }

  template <class Target>
  void perform(System& s, Target& to, std::size_t number, stream_ref stream) {
    auto const at = d_.point(static_cast<std::int32_t>(number));
    auto const& own = program_->ranks[at.rank];
    auto const& i = own.instructions[static_cast<std::size_t>(at.instruction)];
    auto const reads = own.reads(i), writes = own.writes(i);
    auto const& mine = buffers_[at.rank.index()];
    std::int64_t const* const guard = word(plan_.word_at[number]);
    auto const name = name_of(i.code, i.op);
    [[maybe_unused]] auto const range = s.range(name);
    switch (i.code) {
      case opcode::compute:
        to.compute(at.rank, stream_task{i.op, to.iteration(at.rank), guard, reads, writes}, stream);
        break;
      case opcode::send:
        move(s, stream, part(mine[reads.front()], message(number, mine[reads.front()].size())),
             guard);
        break;
      case opcode::receive:
        move(s, stream, part(message(number, mine[writes.front()].size()), mine[writes.front()]),
             guard);
        break;
      case opcode::copy:
        move(s, stream, part(mine[reads.front()], mine[writes.front()]), guard);
        break;
      case opcode::fill:
        if (writes.front().size > 0) s.fill(stream, mine[writes.front()], guard);
        break;
      case opcode::add: {
        std::byte const* const sources[] = {mine[writes.front()].data(),
                                            mine[reads.front()].data()};
        std::byte* const target = mine[writes.front()].data();
        if (writes.front().size > 0)
          s.fold(stream, i.type, reduction::sum, sources, {&target, 1}, mine[writes.front()].size(),
                 guard);
        break;
      }
      default: run_collective(s, number, i, guard, stream); break;
    }
  }

  /// Enqueues a collective as a whole, from memory to memory of its members.
  void run_collective(System& s, std::size_t number, instruction const& i,
                      std::int64_t const* guard, stream_ref stream) {
    auto const members =
        d_.members_of(d_.collectives[static_cast<std::size_t>(d_.partner[number])]);
    auto const n = members.size();
    std::vector<std::span<std::byte>> read[2], write[2];
    for (auto const member : members) {
      auto const at = d_.point(member);
      auto const& own = program_->ranks[at.rank];
      auto const& j = own.instructions[static_cast<std::size_t>(at.instruction)];
      for (std::size_t k = 0; k < own.reads(j).size(); ++k)
        read[k].push_back(buffers_[at.rank.index()][own.reads(j)[k]]);
      for (std::size_t k = 0; k < own.writes(j).size(); ++k)
        write[k].push_back(buffers_[at.rank.index()][own.writes(j)[k]]);
    }
    std::vector<std::byte const*> sources(n);
    std::vector<std::byte*> targets(n);
    std::vector<stream_part> parts;
    auto const size = write[0][0].size();
    switch (i.code) {
      case opcode::all_reduce:
        if (size == 0) return;
        for (std::size_t k = 0; k < n; ++k)
          sources[k] = read[0][k].data(), targets[k] = write[0][k].data();
        return s.fold(stream, i.type, i.reduce, sources, targets, size, guard);
      case opcode::reduce_scatter:
        for (std::size_t to = 0; to < n && size > 0; ++to) {
          for (std::size_t k = 0; k < n; ++k) sources[k] = read[0][k].data() + to * size;
          targets[0] = write[0][to].data();
          s.fold(stream, i.type, i.reduce, sources, std::span(targets).first(1), size, guard);
        }
        return;
      case opcode::all_gather:
        for (std::size_t from = 0; from < n; ++from)
          for (std::size_t to = 0; to < n; ++to) {
            auto const place =
                write[0][to].subspan(from * read[0][from].size(), read[0][from].size());
            if (!place.empty() && place.data() != read[0][from].data())
              parts.push_back(part(read[0][from], place));
          }
        break;
      case opcode::exchange: {
        auto const width = read[0][0].size() / n;
        std::int64_t* const overflows = word(plan_.overflow_at[number]);
        for (std::size_t from = 0; from < n; ++from)
          for (std::size_t to = 0; to < n; ++to)
            parts.push_back(
                {.from = read[0][from].data() + to * width,
                 .to = write[0][to].data() + from * width,
                 .bytes = static_cast<std::int64_t>(width),
                 .count = reinterpret_cast<std::int64_t const*>(read[1][from].data()) + to,
                 .count_to = reinterpret_cast<std::int64_t*>(write[1][to].data()) + from,
                 .refused = overflows + from * n + to});
        break;
      }
      default: break;
    }
    if (!parts.empty()) s.move(stream, parts, guard);
  }

  std::shared_ptr<program const> program_;
  dependencies d_;
  std::vector<program_point> order_;
  stream_plan plan_{};
  bool bound_ = false;
  std::vector<rank_buffers> buffers_{};
  std::vector<typename System::event> events_{};
  std::optional<typename System::memory> messages_{}, words_{};
};

/// Checks the words that a run has written; `words` is a copy on the host.
/// Throws invalid_program where two conditions that must agree differ, or a count of an exchange
/// was beyond its part.
/// Complexity: O(instructions + parts of exchanges).
void check_overflow_words(program const& p, dependencies const& d, stream_plan const& plan,
                          std::span<std::int64_t const> words);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/execute/streams/stream_program.ipp"
#endif
