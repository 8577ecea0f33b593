#include "shunt/train/training_device.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "support/dense_on_streams.hpp"

namespace shunt::tests::training_device_test {
namespace {

struct without_copies {
  using system = host_streams;
};
static_assert(training_device<least_device> && !training_device<without_copies>);

TEST(training_device, items_run_where_the_condition_holds) {
  least_device device(2);
  auto numbers = device.memory(4 * sizeof(std::int64_t));
  auto* const at = reinterpret_cast<std::int64_t*>(numbers.bytes().data());
  std::int64_t const no = 0, yes = 1;
  auto const stream = device.streams().make_stream();
  for (auto const* const condition : {&no, &yes, static_cast<std::int64_t const*>(nullptr)})
    device.each(stream, 4, [at](std::int64_t i) { at[i] += i; }, condition);
  device.settle();
  std::vector<std::int64_t> found(4);
  device.read(numbers.bytes(), std::as_writable_bytes(std::span(found)));
  EXPECT_EQ(found, (std::vector<std::int64_t>{0, 2, 4, 6}));
}

}  // namespace
}  // namespace shunt::tests::training_device_test
