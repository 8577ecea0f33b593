// Programs on a GPU's streams and as its graphs, with kernels for work: the bits of the inline
// executor.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "shunt/cuda/streams.cuh"
#include "shunt/execute/elements.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "support/device_array.hpp"
#include "support/sample_programs.hpp"

namespace {

using namespace shunt;
using shunt::tests::device_array;
using shunt::tests::mixing_work;
using shunt::tests::random_choices;

class Streams : public shunt::tests::on_gpu {};

/// The regions of one operation, as kernel parameters.
struct operands {
  static constexpr std::size_t most = 24;
  std::byte* at[most];
  std::int64_t size[most];
  int reads, writes;
};

/// What mixing_work computes.
SHUNT_HD inline void mix(operands const& o, std::int64_t iteration, std::int32_t microbatch) {
  auto state =
      static_cast<std::uint64_t>(iteration) * 1'000'003U + static_cast<std::uint64_t>(microbatch);
  for (int k = 0; k < o.reads; ++k)
    for (std::int64_t i = 0; i < o.size[k]; ++i)
      state = (state ^ static_cast<std::uint64_t>(o.at[k][i])) * 0x100000001b3U;
  for (int k = o.reads; k < o.reads + o.writes; ++k)
    for (std::int64_t i = 0; i < o.size[k]; ++i) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      o.at[k][i] = static_cast<std::byte>((state >> 56U) & (i % 4 == 3 ? 0xbfU : 0xffU));
    }
}

template <class Operands>
__global__ void mix_kernel(Operands const o, std::int64_t const* iteration,
                           std::int64_t const* condition, std::int32_t microbatch) {
  if (!condition || *condition != 0) mix(o, *iteration, microbatch);
}

/// A mixing work whose memory is the device's.
class device_memory_work {
 public:
  device_memory_work(program const& p, cuda_memory kind) : memory_(p.ranks.size()) {
    for (rank_id const r : ids<rank_id>(p.ranks.size()))
      for (auto const& b : p.ranks[r].buffers)
        memory_[r.index()].emplace_back(static_cast<std::size_t>(b.size + 63) / 64 * 64, kind);
  }
  std::span<std::byte> buffer(rank_id r, buffer_id b) {
    return memory_[r.index()][b.index()].bytes();
  }

  void set(mixing_work& from) {
    each([&](rank_id r, buffer_id b, std::span<std::byte> mine) {
      cuda_check(cudaMemcpyAsync(mine.data(), from.buffer(r, b).data(), mine.size(),
                                 cudaMemcpyDefault, cudaStreamPerThread),
                 "cudaMemcpyAsync");
    });
    cuda_check(cudaStreamSynchronize(cudaStreamPerThread), "cudaStreamSynchronize");
  }
  bool holds(mixing_work& expected) {
    bool same = true;
    each([&](rank_id r, buffer_id b, std::span<std::byte> mine) {
      std::vector<std::byte> found(mine.size());
      cuda_check(cudaMemcpy(found.data(), mine.data(), mine.size(), cudaMemcpyDefault),
                 "cudaMemcpy");
      auto const wanted = expected.buffer(r, b);
      same = same && std::equal(found.begin(), found.end(), wanted.begin(), wanted.end());
    });
    return same;
  }

 protected:
  operands of(rank_id r, std::span<region const> reads, std::span<region const> writes) {
    if (reads.size() + writes.size() > operands::most)
      throw std::length_error("an operation has too many regions for this test");
    operands o{};
    auto const add = [&](region const& x, int& count) {
      int const k = o.reads + o.writes;
      o.at[k] = buffer(r, x.buffer).data() + x.offset;
      o.size[k] = x.size;
      ++count;
    };
    for (region const& x : reads) add(x, o.reads);
    for (region const& x : writes) add(x, o.writes);
    return o;
  }

 private:
  template <class Visit>
  void each(Visit const& visit) {
    for (rank_id const r : ids<rank_id>(memory_.size()))
      for (buffer_id const b : ids<buffer_id>(memory_[r.index()].size())) visit(r, b, buffer(r, b));
  }
  std::vector<std::vector<cuda_buffer>> memory_;
};

