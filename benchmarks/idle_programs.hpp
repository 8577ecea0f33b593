#pragma once
// Programs whose work does nothing, so that what they take is the executor's own, and the time of
// one of their many equal parts.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"

namespace idle {

using shunt::rank_id;

inline constexpr shunt::byte_count least = 4096;  ///< of a rank's buffer

struct work {
  struct alignas(64) line {
    std::byte bytes[64];
  };
  explicit work(std::size_t ranks, shunt::byte_count bytes = least)
      : each(static_cast<std::size_t>(bytes) / sizeof(line)), memory(ranks * each) {}
  void operator()(rank_id, shunt::task const&) const {}
  std::span<std::byte> buffer(rank_id r, shunt::buffer_id) {
    return std::as_writable_bytes(std::span(memory).subspan(r.index() * each, each));
  }
  std::size_t each;
  std::vector<line> memory;
};
static_assert(shunt::work<work>);

/// One empty buffer a rank, and what `write(builder)` adds.
template <class Write>
std::shared_ptr<shunt::program const> program_of(std::int32_t ranks, Write const& write,
                                                 shunt::byte_count bytes = least) {
  shunt::program_builder b(ranks);
  for (rank_id const r : shunt::ids<rank_id>(ranks)) b.buffer(r, bytes, true);
  write(b);
  return std::make_shared<shunt::program const>(std::move(b).finish());
}

inline std::shared_ptr<shunt::program const> computes(std::int32_t ranks, std::int32_t each) {
  return program_of(ranks, [&](shunt::program_builder& b) {
    for (rank_id const r : shunt::ids<rank_id>(ranks))
      for (std::int32_t n = 0; n < each; ++n) b.compute(r, {}, {{0, 0, 64}}, {{0, 0, 64}});
  });
}

/// Rank 0 sends, rank 1 receives: a receive waits only where rank 1 is the faster one.
inline std::shared_ptr<shunt::program const> messages(std::int32_t count, shunt::byte_count bytes) {
  return program_of(2, [&](shunt::program_builder& b) {
    for (std::int32_t n = 0; n < count; ++n) b.message(0, {0, 0, bytes}, 1, {0, 0, bytes});
  });
}

/// There and back.
inline std::shared_ptr<shunt::program const> ping_pong(std::int32_t rounds,
                                                       shunt::byte_count bytes = 64) {
  auto const write = [&](shunt::program_builder& b) {
    for (std::int32_t n = 0; n < rounds; ++n) {
      b.message(0, {0, 0, bytes}, 1, {0, bytes, bytes});
      b.message(1, {0, bytes, bytes}, 0, {0, 0, bytes});
    }
  };
  return program_of(2, write, std::max(2 * bytes, least));
}

/// Nanoseconds that this process and those of its children that have ended have computed.
inline double cpu_time() {
  double sum = 0;
  for (auto const who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage used{};
    getrusage(who, &used);
    for (timeval const& t : {used.ru_utime, used.ru_stime})
      sum += 1e9 * static_cast<double>(t.tv_sec) + 1e3 * static_cast<double>(t.tv_usec);
  }
  return sum;
}

/// Runs `pass`, which says how many nanoseconds its parts took, for every iteration of a benchmark.
/// Counters, in nanoseconds of a part: the median of the passes (`ns`), their least, and the CPU
/// time of all.
template <class Pass>
void time_parts(benchmark::State& state, double parts, Pass const& pass) {
  std::vector<double> all;
  double const before = cpu_time();
  for (auto _ : state) all.push_back(static_cast<double>(pass()) / parts);
  if (all.empty()) return;
  std::sort(all.begin(), all.end());
  state.counters["ns"] = all[all.size() / 2];
  state.counters["least"] = all[0];
  state.counters["cpu"] = (cpu_time() - before) / static_cast<double>(all.size()) / parts;
}

}  // namespace idle
