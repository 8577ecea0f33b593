#pragma once
/// One rank's part of a program on its device: a stream a lane, dependencies as events, batches as
/// groups of the transport.
///
/// The list is enqueued in its own order: whatever is waited for stands before the wait, and every
/// communicator sees its operations as the list has them. A list begins on the main stream (lane 0)
/// when the one before has ended on all of them.
///
/// NCCL can't leave an operation out when the device reads a 0, so a message or collective with a
/// condition always travels, into memory of its own, and is moved to its place where the word
/// allows it. An exchange sends whole parts, for NCCL wants counts beforehand, and moves as much of
/// each as its count says; nothing waits for the host. Sums and maxima of floats are exchanged part
/// by part and folded in the group's order, with the same bits as everywhere else; where that isn't
/// asked for, and for integers, NCCL reduces.
///
/// Where the program needs buffered sends (see routes.hpp), a send copies its message and goes on;
/// the copy leaves on a stream of its peer.
///
/// After a loss the host sets a word that guards everything: what is enqueued behind an operation
/// that was aborted leaves no trace. Memory of its own: see staging.hpp. O(instructions) events.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/host/rank_buffers.hpp"
#include "shunt/execute/host/run_log.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "shunt/execute/stream_work.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/nccl/staging.hpp"
#include "shunt/nccl/transport.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

template <nccl_library Api, stream_system System, work_on_streams<System> Work>
class rank_streams {
 public:
  using stream_ref = typename System::stream_ref;
  using event = typename System::event;

  rank_streams(System& system, nccl_transport<Api>& net, Work& w, std::int64_t first_iteration,
               float_order floats, ticks began)
      : system_(system),
        net_(net),
        work_(w),
        iteration_(first_iteration),
        floats_(floats),
        base_at_(began) {
    lanes_.emplace(std::uint8_t{0}, system_.make_stream());
    going_.emplace(system_.make_memory(3 * word_size));
    std::int64_t const words[] = {1, first_iteration - 1, 1};
    system_.copy_to_device(lanes_.at(0), std::as_bytes(std::span(words)), going_->bytes());
  }

  rank_streams(rank_streams const&) = delete;
  rank_streams& operator=(rank_streams const&) = delete;
  /// Waits until the device has come by all that was enqueued; communicators must have ended.
  ~rank_streams() {
    try {
      system_.synchronize();
    } catch (...) {  // the device has failed: then nothing runs any more
    }
  }

  [[nodiscard]] detail::run_log const& log() const { return log_; }
  [[nodiscard]] std::int64_t iteration() const { return iteration_; }
  /// Lists that were enqueued and have not ended.
  [[nodiscard]] std::size_t outstanding() const { return runs_.size(); }

  /// Makes communicators for a program; lists that are under way must have ended where
  /// `net.must_prepare` says so.
  void prepare(program const& p) {
    stream_ref const main = lanes_.at(0);
    net_.prepare(p, main);
  }

  /// Enqueues the first `count` instructions of this rank's list, which never ends unless it is the
  /// whole one.
  void enqueue(std::shared_ptr<program const> p, std::int32_t count, bool whole) {
    runs_.push_back({.what = known(p)});
    auto& run = runs_.back();
    auto const& own = p->ranks[net_.rank()];
    auto const list = std::span(own.instructions).first(static_cast<std::size_t>(count));
    run.whole = whole;
    run.count = list.size();
    log_.expect(list.size());
    begin(run);
    for (std::size_t n = 0; n < list.size();) {
      std::size_t end = n + 1;
      while (list[n].batch >= 0 && end < list.size() && list[end].batch == list[n].batch) ++end;
      for (auto k = n; k < end; ++k) arrive(run, own, k);
      perform(run, own, n, end);
      for (auto k = n; k < end; ++k) system_.record(run.ended[k], stream_of(list[k].lane));
      n = end;
    }
    for (auto& [lane, stream] : lanes_)
      if (lane != 0) {  // the main stream goes on when all have come here
        run.ties.push_back(take());
        system_.record(run.ties.back(), stream);
        system_.wait(lanes_.at(0), run.ties.back());
      }
    run.over.emplace(take());
    system_.record(*run.over, lanes_.at(0));
    ++iteration_;
  }

