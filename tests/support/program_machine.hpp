#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <random>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"

namespace shunt::tests {

/// All ranks on one thread, each running until it waits; memory starts as noise. Written for these
/// tests alone.
class program_machine {
 public:
  explicit program_machine(program const& p) : program_(p), at_(p.ranks.size(), 0) {
    std::mt19937_64 random(99);
    for (auto const& rank : p.ranks) {
      auto& buffers = memory_.emplace_back();
      for (auto const& info : rank.buffers) {
        buffers.emplace_back(static_cast<std::size_t>(info.size));
        for (auto& byte : buffers.back()) byte = static_cast<unsigned char>(random());
      }
    }
  }

  std::vector<unsigned char>& memory(rank_id r, std::int32_t buffer) {
    return memory_[r.index()][static_cast<std::size_t>(buffer)];
  }

  std::int64_t number(rank_id r, std::int32_t buffer, std::int64_t index) {
    std::int64_t value = 0;
    std::memcpy(&value, memory(r, buffer).data() + index * 8, 8);
    return value;
  }
  void number(rank_id r, std::int32_t buffer, std::int64_t index, std::int64_t value) {
    std::memcpy(memory(r, buffer).data() + index * 8, &value, 8);
  }

  /// False where ranks wait for each other, or messages are left over.
  bool run() {
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t r = 0; r < at_.size(); ++r)
        while (at_[r] < program_.ranks[r].instructions.size() && step(r)) moved = true;
    }
    for (std::size_t r = 0; r < at_.size(); ++r)
      if (at_[r] < program_.ranks[r].instructions.size()) return false;
    return std::all_of(messages_.begin(), messages_.end(),
                       [](auto const& queue) { return queue.second.empty(); });
  }

 private:
  using bytes = std::vector<unsigned char>;

  unsigned char* find(std::size_t r, region const& where) {
    auto& buffer = memory_[r].at(where.buffer.index());
    if (where.offset < 0 || where.size < 1 ||
        where.offset + where.size > static_cast<byte_count>(buffer.size()))
      throw std::out_of_range("region");
    return buffer.data() + where.offset;
  }
  bytes take(std::size_t r, region const& where) {
    return {find(r, where), find(r, where) + where.size};
  }
  void put(std::size_t r, region const& where, bytes const& content) {
    if (static_cast<byte_count>(content.size()) != where.size) throw std::length_error("message");
    std::memcpy(find(r, where), content.data(), content.size());
  }
  static void add(bytes& sum, bytes const& more) {
    if (sum.size() != more.size()) throw std::length_error("sum");
    for (std::size_t i = 0; i < sum.size(); i += 8) {
      std::int64_t a = 0, b = 0;
      std::memcpy(&a, sum.data() + i, 8);
      std::memcpy(&b, more.data() + i, 8);
      a += b;
      std::memcpy(sum.data() + i, &a, 8);
    }
  }

  bool step(std::size_t r) {
    auto const& rank = program_.ranks[r];
    auto const& i = rank.instructions[at_[r]];
    auto const reads = rank.reads(i), writes = rank.writes(i);
    switch (i.code) {
      case opcode::send:
        messages_[{r, i.peer.index(), i.channel}].push_back(take(r, reads.front()));
        break;
      case opcode::receive: {
        auto& queue = messages_[{i.peer.index(), r, i.channel}];
        if (queue.empty()) return false;
        put(r, writes.front(), queue.front());
        queue.pop_front();
        break;
      }
      case opcode::copy: put(r, writes.front(), take(r, reads.front())); break;
      case opcode::add: {
        auto sum = take(r, reads.back());
        add(sum, take(r, reads.front()));
        put(r, writes.front(), sum);
        break;
      }
      case opcode::all_reduce: {
        auto const& members = program_.groups[i.group];
        bytes sum;
        for (rank_id const m : members) {  // all must stand at this collective; the last to come
                                           // does the work for all
          auto const& theirs = program_.ranks[m];
          if (at_[m.index()] >= theirs.instructions.size()) return false;
          auto const& other = theirs.instructions[at_[m.index()]];
          if (other.code != i.code || other.group != i.group) return false;
          auto const own = take(m.index(), theirs.reads(other)[0]);
          if (sum.empty())
            sum = own;
          else
            add(sum, own);
        }
        for (rank_id const m : members) {
          auto const& theirs = program_.ranks[m];
          put(m.index(), theirs.writes(theirs.instructions[at_[m.index()]])[0], sum);
          if (m.index() != r) ++at_[m.index()];
        }
        break;
      }
      default: throw std::logic_error("not an instruction of collection or scatter");
    }
    ++at_[r];
    return true;
  }

  program const& program_;
  std::vector<std::size_t> at_;
  std::vector<std::vector<bytes>> memory_;
  std::map<std::tuple<std::size_t, std::size_t, std::int32_t>, std::deque<bytes>> messages_;
};

}  // namespace shunt::tests
