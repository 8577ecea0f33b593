#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/solve/experts/search/sorting_network.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::sorting_network_test {
namespace {

using namespace detail;

TEST(sorting_network, sorts_any_length) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    auto const n = static_cast<std::size_t>(below(random, 90));
    std::vector<std::uint64_t> keys(std::max<std::size_t>(n, 64));
    for (std::size_t k = 0; k < n; ++k)
      keys[k] = i % 3 == 0 ? static_cast<std::uint64_t>(below(random, 5)) : random();
    auto sorted = keys;
    sorted.resize(n);
    std::sort(sorted.begin(), sorted.end());
    sort_keys(keys.data(), n);
    keys.resize(n);
    ASSERT_EQ(keys, sorted) << n;
  }
}

}  // namespace
}  // namespace shunt::tests::sorting_network_test