  /// Reads what has ended since; returns whether anything had. Throws invalid_program where an
  /// exchange's count went beyond its part, and what the work threw.
  bool harvest() {
    bool any = false;
    while (!runs_.empty()) {
      auto& run = runs_.front();
      auto const& own = run.what->of->ranks[net_.rank()];
      for (; run.harvested < run.count && system_.finished(run.ended[run.harvested]);
           ++run.harvested, any = true)
        read(run, own, run.harvested);
      {
        std::lock_guard const lock(thrown_->mutex);
        if (thrown_->what) std::rethrow_exception(thrown_->what);
      }
      if (run.harvested < run.count || !system_.finished(*run.over)) return any;
      if (!run.whole) return any;
      log_.list_ended();
      any = true;
      drop(std::move(run));
      runs_.pop_front();
    }
    return any;
  }
  /// The instruction that is waited for, for messages: "instruction 7, receive from rank 2".
  [[nodiscard]] std::string awaited() const {
    if (runs_.empty()) return "nothing";
    auto const& run = runs_.front();
    auto const& list = run.what->of->ranks[net_.rank()].instructions;
    if (run.harvested >= run.count) return "the end of its list";
    auto const& i = list[run.harvested];
    auto text =
        "instruction " + std::to_string(run.harvested) + ", " + std::string(to_string(i.code));
    if (i.code == opcode::send || i.code == opcode::receive)
      text +=
          (i.code == opcode::send ? " to rank " : " from rank ") + std::to_string(i.peer.value());
    if (is_collective(i.code)) text += " over " + detail::names_of(run.what->of->groups[i.group]);
    return text;
  }
  /// Whether all that was enqueued of the oldest list has ended.
  [[nodiscard]] bool idle() const {
    return runs_.empty() || (runs_.size() == 1 && runs_[0].harvested == runs_[0].count);
  }

  /// From now on nothing leaves a trace: before communicators are aborted.
  void stop() {
    auto aside = system_.make_stream();
    std::int64_t const no = 0;
    system_.copy_to_device(aside, std::as_bytes(std::span(&no, 1)),
                           going_->bytes().first(word_size));
    event done = system_.make_event();
    system_.record(done, aside);
    system_.finish(done);
  }

 private:
  static constexpr std::size_t word_size = sizeof(std::int64_t);

  /// A program with what it needs on this device.
  struct bound {
    std::shared_ptr<program const> of{};
    nccl_staging stage{};
    detail::rank_buffers buffers{};
    std::optional<typename System::memory> staging{}, words{};
    std::vector<std::optional<event>> sent{};  // by instruction: when a buffered send has left
  };
  /// One list under way.
  struct list_run {
    std::shared_ptr<bound> what{};
    std::size_t count = 0, harvested = 0;
    bool whole = true;
    std::vector<event> started{}, ended{}, ties{};
    std::optional<event> base{}, over{};
    std::optional<typename System::memory> words{};  // of the host
  };
  struct failure_sink {
    std::mutex mutex{};
    std::exception_ptr what{};
  };

  // Memory.

  [[nodiscard]] std::int64_t* going() {
    return reinterpret_cast<std::int64_t*>(going_->bytes().data());
  }
  [[nodiscard]] static std::int64_t* word(bound& b, std::int64_t at) {
    return reinterpret_cast<std::int64_t*>(b.words->bytes().data()) + at;
  }
  [[nodiscard]] static std::span<std::byte> staging(bound& b, std::size_t n, std::size_t offset,
                                                    std::size_t size) {
    return size == 0 ? std::span<std::byte>{}
                     : b.staging->bytes().subspan(
                           static_cast<std::size_t>(b.stage.place[n]) + offset, size);
  }

