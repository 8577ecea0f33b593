// NCCL itself. One device is enough for one rank, which sends to itself inside a group; what needs
// more is skipped with the reason.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "shunt/nccl/api.hpp"
#include "shunt/nccl/transport.hpp"
#include "shunt/program/builder.hpp"

namespace {

using namespace shunt;
using namespace std::chrono_literals;
using net = nccl_transport<nccl_api>;

static_assert(collective_stream_transport<net>);
static_assert(nccl_type(element::bytes) == ncclUint8 && nccl_type(element::int32) == ncclInt32 &&
              nccl_type(element::int64) == ncclInt64 &&
              nccl_type(element::float32) == ncclFloat32 &&
              nccl_type(element::float64) == ncclFloat64);
static_assert(nccl_operation(reduction::sum) == ncclSum &&
              nccl_operation(reduction::max) == ncclMax);

int devices() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

/// Tests that need so many devices; skipped with the reason where there are fewer.
template <int Wanted>
class needs : public testing::Test {
 protected:
  void SetUp() override {
    if (auto const here = devices(); here < Wanted)
      GTEST_SKIP() << "needs " << Wanted << " CUDA devices, here are " << here;
  }
};
using nccl_on_one_device = needs<1>;
using nccl_on_two_devices = needs<2>;
using nccl_on_three_devices = needs<3>;

/// Words in device memory.
class words {
 public:
  explicit words(std::vector<std::int64_t> const& values) : count_(values.size()) {
    EXPECT_EQ(cudaMalloc(&memory_, count_ * 8), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(memory_, values.data(), count_ * 8, cudaMemcpyDefault), cudaSuccess);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);  // it may return before the bytes have arrived
  }
  words(words const&) = delete;
  words& operator=(words const&) = delete;
  ~words() { (void)cudaFree(memory_); }
  [[nodiscard]] std::span<std::byte> bytes() const {
    return {static_cast<std::byte*>(memory_), count_ * 8};
  }
  [[nodiscard]] std::vector<std::int64_t> read() const {
    std::vector<std::int64_t> values(count_);
    EXPECT_EQ(cudaMemcpy(values.data(), memory_, count_ * 8, cudaMemcpyDefault), cudaSuccess);
    return values;
  }

 private:
  std::size_t count_;
  void* memory_ = nullptr;
};

struct stream {
  stream() { EXPECT_EQ(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking), cudaSuccess); }
  stream(stream const&) = delete;
  stream& operator=(stream const&) = delete;
  ~stream() { (void)cudaStreamDestroy(handle); }
  operator cudaStream_t() const { return handle; }
  cudaStream_t handle{};
};

/// Waits for a stream while the network is healthy.
void finish(net const& n, cudaStream_t s) {
  auto const until = std::chrono::steady_clock::now() + 30s;
  while (cudaStreamQuery(s) == cudaErrorNotReady) {
    n.poll();
    if (std::chrono::steady_clock::now() > until)
      throw std::runtime_error("the stream does not come to its end");
  }
}

std::vector<rank_id> every_rank(std::int32_t ranks) {
  std::vector<rank_id> all;
  for (rank_id const r : ids<rank_id>(ranks)) all.push_back(r);
  return all;
}

/// A program in which all ranks meet and each sends to the next.
program neighbours(std::int32_t ranks) {
  program_builder b(ranks);
  auto const all = b.group(every_rank(ranks));
  for (rank_id const r : ids<rank_id>(ranks)) {
    b.buffer(r, 64, true);
    b.all_reduce(r, all, element::int64, reduction::sum, {0, 0, 64});
    if (ranks == 1) continue;
    b.send(r, (r.value() + 1) % ranks, {0, 0, 32}, 0, {.batch = 0});
    b.receive(r, (r.value() + ranks - 1) % ranks, {0, 32, 32}, 0, {.batch = 0});
  }
  return std::move(b).finish();
}

