#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "shunt/device/slot_gradients.hpp"
#include "support/emulated_kernels.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::slot_gradients_test {
namespace {

using namespace emulated_kernels;

template <class T>
void sums_are_right(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < 200; ++i) {
    auto const slots = 1 + below(random, 20);  // also of one expert more than are in flight
    auto const elements = i % 2 == 0 ? 16 * (1 + below(random, 4)) : 1 + below(random, 33);
    std::vector<std::int32_t> expert_of;
    for (std::int64_t s = 0; s < slots; ++s)
      expert_of.push_back(static_cast<std::int32_t>(below(random, 1 + i % 4)));
    std::vector<shunt::detail::vector_of<T>> memory(at(slots * elements));
    T* const gradients = memory.front().at;
    for (std::int64_t k = 0; k < slots * elements; ++k)
      gradients[k] = static_cast<T>(static_cast<double>(below(random, 1 << 20)) / 1024 - 500);

    std::vector<T> wanted(gradients, gradients + slots * elements);
    for (std::int64_t s = 0; s < slots; ++s) {
      bool is_first = true;
      for (std::int64_t before = 0; before < s; ++before)
        is_first = is_first && expert_of[at(before)] != expert_of[at(s)];
      for (std::int64_t after = s + 1; after < slots && is_first; ++after)
        if (expert_of[at(after)] == expert_of[at(s)])
          for (std::int64_t k = 0; k < elements; ++k)
            wanted[at(s * elements + k)] += gradients[after * elements + k];
    }
    emulate_rows(shunt::sum_slot_gradients<T>{gradients, elements, expert_of.data(),
                                              static_cast<std::int32_t>(slots)},
                 1);
    ASSERT_EQ(std::vector<T>(gradients, gradients + slots * elements), wanted) << "case " << i;
  }
}

TEST(slot_gradients, instances_of_an_expert_are_added_into_the_first) {
  sums_are_right<std::int64_t>(22);
  sums_are_right<float>(23);
  sums_are_right<double>(24);
}

}  // namespace
}  // namespace shunt::tests::slot_gradients_test
