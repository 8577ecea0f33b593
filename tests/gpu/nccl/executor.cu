// The executor over NCCL on real devices, works of the host in managed memory: the bits of the
// inline executor.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/cuda/device.hpp"
#include "shunt/cuda/streams.cuh"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/nccl/api.hpp"
#include "shunt/nccl/executor.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"

namespace {

using namespace shunt;

int devices() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

template <int Wanted>
class needs : public testing::Test {
 protected:
  void SetUp() override {
    if (auto const here = devices(); here < Wanted)
      GTEST_SKIP() << "needs " << Wanted << " CUDA devices, here are " << here;
    for (int device = 0; device < Wanted; ++device)
      if (auto const why = why_no_shared_access(device); !why.empty()) GTEST_SKIP() << why;
  }
};
using nccl_executor_on_one_device = needs<1>;
using nccl_executor_on_two_devices = needs<2>;

/// What is written depends on what is read, on the operation and on the iteration.
class managed_work {
 public:
  explicit managed_work(program const& p) : memory_(p.ranks.size()) {
    for (rank_id const r : ids<rank_id>(p.ranks.size()))
      for (auto const& b : p.ranks[r].buffers) {
        void* at = nullptr;
        EXPECT_EQ(cudaMallocManaged(&at, static_cast<std::size_t>(b.size) + 1), cudaSuccess);
        EXPECT_EQ(cudaMemset(at, 0, static_cast<std::size_t>(b.size) + 1), cudaSuccess);
        memory_[r.index()].push_back(
            {static_cast<std::byte*>(at), static_cast<std::size_t>(b.size)});
      }
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  }
  managed_work(managed_work const&) = delete;
  managed_work& operator=(managed_work const&) = delete;
  ~managed_work() {
    for (auto const& rank : memory_)
      for (auto const& b : rank) (void)cudaFree(b.data());
  }

  void operator()(rank_id r, task const& t) {
    auto state = static_cast<std::uint64_t>(t.iteration) * 1'000'003U +
                 static_cast<std::uint64_t>(t.op.microbatch.value());
    for (region const& x : t.reads)
      for (auto const byte : bytes(r, x))
        state = (state ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3U;
    for (region const& x : t.writes)
      for (auto& byte : bytes(r, x))
        byte = static_cast<std::byte>(
            (state = state * 6364136223846793005U + 1442695040888963407U) >> 56U);
  }
  std::span<std::byte> buffer(rank_id r, buffer_id b) { return memory_[r.index()][b.index()]; }

  [[nodiscard]] std::vector<std::vector<std::byte>> all() const {
    std::vector<std::vector<std::byte>> copies;
    for (auto const& rank : memory_)
      for (auto const& b : rank) copies.emplace_back(b.begin(), b.end());
    return copies;
  }

 private:
  std::span<std::byte> bytes(rank_id r, region const& x) {
    return buffer(r, x.buffer)
        .subspan(static_cast<std::size_t>(x.offset), static_cast<std::size_t>(x.size));
  }
  std::vector<std::vector<std::span<std::byte>>> memory_;
};
static_assert(work<managed_work>);

/// Host functions need the words of conditions and iterations in memory that the host can read,
/// too.
struct managed_systems {
  cuda_system operator()(rank_id r) const { return cuda_system(r.value(), cuda_memory::managed); }
};
using on_nccl = nccl_executor<nccl_api, managed_systems>;
static_assert(executor_of<on_nccl, managed_work>);

void expect_same_bytes(program const& p) {
  ASSERT_TRUE(check(p).empty());
  managed_work expected(p), found(p);
  auto const shared = std::make_shared<program const>(p);
  auto reference = inline_executor{}.open(expected, 3);
  for (int n = 0; n < 3; ++n) reference.submit(shared);
  auto const a = reference.wait();
  auto session = on_nccl{}.open(found, 3);
  for (int n = 0; n < 3; ++n) session.submit(shared);
  auto const b = session.wait();
  EXPECT_EQ(a.done, b.done);
  EXPECT_EQ(a.timeline.events.size(), b.timeline.events.size());
  EXPECT_EQ(expected.all(), found.all());
}

TEST_F(nccl_executor_on_one_device, runs_every_kind_of_instruction_that_one_rank_has) {
  program_builder b(1);
  auto const alone = b.group({rank_id{0}});
  for (int k = 0; k < 6; ++k) b.buffer(0, 64, true);
  b.compute(0, {.microbatch = 1}, {{0, 0, 64}}, {{0, 0, 64}});
  b.copy(0, {0, 0, 64}, {1, 0, 64});
  auto const copied = b.add(0, element::int64, {0, 0, 64}, {1, 0, 64});
  b.all_reduce(0, alone, element::int64, reduction::sum, {1, 0, 64},
               {.lane = 1, .after = {copied}});
  auto const reduced =
      b.all_reduce(0, alone, element::float32, reduction::max, {0, 0, 64}, {.lane = 1});
  b.reduce_scatter(0, alone, element::int32, reduction::sum, {1, 0, 64}, {2, 0, 64},
                   {.after = {reduced}});
  b.all_gather(0, alone, {2, 0, 64}, {3, 0, 64});
  b.fill(0, {4, 0, 8});
  b.exchange(0, alone, {3, 0, 64}, {4, 0, 8}, {5, 0, 48}, {5, 56, 8});
  b.compute(0, {.microbatch = 2}, {{3, 0, 64}}, {{2, 0, 64}}, {.condition = {4, 0, 8}});
  expect_same_bytes(std::move(b).finish());
}

TEST_F(nccl_executor_on_two_devices, runs_a_pipeline_with_all_lanes) {
  auto const ranks = devices() < 4 ? devices() : 4;
  pipeline_job const job{.stages = ranks, .microbatches = 2 * ranks};
  auto const plan = one_f_one_b{}(job).plan;
  for (auto const lanes :
       {message_lanes::one_per_rank, message_lanes::one_per_peer, message_lanes::one_per_edge})
    expect_same_bytes(lower(
        job, plan, {.activation = 1024, .stash = 64, .gradient = 64, .state = 64}, {lanes, 1}));
}

}  // namespace