  [[nodiscard]] std::shared_ptr<bound> known(std::shared_ptr<program const> const& p) {
    constexpr std::size_t most = 8;
    auto const at =
        std::find_if(known_.begin(), known_.end(), [&](auto const& b) { return b->of == p; });
    if (at != known_.end()) return *at;
    auto b = std::make_shared<bound>();
    b->of = p;
    b->buffers.bind(work_, net_.rank(), p->ranks[net_.rank()]);
    b->stage = stage(*p, net_.rank(), net_.routes().buffered, floats_);
    if (net_.routes().buffered) b->sent.resize(p->ranks[net_.rank()].instructions.size());
    if (b->stage.bytes > 0)
      b->staging.emplace(system_.make_memory(static_cast<std::size_t>(b->stage.bytes)));
    if (b->stage.words > 0)
      b->words.emplace(system_.make_memory(static_cast<std::size_t>(b->stage.words) * word_size));
    if (known_.size() == most) known_.pop_front();
    known_.push_back(b);
    return b;
  }

  // Enqueuing.

  [[nodiscard]] event take() {
    if (unused_.empty()) return system_.make_timed_event();
    event e = std::move(unused_.back());
    unused_.pop_back();
    return e;
  }
  [[nodiscard]] stream_ref stream_of(std::uint8_t lane) {
    auto at = lanes_.find(lane);
    if (at == lanes_.end()) {
      at = lanes_.emplace(lane, system_.make_stream()).first;
      system_.wait(at->second, *runs_.back().base);
    }
    return at->second;
  }

  void begin(list_run& run) {
    auto& b = *run.what;
    auto* const now = reinterpret_cast<std::byte*>(going() + 1);
    std::byte const* const next[] = {now, now + word_size};  // the iteration before, and one
    system_.fold(lanes_.at(0), element::int64, reduction::sum, next, {&now, 1}, word_size, nullptr);
    if (b.words) {
      system_.fill(lanes_.at(0), b.words->bytes(), nullptr);
      run.words.emplace(system_.make_host_memory(b.words->bytes().size()));
    }
    run.base.emplace(take());
    system_.record(*run.base, lanes_.at(0));
    for (auto& [lane, stream] : lanes_)
      if (lane != 0) system_.wait(stream, *run.base);
    for (std::size_t n = 0; n < run.count; ++n) {
      run.started.push_back(take());
      run.ended.push_back(take());
    }
  }

  /// Everything up to an instruction's start.
  void arrive(list_run& run, rank_program const& own, std::size_t n) {
    auto const& i = own.instructions[n];
    auto const stream = stream_of(i.lane);
    for (auto const w : own.after(i))
      if (own.instructions[static_cast<std::size_t>(w)].lane != i.lane)
        system_.wait(stream, run.ended[static_cast<std::size_t>(w)]);
    system_.record(run.started[n], stream);
    if (i.condition < 0) return;
    auto& b = *run.what;
    auto const at = static_cast<std::size_t>(b.stage.word[n]) * word_size;
    move(stream, b.buffers[own.condition(i)[0]], b.words->bytes().subspan(at, word_size), going());
    system_.copy_to_host(stream, b.words->bytes().subspan(at, word_size),
                         run.words->bytes().subspan(at, word_size));
  }

  void move(stream_ref stream, std::span<std::byte const> from, std::span<std::byte> to,
            std::int64_t const* guard) {
    stream_part const one{
        .from = from.data(), .to = to.data(), .bytes = static_cast<std::int64_t>(from.size())};
    if (!from.empty() && from.data() != to.data()) system_.move(stream, {&one, 1}, guard);
  }

