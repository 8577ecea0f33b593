#pragma once
/// Works, costs and random programs that the tests of executors share.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/indexed.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/problem/cluster.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"
#include "shunt/simulate/cost_model.hpp"
#include "support/random_choices.hpp"

namespace shunt::tests {

/// The least that models `work`, with memory of its own: a compute overwrites what it writes with
/// bytes that depend on what it reads, on the operation and on the iteration. Read as 32-bit or
/// 64-bit floats these are finite and below 2.
class mixing_work {
 public:
  explicit mixing_work(program const& p) : memory_(p.ranks.size()) {
    for (rank_id const r : ids<rank_id>(p.ranks.size()))
      for (auto const& b : p.ranks[r].buffers)
        memory_[r.index()].emplace_back(static_cast<std::size_t>(b.size + 63) / 64);
  }

  /// Asked before every operation; may throw or wait.
  std::function<void(rank_id, task const&)> before{};

  void operator()(rank_id r, task const& t) {
    if (before) before(r, t);
    auto state = static_cast<std::uint64_t>(t.iteration) * 1'000'003U +
                 static_cast<std::uint64_t>(t.op.microbatch.value());
    for (region const& x : t.reads)
      for (auto const byte : bytes(r, x))
        state = (state ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3U;
    for (region const& x : t.writes) {
      auto const target = bytes(r, x);
      for (std::size_t i = 0; i < target.size(); ++i) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        auto const byte = static_cast<std::byte>(state >> 56U);
        target[i] = i % 4 == 3 ? byte & std::byte{0xbf} : byte;
      }
    }
  }
  std::span<std::byte> buffer(rank_id r, buffer_id b) {
    return std::as_writable_bytes(std::span(memory_[r.index()][b.index()]));
  }
  std::span<std::byte> bytes(rank_id r, region const& x) {
    return buffer(r, x.buffer)
        .subspan(static_cast<std::size_t>(x.offset), static_cast<std::size_t>(x.size));
  }

  bool operator==(mixing_work const& other) const { return memory_ == other.memory_; }

