#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/host/collectives.hpp"
#include "shunt/execute/rank_memory.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// A message in flight between ranks of one thread: a list of one element, so that it can be moved
/// between lists without an allocation.
using buffered_message = std::list<std::vector<std::byte>>;

/// The effects of instructions when one thread runs all ranks. Messages wait in buffers that are
/// reused, collectives work on the members' memory directly. Arithmetic and order are those of
/// collectives over a transport, so the bits are the same. The caller keeps dependencies.
template <work Work>
class in_process_ranks {
 public:
  explicit in_process_ranks(Work& w) : work_(&w) {}

  /// Prepares a rank for its list of a program.
  /// Throws invalid_program where a buffer of the work is too small.
  void bind(program const& p, rank_id r) {
    while (memory_.size() < p.ranks.size()) memory_.emplace_back(*work_, rank_id{memory_.size()});
    memory_[r.index()].bind(p.ranks[r]);
  }

  /// Returns whether an instruction's condition lets it run.
  [[nodiscard]] bool allows(rank_program const& own, rank_id r, instruction const& i) const {
    return i.condition < 0 || memory_[r.index()].allows(own, i);
  }

  /// Runs an instruction that is neither a message nor a collective.
  /// Throws what the work throws.
  void local(rank_program const& own, rank_id r, instruction const& i, std::int64_t iteration,
             ticks started = 0) {
    memory_[r.index()].run(own, i, iteration, started);
  }

  using message = buffered_message;

  /// Returns the message of a send.
  [[nodiscard]] message send(rank_program const& own, rank_id r, instruction const& i) {
    message m;
    if (unused_.empty())
      m.emplace_back();
    else
      m.splice(m.begin(), unused_, unused_.begin());
    auto const bytes = memory_[r.index()][own.reads(i)[0]];
    m.front().assign(bytes.begin(), bytes.end());
    return m;
  }
  /// Writes a message into the region of a receive.
  /// Throws invalid_program where the message has another size than the region.
  void receive(rank_program const& own, rank_id r, instruction const& i, message&& m) {
    auto const target = memory_[r.index()][own.writes(i)[0]];
    if (m.front().size() != target.size())
      throw invalid_program("rank " + std::to_string(r.value()) + " receives " +
                            std::to_string(m.front().size()) + " bytes, not " +
                            std::to_string(target.size()));
    rank_memory<Work>::copy(m.front(), target);
    unused_.splice(unused_.begin(), m);
  }

  /// Performs a collective for all its members.
  /// Throws invalid_program where its members differ in opcode or size, or a count of an exchange
  /// is negative or beyond its part.
  void run_collective(program const& p, dependencies const& d,
                      dependencies::collective_match const& m) {
    auto const& group = p.groups[m.group];
    auto const numbers = d.members_of(m);
    auto const member = [&](std::size_t k) -> instruction const& {
      return p.ranks[group[k]]
          .instructions[static_cast<std::size_t>(numbers[k] - d.first[group[k].index()])];
    };
    auto const read = [&](std::size_t k, std::size_t n = 0) {
      return memory_[group[k].index()][p.ranks[group[k]].reads(member(k))[n]];
    };
    auto const write = [&](std::size_t k, std::size_t n = 0) {
      return memory_[group[k].index()][p.ranks[group[k]].writes(member(k))[n]];
    };
    instruction const& what = member(0);
    std::size_t const n = group.size();
    for (std::size_t k = 1; k < n; ++k)
      if (member(k).code != what.code || read(k).size() != read(0).size() ||
          write(k).size() != write(0).size())
        throw invalid_program("the members of group " + std::to_string(m.group.value()) +
                              " call for different collectives");
    switch (what.code) {
      case opcode::all_reduce: {
        fold(what, n, read);
        for (std::size_t k = 0; k < n; ++k) rank_memory<Work>::copy(scratch_, write(k));
        break;
      }
      case opcode::reduce_scatter: {
        fold(what, n, read);
        for (std::size_t k = 0; k < n; ++k)
          rank_memory<Work>::copy(std::span(scratch_).subspan(k * write(k).size(), write(k).size()),
                                  write(k));
        break;
      }
      case opcode::all_gather: {
        auto const part = read(0).size();
        scratch_.clear();
        for (std::size_t k = 0; k < n; ++k)
          scratch_.insert(scratch_.end(), read(k).begin(), read(k).end());
        for (std::size_t k = 0; k < n; ++k)
          rank_memory<Work>::copy(scratch_, write(k).first(n * part));
        break;
      }
      case opcode::exchange: {
        auto const out = read(0).size() / n, in = write(0).size() / n;
        constexpr std::size_t word = sizeof(std::int64_t);
        for (std::size_t from = 0; from < n; ++from)
          for (std::size_t to = 0; to < n; ++to)
            (void)count_at(read(from, 1), to, std::min(out, in), group[from]);
        for (std::size_t from = 0; from < n; ++from)
          for (std::size_t to = 0; to < n; ++to) {
            auto const count = count_at(read(from, 1), to, out, group[from]);
            rank_memory<Work>::copy(read(from, 1).subspan(to * word, word),
                                    write(to, 1).subspan(from * word, word));
            rank_memory<Work>::copy(read(from).subspan(to * out, count),
                                    write(to).subspan(from * in, count));
          }
        break;
      }
      default: break;
    }
  }

 private:
  /// Makes scratch_ the left fold of the members' inputs.
  template <class Read>
  void fold(instruction const& what, std::size_t n, Read const& read) {
    scratch_.assign(read(0).begin(), read(0).end());
    for (std::size_t k = 1; k < n; ++k) accumulate(what.type, what.reduce, scratch_, read(k));
  }

  Work* work_;
  std::vector<rank_memory<Work>> memory_{};
  message unused_{};
  std::vector<std::byte> scratch_{};
};

}  // namespace shunt::detail
