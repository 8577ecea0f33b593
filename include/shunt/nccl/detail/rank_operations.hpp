#pragma once
/// Enqueues the effects of a rank's instructions: work, copies, messages, collectives, exchanges.
///
/// NCCL cannot skip an operation when the device reads a 0. A message or collective with a
/// condition therefore always runs, into staging memory, and is copied to its place where the word
/// allows it; so does an all_reduce of a persistent buffer. An exchange sends whole parts and
/// copies as much of each as its count says. Float reductions are exchanged by parts and folded in
/// the group's order, unless float_order::of_nccl is set. See docs/device-code.md.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/execute/stream_work.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/nccl/config.hpp"
#include "shunt/nccl/detail/bound_lists.hpp"
#include "shunt/nccl/detail/failure_watch.hpp"
#include "shunt/nccl/detail/staging.hpp"
#include "shunt/nccl/library.hpp"
#include "shunt/nccl/message_routes.hpp"
#include "shunt/nccl/transport.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

template <nccl_library Api, stream_system System, work_on_streams<System> Work>
class rank_operations {
 public:
  using stream_ref = typename System::stream_ref;
  using bound = bound_program<System>;

  rank_operations(System& system, nccl_transport<Api>& net, Work& w, failure_watch<System>& watch,
                  float_order floats)
      : system_(system), net_(net), work_(w), watch_(watch), floats_(floats) {}

  /// Enqueues a copy; none where the ends are equal.
  void move(stream_ref stream, std::span<std::byte const> from, std::span<std::byte> to,
            std::int64_t const* guard) {
    stream_part const one{
        .from = from.data(), .to = to.data(), .bytes = static_cast<std::int64_t>(from.size())};
    if (!from.empty() && from.data() != to.data()) system_.move(stream, {&one, 1}, guard);
  }

  /// Enqueues instructions [n, end): one, or a batch. Messages of a batch share a group;
  /// collectives have one each.
  void perform(list_run<System>& list, rank_program const& own, std::size_t n, std::size_t end,
               stream_ref stream) {
    auto& b = *list.what;
    [[maybe_unused]] auto const range =
        system_.range(std::string(to_string(own.instructions[n].code)));
    auto const is_message = [](instruction const& i) {
      return i.code == opcode::send || i.code == opcode::receive;
    };
    for (auto k = n; k < end;) {
      leave(list, own, k);
      if (!is_message(own.instructions[k])) {
        single(list, own, k, stream);
        ++k;
        continue;
      }
      auto const from = k;
      if (own.instructions[k].code == opcode::send && net_.routes().buffered) {
        keep_copy(b, b.buffers[own.reads(own.instructions[k])[0]], k, stream);
        ++k;
        continue;
      }
      auto g = net_.open_group();
      for (; k < end && is_message(own.instructions[k]); ++k) {
        auto const& i = own.instructions[k];
        if (i.code == opcode::send && net_.routes().buffered) break;
        if (i.code == opcode::send) {
          net_.send(g, b.buffers[own.reads(i)[0]], i.peer, stream, i.channel);
        } else {
          auto const target = b.buffers[own.writes(i)[0]];
          net_.receive(g, i.condition < 0 ? target : b.staged(k, 0, target.size()), i.peer, stream,
                       i.channel);
        }
      }
      g.close();
      for (auto at = from; at < k; ++at)
        if (auto const& i = own.instructions[at]; i.code == opcode::receive && i.condition >= 0) {
          auto const target = b.buffers[own.writes(i)[0]];
          move(stream, b.staged(at, 0, target.size()), target, allowed(b, i, at, stream));
        }
    }
  }

  /// Enqueues the buffered sends that leave before instruction n of the list. With the list's size:
  /// all that are left.
  void leave(list_run<System>& list, rank_program const& own, std::size_t n) {
    auto& b = *list.what;
    for (;
         list.posted < b.posts.size() && static_cast<std::size_t>(b.posts[list.posted].before) <= n;
         ++list.posted) {
      auto const k = static_cast<std::size_t>(b.posts[list.posted].send);
      auto const& i = own.instructions[k];
      if (k < list.count) send_copy(b, i, k, b.buffers[own.reads(i)[0]].size());
    }
  }

 private:
  /// Copies a message to staging memory, from where it is sent later.
  void keep_copy(bound& b, std::span<std::byte const> message, std::size_t n, stream_ref stream) {
    if (message.empty()) return;
    if (b.sent[n])
      system_.wait(stream, *b.sent[n]);  // the previous copy has left
    else
      b.sent[n].emplace(system_.make_event());
    move(stream, message, b.staged(n, 0, message.size()), watch_.guard());
    system_.record(*b.sent[n], stream);
  }
  /// Sends a kept copy on a stream of its own way.
  void send_copy(bound& b, instruction const& i, std::size_t n, std::size_t size) {
    if (size == 0) return;
    bool const alone = net_.routes().of(i.channel) == message_routes::kind::channel;
    std::pair const way{i.peer, alone ? i.channel : -1};
    auto at = posts_.find(way);
    if (at == posts_.end()) at = posts_.emplace(way, system_.make_stream()).first;
    stream_ref const away = at->second;
    system_.wait(away, *b.sent[n]);
    auto g = net_.open_group();
    net_.send(g, b.staged(n, 0, size), i.peer, away, i.channel);
    g.close();
    system_.record(*b.sent[n], away);
  }

