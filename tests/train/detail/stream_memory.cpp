#include "shunt/train/detail/stream_memory.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "shunt/program/builder.hpp"
#include "support/dense_on_streams.hpp"

namespace shunt::tests::stream_memory_test {
namespace {

TEST(stream_memory, a_step_is_undone_from_what_it_kept) {
  least_device device(1);
  detail::stream_memory<least_device> memory(device, 2, {0});
  program_builder b(2);
  for (rank_id const r : ids<rank_id>(2)) {
    b.buffer(r, 16);
    b.buffer(r, 8);
  }
  memory.fit(std::move(b).finish());
  auto const number = [&](rank_id r, buffer_id at) -> std::int64_t& {
    return *reinterpret_cast<std::int64_t*>(memory(r, at).data());
  };
  number(0, 0) = 5;
  number(0, 1) = 6;
  auto const kept = memory.before_step(0, 0);
  std::memcpy(kept.bytes, memory(0, 0).data(), 16);
  *kept.iteration = 3;
  number(0, 0) = number(0, 1) = 9;
  EXPECT_TRUE(memory.restore(0, 2).empty()) << "of another iteration";
  EXPECT_EQ(number(0, 0), 9);
  std::memcpy(kept.bytes, memory(0, 0).data(), 16);
  *kept.iteration = 3;
  number(0, 0) = 11;
  EXPECT_EQ(memory.restore(0, 3), std::vector<buffer_id>{0});
  EXPECT_EQ(memory.values<std::int64_t>(0, 0), (std::vector<std::int64_t>{9, 0}));
  EXPECT_EQ(number(0, 1), 9) << "not one that steps change";
}

TEST(stream_memory, buffers_grow_and_are_swapped) {
  least_device device(1);
  detail::stream_memory<least_device> memory(device, 1, {});
  memory.resize(0, 0, 8);
  memory.resize(0, 1, 24);
  memory(0, 0)[7] = std::byte{7};
  memory.resize(0, 0, 640);
  EXPECT_EQ(memory(0, 0)[7], std::byte{7});
  EXPECT_EQ(memory(0, 0)[8], std::byte{0});
  memory.swap(0, 0, 1);
  EXPECT_EQ(memory(0, 0).size(), 24U);
  EXPECT_EQ(memory(0, 1).size(), 640U);
  memory.forget(0);
  EXPECT_EQ(memory(0, 1)[600], std::byte{0xff});
}

}  // namespace
}  // namespace shunt::tests::stream_memory_test