/// By kernels.
class kernel_work : public device_memory_work {
 public:
  explicit kernel_work(program const& p) : device_memory_work(p, cuda_memory::device) {}
  void operator()(rank_id r, stream_task const& t, cuda_stream_ref on) {
    mix_kernel<<<1, 1, 0, on.get()>>>(of(r, t.reads, t.writes), t.iteration, t.condition,
                                      t.op.microbatch.value());
    cuda_check(cudaGetLastError(), "mix_kernel");
  }
};

/// By the host, called by the streams.
class host_work : public device_memory_work {
 public:
  explicit host_work(program const& p) : device_memory_work(p, cuda_memory::managed) {}
  void operator()(rank_id r, task const& t) {
    mix(of(r, t.reads, t.writes), t.iteration, t.op.microbatch.value());
  }
};

static_assert(stream_work<kernel_work, cuda_stream_ref> && work<host_work>);
static_assert(work_on_streams<kernel_work, cuda_system> && work_on_streams<host_work, cuda_system>);

using programs = std::vector<std::shared_ptr<program const>>;

template <class Work, class Executor>
void expect_same_bits(Executor const& executor, programs const& all, std::string const& what) {
  mixing_work expected(*all.front());
  auto reference = inline_executor{}.open(expected, 4);
  Work found(*all.front());
  auto session = executor.open(found, 4);
  for (auto const& p : all) reference.submit(p), session.submit(p);
  auto const a = reference.wait(), b = session.wait();
  EXPECT_TRUE(found.holds(expected)) << what;
  EXPECT_EQ(a.done, b.done) << what;
  if (!executor.timed) return;
  EXPECT_EQ(a.timeline.events.size(), b.timeline.events.size());
  EXPECT_EQ(b.timeline.seconds_per_tick, 1e-9);
  for (std::size_t k = 0; k < b.timeline.events.size(); ++k) {
    auto const& e = b.timeline.events[k];
    EXPECT_LE(0, e.start);
    EXPECT_LE(e.start, e.end);
    if (k > 0 && b.timeline.events[k - 1].rank == e.rank)
      EXPECT_LE(b.timeline.events[k - 1].start, e.start);
  }
}

template <class Work>
void expect_same_bits(cuda_system& gpu, programs const& all, std::string const& what) {
  for (bool const timed : {false, true}) {
    expect_same_bits<Work>(stream_executor<cuda_system>{.system = &gpu, .timed = timed}, all,
                           what + " on streams");
    expect_same_bits<Work>(graph_executor<cuda_system>{.system = &gpu, .timed = timed}, all,
                           what + " as graphs");
  }
}

TEST_F(Streams, GiveTheBitsOfRandomPrograms) {
  cuda_system gpu;
  random_choices d(41);
  for (int round = 0; round < 24; ++round) {
    auto const p = std::make_shared<program const>(shunt::tests::random_program(d, 1 + round % 4));
    expect_same_bits<kernel_work>(gpu, {p, p, p}, "program " + std::to_string(round));
  }
}

TEST_F(Streams, GiveTheBitsOfRandomProgramsByCalls) {
  if (auto const why = why_no_shared_access(0); !why.empty()) GTEST_SKIP() << why;
  cuda_system managed(0, cuda_memory::managed);
  random_choices d(42);
  for (int round = 0; round < 6; ++round) {
    auto const p = std::make_shared<program const>(shunt::tests::random_program(d, 1 + round % 4));
    expect_same_bits<host_work>(managed, {p, p, p}, "program " + std::to_string(round));
  }
}

program lowered(pipeline_job const& job) {
  return lower(job, one_f_one_b{}(job).plan,
               {.activation = 1 << 12, .stash = 64, .gradient = 1 << 10, .state = 256});
}

TEST_F(Streams, GiveTheBitsOfAPipeline) {
  cuda_system gpu;
  auto const p =
      std::make_shared<program const>(lowered({.pipelines = 2, .stages = 4, .microbatches = 5}));
  expect_same_bits<kernel_work>(gpu, {p, p, p, p}, "1F1B");
}