 private:
  struct alignas(64) line {
    std::byte bytes[64]{};
    bool operator==(line const&) const = default;
  };
  std::vector<std::vector<std::vector<line>>> memory_;  // rank, buffer
};

static_assert(work<mixing_work>);

/// Costs that differ from operation to operation and from message to message.
struct uneven_costs {
  ticks scale = 1;
  ticks compute(rank_id r, operation const& op) const {
    return scale * (1 + (op.microbatch.value() * 7 + r.value()) % 5);
  }
  transfer_time transfer(rank_id from, rank_id to, byte_count bytes) const {
    return {scale * (bytes / 16), scale * ((from.value() + 2 * to.value()) % 4)};
  }
};

static_assert(cost_model<uneven_costs>);

/// Makes the lanes of every rank safe: an instruction waits for the latest earlier ones on other
/// lanes that touch its bytes, use its channel or belong to its group.
inline void tie_lanes(program& p) {
  auto const conflict = [](rank_program const& own, instruction const& a, instruction const& b) {
    auto const overlap = [](auto const& xs, auto const& ys) {
      for (region const& x : xs)
        for (region const& y : ys)
          if (x.buffer == y.buffer && x.offset < y.offset + y.size && y.offset < x.offset + x.size)
            return true;
      return false;
    };
    bool const message = (a.code == opcode::send || a.code == opcode::receive) && a.code == b.code;
    if (message && a.peer == b.peer && a.channel == b.channel) return true;
    if (is_collective(a.code) && is_collective(b.code) && a.group == b.group) return true;
    return overlap(own.writes(a), own.writes(b)) || overlap(own.reads(a), own.writes(b)) ||
           overlap(own.writes(a), own.reads(b));
  };
  for (auto& own : p.ranks)
    for (std::size_t n = 0; n < own.instructions.size(); ++n) {
      auto& i = own.instructions[n];
      i.after = {static_cast<std::int32_t>(own.waits.size()), 0};
      std::map<int, std::int32_t> latest;
      for (std::size_t k = 0; k < n; ++k)
        if (own.instructions[k].lane != i.lane && conflict(own, own.instructions[k], i))
          latest[own.instructions[k].lane] = static_cast<std::int32_t>(k);
      for (auto const& [lane, k] : latest) own.waits.push_back(k);
      i.after.count = static_cast<std::int32_t>(latest.size());
    }
}

/// A sound program: whatever is appended to several ranks is appended to all of them at one go, so
/// nobody waits in a circle.
inline program random_program(random_choices& d, std::int32_t lanes = 1) {
  std::int32_t const ranks = 1 + d.below(5);
  program_builder b(ranks);
  constexpr std::int32_t
      slots = 6,
      width = 48;  // bytes: a multiple of every element and of up to 6 parts of 8 bytes
  for (std::int32_t r = 0; r < ranks; ++r)
    for (std::int32_t k = 0; k < slots; ++k) b.buffer(r, k < 2 ? width : width * 6, k < 2);
  std::vector<std::vector<bool>> written(static_cast<std::size_t>(ranks),
                                         {true, true, false, false, false, false});
  std::int32_t made = 0;
  auto const lane = [&] { return placing{.lane = static_cast<std::uint8_t>(d.below(lanes))}; };
  auto const whole = [&](rank_id r, std::int32_t k) { return b.all_of(r, k); };
  auto const make = [&](rank_id r,
                        std::int32_t k) {  // computes into a buffer from one that is written
    std::int32_t from = d.below(slots);
    while (!written[r.index()][static_cast<std::size_t>(from)]) from = d.below(slots);
    b.compute(r, {.microbatch = made++}, {whole(r, from)}, {whole(r, k)}, lane());
    written[r.index()][static_cast<std::size_t>(k)] = true;
  };
  std::int32_t const actions = 4 + d.below(20);
  for (std::int32_t a = 0; a < actions; ++a) {
    rank_id const r = d.below(ranks), s = d.below(ranks);
    std::int32_t const big = 2 + d.below(slots - 2), other = 2 + (big - 1) % (slots - 2),
                       half = 8 * (1 + d.below(3));
    switch (d.below(9)) {
      case 0: make(r, d.below(slots)); break;
      case 1: {
        region const filled{big, d.below(5), d.below(7)};
        b.fill(r, filled, lane());
        break;
      }
      case 2:
        make(r, big);
        b.copy(r, {big, 8, half}, {other, 0, half}, lane());
        break;
      case 3: {
        make(r, big), make(r, other);
        auto const type = static_cast<element>(d.below(5));
        b.add(r, type, {big, 0, half}, {other, 24, half}, lane());
        break;
      }
      case 4: {
        if (r == s) break;
        make(r, big);
        auto const channel = d.below(2);
        b.send(r, s, {big, 16, half}, channel, lane());
        region const target{d.below(2), 0, half};
        b.receive(s, r, target, channel, lane());
        break;
      }
      default: {
        std::vector<rank_id> members;
        for (std::int32_t m = 0; m < ranks; ++m)
          if (d.below(3) > 0)
            members.insert(members.begin() + d.below(static_cast<std::int64_t>(members.size()) + 1),
                           m);
        if (members.empty()) break;
        auto const n = static_cast<byte_count>(members.size());
        auto const g = b.group(members);
        auto const type = static_cast<element>(d.below(5));
        auto const how = static_cast<reduction>(d.below(2));
        auto const kind = d.below(4);
        for (rank_id const m : members) {
          make(m, big);
          switch (kind) {
            case 0: b.all_reduce(m, g, type, how, {big, 0, 8 * half}, lane()); break;
            case 1:
              b.reduce_scatter(m, g, type, how, {big, 0, n * half}, {1, 0, half}, lane());
              break;
            case 2: b.all_gather(m, g, {big, 0, half}, {other, 0, n * half}, lane()); break;
            default:
              b.fill(m, {1, 0, 8 * n},
                     lane());  // counts of zero: what they hold is the work's business
              b.fill(m, {other, 0, 8 * n}, lane());
              b.exchange(m, g, {big, 0, n * half}, {1, 0, 8 * n}, {other, 96, n * half},
                         {other, 0, 8 * n}, lane());
          }
          if (kind >= 2 && b.peek().ranks[m].buffers[other].size == n * half)
            written[m.index()][static_cast<std::size_t>(other)] = true;
        }
      }
    }
  }
  auto p = std::move(b).finish();
  tie_lanes(p);
  return p;
}

}  // namespace shunt::tests
