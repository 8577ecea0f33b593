#pragma once
/// One rank's part of a program on its device: lanes as streams, dependencies as events, batches as
/// groups of the transport.
///
/// A list is enqueued in its own order, so every event is recorded before a wait for it, and every
/// communicator sees its operations in the order of the list. A list begins on the main stream
/// (lane 0) when the previous list has ended on all lanes.
/// Complexity: O(instructions) events.
/// See docs/device-code.md.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/host/run_log.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/execute/stream_work.hpp"
#include "shunt/nccl/communicator.hpp"
#include "shunt/nccl/config.hpp"
#include "shunt/nccl/detail/bound_lists.hpp"
#include "shunt/nccl/detail/failure_watch.hpp"
#include "shunt/nccl/detail/rank_operations.hpp"
#include "shunt/nccl/library.hpp"
#include "shunt/nccl/transport.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

template <nccl_library Api, stream_system System, work_on_streams<System> Work>
class rank_streams {
 public:
  using stream_ref = typename System::stream_ref;
  using event = typename System::event;

  rank_streams(System& system, nccl_transport<Api>& net, Work& w, shared_guard<System>& guard,
               shared_posts& posts, std::int64_t first_iteration, float_order floats, ticks began)
      : system_(system),
        net_(net),
        work_(w),
        posts_(posts),
        iteration_(first_iteration),
        floats_(floats),
        base_at_(began) {
    lanes_.emplace(std::uint8_t{0}, system_.make_stream());
    watch_.emplace(system_, lanes_.at(0), first_iteration, guard);
    operations_.emplace(system_, net_, work_, *watch_, floats_);
  }

  rank_streams(rank_streams const&) = delete;
  rank_streams& operator=(rank_streams const&) = delete;
  /// Waits until the device has completed all enqueued work.
  /// Requires that the communicators have ended.
  ~rank_streams() {
    try {
      system_.synchronize();
    } catch (...) {  // the device has failed, so nothing runs any more
    }
  }

  [[nodiscard]] run_log const& log() const { return log_; }
  [[nodiscard]] std::int64_t iteration() const { return iteration_; }
  /// Returns the number of enqueued lists that have not ended.
  [[nodiscard]] std::size_t outstanding() const { return runs_.size(); }

  /// Makes the communicators of a program.
  /// Requires that all lists have ended where `net.must_prepare` returns true.
  void prepare(program const& p) {
    stream_ref const main = lanes_.at(0);
    net_.prepare(p, main);
  }

  /// Enqueues the first `count` instructions of this rank's list. A list that is not `whole` never
  /// ends.
  void enqueue(std::shared_ptr<program const> p, std::int32_t count, bool whole);

  /// Collects the instructions that have completed since the last call, until a rank stops.
  /// Returns whether there were any.
  /// Throws invalid_program where an exchange's count exceeded its part, and what the work threw.
  bool collect_results();
  /// Returns the next instruction to complete, as text: "instruction 7, receive from rank 2".
  [[nodiscard]] std::string awaited() const;
  /// Returns whether all enqueued instructions of the oldest list have completed.
  [[nodiscard]] bool idle() const {
    return runs_.empty() || (runs_.size() == 1 && runs_[0].collected == runs_[0].count);
  }

  /// Returns what the work threw. Null: nothing.
  [[nodiscard]] std::exception_ptr thrown() const { return watch_->thrown(); }

  /// After a stop of the guard and the end of the communicators: waits for the device and collects
  /// what took effect since the last call of collect_results, on all lanes. Of messages and
  /// collectives it collects only those that certainly ended. Throws what the system throws.
  void collect_stopped();

 private:
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

  void begin(list_run<System>& run) {
    auto& b = *run.what;
    watch_->next_iteration(lanes_.at(0));
    if (b.words) {
      system_.fill(lanes_.at(0), b.words->bytes(), nullptr);
      run.words.emplace(system_.make_host_memory(2 * b.words->bytes().size()));
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

  /// Enqueues an instruction's waits, its start event, and the copy of its condition.
  void arrive(list_run<System>& run, rank_program const& own, std::size_t n);

  /// Keeps the guard in an instruction's word: before an effect of this rank alone, which then
  /// depends on that word; after a message or a collective that nothing holds back.
  void take_effect(list_run<System>& run, std::size_t n, std::span<std::byte const> guard,
                   stream_ref stream) {
    auto& b = *run.what;
    operations_->move(stream, guard, b.words_at(b.stage.word[n]), nullptr);
  }
  /// Returns whether an instruction of a stopped list certainly took effect.
  [[nodiscard]] bool has_effect(list_run<System>& run, std::size_t n) const {
    auto const& i = run.what->of->ranks[net_.rank()].instructions[n];
    if (i.condition >= 0 && i.code == opcode::send) return false;
    std::int64_t word = 0;
    auto const& stage = run.what->stage;
    std::memcpy(&word, run.words_at(stage.words + stage.word[n]).data(), word_size);
    return word != 0;
  }
  [[nodiscard]] bool any_effect(list_run<System>& run) const {
    for (std::size_t n = 0; n < run.count; ++n)
      if (n < run.collected || has_effect(run, n)) return true;
    return false;
  }
  /// Makes a list's base the origin of times in place of the previous one's.
  void move_base(list_run<System>& run) {
    if (!last_base_) return;
    base_at_ += system_.elapsed(*last_base_, *run.base);
    unused_.push_back(std::move(*last_base_));
    last_base_.reset();
  }
  /// Returns start and end of an instruction that has ended.
  [[nodiscard]] std::pair<ticks, ticks> times_of(list_run<System>& run, std::size_t n) {
    if (n == 0) move_base(run);
    return {base_at_ + system_.elapsed(*run.base, run.started[n]),
            base_at_ + system_.elapsed(*run.base, run.ended[n])};
  }

  /// Reads the results of a completed instruction: exchange counts, its condition and its times.
  void read(list_run<System>& run, rank_program const& own, std::size_t n);

  /// Returns a list's events to the pool, except its base, the origin of the next list's times.
  void drop(list_run<System>&& run) {
    if (run.count == 0) move_base(run);
    last_base_ = std::move(run.base);
    for (auto* const events : {&run.started, &run.ended, &run.ties})
      for (auto& e : *events) unused_.push_back(std::move(e));
    unused_.push_back(std::move(*run.over));
  }

  System& system_;
  nccl_transport<Api>& net_;
  Work& work_;
  shared_posts& posts_;
  std::int64_t iteration_;
  float_order floats_;
  std::optional<failure_watch<System>> watch_{};
  std::map<std::uint8_t, typename System::stream> lanes_{};
  std::optional<rank_operations<Api, System, Work>> operations_{};
  bound_programs<System> programs_{};
  std::deque<list_run<System>> runs_{};
  std::vector<event> unused_{};
  std::optional<event> last_base_{};
  ticks base_at_ = 0;
  run_log log_{};
};

}  // namespace shunt::detail

#include "shunt/nccl/detail/rank_streams.ipp"