  /// Instructions [n, end): one, or a batch.
  void perform(list_run& run, rank_program const& own, std::size_t n, std::size_t end) {
    auto& b = *run.what;
    auto const& first = own.instructions[n];
    auto const stream = stream_of(first.lane);
    [[maybe_unused]] auto const range = system_.range(std::string(to_string(first.code)));
    auto const is_message = [](instruction const& i) {
      return i.code == opcode::send || i.code == opcode::receive;
    };
    for (auto k = n; k < end;) {  // messages of a batch in one group; collectives each in their own
      if (!is_message(own.instructions[k])) {
        single(run, own, k, stream);
        ++k;
        continue;
      }
      auto const from = k;
      if (own.instructions[k].code == opcode::send && net_.routes().buffered) {
        post(b, own.instructions[k], b.buffers[own.reads(own.instructions[k])[0]], k, stream);
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
          net_.receive(g, i.condition < 0 ? target : staging(b, k, 0, target.size()), i.peer,
                       stream, i.channel);
        }
      }
      g.close();
      for (auto at = from; at < k; ++at)
        if (auto const& i = own.instructions[at]; i.code == opcode::receive && i.condition >= 0) {
          auto const target = b.buffers[own.writes(i)[0]];
          move(stream, staging(b, at, 0, target.size()), target, word(b, b.stage.word[at]));
        }
    }
  }

  /// A buffered send: leaves a copy and goes on.
  void post(bound& b, instruction const& i, std::span<std::byte const> message, std::size_t n,
            stream_ref stream) {
    if (message.empty()) return;
    auto at = posts_.find(i.peer);
    if (at == posts_.end()) at = posts_.emplace(i.peer, system_.make_stream()).first;
    if (b.sent[n])
      system_.wait(stream, *b.sent[n]);  // what lay there has left
    else
      b.sent[n].emplace(system_.make_event());
    stream_ref const away = at->second;
    auto const copy = staging(b, n, 0, message.size());
    move(stream, message, copy, going());
    system_.record(*b.sent[n], stream);
    system_.wait(away, *b.sent[n]);
    auto g = net_.open_group();
    net_.send(g, copy, i.peer, away, i.channel);
    g.close();
    system_.record(*b.sent[n], away);
  }

  void single(list_run& run, rank_program const& own, std::size_t n, stream_ref stream) {
    auto& b = *run.what;
    auto const& i = own.instructions[n];
    auto const reads = own.reads(i), writes = own.writes(i);
    std::int64_t const* const guard = i.condition < 0 ? going() : word(b, b.stage.word[n]);
    switch (i.code) {
      case opcode::compute: return compute({i.op, going() + 1, guard, reads, writes}, stream);
      case opcode::copy: return move(stream, b.buffers[reads[0]], b.buffers[writes[0]], guard);
      case opcode::fill:
        if (writes[0].size > 0) system_.fill(stream, b.buffers[writes[0]], guard);
        return;
      case opcode::add: {
        auto const target = b.buffers[writes[0]];
        std::byte const* const sources[] = {target.data(), b.buffers[reads[0]].data()};
        if (auto* const to = target.data(); !target.empty())
          system_.fold(stream, i.type, reduction::sum, sources, {&to, 1}, target.size(), guard);
        return;
      }
      case opcode::exchange: return exchange(run, i, own, n, guard, stream);
      default: return meet(b, i, own, n, guard, stream);
    }
  }

  void compute(stream_task const& t, stream_ref stream) {
    if constexpr (stream_work<Work, stream_ref>) {
      work_(net_.rank(), t, stream);
    } else {
      system_.call(stream, [w = &work_, r = net_.rank(), t, sink = thrown_] {
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

  void meet(bound& b, instruction const& i, rank_program const& own, std::size_t n,
            std::int64_t const* guard, stream_ref stream) {
    auto const& members = b.of->groups[i.group];
    std::span<std::byte const> const from = b.buffers[own.reads(i)[0]];
    auto const to = b.buffers[own.writes(i)[0]];
    bool const aside = i.condition >= 0;
    auto const target = aside ? staging(b, n, 0, to.size()) : to;
    auto const used =
        aside
            ? static_cast<std::size_t>(nccl_staging::aligned(static_cast<std::int64_t>(to.size())))
            : 0;
    if (aside && i.code == opcode::all_reduce) move(stream, from, target, nullptr);
    bool const folds = floats_ == float_order::of_the_group && i.code != opcode::all_gather &&
                       (i.type == element::float32 || i.type == element::float64);
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
    if (aside) move(stream, target, to, guard);
  }

  /// A left fold in the group's order: every member folds one part. `whole` is `target` in an
  /// all_reduce, whose parts differ by one element at most and are handed around in the end.
  void fold_by_parts(bound& b, instruction const& i, std::span<rank_id const> members,
                     std::span<std::byte const> whole, std::span<std::byte> target, std::size_t n,
                     std::size_t used, stream_ref stream) {
    auto const width = static_cast<std::size_t>(size_of(i.type)), count = members.size();
    auto const elements = whole.size() / width;
    auto const begin = [&](std::size_t j) {
      return (elements / count * j + std::min(j, elements % count)) * width;
    };
    auto const self = static_cast<std::size_t>(
        std::find(members.begin(), members.end(), net_.rank()) - members.begin());
    auto const size_of_part = [&](std::size_t j) { return begin(j + 1) - begin(j); };
    auto const mine = size_of_part(self);
    auto const came = [&](std::size_t j) { return staging(b, n, used + j * mine, mine); };
    net_.all_to_all(
        members, [&](std::size_t j) { return whole.subspan(begin(j), size_of_part(j)); }, came,
        stream);
    auto const result = i.code == opcode::all_reduce ? target.subspan(begin(self), mine) : target;
    if (mine > 0) {
      std::vector<std::byte const*> sources;
      for (std::size_t j = 0; j < count; ++j)
        sources.push_back(j == self ? whole.data() + begin(self) : came(j).data());
      auto* const sum = count > 1 ? came(self).data()
                                  : result.data();  // sources stay as they are until all is folded
      for (std::size_t from = 0; from < count;) {
        auto const more = std::min(count - from, most_members_on_streams - 1);
        std::vector<std::byte const*> some(sources.begin() + static_cast<std::ptrdiff_t>(from),
                                           sources.begin() +
                                               static_cast<std::ptrdiff_t>(from + more));
        if (from > 0) some.insert(some.begin(), sum);
        system_.fold(stream, i.type, i.reduce, some, {&sum, 1}, mine, going());
        from += more;
      }
      move(stream, {sum, mine}, result, going());
    }
    if (i.code == opcode::all_reduce)
      net_.all_to_all(
          members, [&](std::size_t) { return std::span<std::byte const>(result); },
          [&](std::size_t j) { return target.subspan(begin(j), size_of_part(j)); }, stream);
  }

  void exchange(list_run& run, instruction const& i, rank_program const& own, std::size_t n,
                std::int64_t const* guard, stream_ref stream) {
    auto& b = *run.what;
    auto const& members = b.of->groups[i.group];
    auto const count = members.size();
    auto const self = static_cast<std::size_t>(
        std::find(members.begin(), members.end(), net_.rank()) - members.begin());
    auto const out = b.buffers[own.reads(i)[0]], counts_out = b.buffers[own.reads(i)[1]];
    auto const in = b.buffers[own.writes(i)[0]], counts_in = b.buffers[own.writes(i)[1]];
    auto const from = out.size() / count, to = in.size() / count, width = std::min(from, to);
    auto const behind =
        static_cast<std::size_t>(nccl_staging::aligned(static_cast<std::int64_t>(out.size())));
    auto const part = [&](std::size_t j) { return staging(b, n, j * width, width); };
    auto const counted = [&](std::size_t j) {
      return staging(b, n, behind + j * word_size, word_size);
    };
    auto const word_of = [](std::span<std::byte> s, std::size_t j) {
      return s.subspan(j * word_size, word_size);
    };
    net_.all_to_all(
        members, [&](std::size_t j) { return word_of(counts_out, j); }, counted, stream);
    net_.all_to_all(
        members, [&](std::size_t j) { return out.subspan(j * from, width); }, part, stream);
    std::vector<stream_part> parts;
    for (std::size_t j = 0; j < count; ++j) {
      auto const source = j == self ? out.subspan(j * from, width) : part(j);
      auto const length = j == self ? word_of(counts_out, j) : counted(j);
      parts.push_back({.from = source.data(),
                       .to = in.data() + j * to,
                       .bytes = static_cast<std::int64_t>(width),
                       .count = reinterpret_cast<std::int64_t const*>(length.data()),
                       .count_to = reinterpret_cast<std::int64_t*>(word_of(counts_in, j).data()),
                       .refused = word(b, b.stage.verdict[n] + static_cast<std::int64_t>(j))});
    }
    system_.move(stream, parts, guard);
    auto const at = static_cast<std::size_t>(b.stage.verdict[n]) * word_size;
    system_.copy_to_host(stream, b.words->bytes().subspan(at, count * word_size),
                         run.words->bytes().subspan(at, count * word_size));
  }

  // Reading back.

  void read(list_run& run, rank_program const& own, std::size_t n) {
    auto const& i = own.instructions[n];
    auto const& stage = run.what->stage;
    auto const value = [&](std::int64_t at) {
      std::int64_t v = 0;
      std::memcpy(&v, run.words->bytes().data() + static_cast<std::size_t>(at) * word_size,
                  word_size);
      return v;
    };
    if (n == 0) {
      if (last_base_) {
        base_at_ += system_.elapsed(*last_base_, *run.base);
        unused_.push_back(std::move(*last_base_));
      }
      last_base_.reset();
    }
    if (i.code == opcode::exchange) {
      auto const& members = run.what->of->groups[i.group];
      auto const place = std::find(members.begin(), members.end(), net_.rank()) - members.begin();
      auto const width = std::min(own.reads(i)[0].size, own.writes(i)[0].size) /
                         static_cast<byte_count>(members.size());
      for (std::size_t j = 0; j < members.size(); ++j)
        if (auto const refused = value(stage.verdict[n] + static_cast<std::int64_t>(j));
            refused != 0)
          throw invalid_program("exchange on rank " + std::to_string(members[j].value()) +
                                ": count " + std::to_string(place) + " is " +
                                std::to_string(refused) + ", its part holds " +
                                std::to_string(width) + " bytes");
    }
    if (i.condition >= 0 && value(stage.word[n]) == 0)
      log_.instruction_left_out();
    else
      log_.instruction_ended(base_at_ + system_.elapsed(*run.base, run.started[n]),
                             base_at_ + system_.elapsed(*run.base, run.ended[n]));
  }

  /// Its events are used again, but for the base, from which the next list's times are counted.
  void drop(list_run&& run) {
    if (run.count == 0 && last_base_) {
      base_at_ += system_.elapsed(*last_base_, *run.base);
      unused_.push_back(std::move(*last_base_));
    }
    last_base_ = std::move(run.base);
    for (auto* const events : {&run.started, &run.ended, &run.ties})
      for (auto& e : *events) unused_.push_back(std::move(e));
    unused_.push_back(std::move(*run.over));
  }

  System& system_;
  nccl_transport<Api>& net_;
  Work& work_;
  std::int64_t iteration_;
  float_order floats_;
  std::optional<typename System::memory>
      going_{};  // whether anything may still have an effect; the iteration; a one
  std::map<std::uint8_t, typename System::stream> lanes_{};
  std::map<rank_id, typename System::stream> posts_{};  // of buffered sends
  std::deque<std::shared_ptr<bound>> known_{};
  std::deque<list_run> runs_{};
  std::vector<event> unused_{};
  std::optional<event> last_base_{};
  ticks base_at_ = 0;
  detail::run_log log_{};
  std::shared_ptr<failure_sink> thrown_ = std::make_shared<failure_sink>();
};

}  // namespace shunt