TEST_F(Streams, FollowConditionsOnTheDevice) {
  program_builder b(2);
  auto const both = b.group({0, 1});
  region const data{0, 0, 64}, word{1, 0, 8}, other{2, 0, 64};
  for (rank_id const r : {rank_id{0}, rank_id{1}})
    for (byte_count const size : {64, 8, 64}) b.buffer(r, size, true);
  placing const when{.condition = word};
  b.compute(0, {.microbatch = 1}, {data}, {data}, when);
  b.send(0, 1, data, 3, when);
  b.receive(1, 0, other, 3, when);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    b.all_reduce(r, both, element::int64, reduction::sum, data, when);
    b.fill(r, other, when);
    b.compute(r, {.microbatch = 2}, {other}, {data});
  }
  cuda_system gpu;
  auto const p = std::make_shared<program const>(std::move(b).finish());
  for (std::int64_t const value : {0, 1, -3}) {
    mixing_work start(*p);
    for (rank_id const r : {rank_id{0}, rank_id{1}})
      std::memcpy(start.buffer(r, 1).data(), &value, sizeof value);
    auto expected = start;
    (void)inline_executor{}.run(*p, expected);
    auto const run = [&](auto const& executor) {
      kernel_work found(*p);
      found.set(start);
      auto const o = executor.run(*p, found);
      EXPECT_TRUE(found.holds(expected)) << value;
      EXPECT_EQ(o.timeline.events.size(), value == 0 ? 2U : p->instructions());
    };
    run(stream_executor<cuda_system>{.system = &gpu});
    run(graph_executor<cuda_system>{.system = &gpu, .timed = true});
  }
}

TEST_F(Streams, UpdateAGraphOfTheSameShape) {
  cuda_system gpu;
  auto const with = [](buffer_id from) {
    program_builder b(2);
    for (rank_id const r : {rank_id{0}, rank_id{1}})
      for (int k = 0; k < 3; ++k) b.buffer(r, 256, true);
    b.compute(0, {}, {{from, 0, 256}}, {{from, 0, 256}});
    b.message(0, {from, 0, 256}, 1, {2, 0, 256});
    return std::make_shared<program const>(std::move(b).finish());
  };
  auto const a = with(0), b = with(1);
  mixing_work expected(*a);
  kernel_work found(*a);
  auto reference = inline_executor{}.open(expected);
  auto session = graph_executor<cuda_system>{.system = &gpu}.open(found);
  for (auto const& p : {a, a, b, a, b}) reference.submit(p), session.submit(p);
  EXPECT_EQ(session.graphs(), (graph_counts{.made = 1, .updated = 3, .launched = 5}));
  (void)reference.wait();
  (void)session.wait();
  EXPECT_TRUE(found.holds(expected));
}

TEST_F(Streams, RefuseCountsBeyondTheirPart) {
  program_builder b(2);
  auto const g = b.group({0, 1});
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    for (byte_count const size : {32, 16, 32, 16}) b.buffer(r, size, true);
    b.exchange(r, g, {0, 0, 32}, {1, 0, 16}, {2, 0, 32}, {3, 0, 16});
  }
  mixing_work start(b.peek());
  std::int64_t const counts[] = {3, 17};
  std::memcpy(start.buffer(1, 1).data(), counts, sizeof counts);
  kernel_work w(b.peek());
  w.set(start);
  cuda_system gpu;
  try {
    (void)stream_executor<cuda_system>{.system = &gpu}.run(b.peek(), w);
    FAIL();
  } catch (invalid_program const& e) {
    EXPECT_STREQ(e.what(), "exchange on rank 1: count 1 is 17, its part holds 16 bytes");
  }
}

/// `past`: elements before the first, so that not all addresses are multiples of 16.
template <class T>
void expect_folds(element type, random_choices& d, cuda_stream_ref on, std::size_t past) {
  for (auto const how : {reduction::sum, reduction::max})
    for (std::size_t const members : {std::size_t{1}, std::size_t{3}, most_members_on_streams}) {
      std::size_t const n = 1 + static_cast<std::size_t>(d.below(5000));
      std::vector<T> expected;
      std::vector<device_array<T>> arrays;
      std::vector<std::byte const*> sources;
      std::vector<std::byte*> targets;
      for (std::size_t k = 0; k < members; ++k) {
        std::vector<T> values(past, T{1});
        for (std::size_t i = 0; i < n; ++i) {
          values.push_back(static_cast<T>(d.below(1 << 24) - (1 << 23)));
          if constexpr (!std::is_integral_v<T>) values.back() /= static_cast<T>(1 + d.below(1000));
        }
        if (k == 0)
          expected = values;
        else
          accumulate(type, how, std::as_writable_bytes(std::span(expected).subspan(past)),
                     std::as_bytes(std::span(values).subspan(past)));
        arrays.emplace_back(values);
        sources.push_back(reinterpret_cast<std::byte const*>(arrays.back().data() + past));
        targets.push_back(reinterpret_cast<std::byte*>(arrays.back().data() + past));
      }
      cuda_kernels::fold(on.get(), type, how, sources, targets, n * sizeof(T), nullptr);
      on.synchronize();
      for (auto const& a : arrays) {
        auto const found = a.values();
        EXPECT_EQ(std::memcmp(found.data(), expected.data(), expected.size() * sizeof(T)), 0);
      }
    }
}

