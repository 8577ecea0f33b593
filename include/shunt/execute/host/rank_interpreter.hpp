#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/host/collectives.hpp"
#include "shunt/execute/host/run_log.hpp"
#include "shunt/execute/host/stopwatch.hpp"
#include "shunt/execute/rank_memory.hpp"
#include "shunt/execute/transport.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// One rank of a session, over any transport: runs the rank's lists one after another, each in list
/// order on the calling thread, and logs their times. Collectives of group g run on the reserved
/// channel -1 - g; programs use channels from 0.
template <transport Transport, work Work>
class rank_interpreter {
 public:
  rank_interpreter(Transport& net, Work& w, std::int64_t first_iteration, stopwatch const& clock)
      : net_(net), memory_(w, net.rank()), first_iteration_(first_iteration), clock_(clock) {}

  /// Returns the iteration of the next program.
  [[nodiscard]] std::int64_t iteration() const { return first_iteration_ + log_.done().programs; }
  [[nodiscard]] detail::run_log const& log() const { return log_; }

  /// Runs this rank's list of a program. `before(i)` is called just before instruction i starts,
  /// and once with the length of the list. Its exceptions end the run there.
  /// Throws what `before`, the transport and the work throw; invalid_program where buffers are too
  /// small, this rank is no member of a group, or a count of an exchange is beyond its part.
  template <class Before>
  void run(program const& p, Before&& before) {
    rank_program const& own = p.ranks[net_.rank()];
    memory_.bind(own);
    log_.expect(own.instructions.size());
    ticks start = clock_.now();
    for (instruction const& i : own.instructions) {
      before(log_.done().instructions);
      if (!memory_.allows(own, i)) {
        log_.instruction_left_out();
        continue;
      }
      perform(p, own, i, start);
      ticks const end = clock_.now();
      log_.instruction_ended(start, end);
      start = end;
    }
    before(log_.done().instructions);
    log_.list_ended();
  }

 private:
  void perform(program const& p, rank_program const& own, instruction const& i, ticks start) {
    switch (i.code) {
      case opcode::send: return net_.send(i.peer, i.channel, memory_[own.reads(i)[0]]);
      case opcode::receive: return net_.receive(i.peer, i.channel, memory_[own.writes(i)[0]]);
      case opcode::all_reduce:
        return all_reduce(group(p, i), i.type, i.reduce, memory_[own.writes(i)[0]]);
      case opcode::reduce_scatter:
        return reduce_scatter(group(p, i), i.type, i.reduce, memory_[own.reads(i)[0]],
                              memory_[own.writes(i)[0]]);
      case opcode::all_gather:
        return all_gather(group(p, i), memory_[own.reads(i)[0]], memory_[own.writes(i)[0]]);
      case opcode::exchange: {
        auto const out = own.reads(i), in = own.writes(i);
        return exchange(group(p, i), memory_[out[0]], memory_[out[1]], memory_[in[0]],
                        memory_[in[1]]);
      }
      default: return memory_.run(own, i, iteration(), clock_.on_steady_clock(start));
    }
  }

  [[nodiscard]] detail::membership<Transport> group(program const& p, instruction const& i) {
    auto const& members = p.groups[i.group];
    auto const at = std::find(members.begin(), members.end(), net_.rank());
    if (at == members.end())
      throw invalid_program("rank " + std::to_string(net_.rank().value()) +
                            " is no member of group " + std::to_string(i.group.value()));
    return {net_, members, static_cast<std::size_t>(at - members.begin()), -1 - i.group.value(),
            scratch_};
  }

  Transport& net_;
  rank_memory<Work> memory_;
  std::int64_t first_iteration_;
  stopwatch clock_;
  detail::run_log log_{};
  std::vector<std::byte> scratch_{};
};

}  // namespace shunt