  void single(list_run<System>& list, rank_program const& own, std::size_t n, stream_ref stream) {
    auto& b = *list.what;
    auto const& i = own.instructions[n];
    auto const reads = own.reads(i), writes = own.writes(i);
    std::int64_t const* const guard = b.word(b.stage.word[n]);
    switch (i.code) {
      case opcode::compute:
        return compute({i.op, watch_.iteration(), guard, reads, writes}, stream);
      case opcode::copy:
        return move(stream, b.buffers[reads.front()], b.buffers[writes.front()], guard);
      case opcode::fill:
        if (writes.front().size > 0) system_.fill(stream, b.buffers[writes.front()], guard);
        return;
      case opcode::add: {
        auto const target = b.buffers[writes.front()];
        std::byte const* const sources[] = {target.data(), b.buffers[reads.front()].data()};
        if (auto* const to = target.data(); !target.empty())
          system_.fold(stream, i.type, reduction::sum, sources, {&to, 1}, target.size(), guard);
        return;
      }
      case opcode::exchange: return exchange(list, i, own, n, stream);
      default: return rendezvous(b, i, own, n, stream);
    }
  }

  void compute(stream_task const& t, stream_ref stream) {
    if constexpr (stream_work<Work, stream_ref>) {
      work_(net_.rank(), t, stream);
    } else {
      system_.call(stream, [w = &work_, r = net_.rank(), t, sink = watch_.sink()] {
        std::lock_guard const one_at_a_time(sink->mutex);
        if (sink->what || *t.condition == 0) return;
        try {
          (*w)(r, task{t.op, *t.iteration, t.reads, t.writes});
        } catch (...) {
          sink->what = std::current_exception();
        }
      });
    }
  }

  /// Returns the word of a message or collective that has ended: whether its condition and the
  /// guard allow its effect. It doesn't change any more, so the effect is whole or there is none.
  [[nodiscard]] std::int64_t const* allowed(bound& b, instruction const& i, std::size_t n,
                                            stream_ref stream) {
    auto* const word = b.word(b.stage.word[n]);
    move(stream, watch_.guard_bytes(), b.words_at(b.stage.word[n]),
         i.condition < 0 ? nullptr : word);
    return word;
  }

  void rendezvous(bound& b, instruction const& i, rank_program const& own, std::size_t n,
                  stream_ref stream) {
    auto const& members = b.of->groups[i.group];
    std::span<std::byte const> const from = b.buffers[own.reads(i)[0]];
    auto const to = b.buffers[own.writes(i)[0]];
    bool const aside = works_aside(own, i);
    auto const target = aside ? b.staged(n, 0, to.size()) : to;
    auto const used =
        aside
            ? static_cast<std::size_t>(nccl_staging::aligned(static_cast<std::int64_t>(to.size())))
            : 0;
    if (aside && i.code == opcode::all_reduce) move(stream, from, target, nullptr);
    bool const folds =
        floats_ == float_order::of_the_group && i.code != opcode::all_gather && is_floating(i.type);
    if (folds) {
      fold_by_parts(b, i, members,
                    i.code == opcode::all_reduce ? std::span<std::byte const>(target) : from,
                    target, n, used, stream);
    } else {
      auto g = net_.open_group();
      switch (i.code) {
        case opcode::all_reduce:
          net_.all_reduce(g, members, i.type, i.reduce, target, stream);
          break;
        case opcode::reduce_scatter:
          net_.reduce_scatter(g, members, i.type, i.reduce, from, target, stream);
          break;
        default:
          net_.all_gather(g, members, from, target.first(from.size() * members.size()), stream);
          break;
      }
      g.close();
    }
    if (aside) move(stream, target, to, allowed(b, i, n, stream));
  }

  /// Reduces by a left fold in the group's order; every member folds one part. In an all_reduce
  /// `whole` is `target`, parts differ by at most one element, and are exchanged in the end.
  void fold_by_parts(bound& b, instruction const& i, std::span<rank_id const> members,
                     std::span<std::byte const> whole, std::span<std::byte> target, std::size_t n,
                     std::size_t used, stream_ref stream);

  void exchange(list_run<System>& list, instruction const& i, rank_program const& own,
                std::size_t n, stream_ref stream);

  System& system_;
  nccl_transport<Api>& net_;
  Work& work_;
  failure_watch<System>& watch_;
  float_order floats_;
  // Of buffered sends: by peer, and by channel where channels have communicators of their own.
  std::map<std::pair<rank_id, std::int32_t>, typename System::stream> posts_{};
};

}  // namespace shunt::detail

#include "shunt/nccl/detail/rank_operations.ipp"
