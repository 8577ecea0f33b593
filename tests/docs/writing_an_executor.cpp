#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "shunt/execute.hpp"
#include "shunt/program.hpp"

namespace shunt::tests::writing_an_executor_test {

// docs/writing-an-executor.md {
/// Any transport, and how many bytes this rank has sent to each peer over it.
template <shunt::transport Net>
class metered {
 public:
  explicit metered(Net net)
      : net_(std::move(net)), sent_(static_cast<std::size_t>(net_.size()), 0) {}

  [[nodiscard]] shunt::rank_id rank() const { return net_.rank(); }
  [[nodiscard]] std::int32_t size() const { return net_.size(); }
  void send(shunt::rank_id peer, std::int32_t channel, std::span<std::byte const> out) {
    net_.send(peer, channel, out);
    sent_[peer] += static_cast<shunt::byte_count>(out.size());
  }
  void receive(shunt::rank_id peer, std::int32_t channel, std::span<std::byte> in) {
    net_.receive(peer, channel, in);
  }
  void flush() { net_.flush(); }
  void close() { net_.close(); }

  [[nodiscard]] shunt::byte_count sent_to(shunt::rank_id peer) const { return sent_[peer]; }

 private:
  Net net_;
  shunt::indexed<shunt::rank_id, shunt::byte_count> sent_;
};
static_assert(shunt::transport<metered<shunt::in_process_network::endpoint>>);
// }

namespace {

/// Two ranks with one number each.
struct numbers {
  alignas(64) std::array<std::int64_t, 2> values{};
  void operator()(rank_id rank, task const&) { values[rank.index()] += 1; }
  std::span<std::byte> buffer(rank_id rank, buffer_id) {
    return std::as_writable_bytes(std::span(values).subspan(rank.index(), 1));
  }
};

TEST(WritingAnExecutor, TheRankLoopRunsOverAnyTransport) {
  program_builder build(2);
  for (rank_id const r : ids<rank_id>(2)) build.buffer(r, 8, true);
  build.compute(0, {.kind = op_kind::forward}, {build.all_of(0, 0)}, {build.all_of(0, 0)});
  build.message(0, build.all_of(0, 0), 1, build.all_of(1, 0));
  build.compute(1, {.kind = op_kind::forward}, {build.all_of(1, 0)}, {build.all_of(1, 0)});
  auto const program = std::move(build).finish();

  in_process_network net(2);
  numbers work{.values = {40, 0}};
  std::array ends{metered(net.at(0)), metered(net.at(1))};
  {
    std::vector<std::jthread> threads;
    for (auto& end : ends)
      threads.emplace_back(
          [&] { rank_interpreter(end, work, 0, stopwatch{}).run(program, [](std::int32_t) {}); });
  }
  EXPECT_EQ(work.values[1], 42);
  EXPECT_EQ(ends[0].sent_to(1), 8);
  EXPECT_EQ(ends[1].sent_to(0), 0);
}

}  // namespace
}  // namespace shunt::tests::writing_an_executor_test