/// f(rank) on a thread and device each; what they throw, by rank.
std::vector<std::string> together(std::int32_t ranks, std::function<void(rank_id)> const& f) {
  std::vector<std::string> errors(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (rank_id const r : ids<rank_id>(ranks))
    threads.emplace_back([&, r] {
      try {
        if (cudaSetDevice(r.value() % devices()) != cudaSuccess)
          throw std::runtime_error("cudaSetDevice");
        f(r);
      } catch (std::exception const& e) {
        errors[r.index()] = e.what();
      }
    });
  for (auto& t : threads) t.join();
  return errors;
}

TEST_F(nccl_on_one_device, one_rank_sends_to_itself_and_meets_itself) {
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
  EXPECT_FALSE(nccl_device_name().empty());
  stream s;
  words out({1, 2, 3}), in({0, 0, 0}), sum({4, 5, 6});
  net n(nccl_api::new_identity(), every_rank(1), 0, {});
  auto const p = neighbours(1);
  n.prepare(p, s);
  EXPECT_EQ(n.communicators(), 2U);
  {
    auto g = n.open_group();
    n.send(g, out.bytes(), 0, s);
    n.receive(g, in.bytes(), 0, s);
    g.close();
  }
  {
    rank_id const alone[] = {0};
    auto g = n.open_group();
    n.all_reduce(g, alone, element::int64, reduction::sum, sum.bytes(), s);
    g.close();
  }
  finish(n, s);
  EXPECT_EQ(in.read(), (std::vector<std::int64_t>{1, 2, 3}));
  EXPECT_EQ(sum.read(), (std::vector<std::int64_t>{4, 5, 6}));
  n.close();
}

TEST_F(nccl_on_one_device, an_aborted_communicator_leaves_the_device_usable) {
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
  stream s;
  words in({7});
  {
    net n(nccl_api::new_identity(), every_rank(1), 0, {});
    n.abort();
  }
  net n(nccl_api::new_identity(), every_rank(1), 0, {});
  auto g = n.open_group();
  n.send(g, in.bytes(), 0, s);
  n.receive(g, in.bytes(), 0, s);
  g.close();
  finish(n, s);
  n.close();
}

TEST_F(nccl_on_one_device, a_rank_that_never_comes_is_a_time_out) {
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
  try {
    net n(nccl_api::new_identity(), every_rank(2), 0, {.patience = 2s});
    FAIL();
  } catch (nccl_error const& e) {
    EXPECT_NE(std::string(e.what()).find("waited 2000 ms to join a communicator of ranks 0 1"),
              std::string::npos)
        << e.what();
  }
}

TEST_F(nccl_on_one_device, two_ranks_on_one_device_are_refused) {
  auto const id = nccl_api::new_identity();
  for (auto const& e : together(2, [&](rank_id r) {
         if (cudaSetDevice(0) != cudaSuccess) throw std::runtime_error("cudaSetDevice");
         net n(id, every_rank(2), r, {.patience = 20s});
       }))
    EXPECT_NE(e.find("join a communicator of ranks 0 1"), std::string::npos) << e;
}

TEST_F(nccl_on_two_devices, two_ranks_reduce_and_exchange) {
  auto const id = nccl_api::new_identity();
  EXPECT_EQ(together(2,
                     [&](rank_id r) {
                       stream s;
                       words memory(std::vector<std::int64_t>(8, 1 + r.value()));
                       net n(id, every_rank(2), r, {});
                       auto const p = neighbours(2);
                       n.prepare(p, s);
                       rank_id const both[] = {0, 1};
                       auto g = n.open_group();
                       n.all_reduce(g, both, element::int64, reduction::sum, memory.bytes(), s);
                       g.close();
                       finish(n, s);
                       EXPECT_EQ(memory.read(), std::vector<std::int64_t>(8, 3));
                       words out({10 + r.value()}), in({0});
                       auto h = n.open_group();
                       n.send(h, out.bytes(), 1 - r.value(), s);
                       n.receive(h, in.bytes(), 1 - r.value(), s);
                       h.close();
                       finish(n, s);
                       EXPECT_EQ(in.read(), std::vector<std::int64_t>{11 - r.value()});
                       n.close();
                     }),
            std::vector<std::string>(2));
}

TEST_F(nccl_on_three_devices, survivors_go_on_without_a_rank) {
  auto const first = nccl_api::new_identity(), second = nccl_api::new_identity();
  EXPECT_EQ(together(3,
                     [&](rank_id r) {
                       stream s;
                       words memory({1 + r.value()});
                       net n(first, every_rank(3), r, {});
                       if (r == 1) return;  // leaves without a word
                       rank_id const dead[] = {1};
                       if constexpr (nccl_api::has_shrink)
                         n.shrink(dead);
                       else
                         n.rebuild(second, {0, 2});
                       words in({0});
                       auto g = n.open_group();
                       n.send(g, memory.bytes(), 2 - r.value(), s);
                       n.receive(g, in.bytes(), 2 - r.value(), s);
                       g.close();
                       finish(n, s);
                       EXPECT_EQ(in.read(), std::vector<std::int64_t>{3 - r.value()});
                       n.close();
                     }),
            std::vector<std::string>(3));
}

}  // namespace