TEST_F(Streams, FoldAsTheHostDoes) {
  random_choices d(9);
  for (std::size_t const past : {0, 1}) {
    expect_folds<std::uint8_t>(element::bytes, d, stream(), past);
    expect_folds<std::int32_t>(element::int32, d, stream(), past);
    expect_folds<std::int64_t>(element::int64, d, stream(), past);
    expect_folds<float>(element::float32, d, stream(), past);
    expect_folds<double>(element::float64, d, stream(), past);
  }
}

TEST_F(Streams, FillAnyRangeUnderAGuard) {
  random_choices d(10);
  device_array<std::int64_t> const no(std::vector<std::int64_t>{0}),
      yes(std::vector<std::int64_t>{1});
  for (int round = 0; round < 40; ++round) {
    std::vector<std::uint8_t> wanted(6000, 7);
    auto const first = static_cast<std::size_t>(d.below(40)),
               size = static_cast<std::size_t>(d.below(round < 20 ? 40 : 5000));
    device_array<std::uint8_t> const bytes(wanted);
    std::span const range(reinterpret_cast<std::byte*>(bytes.data()) + first, size);
    cuda_kernels::fill(stream().get(), range, no.data());
    wait();
    EXPECT_EQ(bytes.values(), wanted);
    cuda_kernels::fill(stream().get(), range, yes.data());
    wait();
    std::fill_n(wanted.begin() + static_cast<std::ptrdiff_t>(first), size, std::uint8_t{0});
    EXPECT_EQ(bytes.values(), wanted);
  }
}

TEST_F(Streams, MoveAnyNumberOfPartsAtAnyPlace) {
  random_choices d(13);
  std::size_t const size = 1 << 20;
  std::vector<std::uint8_t> values, wanted(size, 0);
  for (std::size_t i = 0; i < size; ++i) values.push_back(static_cast<std::uint8_t>(d.below(256)));
  device_array<std::uint8_t> const from(values), to(wanted);
  std::vector<stream_part> parts;
  for (std::size_t at = 0, k = 0; k < 150; ++k) {
    auto const length = static_cast<std::size_t>(d.below(6000)),
               source = static_cast<std::size_t>(d.below(static_cast<std::int64_t>(size - length)));
    at += static_cast<std::size_t>(d.below(40));
    parts.push_back({.from = reinterpret_cast<std::byte const*>(from.data()) + source,
                     .to = reinterpret_cast<std::byte*>(to.data()) + at,
                     .bytes = static_cast<std::int64_t>(length)});
    std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(source), length,
                wanted.begin() + static_cast<std::ptrdiff_t>(at));
    at += length;
  }
  device_array<std::int64_t> const no(std::vector<std::int64_t>{0}),
      yes(std::vector<std::int64_t>{1});
  cuda_kernels::move(stream().get(), parts, no.data());
  wait();
  EXPECT_EQ(to.values(), std::vector<std::uint8_t>(size, 0));
  cuda_kernels::move(stream().get(), parts, yes.data());
  wait();
  EXPECT_EQ(to.values(), wanted);
}

TEST_F(Streams, SayHowMuchMemoryWasNotThere) {
  try {
    cuda_buffer const too_much(std::size_t{1} << 48);
    FAIL();
  } catch (cuda_out_of_memory const& e) {
    EXPECT_NE(std::string(e.what()).find(
                  "cudaMalloc of 281474976710656 bytes: cudaErrorMemoryAllocation"),
              std::string::npos)
        << e.what();
  }
  wait();  // and CUDA goes on
}

}  // namespace
